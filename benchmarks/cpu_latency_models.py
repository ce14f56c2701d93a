"""The models of `benchmarks.cpu_latency`: built, exported and traced once, kept in files, loaded to time."""

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from explorer import __version__
from explorer.build.onnx_export import INPUT, export_member
from explorer.build.session import open_session
from explorer.errors import EnvironmentMissingError, ExplorerError, UsageError
from explorer.measure.memory_limits import OutOfMemory
from explorer.measure.precision import measuring
from explorer.measure.runtime import OnnxRequest, Prepared
from explorer.measure.runtime import prepare as make_ready
from explorer.run.kernel_tables import Traced, kernel_tables
from explorer.run.profiling.subjects import Subject, network
from explorer.spec import ModelSpec
from explorer.workload import Runtime, Workload
from zoo.families.timm_bridge import declare_torchvision_ops

RESOLUTION, CHANNELS, CLASSES = 224, 3, 1000
RUNTIMES = (Runtime.EAGER, Runtime.ONNXRUNTIME)
MODELS = (
    *("resnet18", "resnet26", "resnet50", "resnetrs50", "efficientnet_b0", "efficientnet_b1"),
    *("mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv3_large_100"),
    *("mobilenetv4_conv_small", "mobilenetv4_conv_medium", "regnetx_002", "regnetx_016", "regnety_008"),
    *("convnext_atto", "convnext_nano", "vit_tiny_patch16_224", "vit_small_patch16_224"),
    *("swin_tiny_patch4_window7_224", "resmlp_12_224", "mixer_s16_224", "botnet26t_256"),
    *("lambda_resnet26t", "repvgg_a0", "densenet121", "tinynet_a", "starnet_s1", "hrnet_w18_small"),
    *("dla34", "fbnetv3_b", "ghostnet_100", "poolformer_s12", "edgenext_small", "efficientvit_b0"),
    *("xcit_nano_12_p16_224", "mnasnet_100", "rexnet_100", "mobileone_s0", "pvt_v2_b0", "levit_128s"),
)
"""0.05 to 4.6 GMACs, 30 families. Two names of one architecture (deit_tiny is vit_tiny) are not both in:
holding one's family out would hold nothing out."""
_TRIALS = 4

Say = Callable[[str], None]


def say_on_stderr(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def prepare(out: Path, models: Sequence[str], say: Say = say_on_stderr) -> None:
    """Build, export and call every model once, and trace its kernels; what is there already is kept.

    Raises:
        UsageError: models that cannot be prepared, with the reasons, after all others were.
    """
    done, begin, refused = prepared(out), time.monotonic(), {}
    todo = [name for name in models if name not in done]
    for number, name in enumerate(todo):
        try:
            done[name] = _prepare_one(out, name)
        except (ExplorerError, ValueError) as error:  # ZooError is a ValueError
            refused[name] = " ".join(str(error).split())
        write_json(out / "prepared.json", {"stamp": stamp(), "models": done})
        spent = time.monotonic() - begin
        say(
            f"prepared {number + 1} of {len(todo)}: {name} {refused.get(name, '')}; "
            f"about {spent / (number + 1) * (len(todo) - number - 1):.0f} s left"
        )
    traced = kernel_tables([traced_model(name) for name in models], cache=out / "kernels", workers=1)
    refused |= {one.model: why for one, why in traced.items() if isinstance(why, str)}
    if refused:
        raise UsageError("cannot be prepared: " + "; ".join(f"{n}: {why}" for n, why in refused.items()))


def traced_model(name: str) -> Traced:
    """Return the model as its kernels are traced."""
    return Traced(model=f"timm:{name}", resolution=RESOLUTION, channels=CHANNELS, classes=CLASSES)


def _prepare_one(out: Path, name: str) -> dict[str, float]:
    subject = Subject(model=ModelSpec(f"timm:{name}", RESOLUTION), channels=CHANNELS, classes=CLASSES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]))
        model = network(subject)
    graph = export_member(model, (CHANNELS, RESOLUTION, RESOLUTION)).SerializeToString()
    _write(_onnx_path(out, name), lambda path: path.write_bytes(graph))
    _write(_model_path(out, name), lambda path: torch.save(model, path))
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    begin = time.perf_counter()
    with contextlib.ExitStack() as stack:
        ready = load(out, name, stack)
        load_s = time.perf_counter() - begin
        calls = {f"{runtime}_s": _shortest(one) for runtime, one in ready.items()}
    return {"weight_bytes": weights, "load_s": load_s, **calls}


def load(out: Path, name: str, stack: contextlib.ExitStack) -> dict[Runtime, Prepared]:
    """Return both runtimes of one model, ready to be called; closed when ``stack`` is."""
    # Written by `prepare` into the same folder: as trustworthy as that folder.
    declare_torchvision_ops()  # unpickling imports timm
    model = torch.load(_model_path(out, name), weights_only=False, mmap=True)

    def from_file(request: OnnxRequest) -> Callable[[Any], object]:
        session = open_session(_onnx_path(out, name), threads=request.workload.threads)
        return lambda images: session.run(None, {INPUT: images})

    found = {}
    for runtime in RUNTIMES:
        one = make_ready(
            model, workload(runtime), channels=CHANNELS, resolution=RESOLUTION, open_onnx=from_file
        )
        if isinstance(one, OutOfMemory):
            raise EnvironmentMissingError(f"{name} does not fit in memory: {one.reason}")
        stack.callback(one.close)
        found[runtime] = one
    return found


def workload(runtime: Runtime) -> Workload:
    """Return how a model is run: one image a call, float32, one thread."""
    return Workload(device="cpu", runtime=runtime)


def _shortest(ready: Prepared) -> float:
    times = []
    with measuring(ready.workload):
        for _ in range(_TRIALS):
            start = time.perf_counter()
            ready.call()
            times.append(time.perf_counter() - start)
    return min(times)


def prepared(out: Path) -> dict[str, dict[str, float]]:
    """Return what is prepared under the versions that are installed now."""
    path = out / "prepared.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    return dict(kept["models"]) if kept.get("stamp") == stamp() else {}


def stamp() -> dict[str, str]:
    """Return the versions that a preparation is for."""
    packages = ("torch", "timm", "onnx", "onnxscript", "onnxruntime")
    return {name: metadata.version(name) for name in packages} | {"explorer": __version__}


def _onnx_path(out: Path, name: str) -> Path:
    return out / "onnx" / f"{name}.onnx"


def _model_path(out: Path, name: str) -> Path:
    return out / "models" / f"{name}.pt"


def write_json(path: Path, document: object) -> None:
    """Write a document whole or not at all."""
    _write(path, lambda part: part.write_text(json.dumps(document) + "\n"))


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    write(part)
    part.replace(path)
