"""The process that counts: models by name on standard input, one JSON line an event on standard output.

Started and watched by `benchmarks.counters`, which ends it when a counter takes too long and starts
another one where it stopped. Its memory is limited from within.
"""

import copy
import gc
import json
import os
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import causes
from benchmarks.peers import PEERS, Peer
from benchmarks.reading import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Beyond these a model is counted on meta tensors only, and the result says so."""

    forward_s: float = 0.5
    """CPU time of one plain forward pass, one thread."""
    parameters: int = 400_000_000
    memory_bytes: int = 10 * 2**30
    repeat_s: float = 0.25
    """A counter that took longer than this is not run a second time."""
    rounds: int = 2


Emit = Callable[..., None]


def main() -> None:
    """Serve one job description from standard input: models, limits, and what is done already."""
    job = json.loads(sys.stdin.readline())
    limits = Limits(**job["limits"])
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what counters print is not ours
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")

    def emit(event: str, **fields: object) -> None:
        channel.write(json.dumps({"event": event, **fields}) + "\n")

    emit("start", model="", counter="imports", round=0)
    from zoo.families.timm_bridge import declare_torchvision_ops

    declare_torchvision_ops()
    for peer in PEERS:  # imports and first-call work happen here, in nobody's time
        _warm_up(peer)
    gc.freeze()  # what the imports made is not walked through before every count
    done = {tuple(key) for key in job["done"]}
    for name in job["models"]:
        _one_model(name, limits, done, emit)
        if _memory_bytes() > limits.memory_bytes / 2:
            break  # some counters keep what they traced: the next process starts clean
    emit("end")


def _memory_bytes() -> int:
    """Return the address space in use, what the memory limit is on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _warm_up(peer: Peer) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
    )
    model.eval().to(peer.device)
    peer.read(peer.run(model, torch.zeros(1, 3, 8, 8, device=peer.device)), model)


def _build(name: str, device: str) -> tuple[nn.Module, int, float]:
    """Return the model in evaluation mode, its resolution, and the CPU seconds its construction took."""
    import zoo

    start = time.process_time()
    with torch.device(device):
        model = zoo.build(f"timm:{name}", in_channels=3, num_classes=1000)
    taken = time.process_time() - start
    return model.eval(), zoo.default_resolution(f"timm:{name}", 224), taken


@dataclass(slots=True, kw_only=True)
class _Subject:
    """One model, as all counters get it."""

    name: str
    images: dict[str, Tensor]
    models: dict[str, nn.Module]
    pieces: tuple[causes.Piece, ...] = ()
    classes: dict[str, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()


def _one_model(name: str, limits: Limits, done: set[tuple[Any, ...]], emit: Emit) -> None:
    """Count one model by every counter, or say why not."""
    emit("start", model=name, counter="build", round=0)
    meta, resolution, meta_s = _build(name, "meta")
    shape = (1, 3, resolution, resolution)
    parameters = sum(p.numel() for p in meta.parameters())
    subject = _Subject(name=name, images={"meta": torch.empty(shape, device="meta")}, models={"meta": meta})
    subject.pieces = _pieces(meta, shape)
    places = list(meta.named_modules(remove_duplicate=False))
    often = Counter(id(module) for _, module in places)
    subject.classes = {path: type(module).__name__ for path, module in places}
    subject.shared = frozenset(path for path, module in places if often[id(module)] > 1)
    facts: dict[str, object] = {"resolution": resolution, "parameters": parameters, "build_meta_s": meta_s}
    reason = _add_real_model(subject, shape, parameters, limits, facts)
    emit("model", model=name, **facts, limit=reason)
    for turn in range(limits.rounds):
        # Each model and round starts with another counter: none is always first.
        shift = (hash_of(name) + turn) % len(PEERS)
        for peer in (*PEERS[shift:], *PEERS[:shift]):
            if (name, peer.name, turn) in done or (turn and (name, peer.name, "last") in done):
                continue
            if reason and peer.device == "cpu":
                emit("result", model=name, counter=peer.name, round=turn, status="limit", reason=reason)
                done.add((name, peer.name, "last"))
                continue
            emit("start", model=name, counter=peer.name, round=turn)
            outcome = _one_count(subject, peer, first=turn == 0)
            emit("result", model=name, counter=peer.name, round=turn, **outcome)
            if outcome["status"] != "ok" or outcome["cpu_s"] > limits.repeat_s:
                done.add((name, peer.name, "last"))


def hash_of(name: str) -> int:
    """Return the same small number for a name in every process."""
    return sum(name.encode())


def _add_real_model(
    subject: _Subject, shape: tuple[int, ...], parameters: int, limits: Limits, facts: dict[str, object]
) -> str:
    """Build the model with weights and time its plain pass; return which limit forbids it, or nothing."""
    if parameters > limits.parameters:
        return f"{parameters / 1e6:.0f} M parameters, limit {limits.parameters / 1e6:.0f} M"
    torch.manual_seed(0)
    model, _, facts["build_cpu_s"] = _build(subject.name, "cpu")
    images = torch.randn(shape)
    times = []
    with torch.no_grad():
        for _ in range(3):
            start = time.process_time()
            model(images)
            times.append(time.process_time() - start)
            if times[0] > 3 * limits.forward_s:
                break
    facts["forward_s"] = min(times)
    if min(times) > limits.forward_s:
        return f"plain forward {min(times):.1f} s, limit {limits.forward_s:g} s"
    subject.images["cpu"], subject.models["cpu"] = images, model
    return ""


def _one_count(subject: _Subject, peer: Peer, *, first: bool) -> dict[str, Any]:
    """Run one counter on a copy of the model that shares the weights; only its own call is timed."""
    model = _copy(subject.models[peer.device])
    before = _functions()
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        found = peer.run(model, subject.images[peer.device])
        taken, waited = time.process_time() - cpu, time.perf_counter() - wall
        reading = peer.read(found, model)
    except Exception as error:  # any counter may fail in any way on any model: that is a result
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        _restore(before)
        return {"status": "failed", "reason": reason}
    finally:
        left = _restore(before)
    outcome: dict[str, Any] = {"status": "ok", "macs": reading.macs, "cpu_s": taken, "wall_s": waited}
    outcome |= {"load": os.getloadavg()[0], "left_patched": left}
    if first:
        outcome |= {"skipped": dict(reading.skipped), "causes": _causes(subject, reading)}
    return outcome


def _causes(subject: _Subject, reading: Reading) -> list[tuple[str, int]]:
    terms = causes.explain(subject.pieces, reading, subject.classes, subject.shared)
    return [(term.cause, term.macs) for term in terms]


def _copy(model: nn.Module) -> nn.Module:
    """Return a copy that shares parameters and buffers: some counters leave their own on what they get."""
    tensors = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})


