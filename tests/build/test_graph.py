"""The composed graph against a router written out in plain Python, on logits chosen by the test."""

import itertools
import json
import math

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.build.exits import extreme_thresholds
from explorer.build.graph import LOG_FLOOR, OUTPUTS, compose_design
from explorer.errors import UsageError
from explorer.spec import (
    Averaging,
    Cascade,
    Exit,
    Member,
    Signal,
    Single,
    averaging_of,
    design_id,
    ensemble,
    parse_design,
)

MEMBERS = tuple(Member("net", 1, seed) for seed in range(4))
CLASSES = 3


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def compose(design, members, classes=CLASSES):
    shape = (len(members) * classes, 1, 1)
    names = [f"class {number}" for number in range(classes)]
    return compose_design(design, members, dataset="made up", class_names=names, image_shape=shape)


def softmax(logits):
    weights = [math.exp(value - max(logits)) for value in logits]
    return [weight / sum(weights) for weight in weights]


def stage_answer(stage, logits):
    """Class probabilities of one stage for one example; `logits` is [member][class]."""
    rows = [[float(value) for value in logits[MEMBERS.index(member)]] for member in stage.members]
    averaging = getattr(stage, "averaging", Averaging.MEAN)
    if averaging is Averaging.VOTE:
        tops = [row.index(max(row)) for row in rows]
        return [tops.count(label) / len(tops) for label in range(len(rows[0]))]
    answers = [softmax(row) for row in rows]
    if averaging is Averaging.MEAN:
        return [sum(column) / len(rows) for column in zip(*answers, strict=True)]
    floored = [[max(math.log(p), LOG_FLOOR) if p > 0 else LOG_FLOOR for p in row] for row in answers]
    return softmax([sum(column) / len(rows) for column in zip(*floored, strict=True)])


def signal_value(signal, stage, logits):
    """How sure a stage is of one example."""
    prob = stage_answer(stage, logits)
    if signal is Signal.ENTROPY:
        return -sum(p * math.log(p) for p in prob if p > 0)
    if signal is Signal.AGREEMENT:
        rows = [[float(value) for value in logits[MEMBERS.index(member)]] for member in stage.members]
        answer = prob.index(max(prob))
        return sum(row.index(max(row)) == answer for row in rows) / len(rows)
    first, second, *_ = sorted(prob, reverse=True)
    return first - second if signal is Signal.MARGIN else first


def route(design, logits, thresholds):
    """Stage that answers one example, and its probabilities."""
    stages = design.combined if isinstance(design, Cascade) else (design,)
    for number, stage in enumerate(stages):
        prob = stage_answer(stage, logits)
        if number == len(stages) - 1:
            return number, prob
        signal = design.exits[number].signal
        value, threshold = np.float32(signal_value(signal, stage, logits)), np.float32(thresholds[number])
        if value <= threshold if signal is Signal.ENTROPY else value >= threshold:
            return number, prob
    raise AssertionError


def too_close(design, logits):
    """Whether float32 may fall on the other side of a threshold: an exit, or a tie of top classes."""
    for leave, stage in zip(design.exits, design.combined, strict=False):
        if 0 < abs(signal_value(leave.signal, stage, logits) - leave.threshold) < 2e-6:
            return True
        first, second, *_ = sorted(stage_answer(stage, logits), reverse=True)
        if leave.signal is Signal.AGREEMENT and first - second < 1e-6:
            return True
    return False


members_of_stage = st.lists(st.sampled_from(MEMBERS), min_size=1, max_size=3)
stages = st.builds(ensemble, members_of_stage, st.sampled_from(list(Averaging)))
# no threshold lies where a sum of float32 could fall on either side of it, votes excepted
levels = st.sampled_from([0.0, 0.25, 1 / 3, 0.4137, 0.5, 0.6211, 2 / 3, 0.8319, 0.9713, 1.0])


@st.composite
def designs(draw):
    chain = tuple(draw(st.lists(stages, min_size=1, max_size=3)))
    if len(chain) == 1:
        return chain[0]
    rules = [averaging_of(stage) for stage in chain]
    joined = tuple(a is b and draw(st.booleans()) for a, b in itertools.pairwise(rules))
    plain = Cascade(chain, (Exit(0.5),) * len(joined), joined)
    exits = []
    for stage in plain.combined[:-1]:
        known = [s for s in Signal if s is not Signal.AGREEMENT or len(set(stage.members)) > 1]
        exits.append(Exit(draw(levels), draw(st.sampled_from(known))))
    return Cascade(chain, tuple(exits), joined)


