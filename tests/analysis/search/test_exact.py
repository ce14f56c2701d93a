"""The fast search against brute force: every design, in exact fractions, by the definitions."""

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from strategies import make_pool, pools, simulated_pool

from explorer.analysis.pool import Pool
from explorer.analysis.scoring.combine import combine
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.scoring.signals import leaves, signal_values
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space, plan_search
from explorer.analysis.search.space import design_order
from explorer.convention import Composition, CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.spec import (
    Averaging,
    Candidate,
    CandidateKind,
    Cascade,
    Exit,
    Member,
    Signal,
    averaging_of,
    ensemble,
    parse_design,
)

SLOW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def decisions_of(pool: Pool, members: tuple, averaging: Averaging) -> list[int]:
    rows = [pool.members.index(m) for m in members]
    found = []
    for e in range(pool.select.shape[1]):
        values = pool.select[rows, e]
        if averaging is Averaging.MEAN:
            scores = [sum(Fraction(float(v)) for v in column) for column in values.T]
        elif averaging is Averaging.VOTE:
            votes = [int(np.argmax(row)) for row in values]
            scores = [Fraction(votes.count(c)) for c in range(values.shape[1])]
        else:
            found.append(int(combine(values[:, None], averaging)[0][0]))
            continue
        found.append(scores.index(max(scores)))
    return found


def composed(pool: Pool, stages: list[tuple], share: Fraction) -> Fraction:
    """Cost of one or two stages, in fractions, written out from the definition of each composition."""
    cost = {m: Fraction(float(c)) for m, c in zip(pool.members, pool.costs, strict=True)}
    rule = pool.axis.kind.composition
    if rule is Composition.SUM:
        return sum(cost[m] for m in set(itertools.chain(*stages)))
    if rule is Composition.MAX:
        return max(cost[m] for m in itertools.chain(*stages))
    if rule is Composition.WORST:
        return sum(cost[m] for m in itertools.chain(*stages))
    shares = (Fraction(1), share)
    if pool.axis.kind.members_at_once:
        return sum(s * max(cost[m] for m in stage) for s, stage in zip(shares, stages, strict=False))
    return sum(s * sum(cost[m] for m in stage) for s, stage in zip(shares, stages, strict=False))


def every_design(pool: Pool, space: Space) -> dict[Candidate, tuple]:
    """Every design with (cost, right answers) on select; one threshold per way to split the examples."""
    labels = pool.select_labels.tolist()
    most, rule = min(space.max_members, len(pool.members)), space.averaging
    sets = [s for n in range(1, most + 1) for s in itertools.combinations(pool.members, n)]
    answers = {s: decisions_of(pool, s, rule) for s in sets}
    scored: dict[Candidate, tuple] = {}
    for members in sets:
        right = sum(a == t for a, t in zip(answers[members], labels, strict=True))
        scored[ensemble(members, rule)] = (composed(pool, [members], Fraction(1)), right)
    gates = [s for s in sets if len(s) <= space.first_members] if space.cascades else []
    for first, second, signal in itertools.product(gates, sets, space.signals):
        if second == first or (signal is Signal.AGREEMENT and len(first) == 1):
            continue
        rest = tuple(m for m in second if m not in first)
        # what joins must average alike, and a single member is a mean of one
        alike = rule is Averaging.MEAN or min(len(first), len(rest)) > 1
        joined = set(first) < set(second) and alike
        stages = first, rest if joined else second
        sure = certainty(pool, first, signal, rule)
        for low, high in itertools.pairwise(sorted(set(sure))):
            if high - low <= 1e-12:
                continue  # rounding
            middle = (low + high) / 2
            taken = [
                a if c >= middle else b for a, b, c in zip(answers[first], answers[second], sure, strict=True)
            ]
            stay = Fraction(sum(c < middle for c in sure), len(labels))
            right = sum(a == t for a, t in zip(taken, labels, strict=True))
            leave = Exit(abs(middle), signal)
            design = Cascade(tuple(ensemble(stage, rule) for stage in stages), (leave,), (joined,))
            scored[design] = (composed(pool, list(stages), stay), right)
    return scored


