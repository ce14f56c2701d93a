"""Know what a TPU would take without having one: XLA's own TPU compiler, on any CPU machine.

Import from `explorer.tpu.estimate` (what a model costs) and `explorer.tpu.chips` (what can be named). The
rest is how: `torch_export` writes a model down as ATen operators, `table` says each of them in JAX,
`worker` compiles in a process of its own under `compiling`'s limits, `hlo` adds up the compiler's cycles,
and `cache` keeps every answer. torch is imported when a model is traced, jax only by the worker.
"""
