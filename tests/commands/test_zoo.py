import dataclasses
import json
import sys
import types

import click
import pytest

import zoo
from explorer.commands import zoo as group
from explorer.commands import zoo_showing
from zoo.catalogue import Offer, Role, systems
from zoo.published import Published
from zoo.registry import _FAMILIES

INNER = {
    "mimo": "wrn10-1+mimo2",
    "batch_ensemble": "wrn10-0.5+batch4",
    "packed": "wrn10-1+packed4",
    "shared_trunk": "wrn10-0.5+trunk4",
}


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> zoo.Family:
    """A family of 1,624 parameters and 1,600 MACs: published as they are, not at all, and otherwise."""
    rows = (
        Published(model="mlp8x1", resolution=8, source="a table", parameters=1624, macs=1600, top1=0.912),
        Published(model="mlp16x1", resolution=8, source="a table", top1=0.95),
        Published(model="mlp8x1", resolution=8, source="a file", parameters=1700, parameters_rounding=60),
        Published(
            model="mlp8x1", resolution=8, source="a file", parameters=1600, macs=2000, departs="counts norms"
        ),
    )
    family = dataclasses.replace(
        zoo.registered_families()["mlp"],
        name="stand_in",
        published=tuple(dataclasses.replace(row, classes=8) for row in rows),
        systems=("taps", "lit"),
    )
    monkeypatch.setitem(_FAMILIES, "stand_in", family)
    return family


def test_every_system_is_listed_with_the_families_beside_it(explorer_here) -> None:
    document = json.loads(explorer_here("zoo", "list", "--json").out)

    assert len(document["systems"]) == 232
    assert [s["key"] for s in document["systems"]] == list(systems())
    for entry in document["systems"]:
        system = systems()[entry["key"]]
        assert entry["role"] == entry["roles"][0] == system.roles[0]
        assert entry["offers"] == list(system.offers)
        assert entry["seed"] == list(system.seed)
        assert (entry["year"], entry["arxiv"]) == (system.year, system.arxiv)
    assert [(f["name"], f["example"], f["summary"]) for f in document["families"]] == [
        (f.name, f.example, f.summary) for f in zoo.registered_families().values()
    ]


def test_the_list_is_a_table_with_a_line_a_system_and_a_count(explorer_here) -> None:
    lines = explorer_here("zoo", "list").out.splitlines()

    assert lines[0].split() == ["KEY", "YEAR", "ROLES", "OFFERS", "WHAT"]
    assert [line.split()[0] for line in lines[1:-1]] == list(systems())
    assert lines[-1] == "232 systems"


def test_every_family_is_listed_with_its_example(explorer_here) -> None:
    text = explorer_here("zoo", "list", "--families").out.splitlines()

    listed = [line.split()[:2] for line in text]
    assert listed == [[f.name, f.example] for f in zoo.registered_families().values()]
    assert {name: example for name, example in listed if name in INNER} == INNER


def test_the_list_is_filtered(explorer_here) -> None:
    def keys(*arguments: str) -> set[str]:
        return {
            s["key"] for s in json.loads(explorer_here("zoo", "list", *arguments, "--json").out)["systems"]
        }

    everything = systems().values()
    assert keys("--role", "supernet") == {s.key for s in everything if Role.SUPERNET in s.roles}
    assert keys("--offers", "outside") == {s.key for s in everything if Offer.OUTSIDE in s.offers}
    assert keys("--role", "FAMILY", "--offers", "scaling") == {
        s.key for s in everything if Role.FAMILY in s.roles and Offer.SCALING in s.offers
    }
    assert keys("2003.11142") == {"bignas"}
    assert {"wide-resnet", "resnet-rs"} <= keys("RESNET")
    assert keys("no such words") == set()
    assert explorer_here("zoo", "list", "no such words").out == "0 systems\n"
    assert explorer_here("zoo", "list", "2003.11142").out.splitlines()[-1] == "1 system"


def test_roles_and_offers_are_those_of_the_catalogue(explorer_here) -> None:
    assert list(Role) == group._ROLES
    assert list(Offer) == group._OFFERS
    done = explorer_here("zoo", "list", "--role", "HERO")
    assert done.code == 2
    assert "'family', 'scaling', 'supernet'" in done.err
    assert len(done.err.splitlines()) == 1


