"""From stored predictions and costs to fronts, comparisons and advice.

`result` holds the values, `pool` the input. Then `scoring` (what a design
answers and how good that is), `statistics` (how sure that is), `search` (which designs are best), `curves`
(how error falls with cost and members), `advice` (what to ship). This package imports none of them, so that
reading a value stays cheap.
"""
