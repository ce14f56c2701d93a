"""What the TPU room's tests share."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from explorer.tpu.estimate import TpuRequest

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def jax():
    """The extra; tests that need it skip without it. On the CPU: beside libtpu it would look for a TPU."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    return pytest.importorskip("jax", reason="the extra 'tpu' (jax, libtpu) is not installed")


@pytest.fixture(scope="session")
def libtpu(jax):
    return pytest.importorskip("libtpu", reason="the extra 'tpu' (jax, libtpu) is not installed")


@pytest.fixture(scope="session")
def through_jax(jax) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Run a module in torch and through the operator table, on one random input."""
    from explorer.tpu.table import registry
    from explorer.tpu.torch_export import export, program_of, weights_of

    def run(module: nn.Module, *shape: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
        images = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        exported = export(module, shape, torch.float32)
        weights = [weight.numpy() for weight in weights_of(exported)]
        program = program_of(exported)
        with torch.no_grad():
            wanted = module.eval()(images).numpy()
        found = jax.jit(lambda w, x: registry.run(program, w, x))(weights, images.numpy())
        return wanted, np.asarray(found)

    return run


@pytest.fixture
def facts() -> dict[str, Any]:
    """The compiler's figures of a made-up program, in primes."""
    return {
        "cycles": 9_400_000,
        "custom_calls": 3,
        "loops": 0,
        "unknown_loops": 0,
        "flops": 101.0,
        "optimal_seconds": -2.993,
        "argument_bytes": 1009,
        "output_bytes": 13,
        "temp_bytes": 211,
        "code_bytes": 17,
        "peak_bytes": 1237,
        "device_kind": "TPU v3",
        "lower_s": 0.5,
        "compile_s": 31.0,
        "weight_bytes": 907,
        "operations": 5,
        "content": "c",
        "versions": {"jax": "0"},
    }


@pytest.fixture
def request_v3() -> TpuRequest:
    return TpuRequest(model="made-up", input_shape=(2, 3, 5, 7), device="tpu-v3", deploy=False)
