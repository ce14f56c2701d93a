"""Which models and shapes cannot be counted, and what the refusal says."""

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

import zoo
from explorer.accounting.formulas import Work, formula, registry
from explorer.errors import UncountedError, UsageError
from explorer.measure.trace import build_on_meta, count_model, trace_model
from explorer.record import OpRecord


class Apply(nn.Module):
    """A model of one function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(self, x)


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: x * 2 if x.sum() > 0 else x,
        lambda self, x: x * x.sum().item(),
        lambda self, x: x[x > 0],
        lambda self, x: x[: int(x.max())],
        lambda self, x: torch.nonzero(x),
        lambda self, x: torch.unique(x),
        lambda self, x: x if torch.equal(x, x) else -x,
        lambda self, x: x + len(x.tolist()),
        lambda self, x: torch.from_numpy(x.numpy()),
        lambda self, x: torch.masked_select(x, x > 0),
    ],
)
def test_a_model_that_branches_on_values_is_refused(function) -> None:
    with pytest.raises(
        UsageError, match="cannot be counted: what it does depends on the values of its input"
    ):
        trace_model(Apply(function), (2, 3))


def test_the_refusal_names_the_module() -> None:
    model = nn.Sequential(nn.Linear(3, 5), Apply(lambda self, x: x if x.sum() > 0 else -x))

    with pytest.raises(UsageError, match=r"Sequential .*\(_local_scalar_dense in module '1'\)"):
        trace_model(model, (2, 3))


def test_a_shape_that_the_model_does_not_accept() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.Linear(7, 2))

    with pytest.raises(
        UsageError, match=r"Sequential does not run on an input of shape \(2, 3\) in module '1'"
    ):
        trace_model(model, (2, 3))


@pytest.mark.parametrize("shape", [(), (0, 3), (2, -1), (2.0, 3)])
def test_impossible_shapes_are_refused(shape: tuple) -> None:
    with pytest.raises(UsageError, match="an input shape is positive integers, example first"):
        trace_model(nn.ReLU(), shape)


def test_a_lazy_model_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"without a shape yet \(weight, bias\); run it once"):
        trace_model(nn.LazyLinear(3), (2, 5))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"TorchScript module cannot be counted; give the nn\.Module"):
        trace_model(torch.jit.script(nn.Linear(5, 3)), (2, 5))


def test_errors_are_one_line() -> None:
    def fail(self, x):
        raise ValueError("first\nsecond\n  third")

    with pytest.raises(UsageError) as caught:
        trace_model(Apply(fail), (2, 3))

    assert "first second third" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)


# ---- operators without formula -------------------------------------------------------------------------


@pytest.fixture
def scan() -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
    """A custom operator that runs on meta and has no formula; a formula it gets in the test goes with it."""
    library = torch.library.Library("explorer_refusals", "FRAGMENT")
    library.define("scan(Tensor x) -> Tensor")
    library.impl("scan", torch.empty_like, "Meta")
    yield torch.ops.explorer_refusals.scan
    registry._FORMULAS.pop("explorer_refusals::scan", None)
    library._destroy()


def test_a_custom_operator_is_listed_and_strict_tells_how_to_register_one(scan) -> None:
    model = nn.Sequential(nn.Linear(3, 5), Apply(lambda self, x: scan(scan(x))))

    cost = count_model(model, (2, 3))

    assert (cost.macs, cost.uncounted) == (30, {"explorer_refusals::scan": 2})
    with pytest.raises(
        UncountedError,
        match=r"no formula for explorer_refusals::scan \(2x\).*register one: "
        r"explorer\.accounting\.formulas\.formula\('explorer_refusals::scan'\)",
    ):
        count_model(model, (2, 3), strict=True)


def test_a_registered_formula_counts(scan) -> None:
    @formula("explorer_refusals::scan")
    def counted(op: OpRecord) -> Work:
        return Work(macs=7 * op.outputs[0].shape[-1])

    assert count_model(Apply(lambda self, x: scan(x)), (2, 3), strict=True).macs == 21


def test_a_custom_operator_that_meta_does_not_know_is_refused_with_its_name() -> None:
    library = torch.library.Library("explorer_refusals_cpu", "FRAGMENT")
    library.define("scan(Tensor x) -> Tensor")
    library.impl("scan", torch.clone, "CPU")

    with pytest.raises(UsageError, match=r"explorer_refusals_cpu::scan.*Meta"):
        trace_model(Apply(lambda self, x: torch.ops.explorer_refusals_cpu.scan(x)), (2, 3))


def test_quantised_layers_are_refused_with_their_operator() -> None:
    """Their operators do not run without numbers: a refusal, where others report 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(3, 5)), {nn.Linear})

        with pytest.raises(UsageError, match=r"Sequential .*in module '0': quantized::linear_dynamic"):
            count_model(model, (2, 3))


# ---- building ------------------------------------------------------------------------------------------


class ReadsNumbers(nn.Module):
    """A constructor that reads numbers it has made, as stochastic depth schedules do."""

    def __init__(self) -> None:
        super().__init__()
        widths = torch.linspace(3, 7, 2).tolist()
        self.layer = nn.Linear(int(widths[0]), int(widths[1]))
        self.tied = nn.Linear(3, 7, bias=False)
        self.tied.weight = self.layer.weight
        self.layer.requires_grad_(False)

    def forward(self, x):
        return self.layer(x) + self.tied(x)


def test_models_are_built_on_meta() -> None:
    model, note = build_on_meta(lambda: nn.Sequential(nn.Linear(10**6, 10**6), nn.BatchNorm1d(10**6)))

    assert note == ""
    assert all(t.is_meta for t in (*model.parameters(), *model.buffers()))
    assert torch.get_default_device() == torch.device("cpu")


def test_a_constructor_that_reads_numbers_runs_on_the_cpu_and_says_so() -> None:
    model, note = build_on_meta(ReadsNumbers)

    assert note.startswith("built on the CPU, as its constructor does not run without numbers: ")
    assert all(p.is_meta for p in model.parameters())
    assert model.tied.weight is model.layer.weight
    assert model.training
    assert not model.layer.weight.requires_grad
    assert count_model(model, (2, 3), strict=True) == count_model(ReadsNumbers(), (2, 3))


def test_torchvision_regnets_are_built() -> None:
    zoo.families.timm_bridge.declare_torchvision_ops()
    from torchvision.models import regnet_y_400mf

    model, note = build_on_meta(regnet_y_400mf)

    assert all(p.is_meta for p in model.parameters())
    cost = count_model(model, (1, 3, 224, 224), strict=True)
    # torchvision's own table, RegNet_Y_400MF_Weights.IMAGENET1K_V1: 0.402 G, 4,344,144 parameters
    assert cost.parameters == 4_344_144
    assert round(cost.macs / 1e9, 3) == 0.402
    assert note.startswith("built on the CPU")


def test_a_constructor_that_fails_anywhere_fails_with_its_own_words() -> None:
    def factory() -> nn.Module:
        raise ValueError("depth must be 6n + 4")

    with pytest.raises(ValueError, match="depth must be 6n"):
        build_on_meta(factory)
