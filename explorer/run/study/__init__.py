"""Studies: many scales of a family on one data set, each with several seeds, and what derives from them.

`definitions` holds the studies as data, `expand` turns one into training jobs in order, `timing` measures
what a job takes here, `schedule` says what fits in the time there is, `running` does it, `bundles` keeps
what it made where another machine can take it up, `summary` tells what came out.
"""
