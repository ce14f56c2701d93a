"""`explorer zoo space`: text, JSON, and refusals."""

import json

import pytest
from click.testing import CliRunner, Result

import zoo
from explorer.commands.zoo_space import command
from explorer.errors import UsageError
from explorer.report.subnets import about
from explorer.run import subnets as costing


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_a_space_is_told_exactly() -> None:
    text = run("ofa_mobilenetv3", "--sample", "2").output
    assert "2.2e19 sub-networks (21,758,655,492,572,485,851), 5.4e20 with their resolutions" in text
    assert "stage 5: 2, 3 or 4 blocks, each with kernel 3, 5 or 7, expansion 3, 4 or 6" in text
    assert "ofa-note8-22ms" in text
    assert "67.0 M (+0.3%)" in text
    assert "2 drawn at random (seed 0)" in text


def test_json_holds_what_the_text_says() -> None:
    document = json.loads(run("attentivenas", "--budget", "macs<=260M", "--sample", "1", "--json").output)
    space = document["space"]
    assert int(space["size"]) == 4 * int(space["architectures"]) == 440_301_256_704
    a0 = next(one for one in space["published"] if one["name"] == "attentivenas-a0")
    assert (a0["macs"], a0["published_macs"], a0["top1"]) == (203_389_568, 203e6, 0.773)
    found = document["within"]
    assert found["basis"] == "counted"
    assert len(found["subnets"]) == 1
    for one in found["subnets"]:
        assert one["macs"] == one["amount"] <= 260e6
        assert zoo.canonical_name(one["name"]) == one["name"]
    assert found["drawn"] >= found["fitting"] >= 1


def test_sub_networks_within_a_budget_are_shown() -> None:
    text = run("bignas", "--budget", "parameters<=8M", "--sample", "1").output
    assert "1 within parameters<=8.00 M parameters" in text
    assert "looked at" in text


def test_a_latency_is_called_a_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costing.SubnetLatencies.__init__, "__defaults__", (lambda *_: 1e-4,))
    arguments = ("ofa_mobilenetv3", "--budget", "latency@cpu<=2ms", "--sample", "2", "--verify", "1")
    text = run(*arguments).output
    assert "predicted from measured pieces" in text
    assert "error of the prediction" in text
    document = json.loads(run(*arguments, "--json").output)["within"]
    assert document["basis"] == "predicted from measured pieces"
    assert [("measured_s" in one) for one in document["subnets"]] == [False, True]


def test_all_spaces_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo import supernets
    from zoo.supernets.bignas import BIGNAS

    monkeypatch.setattr(supernets, "_SPACES", {"bignas": BIGNAS})
    lines = run().output.splitlines()
    assert len(lines) == 2
    assert lines[1].split() == ["bignas", "2.4e8", "219", "MMACs", "to", "1.90", "GMACs", "0", "bignas"]
    (space,) = json.loads(run("--json").output)["spaces"]
    assert space["largest"]["resolution"] == 320


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ofa_mobilenet",), "unknown search space 'ofa_mobilenet'; did you mean ofa_mobilenetv3"),
        (("--sample", "2"), "need a space"),
        (("bignas", "--budget", "macs<=1M"), "no sub-network of bignas is within the budget"),
        (("bignas", "--budget", "macs=1M"), "not a budget"),
        (("bignas", "--budget", "latency@cuda<=1ms"), "is no sum of pieces"),
        (("bignas", "--verify", "2"), "give --budget latency@cpu"),
    ],
)
def test_refusals_are_one_line(arguments: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(*arguments)
    assert says in str(caught.value)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_sizes_are_written_short() -> None:
    assert [about(n) for n in (15_625, 10**6, 21_758_655_492_572_485_851)] == ["15,625", "1.0e6", "2.2e19"]


def test_one_budget_at_a_time(explorer_here) -> None:
    done = explorer_here("zoo", "space", "nasbench201", "--budget", "macs<=1G", "--budget", "parameters<=1M")
    assert done.code == 2
    assert "one budget at a time, got macs<=1G, parameters<=1M" in done.err
