"""Choosing what goes into a bundle: members, and what goes with them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from explorer.spec import Member, parse_design, parse_member
from explorer.store.bundle_rows import Row


def choose_rows(
    rows: Mapping[str, list[dict[str, Any]]],
    *,
    dataset: str | None,
    recipe: str | None,
    members: Collection[Member] | None,
) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the data set, recipe and members asked for, with the labels and costs they need."""
    if dataset is None and recipe is None and members is None:
        return dict(rows)
    names = None if members is None else {str(member) for member in members}

    def wanted(row: Row) -> bool:
        return (
            (dataset is None or row["dataset"] == dataset)
            and (recipe is None or parse_member(row["member"]).recipe == recipe)
            and (names is None or row["member"] in names)
        )

    chosen = [row for row in rows["members"] if wanted(row)]
    predicted = [row for row in rows["predictions"] if wanted(row)]
    splits = {(row["dataset"], row["split_digest"]) for row in (*chosen, *predicted)}
    known = {(row["dataset"], row["member"]) for row in (*chosen, *predicted)}
    return {
        "members": chosen,
        "predictions": predicted,
        "labels": [row for row in rows["labels"] if (row["dataset"], row["split_digest"]) in splits],
        "costs": _costs_of(rows["costs"], chosen, predicted),
        "evaluations": [row for row in rows["evaluations"] if _evaluated(row, known)],
    }


def _costs_of(costs: Sequence[Row], chosen: Sequence[Row], predicted: Sequence[Row]) -> list[Any]:
    known = {(*_model(row), row["channels"], row["classes"]) for row in chosen}
    # Of predictions without a member (made elsewhere) nobody knows the channels.
    owned = {(row["dataset"], row["member"]) for row in chosen}
    loose = {
        (*_model(row), row["classes"]) for row in predicted if (row["dataset"], row["member"]) not in owned
    }
    return [
        row
        for row in costs
        if (row["name"], row["resolution"], row["channels"], row["classes"]) in known
        or (row["name"], row["resolution"], row["classes"]) in loose
    ]


def _model(row: Row) -> tuple[str, int]:
    member = parse_member(row["member"])
    return member.name, member.resolution


def _evaluated(row: Row, known: Collection[tuple[str, str]]) -> bool:
    """Tell whether all members of an evaluated design are chosen, be it under a name without recipe."""
    plain_names = {(dataset, _without_recipe(member)) for dataset, member in known}
    return all(
        (row["dataset"], str(member)) in (known if member.recipe else plain_names)
        for member in parse_design(row["design"]).members
    )


def _without_recipe(text: str) -> str:
    member = parse_member(text)
    return str(Member(member.name, member.resolution, member.seed))
