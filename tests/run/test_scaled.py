import pytest

from explorer.errors import UsageError
from explorer.run import scaled
from explorer.run.scaled import Counter, budget_of, choices, chosen_rules, parse_phis
from zoo.registry import ZooError
from zoo.scaling import compound
from zoo.scaling.rules import Network, scalable


@pytest.fixture(scope="module")
def counter() -> Counter:
    return Counter()


def test_phis() -> None:
    assert parse_phis("0..7") == tuple(float(phi) for phi in range(8))
    assert parse_phis("-1..1, 2.5,1") == (-1.0, 0.0, 1.0, 2.5)
    assert parse_phis("0.5..2.5") == (0.5, 1.5, 2.5)
    for bad in ("", "a", "3..1", "0..200", "nan", "inf", "1..", "1.2.3"):
        with pytest.raises(UsageError, match=r"not a (phi|range of phi)"):
            parse_phis(bad)


def test_each_network_is_counted_once(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(model="wrn10-1", resolution=8)
    first = counter.row(network)
    monkeypatch.setattr(counter, "_count", lambda network: pytest.fail("counted twice"))
    assert counter.row(network) is first
    assert (first.parameters, first.knobs) == (77850, {"depth": 10, "width": 1.0})


def test_published_figures_are_beside(counter: Counter) -> None:
    row = counter.row(Network(model="tinynet-e", resolution=106))
    assert row.published["macs"].value == 24e6
    assert "tinynet_pytorch" in row.published["macs"].source
    assert row.difference("macs") == pytest.approx(24_356_848 / 24e6 - 1)
    elsewhere = counter.row(Network(model="tinynet-e", resolution=64))
    assert set(elsewhere.published) == {"parameters"}
    assert elsewhere.difference("macs") is None


def test_phi_rows(counter: Counter) -> None:
    published, between = scaled.phi_rows(scalable("efficientnet"), (1.0, 1.5), counter)
    assert (published.model, published.resolution, published.basis) == ("efficientnet-b1", 240, "published")
    assert published.rule_phi == pytest.approx(0.358, abs=1e-3)
    assert (between.model, between.basis, between.rule_phi) == ("efficientnet-phi1.5", "rule", None)
    (own,) = scaled.phi_rows(scalable("efficientnet"), (1.0,), counter, by_rule=True)
    assert (own.model, own.resolution) == ("efficientnet-phi1", 258)
    (other,) = scaled.phi_rows(scalable("wrn10-1"), (1.0,), counter)
    assert other.knobs["width"] == compound(1.0).width
    with pytest.raises(ZooError, match="phi of an EfficientNet must be a number from -6 to 14"):
        scaled.phi_rows(scalable("efficientnet"), (20.0,), counter)


def test_tiny_formula_beside_the_published_networks(counter: Counter) -> None:
    rows = scaled.published_rows(scalable("tinynet"), counter)
    assert [row.model for row in rows] == [f"tinynet-{letter}" for letter in "abcde"]
    assert all(row.formula is not None and row.formula["same"] for row in rows)
    with pytest.raises(UsageError, match="no published networks of mobile"):
        scaled.published_rows(scalable("mobile"), counter)


@pytest.mark.parametrize("budget", ["macs<=60M", "macs<=20M", "parameters<=300k"])
@pytest.mark.parametrize("rule", ["width", "depth", "compound"])
def test_choice_is_the_largest_within_the_budget(counter: Counter, budget: str, rule: str) -> None:
    """Against every size in fine steps: none within the budget costs a hundredth more."""
    to, asked = scalable(["wrn16-1", "8"][0]), budget_of(budget)
    kind = str(asked.axis)
    (found,) = choices(to, asked, (rule,), counter)
    assert found.row is not None
    assert found.row.cost(kind) <= asked.limit
    applied = {known.name: known for known in scaled.rules_for(to)}[rule]
    everything = [
        counter.row(network).cost(kind)
        for network in {applied.network(to, 0.4 * 1.03**step) for step in range(50)}
    ]
    within = [cost for cost in everything if cost <= asked.limit]
    assert found.row.cost(kind) >= 0.985 * max(within)


def test_curve_rises_to_the_choice(counter: Counter) -> None:
    (found,) = choices(scalable("wrn16-1"), budget_of("macs<=20M"), ("width",), counter)
    sizes, costs = zip(*((size, row.macs) for size, row in found.curve), strict=True)
    assert list(sizes) == sorted(sizes)
    assert list(costs) == sorted(costs)
    assert sizes[-1] == found.size
    assert costs[-1] == found.row.macs


def test_a_rule_without_anything_in_the_budget_says_its_smallest(counter: Counter) -> None:
    found = choices(scalable("wrn16-4"), budget_of("macs<=100M"), ("depth", "resolution"), counter)
    by_rule = {choice.rule: choice for choice in found}
    assert by_rule["depth"].row is None
    assert by_rule["depth"].smallest.model == "wrn10-4"
    assert "the smallest, wrn10-4@32, has" in by_rule["depth"].reason
    with pytest.raises(UsageError, match=r"the smallest is wrn10-4@32 with [0-9,]+ macs"):
        choices(scalable("wrn16-4"), budget_of("macs<=1M"), ("depth",), counter)


def test_the_end_of_a_rule(counter: Counter) -> None:
    (tiny,) = choices(scalable("tinynet"), budget_of("macs<=4G"), ("tiny",), counter)
    assert tiny.size == 1.0
    assert tiny.reason == "the largest the rule has"


def test_parameters_do_not_depend_on_the_resolution(counter: Counter) -> None:
    found = choices(scalable("wrn16-1"), budget_of("parameters<=200k"), ("resolution", "width"), counter)
    assert found[0].reason == "resolution does not change the parameters"
    assert found[1].row is not None
    with pytest.raises(UsageError, match="resolution does not change the parameters"):
        choices(scalable("wrn16-1"), budget_of("parameters<=200k"), ("resolution",), counter)


def test_published_choice(counter: Counter) -> None:
    (found,) = choices(scalable("tinynet"), budget_of("macs<=150M"), ("published",), counter)
    assert (found.row.model, [row.model for _, row in found.curve]) == (
        "tinynet-c",
        ["tinynet-e", "tinynet-d", "tinynet-c"],
    )


def test_what_cannot_be_asked() -> None:
    assert chosen_rules(scalable("mobile"), ()) == ("compound",)
    with pytest.raises(UsageError, match=r"unknown rule for mobile 'width'.* known: compound"):
        chosen_rules(scalable("mobile"), ("width",))
    with pytest.raises(UsageError, match="macs or parameters, got param_bytes"):
        budget_of("param_bytes<=4MB")
    with pytest.raises(UsageError, match="not a budget"):
        budget_of("macs=4M")
