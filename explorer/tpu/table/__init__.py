"""What each ATen operator is in JAX.

One function an operator, found by its ATen name (`explorer.tpu.table.registry`), with the arguments of the
ATen schema by name. Imports jax: only the worker process and the table's tests come here.
"""