def certainty(pool: Pool, members: tuple, signal: Signal, averaging: Averaging) -> list[float]:
    """The signal of each select example, an entropy as its negative."""
    rows = [pool.members.index(m) for m in members]
    values = signal_values(signal, pool.select[rows], averaging if len(rows) > 1 else Averaging.MEAN)
    return (-values if signal is Signal.ENTROPY else values).tolist()


def brute_front(scored: dict[Candidate, tuple]) -> list[Candidate]:
    """The definition: beaten by no other; of equals, the first in `design_order`."""
    points: dict[tuple, list[Candidate]] = {}
    for design, point in scored.items():
        points.setdefault(point, []).append(design)
    front = [
        (cost, right)
        for cost, right in points
        if not any(c <= cost and r >= right and (c, r) != (cost, right) for c, r in points)
    ]
    return [min(points[point], key=design_order) for point in sorted(front)]


def shape(pool: Pool, design: Candidate) -> tuple:
    """A design up to the exact place of its threshold: stages, signal, and who leaves on select."""
    if not isinstance(design, Cascade):
        return (str(design),)
    first, leave = design.stages[0], design.exits[0]
    values = signal_values(leave.signal, pool.select[pool.rows(first.members)], averaging_of(first))
    who = tuple(leaves(values, leave).tolist())
    return (*map(str, design.stages), design.joined, leave.signal, who)


def check_against_brute_force(pool: Pool, space: Space) -> None:
    front = search(pool, pool.axis, space)
    scored = every_design(pool, space)
    wanted = brute_front(scored)
    assert [shape(pool, p.design) for p in front.points] == [shape(pool, d) for d in wanted]
    for kind in CandidateKind:
        of_kind = {d: v for d, v in scored.items() if d.kind is kind}
        assert front.searched.get(kind, 0) == len(of_kind)
        got = [shape(pool, p.design) for p in front.fronts_by_kind.get(kind, ())]
        assert got == [shape(pool, d) for d in brute_front(of_kind)]
    by_shape = {shape(pool, design): value for design, value in scored.items()}
    for point in front.points:
        cost, right = by_shape[shape(pool, point.design)]
        assert point.select_accuracy == right / len(pool.select_labels)
        assert point.select_cost == pytest.approx(float(cost), rel=1e-12)
    for met in front.cloud:
        cost, right = by_shape[shape(pool, parse_design(met.design))]
        assert met.accuracy == right / len(pool.select_labels)
        assert met.cost == pytest.approx(float(cost), rel=1e-12)


@SLOW
@given(pools(), st.integers(1, 4), st.booleans())
def test_front_is_exactly_that_of_brute_force(pool: Pool, most: int, cascades: bool) -> None:
    check_against_brute_force(pool, Space(max_members=most, cascades=cascades))


@SLOW
@given(pools(), st.lists(st.sampled_from(Signal), min_size=1, unique=True), st.integers(1, 3))
def test_front_over_exit_signals_and_larger_first_stages(
    pool: Pool, signals: list[Signal], first_members: int
) -> None:
    assume(signals != [Signal.AGREEMENT] or first_members > 1)
    check_against_brute_force(pool, Space(max_members=3, first_members=first_members, signals=tuple(signals)))


@SLOW
@given(pools(axis="parameters"))
def test_front_where_every_member_is_held_once(pool: Pool) -> None:
    check_against_brute_force(pool, Space(max_members=3, first_members=2))


@SLOW
@given(pools(axis="activation_peak_bytes"))
def test_front_where_the_largest_member_counts(pool: Pool) -> None:
    check_against_brute_force(pool, Space(max_members=3, first_members=2))


@SLOW
@given(pools(axis="worst_macs"))
def test_front_where_the_dearest_example_counts(pool: Pool) -> None:
    check_against_brute_force(pool, Space(max_members=3, first_members=2))


