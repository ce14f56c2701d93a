from dataclasses import replace
from types import SimpleNamespace

import pytest

from explorer.errors import UsageError
from explorer.run.training.starting import kept_member
from explorer.spec import parse_member


def record(text: str, **recipe: object) -> SimpleNamespace:
    return SimpleNamespace(
        member=parse_member(text),
        training=SimpleNamespace(recipe=recipe),
        split_digest="s",
        weights_digest="w",
    )


class Stored:
    """A store of so many records."""

    def __init__(self, *records: SimpleNamespace) -> None:
        self.records = records

    def members(self, dataset: str) -> tuple[SimpleNamespace, ...]:
        return self.records

    def find_member(self, dataset: str, member) -> SimpleNamespace | None:
        named = {str(one.member): one for one in self.records}
        return named.get(str(member)) or named.get(str(replace(member, recipe=None)))

    def weights(self, digest: str) -> bytes:
        return b""


IMAGES = SimpleNamespace(name="digits", split_digest="s")
QUICK, SAM, SOUP = (
    record("wrn10-1@8~quick-11111111#0"),
    record("wrn10-1@8~sam-22222222#0"),
    record("wrn10-1@8~soup-33333333#0", start="mean(a@8#0, b@8#0)"),
)


def found(store: Stored, text: str) -> SimpleNamespace:
    return kept_member(store, IMAGES, parse_member(text))  # type: ignore[arg-type]  # stand-ins


def test_a_name_without_recipe_is_the_only_trained_member() -> None:
    assert found(Stored(QUICK, SOUP), "wrn10-1#0") is QUICK
    assert found(Stored(QUICK, SOUP), "wrn10-1@8#0") is QUICK


def test_a_name_that_may_be_several_is_refused() -> None:
    with pytest.raises(UsageError, match=r"may be any of .*~quick-11111111#0, .*~sam-22222222#0: say which"):
        found(Stored(QUICK, SAM, SOUP), "wrn10-1#0")
    assert found(Stored(QUICK, SAM, SOUP), "wrn10-1@8~sam-22222222#0") is SAM


def test_a_recipe_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"has no member .* of digits; it has wrn10-1@8~quick-11111111#0"):
        found(Stored(QUICK), "wrn10-1@8~sam#0")
    with pytest.raises(UsageError, match="train it first"):
        found(Stored(QUICK), "wrn10-2@8#0")
