"""How sure a figure is: intervals over examples and seeds, paired comparisons, luck."""
