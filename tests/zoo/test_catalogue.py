import dataclasses
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import zoo
from zoo.catalogue import Offer, Role, families_of, find, spaces_of, systems
from zoo.catalogue.system import FROM_REGISTRY, System, read_catalogue
from zoo.registry import _FAMILIES, ZooError
from zoo.supernets import spaces

ENTRY = {
    "key": "one-net",
    "name": "OneNet",
    "what": "a network",
    "roles": ["FAMILY"],
    "seed": ["003:1"],
    "offers": ["cited"],
    "year": 2020,
    "arxiv": "2001.00001",
}


def toml(*entries: dict[str, object]) -> str:
    return "\n".join(
        "[[system]]\n"
        + "\n".join(
            f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
            for name, value in entry.items()
        )
        for entry in entries
    )


def other(**changes: object) -> dict[str, object]:
    entry = {**ENTRY, "key": "two-net", "name": "TwoNet", "arxiv": "2001.00002", **changes}
    return {name: value for name, value in entry.items() if value is not None}


def refusal(folder: Path, *entries: dict[str, object], file: str = "family.toml") -> str:
    (folder / file).write_text(toml(*entries), encoding="utf-8")
    with pytest.raises(ZooError) as caught:
        read_catalogue(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_all_systems_have_an_entry() -> None:
    found = systems()

    assert len(found) == 232
    assert Counter(s.roles[0] for s in found.values()) == {
        **{Role.FAMILY: 41, Role.SCALING: 3, Role.SUPERNET: 19, Role.NAS: 45, Role.COMPRESS: 23},
        **{Role.ENSEMBLE: 6, Role.TRAIN: 27, Role.METRIC: 16, Role.COST: 7, Role.TASK: 27, Role.OUT: 18},
    }
    assert sum({Role.FAMILY, Role.SUPERNET} & set(s.roles) != set() for s in found.values()) == 77
    places = [place for s in found.values() for place in s.seed]
    assert len(places) == len(set(places)) == 242


def test_every_system_offers_something_or_says_why_not() -> None:
    without = [s.key for s in systems().values() if not s.offers]
    assert not without
    assert all(Offer.CITED not in s.offers or s.headline for s in systems().values())
    assert all(s.year == 2000 + int(s.arxiv[:2]) for s in systems().values() if s.arxiv)


def test_the_registry_adds_what_it_builds_and_names_only_systems_that_exist() -> None:
    for family in zoo.registered_families().values():
        for key in family.systems:
            assert Offer.BUILD in systems()[key].offers, f"{family.name} names the unknown system {key}"
            assert family in families_of(key)
    for space in spaces().values():
        for key in space.systems:
            assert Offer.SUPERNET in systems()[key].offers
            assert space in spaces_of(key)
    built = {key for family in zoo.registered_families().values() for key in family.systems}
    assert built == {s.key for s in systems().values() if Offer.BUILD in s.offers}


def test_a_registered_family_makes_its_system_buildable(monkeypatch: pytest.MonkeyPatch) -> None:
    before = systems()["taps"].offers
    family = dataclasses.replace(zoo.registered_families()["mlp"], name="stand_in", systems=("taps",))
    monkeypatch.setitem(_FAMILIES, "stand_in", family)

    assert systems()["taps"].offers == (Offer.BUILD, *before)
    assert families_of("taps") == (family,)
    assert find("stand_in").systems == (systems()["taps"],)
    monkeypatch.setitem(_FAMILIES, "stand_in", dataclasses.replace(family, systems=("resnls",)))
    with pytest.raises(ZooError, match="'resnls' is outside, yet offers build"):
        systems()
    monkeypatch.setitem(_FAMILIES, "stand_in", dataclasses.replace(family, systems=("tapps",)))
    with pytest.raises(ZooError, match="unknown system 'tapps'; did you mean taps"):
        find("stand_in")


@pytest.mark.parametrize("name", ["wide-resnet", "WIDE-ResNet", "Wide ResNet (WRN)", "1605.07146"])
def test_a_system_is_found_by_key_name_and_id(name: str) -> None:
    found = find(name)

    assert [s.key for s in found.systems] == ["wide-resnet"]
    assert found.family is None
    assert not found.is_network


def test_families_and_networks_are_found_too() -> None:
    family, network = find("wide_resnet"), find("wrn28-10.0")

    assert (family.family, family.variant, family.is_network) == (
        zoo.registered_families()["wide_resnet"],
        "wrn16-4",
        False,
    )
    assert (network.family, network.variant, network.is_network) == (family.family, "wrn28-10", True)
    assert find("mlp").systems == ()


def test_what_nobody_has_is_answered_with_what_is_near() -> None:
    with pytest.raises(
        ZooError, match=r"unknown system, family or model 'efficentnet'; did you mean efficientnet"
    ):
        find("efficentnet")
    with pytest.raises(ZooError, match="explorer zoo list names"):
        find("qqqqqq")
    with pytest.raises(ZooError, match=r"6n \+ 4"):
        find("wrn17-4")
    with pytest.raises(ZooError, match="unknown timm model"):
        find("timm:no_such_net")
    with pytest.raises(ZooError, match="unknown system 'wide-resnett'; did you mean wide-resnet"):
        families_of("wide-resnett")
    with pytest.raises(ZooError, match="unknown system"):
        spaces_of("nothing")


def test_a_catalogue_is_read(tmp_path: Path) -> None:
    last = other(roles=["OUT"], offers=["outside"], outside_reason="about chess", arxiv=None, year=None)
    (tmp_path / "out.toml").write_text(toml(last), encoding="utf-8")
    (tmp_path / "family.toml").write_text(toml(ENTRY), encoding="utf-8")

    assert read_catalogue(tmp_path) == {
        "one-net": System(
            key="one-net",
            name="OneNet",
            what="a network",
            roles=(Role.FAMILY,),
            seed=("003:1",),
            offers=(Offer.CITED,),
            year=2020,
            arxiv="2001.00001",
        ),
        "two-net": System(
            key="two-net",
            name="TwoNet",
            what="a network",
            roles=(Role.OUT,),
            seed=("003:1",),
            offers=(Offer.OUTSIDE,),
            outside_reason="about chess",
        ),
    }


@pytest.mark.parametrize(
    ("second", "wanted"),
    [
        (
            other(key="one-net"),
            r"two systems have the key 'one-net': 'one-net' (OneNet) and 'one-net' (TwoNet)",
        ),
        (
            other(name="ONENET"),
            "two systems have the name 'ONENET': 'one-net' (OneNet) and 'two-net' (ONENET)",
        ),
        (other(arxiv="2001.00001"), "two systems have the arxiv '2001.00001': 'one-net'"),
        (other(roles=["FAMILIES"]), "unknown role 'FAMILIES'; known: FAMILY, SCALING, SUPERNET"),
        (other(offers=["buy"]), "unknown offer 'buy'; known: build, supernet, scaling, recipe"),
        (other(offers=["build"]), "build is not written down, it comes from the registry"),
        (other(colour="red"), "unknown field colour; known: key, name, what"),
        (other(seed=None), "family.toml: system 'two-net' lacks seed"),
        (other(offers=["outside"]), "'outside' and outside_reason go together"),
        (other(outside_reason="chess"), "'outside' and outside_reason go together"),
        (other(offers=["outside", "cited"], outside_reason="chess"), "is outside, yet offers outside, cited"),
        (other(roles=["FAMILY", "OUT"]), "has the role OUT: then it has no other"),
        (other(roles=["NAS"]), "family.toml: the main role of 'two-net' is NAS"),
        (other(roles=["FAMILY", "FAMILY"]), "names a role or an offer twice"),
        (other(year="2020"), "year = '2020' is of the wrong type"),
        (other(year=True), "year = True is of the wrong type"),
        (other(block=1), "block = 1 is of the wrong type"),
        (other(seed="003:1"), "seed = '003:1' is of the wrong type"),
        (other(name=7), "name = 7 is of the wrong type"),
        (other(year=1905), "year 1905 is not in 2012 to 2100"),
        (other(arxiv="cs/0301001"), "'cs/0301001' is no arXiv id"),
        (other(seed=["line 3"]), "'line 3' is not LIST:LINE"),
        (other(key="Two Net"), "'Two Net' is not lower-case"),
        (other(what=""), "needs a name, one line on what it is"),
    ],
)
def test_a_damaged_catalogue_is_refused(tmp_path: Path, second: dict[str, object], wanted: str) -> None:
    assert wanted in refusal(tmp_path, ENTRY, second)


def test_a_block_is_of_a_family(tmp_path: Path) -> None:
    (tmp_path / "family.toml").write_text(toml({**ENTRY, "block": True}), encoding="utf-8")
    assert read_catalogue(tmp_path)["one-net"].block
    entry = other(roles=["NAS"], block=True)
    assert "is a block but has not the role FAMILY" in refusal(tmp_path, entry, file="nas.toml")


def test_files_that_are_no_catalogue_are_refused(tmp_path: Path) -> None:
    assert "networks.toml is named for no role; roles: FAMILY" in refusal(
        tmp_path, ENTRY, file="networks.toml"
    )
    (tmp_path / "networks.toml").unlink()
    for text, wanted in (("[[system]", "family.toml is no TOML"), ("[paper]\na = 1", "holds paper; wanted")):
        (tmp_path / "family.toml").write_text(text, encoding="utf-8")
        with pytest.raises(ZooError, match=wanted):
            read_catalogue(tmp_path)


def test_what_the_registry_finds_is_never_written_down() -> None:
    for path in (Path(zoo.__file__).parent / "catalogue").glob("*.toml"):
        for table in tomllib.loads(path.read_text(encoding="utf-8"))["system"]:
            assert not set(table["offers"]) & set(FROM_REGISTRY)


def test_families_and_supernets_build_or_say_why_not() -> None:
    rows = [one for one in systems().values() if {Role.FAMILY, Role.SUPERNET} & set(one.roles)]
    unbuilt = {one.key for one in rows if not {Offer.BUILD, Offer.SUPERNET} & set(one.offers)}

    assert len(rows) == 77
    assert unbuilt == {"ascan", "supertickets", "turbovit"}
    assert unbuilt == {one.key for one in systems().values() if one.not_built}
