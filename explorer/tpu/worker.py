"""Compile one program for a TPU that is not here: a process of its own, started by `explorer.tpu.compiling`.

    python -m explorer.tpu.worker REQUEST.json

Says on standard output, a JSON object a line, which stage it is in, then what came of it: ``facts`` or
``error``. It ends when the process that started it does.
"""

import hashlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from explorer.errors import ExplorerError
from explorer.tpu import cache, hlo
from explorer.tpu.program import Program, read_program
from explorer.tpu.table import registry

_NICE = 10
_MEMORY = re.compile(r"Used ([0-9.]+[KMGT]?) of ([0-9.]+[KMGT]?) (\w+)")


def main() -> None:
    """Do what the request file named by the only argument asks."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    os.nice(_NICE)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    try:
        _say(facts=compile_request(request))
    except ExplorerError as error:
        _say(error={"kind": "usage", "reason": str(error)})
    except jax.errors.JaxRuntimeError as error:
        _say(error=_compiler_error(str(error)))


def compile_request(request: Mapping[str, Any]) -> dict[str, object]:
    """Lower and compile what is asked, and return the compiler's figures.

    Raises:
        UsageError: an operator has no JAX form.
    """
    started = time.perf_counter()
    _say(stage="preparing")
    program = read_program(request["program"])
    device = topologies.get_topology_desc(platform="tpu", topology_name=request["topology"]).devices[0]
    function, arguments = arranged(program, request, SingleDeviceSharding(device))
    precision = "highest" if request["precision"] == "fp32" else "default"
    _say(stage="lowering")
    with jax.default_matmul_precision(precision):
        lowered = jax.jit(function).lower(*arguments)
    lowered_s = time.perf_counter() - started
    folder, key = Path(request["cache"]), _content_key(lowered.as_text(), request["topology"])
    kept = cache.read(folder, "compiled", key)
    if kept is not None:
        return {**kept, "kept": True}
    _say(stage="compiling")
    started = time.perf_counter()
    compiled = lowered.compile()
    facts = {
        **_figures(compiled),
        "content": key,
        "device_kind": device.device_kind,
        "lower_s": lowered_s,
        "compile_s": time.perf_counter() - started,
        "weight_bytes": program.weight_bytes * request["members"],
        "operations": len(program.operations),
    }
    cache.write(folder, "compiled", key, facts)
    return facts


def arranged(
    program: Program, request: Mapping[str, Any], sharding: Any
) -> tuple[Callable[..., Any], tuple[Any, Any]]:
    """Return the function to compile, and shapes of its arguments: weights, images.

    One network gives its logits. Several give the mean of their softmax, the combination being part of
    the ensemble: one after the other (``loop``), or as one network with stacked weights (``stacked``).
    """
    members, stacked = request["members"], request["arrangement"] == "stacked"

    def weights_like(lead: tuple[int, ...]) -> list[Any]:
        return [
            jax.ShapeDtypeStruct(lead + value.shape, registry.device_dtype(value.dtype), sharding=sharding)
            for value in program.weights
        ]

    def one(weights: Any, images: Any) -> Any:
        if request["channels_last"]:
            images = jnp.transpose(images, (0, 3, 1, 2))
        return registry.run(program, weights, images)

    def probabilities(weights: Any, images: Any) -> Any:
        return jax.nn.softmax(one(weights, images).astype(jnp.float32), axis=-1)

    def loop(weights: Any, images: Any) -> Any:
        return sum(probabilities(member, images) for member in weights) / members

    def batched(weights: Any, images: Any) -> Any:
        return jax.vmap(probabilities, in_axes=(0, None))(weights, images).mean(0)

    shape = program.input.shape
    if request["channels_last"]:
        shape = (shape[0], *shape[2:], shape[1])
    dtype = registry.device_dtype(program.input.dtype)
    images = jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
    if members == 1:
        return one, (weights_like(()), images)
    if stacked:
        return batched, (weights_like((members,)), images)
    return loop, ([weights_like(()) for _ in range(members)], images)


def _figures(compiled: Any) -> dict[str, object]:
    costs = compiled.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    memory = compiled.memory_analysis()
    cycles = hlo.read_cycles(compiled.as_text())
    return {
        "cycles": cycles.cycles,
        "custom_calls": cycles.custom_calls,
        "loops": cycles.loops,
        "unknown_loops": cycles.unknown_loops,
        "flops": costs["flops"],
        "optimal_seconds": costs["optimal_seconds"],
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "temp_bytes": memory.temp_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        "peak_bytes": memory.peak_memory_in_bytes,
    }


def _content_key(text: str, topology: str) -> str:
    digest = hashlib.sha256(f"{topology}\0{json.dumps(cache.versions(), sort_keys=True)}\0".encode())
    # How cycles are read off belongs to the answer.
    digest.update(Path(hlo.__file__).read_bytes())
    digest.update(text.encode())
    return digest.hexdigest()


def _compiler_error(text: str) -> dict[str, str]:
    if "RESOURCE_EXHAUSTED" in text or "Ran out of memory" in text:
        found = _MEMORY.search(text)
        amount = f": it would use {found[1]} of {found[2]} {found[3]}" if found else ""
        return {"kind": "memory", "reason": f"the program does not fit the device's memory{amount}"}
    return {"kind": "compiler", "reason": f"XLA's TPU compiler refused: {text.strip().splitlines()[0][:300]}"}


def _say(**message: object) -> None:
    print(json.dumps(message), flush=True)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
