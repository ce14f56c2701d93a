"""One file a format revision, in order of their names."""
