"""From stored predictions and costs to fronts, comparisons and advice; see the modules.

`explorer.analysis.result` holds the values, `pool` the input, `search`, `score`, `compare`, `curves`
and `advice` the questions. This package imports none of them, so that reading a value stays cheap.
"""
