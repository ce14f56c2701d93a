from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.naming import Names
from zoo.registry import ZooError


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    depth: int = 50
    width: float = 1.0
    width_base: int = 64
    blocks: tuple[int, ...] = (3, 4)
    shares: tuple[float, ...] = (0.5,)
    kind: str = "plain"
    deep: bool = False


NAMES = Names(prefix="net", config_class=Config, variants={"net-a": Config(), "net-b": Config(depth=101)})

numbers = st.floats(1e-12, 1e12, allow_nan=False)
configs = st.builds(
    Config,
    depth=st.integers(0, 10**6),
    width=numbers,
    width_base=st.integers(0, 99),
    blocks=st.lists(st.integers(0, 99), min_size=1, max_size=4).map(tuple),
    shares=st.lists(numbers, min_size=1, max_size=3).map(tuple),
    kind=st.sampled_from(["plain", "a", "b2"]),
    deep=st.booleans(),
)


@given(configs)
def test_names_read_back(config: Config) -> None:
    assert NAMES.parse(NAMES.format(config)) == config


def test_published_names_come_first() -> None:
    assert NAMES.format(Config(depth=101)) == "net-b"
    assert NAMES.parse("NET-B") == Config(depth=101)
    assert NAMES.format(Config(width=1e-5, deep=True)) == "net-width0.00001-deep1"
    assert NAMES.parse("net") == Config()


def test_the_longest_knob_wins() -> None:
    assert NAMES.parse("net-width_base32") == Config(width_base=32)
    assert NAMES.parse("net-width32") == Config(width=32.0)


def test_text_of_other_families_is_none() -> None:
    assert NAMES.parse("nets-depth50") is NAMES.parse("other") is NAMES.parse("") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("net-colour3", "'colour3' starts with none of its knobs depth, width"),
        ("net-depth50-depth18", "gives the knob 'depth' twice"),
        ("net-depth5.5", "'5.5' in 'net-depth5.5' is no value of the knob 'depth': wanted a whole number"),
        ("net-widthwide", "is no value of the knob 'width': wanted a number"),
        ("net-deep2", "is no value of the knob 'deep': wanted 0 or 1"),
        ("net-kindplain", "is no value of the knob 'kind': wanted a word after an underscore"),
        ("net-blocks3+x", r"is no value of the knob 'blocks': wanted numbers joined by \+"),
    ],
)
def test_refuses(text: str, message: str) -> None:
    with pytest.raises(ZooError, match=message):
        NAMES.parse(text)


def test_a_family_whose_knob_is_the_resolution_builds_at_it() -> None:
    config = zoo.family_of("efficientnet-b0").parse("efficientnet-b0")
    knobs = {knob: getattr(config, knob) for knob in zoo.registered_families()["efficientnet"].knobs}
    network = zoo.build("efficientnet", num_classes=3, **knobs)
    assert sum(p.numel() for p in network.parameters()) > 4e6
