"""What to run next, and what a design costs over its life."""
