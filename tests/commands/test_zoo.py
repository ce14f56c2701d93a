import json

import pytest

import zoo

INNER = {
    "mimo": "wrn10-1+mimo2",
    "batch_ensemble": "wrn10-0.5+batch4",
    "packed": "wrn10-1+packed4",
    "shared_trunk": "wrn10-0.5+trunk4",
}


def test_every_family_is_listed_with_its_example(explorer_here) -> None:
    text = explorer_here("zoo", "list").out.splitlines()
    systems = json.loads(explorer_here("zoo", "list", "--json").out)["systems"]

    assert [(s["name"], s["example"]) for s in systems] == [
        (f.name, f.example) for f in zoo.families().values()
    ]
    assert [line.split()[:2] for line in text] == [[s["name"], s["example"]] for s in systems]
    assert {s["name"]: s["example"] for s in systems if s["name"] in INNER} == INNER


@pytest.mark.parametrize("family", sorted(INNER))
def test_ensembles_inside_one_network_are_shown(explorer_here, family: str) -> None:
    by_family = json.loads(explorer_here("zoo", "show", family, "--json").out)
    by_variant = json.loads(explorer_here("zoo", "show", INNER[family], "--json").out)

    assert by_family == by_variant
    assert by_family["variant"] == INNER[family]
    assert {"depth", "width", "members"} <= by_family["knobs"].keys()


@pytest.mark.parametrize("name", sorted(INNER.values()))
def test_ensembles_inside_one_network_are_counted_whole(explorer_here, name: str) -> None:
    document = json.loads(explorer_here("count", f"{name}@28", "--channels", "1", "--json").out)

    assert document["uncounted"] == {}
    assert document["macs"] > 0


def test_an_ensemble_that_does_not_exist_is_answered_with_those_that_do(explorer_here) -> None:
    for command in (("zoo", "show", "wrn10-1+foo4"), ("count", "wrn10-1+foo4@28")):
        done = explorer_here(*command)
        assert done.code == 2
        assert "no ensemble inside one network is written '+foo4'" in done.err
        assert "+mimoM, +batchM, +packedM, +trunkM" in done.err
        assert len(done.err.splitlines()) == 1
