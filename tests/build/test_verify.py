"""A right file passes on every route; every way of being wrong that we could think of fails."""

import dataclasses

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from explorer.build.artefact import build_artefact, stored_predictions
from explorer.build.verify import verify_artefact
from explorer.convention import Basis
from explorer.errors import InputDataError
from explorer.spec import parse_design

ROUTES = ["large batches", "batch 1", "odd batches"]
CASCADE_ROUTES = [*ROUTES, "none escalate", "all escalate"]
A, B, C = "wrn10-0.25@8#0", "wrn10-0.25@5#1", "mobile-x0.5@6#0"
DESIGNS = (
    A,
    f"mean({A}, {B}, {B})",
    f"geometric({A}, {B}, {C})",
    f"logit({A}, mlp8x1@8#2)",
    f"vote({A}, {B}, {C}, mlp8x1@8#1)",
    f"{A} -> [p>=0.62] {C}",
    f"vote({A}, {B}, mlp8x1@8#1) -> [p>=0.6] mlp8x1@8#0 -> [p>=0.83] geometric({A}, {C})",
    f"{A} -> [margin>=0.4] {C}",
    f"{A} -> [entropy<=1.0] {C}",
    f"mean({A}, {B}) -> [agreement>=1.0] {C}",
    f"{A} -> [p>=0.62] + {C}",
    f"{A} -> [entropy<=1.0] + {B} -> [agreement>=1.0] + {C}",
    f"{A} -> [margin>=0.5] + mean({A}, {B}) -> [entropy<=1.9] + mlp8x1@8#2 -> [p>=0.6] {C}",
    f"vote({A}, {B}, mlp8x1@8#1) -> [margin>=0.3] + vote({C}, {C}) -> [agreement>=0.6] mlp8x1@8#0",
    f"geometric({A}, {B}) -> [agreement>=1.0] + geometric({B}, {C}) -> [margin>=0.3] mlp8x1@8#0",
)


def verified(store, digits, artefact, **options):
    return verify_artefact(
        artefact.path,
        digits.report.images,
        stored_predictions(store, artefact),
        labels=digits.report.labels,
        **{"measure": False, **options},
    )


@pytest.mark.parametrize("text", DESIGNS)
def test_a_built_design_answers_as_stored(store, digits, tmp_path, text):
    design = parse_design(text)
    built = build_artefact(store, "digits", design, tmp_path / "a")

    found = verified(store, digits, built)

    assert found.passed
    assert [route.name for route in found.routes] == (CASCADE_ROUTES if "->" in text else ROUTES)
    assert all(route.examples == 539 and route.mismatches == 0 for route in found.routes)
    if "vote" not in text:  # a vote that goes the other way moves a whole share
        # under a logarithm, the rounding of a very small probability counts
        limit = 1e-2 if "geometric" in text or "logit" in text else 5e-4
        assert all(route.max_probability_error < limit for route in found.routes)
    ties = found.routes[0].ties
    assert ties <= 3
    assert all(route.flips <= route.ties for route in found.routes)
    assert abs(found.accuracy_measured - found.accuracy_expected) <= ties / 539 + 1e-12
    assert found.accuracy_expected == built.document["expected"]["accuracy"]["value"]
    assert found.routes[0].reached == pytest.approx(
        built.document["expected"]["reached"], abs=ties / 539 + 1e-12
    )
    assert (found.design, found.digest, found.latency_measured_s) == (design, built.digest, None)
    if "->" in text:
        assert found.routes[0].reached[1] < 1
        assert found.routes[0].reached[-1] > 0  # some go on, to the end
        assert set(found.routes[3].reached[1:]) == {0.0}
        assert set(found.routes[4].reached) == {1.0}


