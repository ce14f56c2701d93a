"""Cost axes that are worked out: a batch's share, and a device's price; by closed forms and on fronts."""

import datetime

import pytest
from toy_store import CLASSES, add_member

from explorer.analysis.axis import axis_factor, price_of
from explorer.analysis.pool import load_pool
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.convention import Basis, CostAxis
from explorer.data.prices import make_price, shipped_prices
from explorer.errors import ConventionError, UsageError
from explorer.record import Conditions, CostFigure, CostRecord
from explorer.report.evidence import gather_evidence
from explorer.spec import ModelSpec, parse_design
from explorer.store import Store
from explorer.store.prices import put_price

TODAY = datetime.datetime.now(datetime.UTC).date().isoformat()
MEASURED = Conditions(
    device="cuda",
    device_name="a card",
    dtype="float32",
    batch=7,
    threads=1,
    backend="torch-eager",
    versions={"torch": "2"},
)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


def add_cost(store, name, value, device, *, basis=Basis.FITTED, kind="latency", channels=1):
    measured = basis is Basis.MEASURED
    record = CostRecord(
        model=ModelSpec(name, 8),
        channels=channels,
        classes=CLASSES,
        kind=kind,
        device=device,
        figure=CostFigure(value=value, low=0.75 * value, high=1.5 * value, basis=basis),
        convention="single-stream" if measured else "predicted-call",
        source="a test",
        conditions=MEASURED if measured else None,
    )
    store.put_cost(record, [value] if measured else None)


def set_price(store, device, usd, **options):
    given = {"date_text": TODAY, "source": "my seller"} | options
    put_price(store, make_price(device, usd, **given))


def factor(store, text) -> float:
    return axis_factor(store, CostAxis.parse(text))[0]


def test_kinds_without_a_price(store):
    assert factor(store, "macs") == 1
    assert factor(store, "flops") == 2
    assert factor(store, "latency@rtx4090/b256/amp") == 1
    assert factor(store, "energy@rtx4090/b256/amp") == 1
    assert factor(store, "time_per_example@rtx4090/b256/amp") == 1 / 256
    assert axis_factor(store, CostAxis.parse("time_per_example@nobody-knows-it/b3")) == (1 / 3, ())


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_money_is_price_over_3600_times_seconds_an_example_times_a_million(store, batch):
    set_price(store, "rtx4090", 0.37)
    found, notes = axis_factor(store, CostAxis.parse(f"money@rtx4090/b{batch}/amp"))
    assert found == pytest.approx(0.37 / 3600 / batch * 1e6, rel=1e-14)
    (note,) = notes
    assert note == (
        f"money@rtx4090{'' if batch == 1 else f'/b{batch}'}/amp: 0.37 USD an hour per gpu "
        f"(on-demand, {TODAY}, my seller), busy all the time"
    )


def test_the_users_price_goes_before_those_that_ship(store):
    shipped = price_of(store, "rtx4090")
    assert shipped.price in shipped_prices()
    assert factor(store, "money@rtx4090") == pytest.approx(shipped.price.usd_per_hour / 3600 * 1e6)
    set_price(store, "rtx4090", 99.0)
    assert price_of(store, "rtx4090").price.usd_per_hour == 99.0
    set_price(store, "RTX 4090", 98.0, source="another seller", date_text="2026-01-02")
    assert price_of(store, "rtx4090").price.usd_per_hour == 99.0, "the newest date counts"


def test_spot_only_where_nothing_is_on_demand(store):
    set_price(store, "cuda", 0.1, purchase="spot")
    assert price_of(store, "cuda").price.usd_per_hour == 0.1
    assert "(spot, " in axis_factor(store, CostAxis.parse("money@cuda/b8"))[1][0]
    set_price(store, "cuda", 0.5)
    assert price_of(store, "cuda").price.usd_per_hour == 0.5


def test_an_old_price_is_said_to_be_old(store):
    set_price(store, "cuda", 0.1, date_text="2020-02-29")
    assert "2020-02-29, OLD, my seller" in axis_factor(store, CostAxis.parse("money@cuda"))[1][0]