@settings(max_examples=120, deadline=None)
@given(
    design=designs(),
    # few integer values: ties, certain and undecided answers all occur
    logits=st.lists(
        st.lists(
            st.lists(st.sampled_from([-40, 0, 1, 2, 3, 11]), min_size=CLASSES, max_size=CLASSES),
            min_size=len(MEMBERS),
            max_size=len(MEMBERS),
        ),
        min_size=1,
        max_size=17,
    ),
)
def test_every_design_answers_as_the_plain_router_does(sliced_members, design, logits):
    session = session_of(compose(design, sliced_members(MEMBERS, CLASSES)))
    images = np.array(logits, np.float32).reshape(len(logits), -1, 1, 1)
    thresholds = [leave.threshold for leave in design.exits] if isinstance(design, Cascade) else []

    prob, label, stage, confidence = session.run(list(OUTPUTS), {"images": images})

    assert (prob.dtype, label.dtype, stage.dtype, confidence.dtype) == (
        np.float32,
        np.int64,
        np.int64,
        np.float32,
    )
    np.testing.assert_array_equal(label, prob.argmax(axis=1))
    np.testing.assert_array_equal(confidence, prob.max(axis=1))
    for row, example in enumerate(logits):
        wanted_stage, wanted = route(design, example, thresholds)
        if isinstance(design, Cascade):
            if too_close(design, example):
                continue  # float32 and float64 may disagree
            if stage[row] != wanted_stage:
                # equal to the threshold but for rounding: only sums of rounded numbers may differ
                assert any(
                    abs(signal_value(leave.signal, part, example) - leave.threshold) < 2e-6
                    for leave, part in zip(design.exits, design.combined, strict=False)
                )
                continue
        assert stage[row] == wanted_stage
        np.testing.assert_allclose(prob[row], wanted, atol=2e-6)


@pytest.mark.parametrize("averaging", list(Averaging))
def test_a_full_tie_goes_to_the_lowest_class(sliced_members, averaging):
    design = ensemble(MEMBERS[:2], averaging)
    session = session_of(compose(design, sliced_members(MEMBERS, CLASSES)))
    # the two members swap their favourites: classes 1 and 2 are equal
    images = np.array([[0, 5, 2], [0, 2, 5], [0, 0, 0], [0, 0, 0]], np.float32).reshape(1, -1, 1, 1)

    prob, label, *_ = session.run(None, {"images": images})

    assert prob[0, 1] == prob[0, 2]
    assert label.tolist() == [1]


def test_an_example_exactly_at_the_threshold_leaves(sliced_members):
    design = parse_design("vote(net@1#0, net@1#1) -> [p>=0.5] net@1#2")
    session = session_of(compose(design, sliced_members(MEMBERS, CLASSES)))
    images = np.zeros((1, len(MEMBERS) * CLASSES, 1, 1), np.float32)
    images[0, [1, CLASSES + 2, 2 * CLASSES + 2]] = 1  # votes for 1 and 2, the second stage says 2

    _, label, stage, confidence = session.run(None, {"images": images})

    assert (label.tolist(), stage.tolist(), confidence.tolist()) == ([1], [0], [0.5])


@pytest.mark.parametrize("examples", [0, 1, 2, 7, 64, 257])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_any_batch_size_and_any_share_that_goes_on(sliced_members, examples, length):
    chain = tuple(Single(member) for member in MEMBERS[:length])
    design = chain[0] if length == 1 else Cascade(chain, (Exit(0.6),) * (length - 1))
    session = session_of(compose(design, sliced_members(MEMBERS, CLASSES)))
    rng = np.random.default_rng(examples)
    logits = rng.normal(size=(examples, len(MEMBERS), CLASSES)).astype(np.float32) * 2
    images = logits.reshape(examples, len(MEMBERS) * CLASSES, 1, 1)
    names = [f"threshold_{number}" for number in range(1, length)]

    for values in itertools.product([0.0, 0.6, 1.1], repeat=length - 1):
        given_thresholds = {
            name: np.array(value, np.float32) for name, value in zip(names, values, strict=True)
        }
        prob, label, stage, _ = session.run(None, {"images": images, **given_thresholds})

        wanted = [route(design, example, values) for example in logits]
        assert stage.tolist() == [number for number, _ in wanted]
        assert label.tolist() == [int(np.argmax(answer)) for _, answer in wanted]
        assert prob.shape == (examples, CLASSES)


