import pytest

from explorer.analysis.published.joining import JoinedBy, NotJoined, join
from explorer.data.timm_results import AccuracyRow
from explorer.data.timm_tables import BenchmarkRow


def scored(model: str, resolution: int = 224, params: float = 7.0) -> AccuracyRow:
    return AccuracyRow(model=model, resolution=resolution, top1=0.5, top5=0.6, params=params)


def timed(model: str, resolution: int = 224, params: float | None = 7.0) -> BenchmarkRow:
    return BenchmarkRow(model=model, resolution=resolution, batch=2, seconds=1.0, params=params)


def test_the_full_name_goes_before_the_architecture() -> None:
    found = join([scored("a.x"), scored("a.y")], [timed("a"), timed("a.x")])

    assert [(one.scored.model, one.timed.model, one.by) for one in found.joined] == [
        ("a.x", "a.x", JoinedBy.NAME),
        ("a.y", "a", JoinedBy.ARCHITECTURE),
    ]
    assert [found.count(by) for by in JoinedBy] == [1, 1]


def test_every_row_is_joined_or_left_out_with_the_reason() -> None:
    rows = [scored("a.x"), scored("a.x", 288), scored("b.x"), scored("c.x", params=5.0)]
    found = join(rows, [timed("a"), timed("c", params=12.0)])

    assert [one.scored.key for one in found.joined] == [("a.x", 224)]
    assert found.left_out == {
        NotJoined.SIZE: ("a.x@288",),
        NotJoined.ARCHITECTURE: ("b.x@224",),
        NotJoined.PARAMETERS: ("c.x@224",),
    }


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (0.37, 0.38, True),
        (0.37, 0.40, False),
        (100.0, 101.0, True),
        (100.0, 101.03, False),
        (5.39, 12.08, False),
    ],
)
def test_parameters_agree_within_their_rounding_and_a_hundredth(
    first: float, second: float, same: bool
) -> None:
    found = join([scored("a.x", params=first)], [timed("a", params=second)])
    assert bool(found.joined) is same


def test_a_table_without_parameters_is_joined_by_name_alone() -> None:
    assert join([scored("a.x")], [timed("a", params=None)]).joined
