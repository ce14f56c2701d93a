"""Search spaces whose sub-networks are rows of decisions, each decision one of a few options.

A `Choice` of such a space is a tuple of rows, a row a tuple of values. The first row may settle how many
decisions the others hold (a depth). Spelled out, a row is its word and one sign a decision (the position of
the option, in base 36): ``nasbench201-ops301243``.
"""

import itertools
import math
import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from zoo.registry import ZooError
from zoo.supernets.space import Choice, Piece, SearchSpace

_SIGNS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MOST_DRAWS = 100_000


@dataclass(frozen=True, slots=True)
class Row:
    """Decisions of one kind: each position has options, from the least costly to the most."""

    word: str
    """Starts the row in names: letters only."""
    options: tuple[tuple[Any, ...], ...]
    """Options of each position."""


def same(word: str, options: Sequence[Any], positions: int) -> Row:
    """Return a row whose positions all have the same ``options``."""
    return Row(word, (tuple(options),) * positions)


def part(make: Callable[..., nn.Module], *arguments: Any, shape: tuple[int, ...]) -> Piece:
    """Return the piece ``make(*arguments)`` on an input of ``shape``; the key holds all of them."""
    key = (make.__module__, make.__qualname__, *arguments, shape)
    return Piece(key, lambda: make(*arguments), (shape,))


class RowSpace(SearchSpace):
    """A space whose choices are rows; what a subclass adds is what the rows mean."""

    @abstractmethod
    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Return the rows of choices whose first row is ``lead``; of None, the first row alone."""

    @abstractmethod
    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Take a sub-network apart for images of ``in_channels`` and for ``num_classes``."""

    def refusal(self, choice: Choice) -> str:
        """Return why rows that hold only options are still no sub-network; empty where they are."""
        return ""

    @property
    def size(self) -> int:
        """How many different sub-networks there are, summed over first rows.

        Spaces with refusals, or with too many first rows to go through, count for themselves.
        """
        (lead,) = self.rows(None)
        return sum(
            math.prod(len(options) for row in self.rows(first)[1:] for options in row.options)
            for first in itertools.product(*lead.options)
        )

    def sample(self, rng: random.Random) -> Choice:
        """Draw each decision alike, the first row first; again where that is no sub-network."""
        for _ in range(_MOST_DRAWS):
            lead = _drawn(self.rows(None)[0], rng)
            choice = (lead, *(_drawn(row, rng) for row in self.rows(lead)[1:]))
            if not self.refusal(choice):
                return choice
        raise ZooError(f"no sub-network of {self.name} in {_MOST_DRAWS} draws")

    def smallest(self) -> Choice:
        """Return the sub-network of all first options."""
        return self._extreme(0)

    def largest(self) -> Choice:
        """Return the sub-network of all last options."""
        return self._extreme(-1)

    def _extreme(self, index: int) -> Choice:
        lead = tuple(options[index] for options in self.rows(None)[0].options)
        others = self.rows(lead)[1:]
        return (lead, *(tuple(options[index] for options in row.options) for row in others))

    def check(self, choice: Choice) -> None:
        """Raise `ZooError` where a row is missing, too long, or holds what is no option."""
        (first,) = self.rows(None)
        if not choice or not isinstance(choice[0], tuple):
            raise ZooError(f"a sub-network of {self.name} is rows; the first has {len(first.options)} values")
        _check_row(self.name, first, choice[0])
        rows = self.rows(choice[0])
        if len(choice) != len(rows):
            raise ZooError(f"a sub-network of {self.name} has {len(rows)} rows, got {len(choice)}")
        for row, values in zip(rows, choice, strict=True):
            _check_row(self.name, row, values)
        if reason := self.refusal(choice):
            raise ZooError(f"no sub-network of {self.name}: {reason}")

    def format(self, choice: Choice) -> str:
        """Return the published name, or the rows spelled out."""
        self.check(choice)
        for name, known in self.published.items():
            if known == choice:
                return name
        spelled = (_spelled(row, values) for row, values in zip(self.rows(choice[0]), choice, strict=True))
        return "-".join((self.name, *spelled))

    def parse(self, text: str) -> Choice | None:
        """Return the sub-network of a published name or of rows spelled out; None when it is neither.

        Raises:
            ZooError: it starts as names of this space do, but a row cannot be read.
        """
        text = text.lower()
        if text in self.published:
            return self.published[text]
        name, *words = text.split("-")
        if name != self.name:
            return None
        wanted = self.format(self.smallest())
        (first,) = self.rows(None)
        if not words:
            raise ZooError(f"{text!r} is the whole space; one of its sub-networks is {wanted}")
        lead = _read(first, words[0], text, wanted)
        rows = self.rows(lead)
        if len(words) != len(rows):
            raise ZooError(f"{text!r} has {len(words)} rows, {self.name} wants {len(rows)}: {wanted}")
        choice = tuple(_read(row, word, text, wanted) for row, word in zip(rows, words, strict=True))
        self.check(choice)
        return choice

    def mutate(self, choice: Choice, rng: random.Random, share: float = 0.1) -> Choice:
        """Return ``choice`` with about ``share`` of its decisions drawn anew; new positions are drawn."""
        self.check(choice)
        for _ in range(_MOST_DRAWS):
            (first,) = self.rows(None)
            lead = _redrawn(first, choice[0], rng, share)
            old = dict(zip((row.word for row in self.rows(choice[0])), choice, strict=True))
            rows = self.rows(lead)[1:]
            new = (lead, *(_redrawn(row, old[row.word], rng, share) for row in rows))
            if not self.refusal(new):
                return new
        raise ZooError(f"no sub-network of {self.name} near {choice} in {_MOST_DRAWS} draws")

    def pieces(self, choice: Choice) -> tuple[Piece, ...]:
        """Take a sub-network apart, in the order of the work."""
        self.check(choice)
        return self.parts(choice, self.channels, self.classes)

    def build(self, choice: Choice, *, in_channels: int = 3, num_classes: int | None = None) -> nn.Module:
        """Build a sub-network on its own: here its pieces, one after the other."""
        self.check(choice)
        classes = self.classes if num_classes is None else num_classes
        return nn.Sequential(*(piece.make() for piece in self.parts(choice, in_channels, classes)))


