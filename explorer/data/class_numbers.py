"""Which number a class has: by a person's names, the file's, the store's, or else by the true labels.

What imported files say of the same examples fits together only if the same class has the same number in all
of them. So names that were known before go before an order made here, and that is made of the true labels,
which are the same in every such file, before any answer.
"""

import re
from collections.abc import Sequence

import numpy as np

from explorer.errors import InputDataError, UsageError

_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>0|[1-9][0-9]*)")
_MOST_LISTED = 10


def are_numbers(names: Sequence[str]) -> bool:
    """Tell whether classes have no names but "0", "1", ..."""
    return list(names) == [str(number) for number in range(len(names))]


def given_names(held: Sequence[str], said: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names that a person gave, or those of the file.

    Raises:
        UsageError: both are there and differ.
    """
    if held and said and tuple(held) != tuple(said):
        raise UsageError(
            f"{where} names the classes {_listed(held)}, --class-names {_listed(said)}; leave the option out"
        )
    return tuple(said or held)


def class_columns(
    keys: tuple[str, ...], *, text_labels: bool, said: Sequence[str], known: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return class columns in the order of the classes, and the classes' names where they have some.

    Args:
        keys: of the columns, in the file's order.
        text_labels: whether the true labels are names of classes.
        said: names by a person, in order.
        known: names in the store, in order.

    Raises:
        InputDataError: numbered columns with a gap.
        UsageError: a person named other classes than the columns do.
    """
    matches = [_NUMBERED.fullmatch(key) for key in keys]
    numbers = [int(match["number"]) for match in matches if match]
    alike = len(numbers) == len(keys) and len({match["prefix"] for match in matches if match}) == 1
    if alike and set(said) != set(keys) and (said or not text_labels):
        if sorted(numbers) != list(range(len(keys))):
            raise InputDataError(
                f"class columns are numbered {min(numbers)} to {max(numbers)}; "
                f"wanted 0 to {len(keys) - 1}, as the labels are"
            )
        return tuple(key for _, key in sorted(zip(numbers, keys, strict=True))), tuple(said)
    if said and (len(said) != len(keys) or set(said) != set(keys)):
        raise UsageError(
            f"--class-names {_listed(said)} are not the class columns, which are: {_listed(keys)}; "
            "say the same names in the order of the labels, or leave the option out"
        )
    # Labels that are numbers were numbered by whoever wrote the file: as the columns stand in it.
    order = tuple(said or (known if text_labels and set(known) == set(keys) else keys))
    return order, order


def answer_names(
    true: np.ndarray, answers: np.ndarray, known: Sequence[str], where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names for classes that are texts, in the order of their numbers, and a note on some of them.

    Args:
        true: labels, of which or of the answers at least one is texts.
        answers: of the members.
        known: names in the store, in order; empty where it has none.
        where: the file, for messages.

    Raises:
        InputDataError: a text that is no class in the store, or texts beside numbers without known names.
    """
    labels, given = (
        {*map(str, part.ravel())} if part.dtype.kind == "U" else set() for part in (true, answers)
    )
    if known:
        _require_known(labels, given, known, where)
        return tuple(known), ()
    if not labels or not given:
        what = ("labels are numbers, predicted labels texts", "labels are texts, predicted labels numbers")
        raise InputDataError(
            f"{where}: {what[bool(labels)]}; name the classes by number: --class-names A,B,..."
        )
    more = sorted(given - labels)
    note = f"classes that no label is, numbered after the others: {_listed(more)}"
    return (*sorted(labels), *more), (note,) if more else ()


def _require_known(labels: set[str], answers: set[str], known: Sequence[str], where: str) -> None:
    """Refuse classes that the store does not have: its members have no probability for them."""
    if other := sorted(labels - set(known)):
        raise InputDataError(
            f"{where}: the label {other[0]!r} is no class of this data set in the store, which has: "
            f"{_listed(known)}; import other examples under another --dataset name"
        )
    if other := sorted(answers - set(known)):
        raise InputDataError(
            f"{where}: the answer {other[0]!r} is no class of this data set in the store, whose members tell "
            f"{len(known)} apart: {_listed(known)}; to have more, import all of its files under another "
            f"--dataset name, each with --class-names {','.join((*known, *other))}"
        )


def class_numbers(values: np.ndarray, class_names: Sequence[str], what: str) -> np.ndarray:
    """Return labels as int64, texts by their place among the class names.

    Raises:
        InputDataError: a text that is no class, a number below 0, or neither texts nor whole numbers.
    """
    if values.dtype.kind == "U":
        number = {name: place for place, name in enumerate(class_names)}
        unknown = [row for row, name in enumerate(values) if str(name) not in number]
        if unknown:
            first = unknown[0]
            raise InputDataError(
                f"{what}: row {first} says {str(values[first])!r}; classes are: {_listed(class_names)}"
            )
        return np.array([number[str(name)] for name in values], dtype=np.int64)
    if values.dtype.kind not in "iu":
        raise InputDataError(f"{what} are of dtype {values.dtype}; wanted whole numbers or names of classes")
    if values.min() < 0:
        raise InputDataError(f"{what}: row {int(np.argmin(values))} is {int(values.min())}; wanted 0 or more")
    return values.astype(np.int64)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(list(names)[:_MOST_LISTED]) + more
