"""What a design answers, and how good its answers are: exact, from stored predictions alone."""