_PATCHABLE = {"torch": torch, "torch.Tensor": torch.Tensor, "torch.nn.functional": torch.nn.functional}


def _functions() -> dict[tuple[str, str], object]:
    """Return every function of torch that counters replace."""
    return {
        (owner, name): getattr(place, name)
        for owner, place in _PATCHABLE.items()
        for name in dir(place)
        if not name.startswith("__") and callable(getattr(place, name, None))
    }


def _restore(before: dict[tuple[str, str], object]) -> list[str]:
    """Put back what a counter left replaced, and return the names."""
    left = []
    for (owner, name), function in before.items():
        if getattr(_PATCHABLE[owner], name) is not function:
            setattr(_PATCHABLE[owner], name, function)
            left.append(f"{owner}.{name}")
    return left


_LAYERS: tuple[tuple[str, tuple[type, ...]], ...] = (
    ("convolution", (nn.modules.conv._ConvNd,)),
    ("linear", (nn.Linear,)),
    ("recurrent", (nn.RNNBase, nn.RNNCellBase)),
)


def _pieces(model: nn.Module, shape: tuple[int, ...]) -> tuple[causes.Piece, ...]:
    """Return our count by module and operator, with what is needed to name the causes of differences.

    Empty where we cannot trace the model: that is recorded when its turn to be counted comes.
    """
    from explorer.errors import UsageError
    from explorer.measure.trace import trace_model

    try:
        trace = trace_model(model, shape)
    except UsageError:
        return ()
    return tuple(_pieces_of(dict(model.named_modules()), trace.ops))


def _pieces_of(modules: dict[str, nn.Module], ops: Iterable[Any]) -> Iterator[causes.Piece]:
    from explorer.accounting.formulas import find_formula

    for op in ops:
        formula = find_formula(op.op)
        work = formula(op) if formula else None
        if work is None or not work.macs:
            continue
        module = modules[op.module]
        layer = next((name for name, types in _LAYERS if isinstance(module, types)), "")
        contracts_only = op.op in ("convolution", "addmm", "linear")
        yield causes.Piece(
            path=op.module,
            module=type(module).__name__,
            layer=layer,
            exact=type(module).__module__.startswith("torch.nn."),
            operator=op.op,
            macs=work.macs,
            bias=work.elementwise_ops if contracts_only else 0,
            layer_bias=_layer_bias(module, work.macs) if layer else 0,
        )


def _layer_bias(module: nn.Module, macs: int) -> int:
    """Return the elements that the layer's bias is added to: its MACs over those of one element."""
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    if not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
        return 0
    return macs // (weight.numel() // bias.numel())


if __name__ == "__main__":
    main()