@SLOW
@given(pools(axis="parallel_latency@cpu"))
def test_front_where_the_slowest_of_a_stage_counts(pool: Pool) -> None:
    check_against_brute_force(pool, Space(max_members=3, first_members=2))


def test_equals_of_other_sizes_go_by_their_text() -> None:
    # as right and as costly: a single before an average, an average before a single, and all three at once
    select = np.zeros((3, 3, 4))
    select[0, 0, 2:] = select[1, 0, 1] = select[1, 0, 3] = select[2, 2, 2] = 0.25
    members = [Member("net1", 8, 2), Member("net1", 8, 10), Member("net1", 16, 0)]
    report = np.zeros((3, 1, 4))
    pool = make_pool(select, [3, 0, 2], report, [0], [1.0] * 3, members=members, axis="activation_peak_bytes")
    check_against_brute_force(pool, Space(max_members=3, first_members=2))


@SLOW
@given(pools(), st.sampled_from([Averaging.VOTE, Averaging.GEOMETRIC, Averaging.LOGIT]))
def test_front_under_other_averaging_rules(pool: Pool, averaging: Averaging) -> None:
    check_against_brute_force(pool, Space(first_members=3, averaging=averaging))


@pytest.mark.parametrize("seed", range(3))
def test_front_of_a_lifelike_pool(seed: int) -> None:
    pool = simulated_pool(models=2, seeds=2, select=23, report=11, classes=5, seed=seed)
    check_against_brute_force(pool, Space(first_members=2, signals=tuple(Signal)))


def test_many_tasks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = simulated_pool(models=3, seeds=2, select=61, report=31, seed=5)
    whole = search(pool, pool.axis)
    monkeypatch.setattr("explorer.analysis.search.scan._SETS_A_TASK", 3)
    pieces = search(pool, pool.axis)
    assert pieces.points == whole.points
    assert pieces.fronts_by_kind == whole.fronts_by_kind
    assert pieces.searched == whole.searched


def test_every_figure_of_a_point_is_recomputed_by_plain_numpy() -> None:
    pool = simulated_pool(models=3, seeds=3, select=211, report=307, seed=2)
    front = search(pool, pool.axis, Space(max_members=3))
    assert set(front.fronts_by_kind) == {*CandidateKind} - {CandidateKind.DISTILLED}
    for point in {p for points in front.fronts_by_kind.values() for p in points}:
        for split, accuracy in (("select", point.select_accuracy), ("report", point.accuracy.value)):
            chance, labels = pool.arrays(split)
            stages = getattr(point.design, "stages", (point.design,))
            answering = [list(stage.members) for stage in stages]
            if any(getattr(point.design, "joined", ())):
                answering[1] += answering[0]
            means = [
                np.mean([chance[pool.members.index(m)].astype(np.float64) for m in members], axis=0)
                for members in answering
            ]
            decided, stays = means[0].argmax(axis=1), np.zeros(len(labels), bool)
            if len(stages) == 2:
                stays = means[0].max(axis=1) < point.design.exits[0].threshold
                decided = np.where(stays, means[1].argmax(axis=1), decided)
            assert accuracy == np.mean(decided == labels)
            sums = [sum(pool.costs[pool.members.index(m)] for m in s.members) for s in stages]
            cost = sums[0] + (sums[1] * stays.mean() if len(stages) == 2 else 0)
            got = point.select_cost if split == "select" else point.cost.value
            assert got == pytest.approx(cost, rel=1e-12)
        assert point.worst_cost == pytest.approx(sum(sums))
        assert point.reached == pytest.approx((1.0, stays.mean())[: len(stages)])


@SLOW
@given(pools(), st.randoms(use_true_random=False))
def test_report_labels_never_change_what_is_chosen(pool: Pool, random: object) -> None:
    labels = pool.report_labels.tolist()
    random.shuffle(labels)
    other = make_pool(
        pool.select, pool.select_labels, pool.report, labels, pool.costs.tolist(), members=pool.members
    )
    here, there = search(pool, pool.axis), search(other, pool.axis)
    assert [p.design for p in here.points] == [p.design for p in there.points]
    assert [p.select_cost for p in here.points] == [p.select_cost for p in there.points]
    assert here.cloud == there.cloud


