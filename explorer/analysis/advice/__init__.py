"""What to ship: the answer to a budget or a target, and how sure it is."""
