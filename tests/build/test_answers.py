"""Bounds of what float16 storage allows: never too tight for a right file, tight enough for a wrong one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.analysis.scoring.combine import ZERO_PROBABILITY
from explorer.build.answers import (
    Answers,
    combined_stages,
    consistent,
    design_bounds,
    permitted,
    signal_bounds,
    stage_bounds,
    stored_answers,
)
from explorer.build.graph import signals_of, stages_of, thresholds_of
from explorer.spec import Averaging, Member, Signal, averaging_of, ensemble, parse_design

MEMBERS = tuple(Member("net", 1, seed) for seed in range(3))
DESIGNS = (
    "net@1#0",
    "mean(net@1#0, net@1#1, net@1#1)",
    "geometric(net@1#0, net@1#1, net@1#2)",
    "vote(net@1#0, net@1#1, net@1#2)",
    "net@1#0 -> [p>=0.7] vote(net@1#1, net@1#2) -> [p>=0.5] logit(net@1#0, net@1#2)",
    "net@1#0 -> [margin>=0.4] + net@1#1 -> [entropy<=0.9] + net@1#2",
    "net@1#0 -> [entropy<=0.9] + net@1#1 -> [agreement>=1.0] + net@1#2",
    "geometric(net@1#0, net@1#1) -> [agreement>=1.0] + geometric(net@1#2, net@1#2) -> [margin>=0.3] net@1#0",
    "vote(net@1#0, net@1#1, net@1#2) -> [agreement>=0.9] + vote(net@1#0, net@1#1) -> [entropy<=0.7] net@1#2",
)


def true_answers(design, probabilities, thresholds):
    """The design on unrounded float64 probabilities, example by example; an oracle of its own."""
    rows = []
    for example in range(len(next(iter(probabilities.values())))):
        for number, stage in enumerate(combined_stages(design)):
            p = np.stack([probabilities[member][example] for member in stage.members])
            averaging = averaging_of(stage)
            if averaging is Averaging.MEAN:
                prob = p.mean(axis=0)
            elif averaging is Averaging.VOTE:
                prob = np.bincount(p.argmax(axis=1), minlength=p.shape[1]) / len(p)
            else:
                prob = np.exp(np.log(np.maximum(p, ZERO_PROBABILITY)).mean(axis=0))
                prob /= prob.sum()
            if number == len(thresholds) or leaves(design.exits[number], thresholds[number], p, prob):
                rows.append((prob, number))
                break
    prob = np.array([row[0] for row in rows]).astype(np.float32)
    stage = np.array([row[1] for row in rows])
    return Answers(prob=prob, label=prob.argmax(axis=1), stage=stage, confidence=prob.max(axis=1))


def leaves(leave, threshold, p, prob):
    ordered = np.sort(prob)
    if leave.signal is Signal.ENTROPY:
        kept = prob[prob > 0] / prob.sum()
        return -(kept * np.log(kept)).sum() <= threshold
    if leave.signal is Signal.AGREEMENT:
        return (p.argmax(axis=1) == prob.argmax()).mean() >= threshold
    return (ordered[-1] - ordered[-2] if leave.signal is Signal.MARGIN else ordered[-1]) >= threshold


def made_up(seed, examples=200, classes=4, spread=3.0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(MEMBERS), examples, classes)) * spread
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    truth = dict(zip(MEMBERS, weights / weights.sum(axis=2, keepdims=True), strict=True))
    return truth, {member: p.astype(np.float16) for member, p in truth.items()}


@pytest.mark.parametrize("text", DESIGNS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([1e-4, 0.1, 3.0, 20.0, 80.0]))
def test_what_rounds_to_the_stored_numbers_is_permitted(text, seed, spread):
    design = parse_design(text)
    truth, stored = made_up(seed, spread=spread)
    thresholds = tuple(thresholds_of(design).values())
    bounds = design_bounds(design, stored)

    answers = true_answers(design, truth, thresholds)

    assert permitted(answers, bounds, thresholds, signals_of(design)).all()
    assert consistent(answers).all()


@pytest.mark.parametrize("text", DESIGNS)
def test_another_label_stage_or_probability_is_not(text):
    design = parse_design(text)
    truth, stored = made_up(7, spread=1.0)
    thresholds = tuple(thresholds_of(design).values())
    bounds = design_bounds(design, stored)
    right = true_answers(design, truth, thresholds)
    clear = np.sort(right.prob, axis=1)[:, -1] - np.sort(right.prob, axis=1)[:, -2] > 0.01

    label = np.argsort(right.prob, axis=1)[:, -2]
    other_label = Answers(prob=right.prob, label=label, stage=right.stage, confidence=right.confidence)
    off = right.prob + np.where(np.arange(4) == 0, 0.01, -0.01 / 3).astype(np.float32)
    other_prob = Answers(prob=off, label=right.label, stage=right.stage, confidence=right.confidence)

    assert clear.any()
    assert not permitted(other_label, bounds, thresholds, signals_of(design))[clear].any()
    assert not permitted(other_prob, bounds, thresholds, signals_of(design)).any()
    assert not consistent(other_label)[clear].any()
    for stage in range(-1, len(bounds) + 1):
        moved = Answers(
            prob=right.prob,
            label=right.label,
            stage=np.full_like(right.stage, stage),
            confidence=right.confidence,
        )
        elsewhere = right.stage != stage
        assert not permitted(moved, bounds, thresholds, signals_of(design))[elsewhere].any()


def test_a_tie_of_votes_belongs_to_the_lowest_class():
    stored = {
        MEMBERS[0]: np.array([[0.1, 0.8, 0.1]], np.float16),
        MEMBERS[1]: np.array([[0.1, 0.1, 0.8]], np.float16),
    }
    bounds = [stage_bounds(ensemble(MEMBERS[:2], Averaging.VOTE), stored)]
    prob = np.array([[0.0, 0.5, 0.5]], np.float32)

    found = [
        bool(
            permitted(
                Answers(prob=prob, label=np.array([label]), stage=np.array([0]), confidence=prob.max(axis=1)),
                bounds,
                (),
                (),
            )[0]
        )
        for label in range(3)
    ]

    assert found == [False, True, False]


@pytest.mark.parametrize(("threshold", "stages"), [(0.5, {0}), (0.4999, {0}), (0.5001, {1})])
def test_votes_at_the_threshold_have_one_route(threshold, stages):
    stored = {
        MEMBERS[0]: np.array([[0.1, 0.8, 0.1]], np.float16),
        MEMBERS[1]: np.array([[0.1, 0.1, 0.8]], np.float16),
    }
    bounds = [stage_bounds(ensemble(MEMBERS[:2], Averaging.VOTE), stored)] * 2
    prob = np.array([[0.0, 0.5, 0.5]], np.float32)

    found = {
        stage
        for stage in (0, 1)
        if permitted(
            Answers(prob=prob, label=np.array([1]), stage=np.array([stage]), confidence=prob.max(axis=1)),
            bounds,
            (threshold,),
            (Signal.P,),
        )[0]
    }

    assert found == stages


def test_close_calls_may_go_either_way():
    # 0.5 and the next float16 below it: half a step each way makes either the larger
    below = np.nextafter(np.float16(0.5), np.float16(0))
    stored = {MEMBERS[0]: np.array([[0.5, below]], np.float16)}
    bounds = [stage_bounds(ensemble(MEMBERS[:1]), stored)]

    for label, prob in ((0, [0.5001, 0.4999]), (1, [0.4999, 0.4999])):
        answers = Answers(
            prob=np.array([prob], np.float32),
            label=np.array([label]),
            stage=np.array([0]),
            confidence=np.array([max(prob)], np.float32),
        )
        assert permitted(answers, bounds, (), ()).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), text=st.sampled_from(DESIGNS))
def test_stored_answers_follow_the_definition(seed, text):
    design = parse_design(text)
    _, stored = made_up(seed, examples=50)
    thresholds = tuple(thresholds_of(design).values())

    answers, parts = stored_answers(design, stored, thresholds)
    wanted = true_answers(design, {member: p.astype(np.float64) for member, p in stored.items()}, thresholds)

    np.testing.assert_array_equal(answers.stage, wanted.stage)
    np.testing.assert_array_equal(answers.label, wanted.label)
    np.testing.assert_allclose(answers.prob, wanted.prob, atol=1e-6)
    np.testing.assert_allclose(answers.confidence, wanted.confidence, atol=1e-6)
    assert len(parts) == len(stages_of(design))


@pytest.mark.parametrize("averaging", list(Averaging))
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([1e-4, 0.1, 1.0, 3.0, 20.0]))
def test_signals_lie_inside_their_bounds_and_those_are_narrow(averaging, seed, spread):
    truth, stored = made_up(seed, examples=40, spread=spread)
    stage = ensemble(MEMBERS, averaging)
    exact = np.stack([truth[member] for member in stage.members])
    bounds = stage_bounds(stage, stored, agreement=True)
    answers = true_answers(stage, truth, ())

    for signal in Signal:
        if signal is Signal.AGREEMENT:
            value = (exact.argmax(axis=2) == answers.label).mean(axis=0)
        elif signal is Signal.ENTROPY:
            prob = answers.prob.astype(np.float64)
            value = -(prob * np.log(np.where(prob > 0, prob, 1))).sum(axis=1)
        else:
            ordered = np.sort(answers.prob.astype(np.float64), axis=1)
            value = ordered[:, -1] - ordered[:, -2] * (signal is Signal.MARGIN)
        for label in (None, answers.label):
            low, high = signal_bounds(signal, bounds, label)
            assert (low <= value + 1e-7).all()
            assert (high >= value - 1e-7).all()
            if spread >= 1 and averaging is Averaging.MEAN:
                # float16 leaves few doubts, so the interval must say something
                assert np.median(high - low) < 0.01
