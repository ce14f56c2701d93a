"""One module a command. Modules import only click and the vocabulary; rooms load when a command runs."""