CHAINS = (
    "net@1#0 -> [margin>=0.5] + net@1#1 -> [agreement>=1.0] + net@1#2",
    "mean(net@1#0, net@1#1) -> [agreement>=1.0] net@1#2 -> [entropy<=0.8] + net@1#3",
    "geometric(net@1#0, net@1#1) -> [entropy<=0.6] + geometric(net@1#2, net@1#2) -> [margin>=0.2] net@1#3",
    "vote(net@1#0, net@1#1, net@1#2) -> [margin>=0.5] + vote(net@1#3, net@1#3) -> [p>=0.6] net@1#3",
    "net@1#3 -> [p>=0.6] + mean(net@1#0, net@1#3) -> [entropy<=0.6] net@1#2",
)


@pytest.mark.parametrize("examples", [0, 1, 64])
@pytest.mark.parametrize("text", CHAINS)
def test_any_share_goes_on_by_any_signal_into_stages_that_average(sliced_members, text, examples):
    design = parse_design(text)
    session = session_of(compose(design, sliced_members(MEMBERS, CLASSES)))
    logits = np.random.default_rng(examples).normal(size=(examples, len(MEMBERS), CLASSES)) * 2
    logits = logits.astype(np.float32)
    images = logits.reshape(examples, len(MEMBERS) * CLASSES, 1, 1)
    ways = [(leave.threshold, *extreme_thresholds(leave.signal)) for leave in design.exits]

    seen = set()
    for values in itertools.product(*ways):
        named = {f"threshold_{n}": np.array(value, np.float32) for n, value in enumerate(values, start=1)}
        prob, label, stage, _ = session.run(None, {"images": images, **named})

        wanted = [route(design, example, values) for example in logits]
        assert stage.tolist() == [number for number, _ in wanted]
        assert label.tolist() == [int(np.argmax(answer)) for _, answer in wanted]
        np.testing.assert_allclose(prob, np.array([p for _, p in wanted]).reshape(-1, CLASSES), atol=2e-6)
        seen |= set(stage.tolist())
    assert len(seen) == (len(design.stages) if examples > 1 else min(len(seen), 3))


@pytest.mark.parametrize(("ahead", "members"), [(1, 3), (3, 7), (5, 7), (1, 5)])
@pytest.mark.parametrize("signal", ["margin", "agreement", "p"])
def test_a_share_of_votes_equal_to_the_threshold_leaves_whatever_it_is(
    sliced_members, ahead, members, signal
):
    for_one = (members + ahead) // 2  # members for class 1, the others for class 2
    share = ahead / members if signal == "margin" else for_one / members
    group = ensemble([MEMBERS[0]] * for_one + [MEMBERS[1]] * (members - for_one), Averaging.VOTE)
    design = parse_design(f"{group} -> [{signal}>={share!r}] net@1#2")
    session = session_of(compose(design, sliced_members(MEMBERS, CLASSES)))
    images = np.array([[0, 5, 2], [0, 2, 5], [9, 0, 0], [0, 0, 0]], np.float32).reshape(1, -1, 1, 1)

    assert session.run(["stage", "label"], {"images": images}) == [[0], [1]]


def test_a_margin_needs_a_second_class(sliced_members):
    with pytest.raises(UsageError, match=r"the margin of .* needs at least 2 classes, got 1"):
        compose(parse_design("net@1#0 -> [margin>=0.5] net@1#1"), sliced_members(MEMBERS, 1), classes=1)


def test_only_sums_that_are_read_leave_a_branch(sliced_members):
    text = "net@1#0 -> [p>=0.6] net@1#1 -> [p>=0.6] + net@1#2 -> [agreement>=0.9] net@1#3"
    model = compose(parse_design(text), sliced_members(MEMBERS, CLASSES))

    outputs = [list(node.output) for node in model.graph.node if node.op_type == "If"]

    assert outputs == [
        ["stage1_prob", "stage1_total_all", "stage1_votes_all"],
        ["stage2_prob", "stage2_votes_all"],
        ["stage3_prob"],
    ]


