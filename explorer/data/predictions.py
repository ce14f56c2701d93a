"""Other people's predictions: what a file holds, recognised by names, shapes and dtypes, and said in notes.

Read are probabilities or logits ``[example, class]`` or ``[member, example, class]``, answers with their
confidence ``[member, example]``, and tables with one column a class or with an answer and a confidence.
What may be read in two ways is refused with the ways. `explorer.data.probabilities` takes it from here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from explorer.data.arrays import WHOLE, NamedArrays, read_arrays
from explorer.data.class_numbers import answer_names, class_columns, class_numbers, given_names
from explorer.data.price_keys import find_price_key, looks_like_prices, price_calls, read_prices
from explorer.errors import InputDataError, UsageError

LOGIT_KEYS = ("logits", "logit")
ANSWER_KEYS = ("pred", "preds", "prediction", "predictions", "predicted", "answer", "answers")
CONFIDENCE_KEYS = ("conf", "confs", "confidence", "confidences", "score")
LABEL_KEYS = ("labels", "label", "targets", "target", "y_true", "true_label")
NAME_KEYS = ("members", "member", "models", "model", "names", "apis", "api")
CLASS_KEYS = ("classes", "class_names")
ID_KEYS = ("id", "ids")


class AnswerKind(StrEnum):
    """What the numbers of a file of predictions are."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    LABELS = "labels"
    """The answer alone, with its confidence where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person said about a file; empty where it is to be recognised."""

    kind: AnswerKind | None = None
    key: str = ""
    """Key of the predictions; of answers and their confidence, or of class columns, several with commas."""
    labels: str = ""
    """Key of the true labels, or another file with them."""
    ids: str = ""
    """Key of the examples' ids."""
    prices: str = ""
    """Key of the members' prices."""
    prices_given: bool = False
    """Whether the prices are known from elsewhere; those of the file are then not read."""
    class_names: tuple[str, ...] = ()
    """Of the classes, by number."""
    known_classes: tuple[str, ...] = ()
    """As the store names them, by number; what else the file says goes before."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions:
    """What a file says of one data set: ``scores`` or ``answers`` of one or more members."""

    path: Path
    digest: str
    """SHA-256 of the file."""
    kind: AnswerKind
    kind_said: bool
    """Whether a person said the kind, so that it is not doubted."""
    scores: np.ndarray | None
    """Probabilities or logits, floating ``[member, example, class]``."""
    answers: np.ndarray | None
    """int64 ``[member, example]``"""
    confidence: np.ndarray | None
    """Floating ``[member, example]``; None where answers came alone."""
    labels: np.ndarray
    """True classes, int64 ``[example]``."""
    class_names: tuple[str, ...] = ()
    """By label; empty where the file names none."""
    ids: tuple[str, ...] = ()
    """One an example, or empty."""
    names: tuple[str, ...] = ()
    """One a member, or empty."""
    prices: tuple[float, ...] = ()
    """One a member, in US dollars, or empty."""
    price_key: str = ""
    """What they are under."""
    price_calls: float = 0.0
    """For how many calls ``prices`` are, where the key says it; 0 where not."""
    notes: tuple[str, ...] = ()
    """What was understood, a sentence each."""

    @property
    def shape(self) -> tuple[int, int]:
        """Members and examples."""
        held = self.scores if self.scores is not None else self.answers
        assert held is not None  # one of the two is there: `read_predictions`
        return held.shape[0], held.shape[1]


def read_predictions(path: Path, asked: Asked | None = None) -> Predictions:
    """Read a file of predictions with their true labels, and say what was understood.

    Raises:
        InputDataError: the file, or that of the labels, is damaged or does not hold what it should.
        UsageError: a key that is not there, nothing recognised, or more than one way to read it.
    """
    asked = asked or Asked()
    held = read_arrays(path, as_text={asked.ids, *ID_KEYS} - {""})
    notes: list[str] = []
    true, label_key, label_ids = _true_labels(held, asked.labels, notes)
    own_names = _own_names(held, asked)
    id_key = asked.ids or _named(held, ID_KEYS)
    price_key = "" if asked.prices_given else asked.prices
    if not asked.prices_given and not asked.prices:
        price_key, unclear = find_price_key(held)
        notes += unclear
    taken = {label_key, id_key, price_key, _named(held, CLASS_KEYS)} | _left_out(
        held, asked, label_key, notes
    )
    kind, keys = _chosen(held, asked, taken - {""})
    class_names = given_names(_class_names(held), asked.class_names, path.name)
    scores = answers = confidence = None
    if kind is AnswerKind.LABELS:
        answers, confidence = _answers(held, keys, len(true))
        if not class_names and "U" in (true.dtype.kind, answers.dtype.kind):
            class_names, more = answer_names(true, answers, asked.known_classes, path.name)
            notes += more
        answers = class_numbers(answers.ravel(), class_names, "predicted labels").reshape(answers.shape)
    else:
        if held.table:
            text_labels = true.dtype.kind == "U"
            keys, class_names = class_columns(
                keys, text_labels=text_labels, said=class_names, known=asked.known_classes
            )
        scores = _scores(held, keys, len(true))
        _require_names(true, class_names, f"the classes of {_shown(held, keys)}", path)
    members = len(answers if scores is None else scores)  # type: ignore[arg-type]  # one of the two is there
    notes.insert(0, f"{path.name}: {kind} of {members} member{'s' * (members > 1)} in {_shown(held, keys)}")
    ids = _ids(held, id_key, len(true)) if id_key else ()
    _require_same_ids(path, ids, label_ids, asked.labels)
    return Predictions(
        path=path,
        digest=held.digest,
        kind=kind,
        kind_said=asked.kind is not None,
        scores=scores,
        answers=answers,
        confidence=confidence,
        labels=class_numbers(true, class_names, "labels"),
        class_names=class_names,
        ids=ids,
        names=own_names if held.table else _member_names(held, members),
        prices=read_prices(held, price_key, members) if price_key else (),
        price_key=price_key,
        price_calls=price_calls(price_key),
        notes=tuple(notes),
    )


def _named(held: NamedArrays, known: Sequence[str]) -> str:
    """Return the key of one of the known names, or an empty text.

    Raises:
        UsageError: two of them are there.
    """
    found = [key for key in held.arrays if key.lower() in known]
    if len(found) > 1:
        raise UsageError(f"{held.path.name} has both {' and '.join(found)}; say which one is meant")
    return found[0] if found else ""


def _true_labels(held: NamedArrays, said: str, notes: list[str]) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """Return the true labels ``[example]``, their key in the file itself, or the ids of the other file."""
    other = Path(said) if said else None
    if other is not None and other.is_file() and said in held.arrays:
        raise UsageError(f"{said!r} is a key of {held.path.name} and a file; write ./{said} for the file")
    if other is not None and said not in held.arrays and (other.is_file() or other.suffix):
        found = read_arrays(other, as_text=ID_KEYS)
        key = next(iter(found.arrays)) if len(found.arrays) == 1 else _named(found, LABEL_KEYS)
        if not key and WHOLE not in found.arrays:
            raise UsageError(f"{other} has no labels under a known name; it has: {found.listed()}")
        notes.append(f"true labels: {other.name}{f', {key}' if key else ''}")
        labels = _flat(found.get(key), str(other))
        id_key = _named(found, ID_KEYS)
        return labels, "", _ids(found, id_key, len(labels)) if id_key and id_key != key else ()
    key = said or _named(held, LABEL_KEYS)
    if not key:
        raise UsageError(
            f"no true labels in {held.path.name}: give --labels FILE or KEY; it has: {held.listed()}"
        )
    notes.append(f"true labels: {key}")
    return _flat(held.get(key), f"{held.path.name}: {key}"), key, ()


def _own_names(held: NamedArrays, asked: Asked) -> tuple[str, ...]:
    """Return the name that a table's column gives to its one member.

    Raises:
        InputDataError: its rows are of several members.
    """
    other = {asked.labels, asked.ids, *_asked_keys(asked)}
    columns = [key for key in held.arrays if held.table and key.lower() in NAME_KEYS and key not in other]
    names: tuple[str, ...] = ()
    for key in columns:
        found = sorted({*map(str, held.arrays[key])})
        if len(found) > 1:
            shown = ", ".join(found[:4]) + ", ..." * (len(found) > 4)
            raise InputDataError(
                f"{held.path.name} has rows of {len(found)} members (column {key}: {shown}); wanted one in a "
                "table: give a file for each"
            )
        names = names or (tuple(found) if held.arrays[key].dtype.kind == "U" else ())
    return names


def _left_out(held: NamedArrays, asked: Asked, label_key: str, notes: list[str]) -> set[str]:
    """Return keys that are no predictions by their names, and note those that nothing else is made of."""
    prices = {key for key in held.arrays if looks_like_prices(key)}
    labels = {key for key in held.arrays if held.table and key.lower() in LABEL_KEYS} - {label_key}
    if labels and not asked.key:
        notes.append(f"left out: {', '.join(sorted(labels))}; the true labels are in {asked.labels}")
    return prices | labels | {key for key in held.arrays if key.lower() in NAME_KEYS}


def _asked_keys(asked: Asked) -> tuple[str, ...]:
    return tuple(part.strip() for part in asked.key.split(","))


def _flat(labels: np.ndarray, what: str) -> np.ndarray:
    if labels.ndim != 1 or labels.size == 0:
        raise InputDataError(f"{what} has shape {list(labels.shape)}; wanted labels [example], not empty")
    return labels


def _chosen(held: NamedArrays, asked: Asked, taken: set[str]) -> tuple[AnswerKind, tuple[str, ...]]:
    """Return what the predictions are, and the keys they are under."""
    free = {key: array for key, array in held.arrays.items() if key not in taken}
    if asked.key:
        keys = (asked.key,) if asked.key in held.arrays else _asked_keys(asked)
        free = {key: held.get(key) for key in keys}
    options = _table_options(free) if held.table else _array_options(free)
    if asked.kind is not None:
        score_kinds = (AnswerKind.PROBABILITIES, AnswerKind.LOGITS)
        alike = score_kinds if asked.kind in score_kinds else (asked.kind,)
        options = [(asked.kind, keys) for kind, keys in options if kind in alike]
    if len(options) == 1:
        return options[0]
    if not options:
        sought = f"{asked.kind} " if asked.kind else "predictions "
        where = f"under {asked.key}" if asked.key else f"in {held.path.name}"
        raise UsageError(f"no {sought}recognised {where}; say --key or --kind; it has: {held.listed()}")
    ways = "; ".join(f"{kind} in {_shown(held, keys)}" for kind, keys in options)
    raise UsageError(f"{held.path.name} may be read as {ways}: say which with --key or --kind")


def _array_options(free: Mapping[str, np.ndarray]) -> list[tuple[AnswerKind, tuple[str, ...]]]:
    kinds = {key: array.dtype.kind for key, array in free.items()}
    answers = [key for key in free if kinds[key] in "iuU" and free[key].ndim in (1, 2)]
    sure = {key for key in free if key.lower() in CONFIDENCE_KEYS and kinds[key] in "fiu"}
    named = [key for key in answers if key.lower() in ANSWER_KEYS]
    answers = named or (sorted(set(answers) - sure) if len(free) <= 2 else [])
    options: list[tuple[AnswerKind, tuple[str, ...]]] = []
    beside: str | None = None
    for key in answers:
        beside = next(
            (
                name
                for name in free
                if free[name].shape == free[key].shape
                and (name in sure or (kinds[name] == "f" and len(free) == 2))
            ),
            None,
        )
        options.append((AnswerKind.LABELS, (key,) if beside is None else (key, beside)))
    for key in free:
        if kinds[key] == "f" and free[key].ndim in (2, 3) and key != beside:
            logits = key.lower() in LOGIT_KEYS
            options.append((AnswerKind.LOGITS if logits else AnswerKind.PROBABILITIES, (key,)))
    return options


def _table_options(free: Mapping[str, np.ndarray]) -> list[tuple[AnswerKind, tuple[str, ...]]]:
    answers = [key for key in free if key.lower() in ANSWER_KEYS and free[key].dtype.kind != "f"]
    confidences = [key for key in free if key.lower() in CONFIDENCE_KEYS and answers]
    rest = tuple(key for key in free if key not in (*answers, *confidences))
    options: list[tuple[AnswerKind, tuple[str, ...]]] = [
        (AnswerKind.LABELS, (answer, *confidences[:1])) for answer in answers
    ]
    if len(rest) > (1 if answers else 0):
        texts = [key for key in rest if free[key].dtype.kind == "U"]
        if texts:
            raise UsageError(
                f"column {texts[0]} holds texts, no probabilities; name the class columns with --key a,b,c"
            )
        options.append((AnswerKind.PROBABILITIES, rest))
    return options


def _shown(held: NamedArrays, keys: Sequence[str]) -> str:
    if len(keys) > 4:
        return f"{len(keys)} columns, {keys[0]} to {keys[-1]}"
    if held.table or len(keys) > 1:
        return ", ".join(keys)
    array = held.arrays[keys[0]]
    return f"{keys[0] or 'its array'} {array.dtype.name} {list(array.shape)}"


def _scores(held: NamedArrays, keys: Sequence[str], examples: int) -> np.ndarray:
    """Return probabilities or logits ``[member, example, class]``."""
    array = held.arrays[keys[0]]
    if held.table:  # a column of zeros and ones was read as whole numbers
        columns = [held.arrays[key] for key in keys]
        array = np.stack([c.astype(np.float64) if c.dtype.kind in "iu" else c for c in columns], axis=1)
    what = f"{held.path.name}: {_shown(held, keys)}"
    if array.dtype.kind != "f":
        raise InputDataError(f"{what} is of dtype {array.dtype}; wanted floating-point numbers")
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or 0 in array.shape:
        raise InputDataError(f"{what} is not [member, example, class] or [example, class], none of them 0")
    if array.shape[2] < 2:
        raise InputDataError(f"{what} has one class; a classifier tells at least 2 apart")
    _require_examples(array.shape, examples, what, "[member, example, class]")
    return array


def _answers(held: NamedArrays, keys: Sequence[str], examples: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return answers and their confidence, ``[member, example]`` each."""
    answers = held.arrays[keys[0]]
    confidence = held.arrays[keys[1]] if len(keys) > 1 else None
    what = f"{held.path.name}: {keys[0] or 'its array'}"
    if answers.size == 0:
        raise InputDataError(f"{what} is empty")
    if confidence is not None and confidence.dtype.kind in "iu":  # all of them 0 or 1
        confidence = confidence.astype(np.float64)
    if confidence is not None and (confidence.shape != answers.shape or confidence.dtype.kind != "f"):
        raise InputDataError(
            f"{what} has shape {list(answers.shape)}, its confidence {keys[1]} is {confidence.dtype} "
            f"{list(confidence.shape)}; wanted floating-point numbers of one shape"
        )
    if answers.ndim == 1:
        answers, confidence = answers[None], None if confidence is None else confidence[None]
    _require_examples(answers.shape, examples, what, "[member, example]")
    return answers, confidence