def test_a_second_card_has_the_price_of_the_first(store):
    set_price(store, "cuda", 0.2)
    assert (
        factor(store, "money@cuda:1/b4")
        == factor(store, "money@cuda/b4")
        == pytest.approx(0.2 / 3600 / 4 * 1e6)
    )


def test_every_thread_is_a_virtual_cpu(store):
    set_price(store, "cpu", 0.04)
    assert factor(store, "money@cpu/t3") == pytest.approx(3 * factor(store, "money@cpu"), rel=1e-14)
    (note,) = axis_factor(store, CostAxis.parse("money@cpu/t3"))[1]
    assert "3 x 0.04 USD an hour per vcpu" in note


def test_a_tpu_program_pays_for_the_part_of_the_chip_that_it_sees(store):
    for device, parts in (("tpu-v3", 2), ("tpu-v5e", 1)):
        set_price(store, device, 1.2)
        assert factor(store, f"money@{device}/b8") == pytest.approx(1.2 / 3600 / 8 * 1e6 / parts, rel=1e-14)


def test_no_price_says_how_to_give_one(store):
    for text, device in (("money@cpu", "cpu"), ("money@cuda:1/b3", "cuda"), ("money@tpu-v5e/b8", "tpu-v5e")):
        with pytest.raises(UsageError) as caught:
            factor(store, text)
        words = f"no price for '{device}'; give one with `explorer devices prices set {device} USD_PER_HOUR"
        assert str(caught.value).startswith(words)
    with pytest.raises(UsageError, match="unknown device 'rtx4091'"):
        factor(store, "money@rtx4091/b8")


# ---- on fronts ---------------------------------------------------------------------------------------


@pytest.fixture
def filled(store):
    """Two members with fitted and measured latencies at 7 examples a call."""
    for name, value in (("small", 0.0021), ("large", 0.0133)):
        add_member(store, name, 0)
        add_cost(store, name, value, "rtx4090/b7/amp")
        add_cost(store, name, 2 * value, "cuda/b7", basis=Basis.MEASURED)
    return store


def costs_of(store, text) -> dict[str, CostFigure]:
    axis = CostAxis.parse(text)
    pool, _ = load_pool(store, "toy", axis)
    designs = ("small@8#0", "large@8#0", "mean(small@8#0, large@8#0)")
    return {design: evaluate(pool, parse_design(design), axis).cost for design in designs}


@pytest.mark.parametrize("workload", ["rtx4090/b7/amp", "cuda/b7"])
def test_what_follows_from_latency_is_latency_times_a_factor_for_every_design(filled, workload):
    set_price(filled, "rtx4090", 0.31)
    set_price(filled, "cuda", 0.31)
    latency = costs_of(filled, f"latency@{workload}")
    for kind, times in (("time_per_example", 1 / 7), ("money", 0.31 / 3600 * 1e6 / 7)):
        found = costs_of(filled, f"{kind}@{workload}")
        for design, figure in found.items():
            assert figure.basis is latency[design].basis
            for end in ("value", "low", "high"):
                assert getattr(figure, end) == pytest.approx(getattr(latency[design], end) * times, rel=1e-12)
    assert latency["mean(small@8#0, large@8#0)"].value == pytest.approx(
        latency["small@8#0"].value + latency["large@8#0"].value, rel=1e-14
    )


def test_predicted_ensembles_keep_their_basis_and_measured_ones_are_composed(filled):
    assert {f.basis for f in costs_of(filled, "latency@rtx4090/b7/amp").values()} == {Basis.FITTED}
    assert [f.basis for f in costs_of(filled, "latency@cuda/b7").values()] == [
        Basis.MEASURED,
        Basis.MEASURED,
        Basis.COMPOSED,
    ]


def test_a_power_of_two_divides_exactly(store):
    for name, value in (("small", 0.0021), ("large", 0.0133)):
        add_member(store, name, 0)
        add_cost(store, name, value, "rtx4090/b256/amp")
    whole = costs_of(store, "latency@rtx4090/b256/amp")
    for design, figure in costs_of(store, "time_per_example@rtx4090/b256/amp").items():
        assert figure.value == whole[design].value / 256


