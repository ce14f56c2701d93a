"""What `prepare` makes ready: every runtime and precision that a CPU has, and that nothing else changed."""

import gc
import json
import weakref
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure import runtime_making
from explorer.measure.latency import HostTimer
from explorer.measure.runtime import OnnxRequest, OutOfMemory, Prepared, prepare
from explorer.workload import Workload


class Small(nn.Module):
    """A convolution, a norm and a head; keeps what it saw of the world on each call."""

    seen: list[dict] = []  # noqa: RUF012 - shared by copies, that is its use

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)
        with torch.no_grad():
            self.norm.running_mean.uniform_(-1, 1)
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, images):
        return self.head(torch.relu(self.norm(self.conv(images))).mean((2, 3)))


class Watching(Small):
    def forward(self, images):
        Watching.seen.append(
            {
                "images": images.clone(),
                "shape": tuple(images.shape),
                "dtype": images.dtype,
                "channels_last": images.is_contiguous(memory_format=torch.channels_last),
                "weights_channels_last": self.conv.weight.is_contiguous(memory_format=torch.channels_last),
                "weights": self.conv.weight.dtype,
                "autocast": torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None,
                "threads": torch.get_num_threads(),
                "training": {m.training for m in self.modules()},
                "inference": torch.is_inference_mode_enabled(),
            }
        )
        return super().forward(images)


@pytest.fixture
def watching(monkeypatch) -> Watching:
    monkeypatch.setattr(Watching, "seen", [])
    torch.manual_seed(3)
    return Watching().eval()


def ready(model: nn.Module, text: str, **more) -> Prepared:
    found = prepare(model, Workload.parse(text), channels=3, resolution=11, **more)
    assert isinstance(found, Prepared)
    return found


