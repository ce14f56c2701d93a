"""From stored predictions and costs to fronts, comparisons and advice.

`result` holds the values, `pool` the input. Then, each on top of those before it: `scoring` (what a design
answers and how good that is), `statistics` (how sure that is), `search` (which designs are best), `curves`
(how error falls with cost and members), `advice` (what to ship, and what stands behind it), `planning` (what
to run next, and what a design costs over its life). This package imports none of them, so that reading a
value stays cheap.
"""
