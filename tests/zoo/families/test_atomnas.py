"""AtomNAS against the authors' table; closed-form parameters; fewer atoms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo.network_checks import check_deterministic, check_exports, check_trains, counted, departures
from zoo import ZooError
from zoo.families import atomnas
from zoo.families.atomnas import ATOMS, NAMES, OUTPUTS, PUBLISHED, VARIANTS, AtomNASConfig, plans

TINY = "atomnas-squeeze0.5-atoms0.1"


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda r: r.model)
def test_published_rows_are_met(row) -> None:
    assert departures(row) == {}


@pytest.mark.parametrize("name", sorted(ATOMS))
def test_parameters_in_closed_form(name) -> None:
    config = VARIANTS[f"atomnas-{name}"]
    blocks = plans(config)
    total = 3 * 9 * blocks[0].inputs + 2 * blocks[0].inputs
    for block in blocks:
        total += (block.inputs + 2) * block.inside if block.expands else 0
        total += sum((kernel**2 + 2) * channels for kernel, channels in block.parts)
        total += (block.inside + 2) * block.outputs
    total += 320 * 1280 + 2 * 1280 + 1281 * 1000
    assert counted(f"atomnas-{name}", 64)[0] == total


def test_kernels_stand_side_by_side_and_shares_keep_one_of_each() -> None:
    full, least = plans(AtomNASConfig()), plans(AtomNASConfig(atoms=0.01))
    assert [b.outputs for b in full] == [16, *OUTPUTS]
    assert full[1].parts == ((3, 16), (5, 12), (7, 9))
    assert full[4].parts == ((3, 14), (5, 1))
    assert least[1].parts == ((3, 1), (5, 1), (7, 1))
    assert [b.parts for b in plans(AtomNASConfig(atoms=2.0))][2] == ((3, 38), (5, 4), (7, 2))


def test_bad_knobs_are_refused() -> None:
    with pytest.raises(ZooError, match="one of a, b, c, got 'd'"):
        AtomNASConfig(architecture="d")
    with pytest.raises(ZooError, match="relu or silu, got 'gelu'"):
        AtomNASConfig(activation="gelu")
    with pytest.raises(ZooError, match=r"atoms of AtomNAS must be a number from 0\.01 to 8, got 0"):
        AtomNASConfig(atoms=0)


@given(st.sampled_from("abc"), st.floats(0.001, 1), st.floats(0.01, 8), st.integers(1, 999))
def test_names_read_back(architecture, squeeze, atoms, pixels) -> None:
    config = AtomNASConfig(architecture=architecture, squeeze=squeeze, atoms=atoms, pixels=pixels)
    assert NAMES.parse(NAMES.format(config)) == config
    assert [NAMES.format(NAMES.parse(name)) for name in VARIANTS] == list(VARIANTS)


def test_it_trains_and_answers_the_same() -> None:
    check_trains(TINY, 32)
    check_deterministic(TINY, 32)


def test_it_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomnas, "OUTPUTS", OUTPUTS[:2])
    monkeypatch.setattr(atomnas, "ATOMS", {"a": ATOMS["a"][:2]})  # each kind of block once: exports take long
    check_exports(TINY, 32)
