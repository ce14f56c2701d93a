"""Which designs are worth looking at, scored exactly, and the fronts they make."""