def test_a_system_is_shown_with_what_was_published_beside_what_it_costs_here(explorer_here, stand_in) -> None:
    document = json.loads(explorer_here("zoo", "show", "taps", "--json").out)
    text = explorer_here("zoo", "show", "taps").out

    assert [s["key"] for s in document["systems"]] == ["taps"]
    assert document["systems"][0]["offers"][0] == "build"
    assert [f["name"] for f in document["families"]] == ["stand_in"]
    assert [row["model"] for row in document["networks"]] == ["mlp8x1", "mlp16x1", "mlp8x1", "mlp8x1"]
    agrees, without, rounded, departs = document["networks"]
    assert agrees["here"] == {"parameters": 1624, "macs": 1600, "uncounted": {}}
    assert agrees["published"]["top1"] == 0.912
    assert agrees["departs"] == without["departs"] == rounded["departs"] == {}
    assert departs["departs"] == {"parameters": 1624 / 1600 - 1, "macs": 1600 / 2000 - 1}
    assert departs["why"] == "counts norms"
    for words in (
        "agree [1]",
        "no cost published [1]",
        "91.20%",
        "[2]  a file",
        "mlp8x1 departs: counts norms",
    ):
        assert words in text
    assert "departs: parameters +1.5 %, MACs \N{MINUS SIGN}20 % [2]" in text
    assert "TAPS (taps)" in text


def test_a_network_is_shown_with_its_own_rows_only(explorer_here, stand_in) -> None:
    family = json.loads(explorer_here("zoo", "show", "stand_in", "--json", "--no-count").out)
    assert [s["key"] for s in family["systems"]] == ["taps", "lit"]
    assert len(family["networks"]) == 4
    assert all(row["here"] is None for row in family["networks"])
    assert "not counted [1]" in explorer_here("zoo", "show", "stand_in", "--no-count").out
    other = json.loads(explorer_here("zoo", "show", "wrn10-1", "--json").out)
    assert [(row["model"], row["published"]) for row in other["networks"]] == [("wrn10-1", None)]
    assert other["networks"][0]["resolution"] == 32


def test_a_system_outside_says_why(explorer_here) -> None:
    document = json.loads(explorer_here("zoo", "show", "resnls", "--json").out)

    assert document["systems"][0]["outside_reason"]
    assert (document["variant"], document["families"], document["networks"]) == (None, [], [])
    assert document["systems"][0]["outside_reason"] in explorer_here("zoo", "show", "resnls").out


def test_every_system_is_shown(explorer_here) -> None:
    for key, system in systems().items():
        text = explorer_here("zoo", "show", key, "--no-count").out
        assert f"{system.name} ({key})" in " ".join(text.split())


def test_points_and_arrows_are_cited_with_their_sources(explorer_here) -> None:
    document = json.loads(explorer_here("zoo", "show", "manas", "--json").out)
    text = explorer_here("zoo", "show", "manas").out
    first = document["cited"][0]

    assert (first["system"], first["network"], first["dataset"]) == ("manas", "MANAS (8 cells)", "cifar10")
    assert (first["parameters"], first["macs"], first["top1"]) == (1_600_000, None, 0.9695)
    assert (first["search_cost"], first["status"]) == (0.8, "seen")
    assert first["source"] == "conference submission of arXiv 1909.01051, Table 1"
    assert (document["arrows"], document["no_points_because"]) == ([], [])
    for words in (
        "cited, not counted here",
        "MANAS-LS (20 cells)@32",
        "2.8 GPU-days",
        "[2]  conference submission",
    ):
        assert words in text


def test_arrows_tell_what_is_free_and_what_is_paid(explorer_here) -> None:
    free = json.loads(explorer_here("zoo", "show", "meal-v2", "--json").out)["arrows"][0]
    assert (free["kind"], free["free"], free["before"]["top1"]) == ("distil", True, 0.6976)
    assert free["after"] == {"parameters": None, "macs": None, "top1": 0.7319}
    assert free["difference"] == pytest.approx(0.0343)
    text = explorer_here("zoo", "show", "meal-v2").out
    assert "distil ResNet-18 imagenet free 69.76% 73.19% +3.43 [1]" in " ".join(text.split())
    paid = " ".join(explorer_here("zoo", "show", "knapsack-pruning").out.split())
    assert "8.08 GMACs to 3.48 GMACs 82.18% 80.81% \N{MINUS SIGN}1.37 [3]" in paid
    assert "0.540 of the MACs 77.30% 75.50% \N{MINUS SIGN}1.80 derived [1]" in paid
    assert "not told 91.25% 92.60% +1.35" in " ".join(
        explorer_here("zoo", "show", "ssl-structured-sparsity").out.split()
    )