def images_of(prepared_seed: int, batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(prepared_seed)
    return torch.rand((batch, 3, 11, 11), generator=generator)


# ---- what runs --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["cpu/eager/b5", "cpu/deploy/b5", "cpu/eager/b5/nhwc"])
def test_outputs_are_the_models(text: str) -> None:
    torch.manual_seed(3)
    model = Small().eval()
    one = ready(model, text, seed=4)

    with torch.inference_mode():
        assert torch.allclose(one.call(), model(images_of(4, 5)), atol=1e-5)


def test_what_the_model_sees(watching) -> None:
    one = ready(watching, "cpu/eager/b5/t2", seed=4)

    (seen,) = watching.seen
    assert torch.equal(seen.pop("images"), images_of(4, 5))
    assert seen == {
        "shape": (5, 3, 11, 11), "dtype": torch.float32, "channels_last": False, "autocast": None,
        "weights_channels_last": False, "weights": torch.float32, "threads": 2, "training": {False},
        "inference": True,
    }  # fmt: skip
    assert (one.conditions.device, one.conditions.dtype, one.conditions.backend) == (
        "cpu",
        "float32",
        "torch-eager",
    )
    assert (one.conditions.batch, one.conditions.threads) == (5, 2)
    assert (one.conditions.form, one.conditions.memory_format) == ("as-built", "contiguous")
    assert isinstance(one.timer, HostTimer)
    assert one.before is None
    assert one.memory_bytes is None  # unknown on CPUs, not 0
    assert one.prepare_s > 0.0
    assert one.first_call_s > 0.0
    json.dumps(one.observations)


@pytest.mark.parametrize(
    ("text", "dtype", "weights", "autocast", "said"),
    [
        ("cpu/eager/bf16", torch.bfloat16, torch.bfloat16, None, "bfloat16"),
        ("cpu/eager/fp16", torch.float16, torch.float16, None, "float16"),
        ("cpu/eager/amp", torch.float32, torch.float32, torch.bfloat16, "amp-bfloat16"),
    ],
)
def test_precisions(watching, text, dtype, weights, autocast, said) -> None:
    one = ready(watching, text)

    seen = watching.seen[0]
    assert (seen["dtype"], seen["weights"], seen["autocast"]) == (dtype, weights, autocast)
    assert one.conditions.dtype == said


def test_channels_last_is_of_images_and_weights(watching) -> None:
    one = ready(watching, "cpu/eager/nhwc/b2")

    assert watching.seen[0]["channels_last"]
    assert watching.seen[0]["weights_channels_last"]
    assert one.conditions.memory_format == "channels_last"


def test_the_deploy_form_has_no_norm_left() -> None:
    one = ready(Small(), "cpu/deploy")

    assert not any(isinstance(m, nn.BatchNorm2d) for m in one.call.function.modules())
    assert (one.conditions.form, one.conditions.backend) == ("deploy", "torch-eager")


def test_int8_runs_int8_operators_and_says_it_is_for_timing() -> None:
    torch.manual_seed(3)
    model = Small().eval()
    one = ready(model, "cpu/eager/int8/b5", seed=4)

    parts = {type(m).__module__.split(".")[1] + "." + type(m).__name__ for m in one.call.function.modules()}
    assert any("Conv" in part for part in parts)
    assert one.call.function.conv.weight().dtype == torch.qint8
    with torch.inference_mode():
        exact = model(images_of(4, 5))
        assert 0.0 < (one.call() - exact).abs().max() < 0.1 * exact.abs().max()
    assert one.conditions.dtype == "int8"
    assert "timing only" in str(one.observations["quantisation"])


def test_a_model_that_cannot_be_traced_is_not_quantised() -> None:
    class Branching(Small):
        def forward(self, images):
            return super().forward(images) if images.sum() > 0 else images

    with pytest.raises(UsageError, match=r"^Branching cannot be quantised .*control flow") as caught:
        ready(Branching(), "cpu/eager/int8")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_compiled_gives_the_models_outputs(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(363, 7), nn.Tanh()).eval()
    one = ready(model, "cpu/compiled/b5", seed=4)

    with torch.inference_mode():
        assert torch.allclose(one.call(), model(images_of(4, 5)), atol=1e-5)
    assert one.conditions.backend == "torch-compiled"
    assert one.first_call_s < one.prepare_s  # compiling is not in the first call
    assert (one.observations["graphs"], one.observations["graph_breaks"]) == (1, 0)


def test_every_model_of_a_class_is_compiled(monkeypatch) -> None:
    """Left alone, torch stops compiling a class's code after 8 models of it, and says nothing."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))

    made = [ready(Small(classes), "cpu/compiled") for classes in range(2, 14)]

    assert [one.observations["graphs"] for one in made] == [1] * 12
    assert [one.call().shape[1] for one in made] == list(range(2, 14))


def test_a_compilers_error_is_one_line(monkeypatch) -> None:
    def refusing(graph, inputs):
        raise RuntimeError("no compiler here\nsecond line")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=refusing))

    with pytest.raises(UsageError, match=r"^Small cannot run as cpu/compiled: .*no compiler here") as caught:
        ready(Small(), "cpu/compiled")
    assert "\n" not in str(caught.value)


# ---- onnxruntime ------------------------------------------------------------------------------


def test_onnxruntime_is_the_callers(watching) -> None:
    asked: list[OnnxRequest] = []
    given: list[np.ndarray] = []

    def open_onnx(request: OnnxRequest):
        asked.append(request)
        return given.append

    one = ready(watching, "cpu/b5/t2", seed=4, open_onnx=open_onnx)
    for _ in range(4):
        one.call()

    (request,) = asked
    assert request.workload == Workload.parse("cpu/b5/t2")
    assert type(request.model) is Watching
    assert request.model is not watching
    assert [image.shape for image in request.images] == [(5, 3, 11, 11)] * 4
    assert np.array_equal(given[0], images_of(4, 5).numpy())
    assert all(np.array_equal(given[1 + n], request.images[n]) for n in range(4))
    assert (one.conditions.backend, one.conditions.dtype) == ("onnxruntime", "float32")


def test_onnxruntime_quantises_by_itself(watching) -> None:
    dtypes = []

    def open_onnx(request: OnnxRequest):
        dtypes.append(request.model.conv.weight.dtype)
        return lambda images: None

    one = ready(watching, "cpu/int8", open_onnx=open_onnx)

    assert dtypes == [torch.float32]
    assert one.conditions.dtype == "int8"
    assert "timing only" in str(one.observations["quantisation"])


# ---- inputs -----------------------------------------------------------------------------------


def test_images_are_noise_and_taken_in_turn(watching) -> None:
    one = ready(watching, "cpu/eager/b2")
    for _ in range(8):
        one.call()

    seen = [s["images"] for s in watching.seen[1:]]
    assert all(torch.equal(seen[n], seen[n + 4]) for n in range(4))
    assert len({float(image.sum()) for image in seen}) == 4
    assert all(0.4 < image.mean() < 0.6 and image.std() > 0.2 for image in seen)
    assert one.observations["image_batches"] == 4


def test_large_batches_are_fewer(watching, monkeypatch) -> None:
    size = 4 * 2 * 3 * 11 * 11
    monkeypatch.setattr(runtime_making, "_BATCHES_BYTES", 2 * size)
    assert ready(watching, "cpu/eager/b2").observations["image_batches"] == 2
    monkeypatch.setattr(runtime_making, "_BATCHES_BYTES", 1)
    assert ready(watching, "cpu/eager/b2").observations["image_batches"] == 1


# ---- nothing else changes ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["cpu/eager/bf16/nhwc/t2", "cpu/deploy", "cpu/eager/int8", "cpu/eager/amp"])
def test_model_and_process_stay_as_they_were(text: str) -> None:
    model = Small().train()
    model.norm.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    formats = {name: tensor.stride() for name, tensor in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    random_state = torch.get_rng_state()

    ready(model, text).close()

    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert {name: tensor.stride() for name, tensor in model.state_dict().items()} == formats
    assert [m.training for m in model.modules()] == modes
    assert all(p.requires_grad for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.get_num_threads() == 1
    assert not torch.is_inference_mode_enabled()


def test_close_frees_the_model_and_refuses_calls() -> None:
    one = ready(Small(), "cpu/eager")
    call, weights = one.call, weakref.ref(one.call.function.conv.weight)

    one.close()
    one.close()  # twice is no harm

    gc.collect()
    assert weights() is None
    with pytest.raises(UsageError, match="was closed"):
        call()


# ---- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cpu/tf32/eager", "tf32 is a mode of CUDA devices"),
        ("cpu/graph", "graph is a runtime of CUDA devices"),
        ("cpu/xla", "xla does not run torch models on a CPU device"),
        ("cpu/int8/compiled", "int8 runs by eager, deploy or onnxruntime"),
        ("cpu/bf16", "onnxruntime runs fp32 or int8 here"),
        ("cpu/nhwc", "onnxruntime chooses the memory format itself"),
    ],
)
def test_impossible_workloads(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"cpu/.* cannot be measured: {reason}"):
        ready(Small(), text, open_onnx=lambda request: lambda images: None)


def test_onnxruntime_needs_an_exporter() -> None:
    with pytest.raises(UsageError, match="no exporter was given"):
        ready(Small(), "cpu")


def test_a_model_without_weights() -> None:
    with pytest.raises(UsageError, match=r"built on meta.* not timed"):
        ready(Small().to("meta"), "cpu/eager")


def test_a_device_of_the_table_is_not_a_device_here() -> None:
    with pytest.raises(UsageError, match="unknown device 'rtx4090'"):
        ready(Small(), "rtx4090")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_that_is_not_here() -> None:
    with pytest.raises(EnvironmentMissingError, match="'cuda' is not here"):
        ready(Small(), "cuda/b64/bf16")


def test_a_model_that_fails_says_why_in_one_line() -> None:
    class Wrong(Small):
        def forward(self, images):
            raise RuntimeError("the window is 7\nand more")

    with pytest.raises(UsageError, match=r"^Wrong cannot run as cpu/eager: the window is 7$"):
        ready(Wrong(), "cpu/eager")


# ---- out of memory ----------------------------------------------------------------------------


class Greedy(Small):
    def forward(self, images):
        return super().forward(images) + torch.empty(2**55)


def test_what_the_allocator_refuses_is_a_result() -> None:
    model = Greedy()

    found = prepare(model, Workload.parse("cpu/eager/b5"), channels=3, resolution=11)

    assert isinstance(found, OutOfMemory)
    assert found.workload == Workload.parse("cpu/eager/b5")
    assert found.reason.startswith("out of memory: ")
    assert "\n" not in found.reason


def test_memory_is_free_after_it() -> None:
    kept: list[weakref.ref] = []

    class Weighing(Greedy):
        def forward(self, images):
            kept.extend([weakref.ref(images), weakref.ref(self.conv.weight)])
            return super().forward(images)

    assert isinstance(
        prepare(Weighing(), Workload.parse("cpu/eager"), channels=3, resolution=11), OutOfMemory
    )

    gc.collect()
    assert len(kept) == 2
    assert [ref() for ref in kept] == [None, None]


def test_an_exporter_may_run_out_of_memory_too() -> None:
    def open_onnx(request: OnnxRequest):
        raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for 2 GiB")

    found = prepare(Small(), Workload.parse("cpu"), channels=3, resolution=11, open_onnx=open_onnx)

    assert isinstance(found, OutOfMemory)
    assert "Failed to allocate memory" in found.reason
