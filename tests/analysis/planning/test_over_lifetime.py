"""Billing by hand with primes, and designs over their lives against plain recomputation."""

import datetime
from dataclasses import replace

import pytest

from explorer.analysis.planning.billing import Billing, Tariff, read_hours
from explorer.analysis.planning.over_lifetime import designs_for_target, designs_of_front, over_lifetime
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.training_runs import Training, stored_name
from explorer.convention import Basis
from explorer.data.prices import make_price
from explorer.errors import UsageError
from explorer.question import Target
from explorer.record import CostFigure, TrainingRecord
from explorer.spec import Single, parse_design, parse_member
from explorer.store import Store
from explorer.store.prices import put_price
from tests.strategies import make_pool, simulated_pool

RAW = simulated_pool(models=3, seeds=2, select=300, report=500, seed=4)
SECONDS = {"net0": 1e-3, "net1": 3e-3, "net2": 11e-3}


def pool_on(device="cpu"):
    figures = [
        CostFigure(value=s, low=0.9 * s, high=1.2 * s, basis=Basis.MEASURED)
        for s in (SECONDS[m.name] for m in RAW.members)
    ]
    arrays = RAW.select, RAW.select_labels, RAW.report, RAW.report_labels
    return make_pool(*arrays, members=RAW.members, axis=f"time_per_example@{device}", figures=figures)


def training(member, hours, *, device="cpu", device_name="", teachers=(), missing=()):
    record = TrainingRecord(
        recipe_id=member.recipe,
        recipe={},
        epochs=1,
        examples_seen=1,
        wall_s=3600.0 * hours,
        device=device,
        macs=1,
        curve=(),
        versions={},
        device_name=device_name,
    )
    seconds = CostFigure(value=3600.0 * hours, low=3600.0, high=3600.0 * 29, basis=Basis.MEASURED)
    return Training(
        member=member,
        record=record,
        seconds=seconds,
        alike=2,
        teachers=teachers,
        goes_on_from=(),
        missing_cycles=missing,
    )


POOL = pool_on()
HOURS = dict(zip(POOL.members, (2, 3, 5, 7, 11, 13), strict=True))
STORED = {member: stored_name(POOL, member) for member in POOL.members}
TRAININGS = {STORED[member]: training(STORED[member], hours) for member, hours in HOURS.items()}
PAID = Tariff(serving_usd=17.0)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


def cost(billing, text, pool=POOL):
    design = parse_design(text)
    return billing.cost(design, evaluate(pool, design, pool.axis).cost)


def test_members_are_billed_once_and_serving_by_the_time_of_an_example(store):
    billing = Billing(store, POOL, TRAININGS, PAID)
    found = cost(billing, "mean(net0@8#0, net0@8#0, net1@8#1)")
    assert found.training_usd.value == pytest.approx(17 * (2 + 7))
    assert (found.training_usd.low, found.training_usd.high) == pytest.approx((17 * 2, 17 * 58))
    assert found.usd_per_million.value == pytest.approx(17 / 3600 * 4e-3 * 1e6)
    assert found.usd_per_million.low < found.usd_per_million.value < found.usd_per_million.high
    half = Billing(store, POOL, TRAININGS, replace(PAID, utilisation=0.5))
    assert cost(half, "net0@8#0").usd_per_million.value == pytest.approx(2 * 17 / 3600 * 1e-3 * 1e6)
    assert {used.price.source for used in billing.prices} == {"given as --price"}
    assert billing.prices[0].price.date == datetime.datetime.now(datetime.UTC).date()


def test_every_thread_of_a_cpu_is_paid_in_serving_and_one_in_training(store):
    pool = pool_on("cpu/t3")
    found = cost(Billing(store, pool, TRAININGS, PAID), "net0@8#0", pool)
    assert found.usd_per_million.value == pytest.approx(3 * 17 / 3600 * 1e-3 * 1e6)
    assert found.training_usd.value == pytest.approx(17 * 2)


def test_price_of_training_is_that_of_its_device(store):
    member = POOL.members[0]
    on_card = dict(TRAININGS)
    on_card[STORED[member]] = training(STORED[member], 2, device="cuda:1", device_name="NVIDIA L40S")
    book = cost(Billing(store, POOL, on_card, PAID), "net0@8#0")
    assert book.runs[0].price.device == "l40s", "the price book knows the card by its maker's name"
    put_price(store, make_price("cuda", 19.0, date_text="2026-01-02", source="an offer"))
    own = cost(Billing(store, POOL, on_card, PAID), "net0@8#0")
    assert own.training_usd.value == pytest.approx(19 * 2)
    assert own.usd_per_million.value == pytest.approx(17 / 3600 * 1e-3 * 1e6)
    assert [price.source for price in own.prices] == ["an offer", "given as --price"]
    given = cost(Billing(store, POOL, on_card, replace(PAID, training_usd=23.0)), "net0@8#0")
    assert given.training_usd.value == pytest.approx(23 * 2)


def test_book_prices_serving_where_none_is_given_and_a_device_nobody_priced_is_refused(store):
    with pytest.raises(UsageError, match=r"no price for 'cpu'; give --price"):
        Billing(store, POOL, TRAININGS, Tariff())
    put_price(store, make_price("cpu", 5.0, date_text="2026-01-02", source="an offer"))
    billing = Billing(store, POOL, TRAININGS, Tariff())
    assert cost(billing, "net0@8#0").training_usd.value == pytest.approx(10)
    assert billing.prices[0].choice.alternatives == 1
    unknown = {STORED[POOL.members[0]]: training(STORED[POOL.members[0]], 2, device="cuda")}
    with pytest.raises(UsageError, match=r"no price for 'cuda', which net0.*--training-price-per-hour"):
        cost(Billing(store, POOL, unknown, Tariff()), "net0@8#0")


