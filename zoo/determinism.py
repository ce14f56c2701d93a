"""Randomness named by purpose, and a place where torch is deterministic and leaves no trace."""

import contextlib
import hashlib
import os
from collections.abc import Iterator

import torch

from zoo.registry import ZooError


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


@contextlib.contextmanager
def deterministic(seed: int, *, threads: int, device: str) -> Iterator[None]:
    """Run the body with seeded, deterministic torch; then put every global setting back.

    Args:
        seed: of torch's global generators inside the body.
        threads: CPU threads inside the body.
        device: the device the body computes on.
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
    with torch.random.fork_rng(devices=[torch.device(device)] if on_cuda else []):
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