def test_latency_is_measured_per_exit_and_stands_beside_the_prediction(store, digits, tmp_path):
    built = build_artefact(store, "digits", parse_design(DESIGNS[5]), tmp_path / "a")

    found = verified(store, digits, built, measure=True, latency_predicted_s=0.125)

    left = 1 - found.routes[0].reached[1]
    first, second = (run.median_s for run in found.latency_runs)
    assert found.latency_predicted_s == 0.125
    assert found.latency_measured_s == pytest.approx(left * first + (1 - left) * second)
    assert found.latency.basis is Basis.MEASURED
    assert found.latency.low <= found.latency.value <= found.latency.high
    assert second > first > 0
    for run in found.latency_runs:
        assert (run.conditions.backend, run.conditions.threads, run.conditions.batch) == ("onnxruntime", 1, 1)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (A, "wrn10-0.25@8#1"),  # another seed
        (f"mean({A}, {B})", f"mean({A}, {A}, {B})"),  # another weight
        (f"mean({A}, {C})", f"geometric({A}, {C})"),  # another rule
        (f"{A} -> [p>=0.62] {C}", f"{A} -> [p>=0.7] {C}"),  # another threshold
        (f"{A} -> [p>=0.62] {C}", f"{C} -> [p>=0.62] {A}"),  # another order
        (f"{A} -> [p>=0.62] {C}", f"{A} -> [p>=0.62] {B}"),  # another second stage
        (f"{A} -> [p>=0.62] {C}", f"{A} -> [margin>=0.62] {C}"),  # another signal
        (f"{A} -> [entropy<=1.0] {C}", f"{A} -> [entropy<=0.9] {C}"),
        (f"mean({A}, {B}) -> [agreement>=1.0] {C}", f"mean({A}, {B}) -> [agreement>=0.5] {C}"),
        (f"{A} -> [p>=0.62] + {C}", f"{A} -> [p>=0.62] {C}"),  # the average forgotten
        (f"{A} -> [p>=0.62] + {C}", f"{A} -> [p>=0.62] + mean({A}, {C})"),  # another weight in it
        (
            f"{A} -> [margin>=0.5] + {B} -> [p>=0.6] + {C}",
            f"{A} -> [margin>=0.5] {B} -> [p>=0.6] + {C}",  # an average that begins later
        ),
    ],
)
def test_another_design_in_the_file_fails(store, digits, tmp_path, replace_model, right, wrong):
    built = build_artefact(store, "digits", parse_design(right), tmp_path / "right")
    other = build_artefact(store, "digits", parse_design(wrong), tmp_path / "wrong")
    replace_model(built.path, onnx.load(other.model))

    found = verified(store, digits, built)

    assert not found.passed
    assert found.routes[0].mismatches > 5


def change_exit(model):
    next(node for node in model.graph.node if node.op_type == "Less").op_type = "LessOrEqual"


def change_stage(model):
    node = next(node for node in model.graph.node if list(node.output) == ["stage"])
    node.op_type, node.input[:] = "Neg", [node.input[0]]


def change_label(model):
    node = next(node for node in model.graph.node if list(node.output) == ["label"])
    node.input[0] = "stage0_mean"


def change_last_layer(model):
    branch = next(
        a.g for n in model.graph.node if n.op_type == "If" for a in n.attribute if a.name == "then_branch"
    )
    tensor = next(t for t in branch.initializer if list(t.dims)[:-1] == [10])
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor)[::-1].copy(), tensor.name))


@pytest.mark.parametrize("change", [change_exit, change_stage, change_label, change_last_layer])
def test_a_small_fault_in_the_graph_fails(store, digits, tmp_path, replace_model, change):
    design = parse_design(f"vote({A}, {B}) -> [p>=0.5] {C}")
    built = build_artefact(store, "digits", design, tmp_path / "a")
    assert verified(store, digits, built).passed is True
    model = onnx.load(built.model)
    change(model)
    replace_model(built.path, model)

    assert not verified(store, digits, built).passed