def test_teachers_are_paid_though_they_are_not_in_the_design(store):
    member = POOL.members[0]
    teachers = (STORED[POOL.members[3]], STORED[POOL.members[5]])
    taught = {**TRAININGS, STORED[member]: training(STORED[member], 2, teachers=teachers)}
    found = cost(Billing(store, POOL, taught, PAID), "net0@8#0")
    assert found.training_usd.value == pytest.approx(17 * (2 + 7 + 13))
    assert found.taught_by == tuple(map(str, teachers))


def test_member_without_a_record_is_refused_or_taken_from_the_user(store):
    member = STORED[POOL.members[0]]
    without = {other: one for other, one in TRAININGS.items() if other != member}
    with pytest.raises(UsageError, match=r"no training time of net0.*--training-hours 'net0.*#0=H'"):
        cost(Billing(store, POOL, without, PAID), "net0@8#0")
    given = cost(Billing(store, POOL, without, replace(PAID, hours={member: 31.0})), "net0@8#0")
    assert given.training_usd.value == pytest.approx(17 * 31)
    assert given.runs[0].seconds.basis is Basis.PUBLISHED
    partial = {**TRAININGS, member: training(member, 2, missing=(1, 2))}
    with pytest.raises(UsageError, match=r"goes on from snapshots.*not in this store \(1, 2\)"):
        cost(Billing(store, POOL, partial, PAID), "net0@8#0")
    before = Billing(store, POOL, TRAININGS, replace(PAID, hours={member: 31.0}))
    assert cost(before, "net0@8#0").training_usd.value == pytest.approx(17 * 31), "before the ledger's"


def test_hours_are_read_and_refused():
    found = read_hours(["net0@8#0=2.5", "net1@8~distilled-1#0=0"], parse_member)
    assert found == {parse_member("net0@8#0"): 2.5, parse_member("net1@8~distilled-1#0"): 0.0}
    for wrong in ("net0@8#0", "net0@8#0=", "net0@8#0=-1", "net0@8#0=nan", "net0@8#0=inf"):
        with pytest.raises(UsageError, match="not a training time"):
            read_hours([wrong], parse_member)
    with pytest.raises(UsageError, match="twice"):
        read_hours(["net0@8#0=1", "net0@8#0=2"], parse_member)


def test_designs_beside_each_other_with_paired_accuracies(store):
    designs = [parse_design(t) for t in ("net2@8#0", "mean(net0@8#0, net0@8#1)", "net2@8#0")]
    billing = Billing(store, POOL, TRAININGS, PAID)
    found = over_lifetime(POOL, designs, billing, [0, 1e6])
    assert [str(life.point.design) for life in found.lives] == ["mean(net0@8#0, net0@8#1)", "net2@8#0"]
    small, large = found.lives
    assert large.against_best is None
    right = RAW.report.argmax(axis=2) == RAW.report_labels
    mean = (RAW.report[0].astype(float) + RAW.report[1]).argmax(axis=1) == RAW.report_labels
    assert small.against_best.difference.value == pytest.approx(mean.mean() - right[4].mean())
    assert [row.totals[0].value for row in found.table] == pytest.approx(
        [17 * 5, 17 * 5 + 17 / 3600 * 2e-3 * 1e6]
    )
    (even,) = found.break_evens
    assert even.volume is None, "dearer to train and to serve"
    assert even.cheaper_below == small.cost.design
    assert found.ranged == 3
    elsewhere = Billing(store, POOL, TRAININGS, replace(PAID, hours={STORED[POOL.members[1]]: 1.0}))
    with pytest.raises(UsageError, match="member of these designs"):
        over_lifetime(POOL, designs[:1], elsewhere, [1.0])
    with pytest.raises(UsageError, match="no designs"):
        over_lifetime(POOL, [], Billing(store, POOL, TRAININGS, PAID), [1.0])


def test_target_chooses_what_is_cheapest_at_some_volume(store):
    front = search(POOL, POOL.axis, Space(max_members=2))
    billing = Billing(store, POOL, TRAININGS, PAID)
    accuracies = sorted(point.select_accuracy for point in front.points)
    target = Target(accuracies[len(accuracies) // 2])
    designs, note = designs_for_target(POOL, front, billing, target)
    fitting = {
        point.design: (billing.cost(point.design, point.cost).training_usd.value, point.select_cost)
        for points in front.fronts_by_kind.values()
        for point in points
        if point.select_accuracy >= target.accuracy
    }
    for member in POOL.members:
        point = evaluate(POOL, Single(member), POOL.axis)
        if point.select_accuracy >= target.accuracy:
            fitting[point.design] = (17 * HOURS[member], point.select_cost)
    assert set(designs) <= set(fitting)
    assert f"of {len(fitting)} designs" in note
    for volume in (0, 1e3, 1e5, 1e6, 1e9):
        totals = {d: start + 17 / 3600 * served * volume for d, (start, served) in fitting.items()}
        assert min(totals[design] for design in designs) == pytest.approx(min(totals.values()))
    with pytest.raises(UsageError, match="no design searched reaches"):
        designs_for_target(POOL, front, billing, Target(1.0))


def test_front_is_thinned_with_both_ends_kept():
    front = search(POOL, POOL.axis, Space(max_members=2))
    designs, note = designs_of_front(front, most=4)
    assert len(designs) == 4
    assert (designs[0], designs[-1]) == (front.points[0].design, front.points[-1].design)
    assert f"4 of the {len(front.points)}" in note
    assert len(designs_of_front(front, most=9999)[0]) == len(front.points)


def test_pool_of_another_axis_is_refused(store):
    with pytest.raises(UsageError, match="this pool holds macs"):
        Billing(store, RAW, TRAININGS, PAID)