def _require_examples(shape: tuple[int, ...], examples: int, what: str, axes: str) -> None:
    if shape[1] != examples:
        turned = f"; the axes are {axes}" if shape[0] == examples else ""
        raise InputDataError(f"{what} has {shape[1]:,} examples, the labels have {examples:,}{turned}")


def _require_names(true: np.ndarray, class_names: Sequence[str], what: str, path: Path) -> None:
    if true.dtype.kind == "U" and not class_names:
        raise InputDataError(
            f"{path}: labels are texts, but {what} have no names; give labels as numbers, names under the "
            "key `classes`, or --class-names A,B,..."
        )


def _class_names(held: NamedArrays) -> tuple[str, ...]:
    key = "" if held.table else _named(held, CLASS_KEYS)
    array = held.arrays[key] if key else None
    return tuple(map(str, array)) if array is not None and array.ndim == 1 else ()


def _member_names(held: NamedArrays, members: int) -> tuple[str, ...]:
    for key, array in held.arrays.items():
        if key.lower() in NAME_KEYS and array.dtype.kind == "U" and array.size == members:
            return tuple(map(str, array.ravel()))
    return ()


def _ids(held: NamedArrays, key: str, examples: int) -> tuple[str, ...]:
    ids = tuple(map(str, held.get(key).ravel()))
    if len(ids) != examples:
        raise InputDataError(f"{held.path.name}: {key} has {len(ids):,} ids, the labels have {examples:,}")
    if len(set(ids)) < len(ids):
        twice = next(name for place, name in enumerate(ids) if name in ids[:place])
        raise InputDataError(f"{held.path.name}: the id {twice!r} is there twice")
    return ids


def _require_same_ids(path: Path, ids: tuple[str, ...], label_ids: tuple[str, ...], labels: str) -> None:
    """Refuse labels of other examples, or in another order, where both files have ids."""
    if ids and label_ids and ids != label_ids:
        row = next(
            row for row, (mine, theirs) in enumerate(zip(ids, label_ids, strict=True)) if mine != theirs
        )
        raise InputDataError(
            f"{path.name} and {labels} are not in one order: row {row} has the id {ids[row]!r} here and "
            f"{label_ids[row]!r} there"
        )