def test_a_cascade_that_mixes_up_rows_fails(store, digits, tmp_path, replace_model):
    """The fault we feared most: right answers, scattered to the wrong examples."""
    design = parse_design(f"{A} -> [p>=0.62] {C}")
    built = build_artefact(store, "digits", design, tmp_path / "a")
    model = onnx.load(built.model)
    branch = next(
        a.g for n in model.graph.node if n.op_type == "If" for a in n.attribute if a.name == "then_branch"
    )
    next(n for n in branch.node if n.op_type == "ScatterND").input[0] = "stage0_shifted"
    shift = onnx.helper.make_node("Identity", ["stage0_member0_value"], ["stage0_shifted"])
    gather = next(n for n in branch.node if n.op_type == "Gather" and n.input[0] == "images")
    gather.input[1] = "reversed"
    flip = onnx.helper.make_node("Slice", ["exit1_index", "minus", "far", "axis_0", "minus"], ["reversed"])
    branch.node.insert(0, flip)
    branch.node.insert(0, shift)
    branch.initializer.extend(
        [
            numpy_helper.from_array(np.array([-1]), "minus"),
            numpy_helper.from_array(np.array([-(2**31)]), "far"),
        ]
    )
    replace_model(built.path, model)

    found = {route.name: route.mismatches for route in verified(store, digits, built).routes}

    assert found["large batches"] > 0
    assert found["batch 1"] == found["none escalate"] == 0  # why one example at a time is not enough


def test_a_running_sum_of_the_wrong_rows_fails(store, digits, tmp_path, replace_model):
    """Right answers of the stage itself, averaged with those of other examples."""
    design = parse_design(f"{A} -> [p>=0.62] + {C}")
    built = build_artefact(store, "digits", design, tmp_path / "a")
    model = onnx.load(built.model)
    branch = next(
        a.g for n in model.graph.node if n.op_type == "If" for a in n.attribute if a.name == "then_branch"
    )
    gather = next(n for n in branch.node if n.output[0] == "stage1_total_before")
    gather.input[1] = "first_rows"
    shape = onnx.helper.make_node("Range", ["zero", "exit1_left", "one"], ["first_rows"])
    branch.node.insert(0, shape)
    branch.initializer.append(numpy_helper.from_array(np.array(1), "one"))
    replace_model(built.path, model)

    found = {route.name: route.mismatches for route in verified(store, digits, built).routes}

    assert found["large batches"] > 0
    assert found["batch 1"] == found["all escalate"] == 0


def test_examples_that_do_not_fit_are_refused(store, digits, tmp_path):
    built = build_artefact(store, "digits", parse_design(A), tmp_path / "a")
    images, labels, stored = digits.report.images, digits.report.labels, stored_predictions(store, built)
    member = parse_design(A).member

    with pytest.raises(InputDataError, match=r"wants uint8 images \[example, 8, 8, 1\], got float32"):
        verify_artefact(built.path, images.astype(np.float32), stored)
    with pytest.raises(InputDataError, match=r"wants uint8 images .* got uint8 \[0, 8, 8, 1\]"):
        verify_artefact(built.path, images[:0], stored)
    with pytest.raises(InputDataError, match=r"no stored predictions of wrn10-0.25@8#0 were given"):
        verify_artefact(built.path, images, {})
    with pytest.raises(InputDataError, match=r"must be float16 \[538, 10\], got float16 \[539, 10\]"):
        verify_artefact(built.path, images[1:], stored)
    with pytest.raises(InputDataError, match=r"float16 \[539, 10\], got float64"):
        verify_artefact(built.path, images, {member: stored[member].astype(np.float64)})
    with pytest.raises(InputDataError, match="539 images need as many labels"):
        verify_artefact(built.path, images, stored, labels=labels[1:])


def test_one_example_is_enough(store, digits, tmp_path):
    built = build_artefact(store, "digits", parse_design(f"{A} -> [p>=0.62] {C}"), tmp_path / "a")
    one = {member: p[:1] for member, p in stored_predictions(store, built).items()}

    found = verify_artefact(built.path, digits.report.images[:1], one, measure=False)

    assert found.passed
    assert [route.examples for route in found.routes] == [1] * 5
    assert found.accuracy_expected is None


def test_passed_is_no_mismatch_on_any_route(store, digits, tmp_path):
    built = build_artefact(store, "digits", parse_design(A), tmp_path / "a")
    found = verified(store, digits, built)
    failing = dataclasses.replace(found.routes[1], mismatches=1)

    assert not dataclasses.replace(found, routes=(found.routes[0], failing, found.routes[2])).passed