def test_defaults_are_the_design_and_thresholds_are_optional_inputs(sliced_members):
    design = parse_design("net@1#0 -> [p>=0.6] net@1#1 -> [p>=0.7] net@1#2")
    session = session_of(compose(design, sliced_members(MEMBERS, CLASSES)))
    images = np.random.default_rng(3).normal(size=(50, len(MEMBERS) * CLASSES, 1, 1)).astype(np.float32)

    plain = session.run(None, {"images": images})
    named = session.run(
        None,
        {
            "images": images,
            "threshold_1": np.array(0.6, np.float32),
            "threshold_2": np.array(0.7, np.float32),
        },
    )

    assert [entry.name for entry in session.get_inputs()] == ["images"]
    assert [e.name for e in session.get_overridable_initializers()] == ["threshold_1", "threshold_2"]
    assert set(plain[2]) == {0, 1, 2}
    for left, right in zip(plain, named, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_repeated_member_counts_twice_and_is_stored_once(sliced_members):
    members = sliced_members(MEMBERS, CLASSES)
    twice = compose(parse_design("mean(net@1#0, net@1#0, net@1#1)"), members)
    logits = np.array([[3, 0, 0], [0, 3, 0], [0, 0, 0], [0, 0, 0]], np.float32)

    prob = session_of(twice).run(["prob"], {"images": logits.reshape(1, -1, 1, 1)})[0][0]

    answers = [softmax(row.tolist()) for row in logits[:2]]
    np.testing.assert_allclose(prob, (2 * np.array(answers[0]) + np.array(answers[1])) / 3, atol=1e-6)
    assert sum(node.op_type == "Slice" for node in twice.graph.node) == 2


def test_later_stages_live_inside_the_branch(sliced_members):
    design = parse_design("net@1#0 -> [p>=0.6] net@1#1 -> [p>=0.7] mean(net@1#2, net@1#3)")
    model = compose(design, sliced_members(MEMBERS, CLASSES))

    branches = [node.attribute for node in model.graph.node if node.op_type == "If"]
    inside = [{a.name: a.g for a in attributes}["then_branch"] for attributes in branches]

    assert [sum(node.op_type == "Slice" for node in branch.node) for branch in inside] == [1, 2]
    assert all(
        "member" in tensor.name for branch in inside for tensor in branch.initializer if "/" in tensor.name
    )
    assert not any(tensor.name.startswith(("stage1", "stage2")) for tensor in model.graph.initializer)


def test_metadata_say_what_it_is(sliced_members):
    design = parse_design("vote(net@1#0, net@1#1) -> [agreement>=0.5] net@1#2 -> [p>=0.5] + net@1#3")
    model = compose(design, sliced_members(MEMBERS, CLASSES))

    found = session_of(model).get_modelmeta().custom_metadata_map

    assert parse_design(found["design"]) == design
    assert found["design_id"] == design_id(design)
    assert json.loads(found["classes"]) == ["class 0", "class 1", "class 2"]
    assert json.loads(found["averaging"]) == ["vote", "mean", "mean"]
    assert json.loads(found["signals"]) == ["agreement", "p"]
    assert json.loads(found["joined"]) == [False, False, True]
    assert found["dataset"] == "made up"
    onnx.checker.check_model(model, full_check=True)


def test_missing_and_misfitting_members_are_named(sliced_members):
    members = sliced_members(MEMBERS[:2], CLASSES)
    design = parse_design("mean(net@1#0, net@1#3)")

    with pytest.raises(UsageError, match=r"net@1#3 of the design was not given; given: net@1#0, net@1#1"):
        compose(design, members)
    with pytest.raises(UsageError, match=r"net@1#0 maps \[6, 1, 1\] to \[3\]; the design wants .* to \[2\]"):
        compose_design(
            parse_design("net@1#0"), members, dataset="d", class_names=["a", "b"], image_shape=(6, 1, 1)
        )
    other = {**members, MEMBERS[1]: onnx.ModelProto.FromString(members[MEMBERS[1]].SerializeToString())}
    other[MEMBERS[1]].opset_import[0].version = 19
    with pytest.raises(UsageError, match="different opsets"):
        compose(parse_design("mean(net@1#0, net@1#1)"), other)


def test_a_design_beyond_the_format_is_refused(sliced_members, monkeypatch):
    monkeypatch.setattr("explorer.build.graph.MAX_FILE_BYTES", 100)

    with pytest.raises(UsageError, match=r"needs .* GiB, and one ONNX file holds at most 2"):
        compose(parse_design("mean(net@1#0, net@1#1)"), sliced_members(MEMBERS, CLASSES))
