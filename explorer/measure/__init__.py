"""Meet the hardware and torch: trace a model's operators, time a call, describe the conditions.

Import from `explorer.measure.trace`, `explorer.measure.latency` and `explorer.measure.environment`.
"""