def test_the_order_of_examples_changes_nothing() -> None:
    pool = simulated_pool(models=2, seeds=3, select=97, report=31, seed=3)
    mixed = np.random.default_rng(0).permutation(97)
    other = make_pool(
        pool.select[:, mixed],
        pool.select_labels[mixed],
        pool.report,
        pool.report_labels,
        pool.costs.tolist(),
        members=pool.members,
    )
    assert search(other, other.axis).points == search(pool, pool.axis).points


def test_front_is_sorted_and_strictly_rising() -> None:
    pool = simulated_pool(models=4, seeds=2, select=360, report=539)
    front = search(pool, pool.axis)
    for points in (front.points, *front.fronts_by_kind.values()):
        assert all(a.select_cost < b.select_cost for a, b in itertools.pairwise(points))
        assert all(a.select_accuracy < b.select_accuracy for a, b in itertools.pairwise(points))


def test_cloud_is_bounded_and_off_the_front() -> None:
    pool = simulated_pool(models=5, seeds=4, select=150, report=50)
    front = search(pool, pool.axis)
    assert 1500 < len(front.cloud) <= 3000
    assert {c.kind for c in front.cloud} == set(front.fronts_by_kind)
    assert not {c.design for c in front.cloud} & {str(p.design) for p in front.points}
    firsts = {parse_design(c.design).stages[0] for c in front.cloud if c.kind is CandidateKind.CASCADE}
    assert len(firsts) == 20, "every member is seen as a first stage"


def test_one_member_and_one_example() -> None:
    pool = make_pool(np.array([[[0.5, 0.5]]]), [1], np.array([[[0.25, 0.75]]]), [1])
    front = search(pool, pool.axis)
    assert [str(p.design) for p in front.points] == ["net00@8#0"]
    assert front.points[0].select_accuracy == 0.0
    assert front.points[0].accuracy.value == 1.0
    assert front.points[0].accuracy.method == "wilson"
    assert front.searched == {CandidateKind.SINGLE: 1, CandidateKind.ENSEMBLE: 0, CandidateKind.CASCADE: 0}


def test_equal_designs_the_smaller_then_the_first_by_text() -> None:
    """Four members that answer alike and cost nothing: the front is one single, by text."""
    row = [[0.6, 0.4], [0.3, 0.7]]
    pool = make_pool(np.array([row] * 4), [0, 1], np.array([row] * 4), [0, 1], [0.0] * 4)
    front = search(pool, pool.axis)
    assert [str(p.design) for p in front.points] == ["net00@8#0"]
    ensembles = front.fronts_by_kind[CandidateKind.ENSEMBLE]
    assert [str(p.design) for p in ensembles] == ["mean(net00@8#0, net01@8#0)"]
    cascades = front.fronts_by_kind[CandidateKind.CASCADE]
    assert [str(p.design) for p in cascades] == ["net00@8#0 -> [p>=0.65] net01@8#0"]


def test_limits_are_kept_and_said() -> None:
    pool = simulated_pool(models=3, seeds=2, select=41, report=17)
    front = search(pool, pool.axis, Space(max_designs=2000), notes=("from the caller",))
    assert front.notes[0] == "from the caller"
    assert any("second stages of cascades of at most" in note for note in front.notes)
    assert all(len(p.design.stages[1].members) <= 2 for p in front.fronts_by_kind[CandidateKind.CASCADE])
    tiny = search(pool, pool.axis, Space(max_designs=1))
    assert tiny.searched[CandidateKind.CASCADE] == tiny.searched[CandidateKind.ENSEMBLE] == 0
    assert any("no cascades were searched" in note for note in tiny.notes)
    assert any("ensembles of at most 1 members" in note for note in tiny.notes)