def _drawn(row: Row, rng: random.Random) -> tuple[Any, ...]:
    return tuple(rng.choice(options) for options in row.options)


def _redrawn(row: Row, old: tuple[Any, ...], rng: random.Random, share: float) -> tuple[Any, ...]:
    kept = itertools.chain(old, itertools.repeat(None))
    return tuple(
        rng.choice(options) if value not in options or rng.random() < share else value
        for options, value in zip(row.options, kept, strict=False)
    )


def _check_row(name: str, row: Row, values: object) -> None:
    if not isinstance(values, tuple) or len(values) != len(row.options):
        raise ZooError(f"row {row.word!r} of {name} has {len(row.options)} decisions, got {values!r}")
    for position, (options, value) in enumerate(zip(row.options, values, strict=True)):
        if value not in options:
            known = _listed(options)
            raise ZooError(f"decision {position} of row {row.word!r} of {name}: {value!r} is none of {known}")


def _listed(options: tuple[Any, ...]) -> str:
    shown = ", ".join(str(option) for option in options[:8])
    return shown if len(options) <= 8 else f"{shown}, ... ({len(options)} in all)"


def _signs(options: tuple[Any, ...]) -> int:
    """Return how many signs a position with these options takes."""
    return 1 if len(options) <= len(_SIGNS) else 2


def _spelled(row: Row, values: tuple[Any, ...]) -> str:
    text = row.word
    for options, value in zip(row.options, values, strict=True):
        index = options.index(value)
        text += _SIGNS[index] if _signs(options) == 1 else _SIGNS[index // 36] + _SIGNS[index % 36]
    return text


def _read(row: Row, word: str, text: str, wanted: str) -> tuple[Any, ...]:
    signs = word.removeprefix(row.word)
    widths = [_signs(options) for options in row.options]
    if not word.startswith(row.word) or len(signs) != sum(widths) or not set(signs) <= set(_SIGNS):
        raise ZooError(
            f"{word!r} in {text!r} is no row {row.word!r} of {sum(widths)} signs; names read like {wanted}"
        )
    values, at = [], 0
    for position, (options, width) in enumerate(zip(row.options, widths, strict=True)):
        index = int(signs[at : at + width], 36)
        at += width
        if index >= len(options):
            raise ZooError(
                f"decision {position} of {word!r} in {text!r} is option {index} of {len(options)}: "
                f"{_listed(options)}"
            )
        values.append(options[index])
    return tuple(values)