def test_a_front_says_price_and_basis(filled):
    axis = CostAxis.parse("money@rtx4090/b7/amp")
    pool, notes = load_pool(filled, "toy", axis)
    front = search(pool, axis, Space(max_members=2), notes=notes)
    assert {point.cost.basis for point in front.points} == {Basis.FITTED}
    said = " | ".join(front.notes)
    assert "USD an hour per gpu" in said
    assert "is fitted, not measured" in said
    evidence = gather_evidence(filled, front)
    assert evidence.cost_factor == pytest.approx(factor(filled, str(axis)), rel=1e-15)
    assert sorted(record.model.name for record in evidence.costs) == ["large", "small"]


def test_counted_and_measured_fronts_say_nothing_of_prediction(filled):
    assert load_pool(filled, "toy", CostAxis.parse("latency@cuda/b7"))[1] == ()


def test_predicting_later_does_not_take_the_place_of_what_was_measured(filled):
    for name in ("small", "large"):
        add_cost(filled, name, 9.0, "cuda/b7", basis=Basis.TRANSFERRED)
    axis = CostAxis.parse("latency@cuda/b7")
    pool, notes = load_pool(filled, "toy", axis)
    assert {figure.basis for figure in pool.cost_figures} == {Basis.MEASURED}
    front = search(pool, axis, Space(max_members=2), notes=notes)
    found = gather_evidence(filled, front)
    assert sorted(record.figure.value for record in found.costs) == [0.0042, 0.0266]


def test_a_report_shows_figures_of_the_members_own_channels(filled):
    add_cost(filled, "small", 5.0, "rtx4090/b7/amp", channels=3)
    axis = CostAxis.parse("latency@rtx4090/b7/amp")
    pool, notes = load_pool(filled, "toy", axis)
    found = gather_evidence(filled, search(pool, axis, Space(max_members=2), notes=notes))
    assert sorted(record.figure.value for record in found.costs) == [0.0021, 0.0133]


def test_what_is_predicted_and_what_is_measured_do_not_share_a_front(store):
    for name in ("small", "large"):
        add_member(store, name, 0)
    add_cost(store, "small", 0.1, "cuda/b7", basis=Basis.MEASURED)
    add_cost(store, "large", 0.2, "cuda/b7", basis=Basis.TRANSFERRED)
    for kind in ("latency", "time_per_example"):
        with pytest.raises(
            ConventionError, match=r"measured for 1, transferred for 1 of 2 members.*not mixed"
        ):
            load_pool(store, "toy", CostAxis.parse(f"{kind}@cuda/b7"))


def test_energy_is_read_as_it_is_stored(filled):
    for name, joules in (("small", 0.5), ("large", 3.0)):
        add_cost(filled, name, joules, "cuda/b7", basis=Basis.MEASURED, kind="energy")
    found = costs_of(filled, "energy@cuda/b7")
    assert [figure.value for figure in found.values()] == [0.5, 3.0, 3.5]


def test_no_cost_says_what_there_is(filled):
    with pytest.raises(UsageError, match=r"no member of toy has a cost for energy@cuda/b7; measure with"):
        load_pool(filled, "toy", CostAxis.parse("energy@cuda/b7"))


def test_the_app_offers_what_can_be_shown(filled):
    queries = pytest.importorskip("explorer.ui.queries")
    add_cost(filled, "small", 0.1, "cuda", basis=Basis.MEASURED)
    add_cost(filled, "small", 0.1, "some-old-name/b4")
    add_cost(filled, "small", 0.1, "cuda:1/b4", basis=Basis.MEASURED)
    found = queries.axes_of(filled)
    assert [axis for axis in found if axis.startswith("money")] == ["money@rtx4090/b7/amp"]
    assert "latency@cuda" in found
    assert "time_per_example@cuda" not in found, "with one example a call it is the latency"
    assert "time_per_example@some-old-name/b4" in found
    set_price(filled, "cuda", 1.0)
    found = queries.axes_of(filled)
    assert {"money@cuda", "money@cuda/b7", "money@cuda:1/b4"} <= set(found)
    for axis in found:
        factor(filled, axis)