def test_a_limit_never_changes_what_lies_within_it() -> None:
    pool = simulated_pool(models=3, seeds=2, select=41, report=17)
    limited = search(pool, pool.axis, Space(max_designs=2000))
    size = max(len(p.design.stages[1].members) for p in limited.fronts_by_kind[CandidateKind.CASCADE])
    same = search(pool, pool.axis, Space(max_members=size))
    assert limited.fronts_by_kind[CandidateKind.CASCADE] == same.fronts_by_kind[CandidateKind.CASCADE]


@pytest.mark.parametrize("limit", [10**6, 10**8, 4_000_000_000, 10**11])
@pytest.mark.parametrize(("members", "first_members"), [(1, 1), (20, 1), (20, 3), (50, 2), (200, 2)])
def test_plan_stays_within_its_limit(members: int, first_members: int, limit: int) -> None:
    space = Space(first_members=first_members, signals=(Signal.P, Signal.MARGIN), max_designs=limit)
    plan = plan_search(space, members, 2000)

    def sets(size: int) -> int:
        return sum(comb(members, n) for n in range(1, size + 1))

    def cascades(first: int, second: int) -> int:
        return sets(first) * sets(second) * 2 * 2000

    wanted = min(4, members)
    assert plan.ensemble_size == 1 or sets(plan.ensemble_size) * 2000 <= limit
    assert plan.ensemble_size == wanted or sets(plan.ensemble_size + 1) * 2000 > limit
    assert plan.second_size == 0 or cascades(plan.first_size, plan.second_size) <= limit
    assert plan.second_size == plan.ensemble_size or cascades(1, plan.second_size + 1) > limit
    first = min(first_members, plan.ensemble_size)
    assert plan.first_size in (0, first) or cascades(plan.first_size + 1, plan.second_size) > limit
    sizes = plan.ensemble_size, plan.second_size, plan.first_size
    assert bool(plan.notes) == (sizes != (wanted, wanted, min(first_members, wanted)))


def test_a_stage_that_holds_the_first_runs_the_rest_only() -> None:
    pool = simulated_pool(models=3, seeds=2, select=200, report=50)
    front = search(pool, pool.axis, Space(max_members=2))
    joined = [p.design for p in front.fronts_by_kind[CandidateKind.CASCADE] if any(p.design.joined)]
    assert joined
    for design in joined:
        assert not set(design.stages[0].members) & set(design.stages[1].members)


def test_wrong_questions_are_refused() -> None:
    pool = simulated_pool(models=1, seeds=2, select=5, report=5)
    with pytest.raises(ConventionError, match="costs of macs, not of parameters"):
        search(pool, CostAxis.parse("parameters"))
    with pytest.raises(UsageError, match="max_members must be 1 to 127, got 0"):
        search(pool, pool.axis, Space(max_members=0))
    with pytest.raises(UsageError, match="first_members must be 1 to max_members"):
        search(pool, pool.axis, Space(max_members=2, first_members=3))
    with pytest.raises(UsageError, match="agreement needs first stages of 2 members"):
        search(pool, pool.axis, Space(signals=(Signal.AGREEMENT,)))
    with pytest.raises(UsageError, match="exit signals, got"):
        search(pool, pool.axis, Space(signals=()))
    with pytest.raises(UsageError, match="max_designs must be at least 1, got 0"):
        search(pool, pool.axis, Space(max_designs=0))
    with pytest.raises(UsageError, match="unknown member 'net7@8#0'"):
        evaluate(pool, parse_design("net7@8#0"), pool.axis)


def test_near_ties_are_said_for_floating_rules_only() -> None:
    pool = simulated_pool(models=2, seeds=2, select=31, report=11)
    assert any(
        "near-ties" in note for note in search(pool, pool.axis, Space(averaging=Averaging.LOGIT)).notes
    )
    assert not search(pool, pool.axis, Space(averaging=Averaging.VOTE)).notes
