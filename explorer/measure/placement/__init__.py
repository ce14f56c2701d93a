"""Run the members of one ensemble in several placements, check that the answers agree, and time them.

Import from `explorer.measure.placement.compare`.
"""