def test_a_system_of_which_nothing_is_cited_says_why(explorer_here) -> None:
    document = json.loads(explorer_here("zoo", "show", "hw-aware-nas-survey", "--json").out)

    assert (document["cited"], document["arrows"]) == ([], [])
    assert document["no_points_because"] == [
        {"system": "hw-aware-nas-survey", "reason": "a survey: no network of its own"}
    ]
    assert "nothing cited: a survey" in explorer_here("zoo", "show", "hw-aware-nas-survey").out


def test_the_list_tells_how_much_is_cited(explorer_here) -> None:
    listed = json.loads(explorer_here("zoo", "list", "--json").out)["systems"]
    counts = {system["key"]: system["cited"] for system in listed}

    assert counts["manas"] == {"points": 6, "arrows": 0}
    assert counts["ssl-structured-sparsity"] == {"points": 0, "arrows": 1}
    assert counts["wide-resnet"] == {"points": 0, "arrows": 0}


def test_a_search_space_is_shown_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    space = types.SimpleNamespace(
        name="tiny",
        summary="a space",
        source="a paper",
        size=3**40,
        systems=("bignas",),
        published={"tiny-a": (1,)},
        smallest=lambda: (0,),
        largest=lambda: (2,),
        format=lambda choice: f"tiny-{choice[0]}",
    )
    from explorer.report.zoo_text import show_text

    document = zoo_showing.show_document("bignas", count=False)
    document["spaces"] = [zoo_showing._space_document(space)]
    text = show_text(document)
    assert "1.22 x 10^19 sub-networks" in text
    assert "tiny-2" in text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (999_999, "999,999"),
        (9_994_999, "9.99 x 10^6"),
        (9_999_999, "1.00 x 10^7"),
        (2 * 10**19, "2.00 x 10^19"),
    ],
)
def test_sizes_of_spaces_are_written(size: int, text: str) -> None:
    from explorer.report.zoo_text import _size

    assert _size(size) == text


def test_slow_counting_says_how_far_it_is(explorer_here, stand_in, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo_showing, "_QUIET_SECONDS", -1.0)
    assert "counting mlp16x1: 2 of 4" in explorer_here("zoo", "show", "taps").err


def test_subcommands_elsewhere_are_loaded_when_they_run(
    explorer_here, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command("space")
    def command() -> None:
        click.echo("loaded")

    for module in ("explorer.commands.zoo_scale", "explorer.commands.zoo_space"):
        monkeypatch.setitem(sys.modules, module, None)  # importing it fails
    text = explorer_here("zoo", "--help").out
    assert [name for name in ("list", "show", "scale", "space") if f"  {name} " in text] == [
        *("list", "show", "scale", "space")
    ]
    monkeypatch.setitem(sys.modules, "explorer.commands.zoo_space", types.SimpleNamespace(command=command))
    assert explorer_here("zoo", "space").out == "loaded\n"
    done = explorer_here("zoo", "spice")
    assert done.code == 2
    assert "did you mean space" in done.err


@pytest.mark.parametrize("name", ["wrn61-4", "efficentnet", "qqqq"])
def test_unknown_names_are_answered_in_one_line(explorer_here, name: str) -> None:
    done = explorer_here("zoo", "show", name)

    assert done.code == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert {"wrn61-4": "try 58 or 64", "efficentnet": "efficientnet", "qqqq": "zoo list"}[name] in done.err


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


def test_claims_of_the_catalogue_are_those_that_are_checked() -> None:
    from explorer.data.claims import read_claims
    from zoo.catalogue import systems

    offering = {key for key, system in systems().items() if "claim" in map(str, system.offers)}
    assert offering == {claim.system for claim in read_claims().values()}


def test_a_network_may_be_named_with_its_resolution(explorer_here) -> None:
    with_it = explorer_here("zoo", "show", "tinynet-e@106", "--no-count", "--json").out
    assert json.loads(with_it) == json.loads(
        explorer_here("zoo", "show", "tinynet-e", "--no-count", "--json").out
    )


def test_families_are_listed_whole(explorer_here) -> None:
    done = explorer_here("zoo", "list", "resnet", "--families")
    assert done.code == 2
    assert "--families lists every family" in done.err
