"""Randomness named by purpose, and a place where torch is deterministic and leaves no trace."""

import contextlib
import hashlib
import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from zoo.registry import ZooError

_CPU_INFO = Path("/proc/cpuinfo")
_NOT_DETERMINISTIC = re.compile(r"(\S+) does not have a deterministic implementation")
"""How torch begins its refusal of an operator in deterministic mode."""


def stream_seed(seed: int, purpose: str, epoch: int = 0) -> int:
    """Return a 63-bit seed for one purpose in one epoch; streams of different names are unrelated.

    Neighbouring seeds must not share streams, which ``seed + epoch`` would let them.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """Return a CPU generator for one purpose in one epoch."""
    return torch.Generator().manual_seed(stream_seed(seed, purpose, epoch))


def device_or_raise(device: str) -> None:
    """Check that tensors can live on ``device``.

    Raises:
        ZooError: torch does not know the device, or this machine does not have it.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA answers with an assertion
        reason = str(error).strip().splitlines()[0]
        raise ZooError(f"device {device!r} cannot be used here: {reason}") from error


def machine(device: str) -> dict[str, str]:
    """Return what decides, beside a training itself, which bits it makes: torch's version, the maker's name.

    A training that was begun under one of another value cannot go on to the bits of one without interruption.
    """
    name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else _cpu_name()
    return {"torch": str(torch.__version__), "device_name": name}


def _cpu_name() -> str:
    """Return the processor's name and the vector instructions that torch uses: they decide the rounding."""
    found = None
    if _CPU_INFO.is_file():
        found = re.search(r"^model name\s*:\s*(.+?)\s*$", _CPU_INFO.read_text(errors="replace"), re.MULTILINE)
    name = found[1] if found else platform.processor() or platform.machine()
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


@contextlib.contextmanager
def float32_products() -> Iterator[None]:
    """Compute float32 products in float32 inside: on NVIDIA GPUs torch rounds convolutions' inputs to TF32.

    torch has an older and a newer set of switches, and raises where one is read after the other was
    written; its compiler reads both. So the older are written (which sets both), and what was there is
    remembered through both, the older ones where they can be read. The same as `explorer.measure.precision`
    does for measurements: neither may import the other.
    """
    cudnn = torch.backends.cudnn
    # Any: the modules are replaced by objects whose attributes type checkers cannot see.
    backends: Any = torch.backends
    switches = (backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    newer = [switch.fp32_precision for switch in switches]
    older_matmul = _readable(torch.get_float32_matmul_precision)
    older_cudnn = _readable(lambda: cudnn.allow_tf32)
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = False
    try:
        yield
    finally:
        if older_matmul is not None:
            torch.set_float32_matmul_precision(older_matmul)
        if older_cudnn is not None:
            cudnn.allow_tf32 = older_cudnn
        for switch, value in zip(switches, newer, strict=True):
            switch.fp32_precision = value


def _readable(read: Callable[[], Any]) -> Any | None:
    """Return what an older switch says; None where torch refuses, since a newer one says otherwise."""
    try:
        return read()
    except RuntimeError:
        return None


@contextlib.contextmanager
def _refusals_named(what: str, device: str) -> Iterator[None]:
    """Turn torch's refusal of an operator in deterministic mode into one that names the network."""
    try:
        yield
    except RuntimeError as error:
        found = _NOT_DETERMINISTIC.search(str(error))
        if found is None:
            raise
        raise ZooError(
            f"{what} cannot be trained on {device}: torch has no implementation of {found[1]} there that "
            "gives the same bits each time; train it on another device"
        ) from error


@contextlib.contextmanager
def deterministic(seed: int, *, threads: int, device: str, what: str) -> Iterator[None]:
    """Run the body with seeded, deterministic torch in plain float32; then put every global setting back.

    Args:
        seed: of torch's global generators inside the body.
        threads: CPU threads inside the body.
        device: the device the body computes on.
        what: the network that the body trains, for a sentence.

    Raises:
        ZooError: the network needs an operator that is not deterministic on the device.
    """
    on_cuda = torch.device(device).type == "cuda"
    if on_cuda:
        # cuBLAS reads this when it is first used; without it deterministic mode refuses to run.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )
    with ExitStack() as stack:
        stack.enter_context(_refusals_named(what, device))
        stack.enter_context(torch.random.fork_rng(devices=[torch.device(device)] if on_cuda else []))
        stack.enter_context(float32_products())
        try:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True)
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
            # Filling every fresh tensor guards against reading it unwritten; it costs a kernel each.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
            torch.manual_seed(seed)
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1], warn_only=before[2])
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[3:5]
            torch.utils.deterministic.fill_uninitialized_memory = before[5]  # type: ignore[attr-defined]
