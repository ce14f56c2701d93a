"""How error falls with cost and with members, and where two ways to spend compute cross."""
