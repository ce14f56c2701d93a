"""Search spaces whose sub-networks are a row of decisions, and a chain of parts.

What is decided stands in `Dimension` values: one number (the resolution), or as many blocks as the depth
says, each with a kernel, an expansion, a width. Size, drawing, names and checks follow from them. What a
sub-network is made of stands in `Part` values: it runs one after the other, so that the parts with the sizes
of their inputs are its pieces.
"""

import difflib
import itertools
import math
import random
import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torch import nn

from zoo.knobs import shortest
from zoo.published import Published
from zoo.registry import ZooError
from zoo.supernets.space import Choice, Piece, SearchSpace

Block = tuple[float, ...]
"""Values of a block's fields, in their order."""
Blocks = tuple[Block, ...]
"""What a choice holds for one dimension."""
SKIPPED = "skip"
"""How a dimension without a block is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One number that is chosen."""

    label: str
    """Letters before the number in names: ``k`` in ``k5``."""
    what: str
    """In words: ``kernel``."""
    values: tuple[float, ...]
    """Ascending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """Blocks in a row, each with the same fields; how many is chosen too."""

    what: str
    """In words: ``stage 1``."""
    fields: tuple[Field, ...]
    depths: tuple[int, ...] = (1,)
    """How many blocks there may be, ascending; ``(0, 1)`` is a block that may be skipped."""
    uniform_over_blocks: bool = False
    """Whether leaving the block out is drawn as often as each other option, as where skipping is an
    operator; else each depth is drawn as often."""

    @property
    def options(self) -> int:
        """How many different blocks there are."""
        return math.prod(len(one.values) for one in self.fields)

    @property
    def size(self) -> int:
        """How many different values the dimension has."""
        return sum(self.options**depth for depth in self.depths)

    def sample(self, rng: random.Random) -> Blocks:
        """Draw a depth, then each field of each block, uniformly."""
        weights = [self.options**depth for depth in self.depths] if self.uniform_over_blocks else None
        (depth,) = rng.choices(self.depths, weights)
        return tuple(self._block(rng) for _ in range(depth))

    def _block(self, rng: random.Random) -> Block:
        return tuple(rng.choice(one.values) for one in self.fields)

    def least(self) -> Blocks:
        """Return the fewest blocks with the least of each field."""
        return (tuple(one.values[0] for one in self.fields),) * self.depths[0]

    def most(self) -> Blocks:
        """Return the most blocks with the most of each field."""
        return (tuple(one.values[-1] for one in self.fields),) * self.depths[-1]

    def mutate(self, blocks: Blocks, rng: random.Random, share: float) -> Blocks:
        """Draw the depth and each field anew with probability ``share``; blocks that stay keep the rest."""
        depth = rng.choice(self.depths) if rng.random() < share else len(blocks)
        kept = tuple(
            tuple(
                rng.choice(one.values) if rng.random() < share else value
                for one, value in zip(self.fields, block, strict=True)
            )
            for block in blocks[:depth]
        )
        return kept + tuple(self._block(rng) for _ in range(depth - len(kept)))

    def format(self, blocks: Blocks) -> str:
        """Write blocks as ``k3e6+k5e4``."""
        words = (
            "".join(f"{one.label}{shortest(value)}" for one, value in zip(self.fields, block, strict=True))
            for block in blocks
        )
        return "+".join(words) if blocks else SKIPPED

    def parse(self, text: str) -> Blocks:
        """Read what `format` writes; whether the values exist is for `check` to say.

        Raises:
            ZooError: the text is not of that form.
        """
        if text == SKIPPED:
            return ()
        pattern = re.compile("".join(rf"{re.escape(one.label)}([0-9]+(?:\.[0-9]+)?)" for one in self.fields))
        matches = [pattern.fullmatch(word) for word in text.split("+")]
        if not all(matches):
            raise ZooError(f"{text!r} is no {self.what}; wanted e.g. {self.format(self.least())}")
        return tuple(tuple(_number(n) for n in match.groups()) for match in matches if match)

    def check(self, blocks: object) -> None:
        """Raise `ZooError` where ``blocks`` is no value of this dimension."""
        if not isinstance(blocks, tuple) or not all(
            isinstance(block, tuple) and len(block) == len(self.fields) for block in blocks
        ):
            raise ZooError(f"{self.what} is written {self.format(self.least())}, got {blocks!r}")
        if len(blocks) not in self.depths:
            raise ZooError(f"{self.what} has {_listed(self.depths)} blocks, got {len(blocks)}")
        for block in blocks:
            for one, value in zip(self.fields, block, strict=True):
                if value not in one.values:
                    raise ZooError(f"{one.what} of {self.what} is {_listed(one.values)}, got {value!r}")

    def text(self) -> str:
        """Tell what is decided, in one line."""
        depth = "" if self.depths == (1,) else f"{_listed(self.depths)} blocks, each with "
        chosen = (f"{one.what} {_listed(one.values)}" for one in self.fields if len(one.values) > 1)
        fixed = (f"{one.what} {shortest(one.values[0])}" for one in self.fields if len(one.values) == 1)
        return f"{self.what}: {depth}{', '.join((*chosen, *fixed))}"


def _number(text: str) -> float:
    return float(text) if "." in text else int(text)


def _listed(values: Iterable[float]) -> str:
    """Write ``3, 4 or 6``; a long even row as ``128 to 224 in steps of 4``."""
    numbers = tuple(values)
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    if len(numbers) > 4 and len(steps) == 1:
        return f"{shortest(numbers[0])} to {shortest(numbers[-1])} in steps of {shortest(steps.pop())}"
    *most, last = (shortest(number) for number in numbers)
    return f"{', '.join(most)} or {last}" if most else last


@runtime_checkable
class Part(Protocol):
    """One module of a chain, as a frozen value: equal parts cost the same at equal inputs."""

    @property
    def in_channels(self) -> int:
        """Channels that come in."""
        ...

    def side_out(self, side: int) -> int:
        """Return the pixels a side that go out where ``side`` come in."""
        ...

    def make(self) -> nn.Module:
        """Build it, untrained."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ElasticSpace(SearchSpace):
    """A space of decisions in a row, the resolution first. Subclasses say which parts a choice means."""

    name: str
    summary: str
    source: str
    systems: tuple[str, ...]
    dimensions: tuple[Dimension, ...]
    """The first decides the resolution."""
    known: Mapping[str, Choice] = field(default_factory=dict)
    """Published name -> sub-network."""
    rows: tuple[Published, ...] = ()
    """What was published of them."""

    def __post_init__(self) -> None:
        for choice in self.known.values():
            self.check(choice)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ElasticSpace) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    @abstractmethod
    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Part, ...]:
        """Return what runs one after the other in ``choice``, from images to logits."""

    @property
    def published(self) -> Mapping[str, Choice]:
        """Published sub-networks by name."""
        return self.known

    @property
    def figures(self) -> tuple[Published, ...]:
        """What was published of sub-networks: cost and accuracy."""
        return self.rows

    @property
    def size(self) -> int:
        """How many different sub-networks there are, resolutions included, exactly."""
        return math.prod(one.size for one in self.dimensions)

    @property
    def architectures(self) -> int:
        """How many there are when resolutions are not told apart."""
        return math.prod(one.size for one in self.dimensions[1:])

    @property
    def decisions(self) -> tuple[str, ...]:
        """What is decided, one line each."""
        return tuple(one.text() for one in self.dimensions)

    def sample(self, rng: random.Random) -> Choice:
        """Draw each decision uniformly, with ``rng``."""
        return tuple(one.sample(rng) for one in self.dimensions)

    def smallest(self) -> Choice:
        """Return the sub-network with the least of everything."""
        return tuple(one.least() for one in self.dimensions)

    def largest(self) -> Choice:
        """Return the sub-network with the most of everything."""
        return tuple(one.most() for one in self.dimensions)

    def mutate(self, choice: Choice, rng: random.Random, share: float = 0.1) -> Choice:
        """Return ``choice`` with about ``share`` of its decisions drawn anew."""
        return tuple(
            one.mutate(blocks, rng, share) for one, blocks in zip(self.dimensions, choice, strict=True)
        )

    def check(self, choice: Choice) -> None:
        """Raise `ZooError` where ``choice`` is not in the space, saying what is."""
        if len(choice) != len(self.dimensions):
            raise ZooError(
                f"a sub-network of {self.name} has {len(self.dimensions)} decisions, got {len(choice)}"
            )
        for one, blocks in zip(self.dimensions, choice, strict=True):
            one.check(blocks)

    def resolution(self, choice: Choice) -> int:
        """Return the pixels a side at which ``choice`` sees images."""
        return int(choice[0][0][0])

    def pieces(self, choice: Choice) -> tuple[Piece, ...]:
        """Take a sub-network apart, in the order of the work."""
        side, found = self.resolution(choice), []
        for part in self.parts(choice, self.channels, self.classes):
            found.append(Piece(key=(part, side), make=part.make, inputs=((part.in_channels, side, side),)))
            side = part.side_out(side)
        return tuple(found)

    def build(self, choice: Choice, *, in_channels: int = 3, num_classes: int | None = None) -> nn.Module:
        """Build a sub-network on its own; it runs at any resolution."""
        self.check(choice)
        parts = self.parts(choice, in_channels, self.classes if num_classes is None else num_classes)
        return nn.Sequential(*(part.make() for part in parts))

    def format(self, choice: Choice) -> str:
        """Return the published name of a sub-network, else the one that spells out its decisions."""
        for name, known in self.known.items():
            if known == choice:
                return name
        words = (one.format(blocks) for one, blocks in zip(self.dimensions, choice, strict=True))
        return "-".join((self.name, *words))

    def parse(self, text: str) -> Choice | None:
        """Return the sub-network that ``text`` names; None when it is no text of this space.

        Raises:
            ZooError: it is of this space but names no sub-network of it.
        """
        text = text.lower()
        if text in self.known:
            return self.known[text]
        if text == self.name:
            raise ZooError(
                f"{text} is a space of {self.size} sub-networks: name one, e.g. "
                f"{self.format(self.smallest())} or {self.format(self.largest())}"
            )
        if not text.startswith(f"{self.name}-"):
            return None
        words = text.split("-")[1:]
        if len(words) != len(self.dimensions):
            near = difflib.get_close_matches(text, self.known, n=3, cutoff=0.75)
            hint = f"did you mean {', '.join(near)}? " if near else ""
            raise ZooError(
                f"{text!r} names no sub-network of {self.name}: {hint}wanted {len(self.dimensions)} "
                f"decisions after the name, got {len(words)}; e.g. {self.format(self.smallest())}"
            )
        choice = tuple(one.parse(word) for one, word in zip(self.dimensions, words, strict=True))
        self.check(choice)
        return choice


def resolution_dimension(values: Iterable[int]) -> Dimension:
    """Return the first dimension of every space."""
    return Dimension(
        what="resolution", fields=(Field(label="r", what="pixels a side", values=tuple(values)),)
    )
