"""A search space as a value: its sub-networks can be drawn, named, built, and taken apart into pieces.

A sub-network is a `Choice`, a plain tuple of numbers and tuples. What it costs is the sum over its pieces:
parts whose cost depends on nothing but their key, so that whoever counts needs to build each distinct piece
once, whatever the number of sub-networks. That the sum is the whole network's cost is tested for each space.
"""

import difflib
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from zoo.published import Published
from zoo.registry import IMAGENET_CLASSES, Family, ZooError

Choice = tuple[Any, ...]
"""One sub-network: numbers, words and tuples of them; what they mean is the space's own."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a sub-network that can be counted on its own."""

    key: tuple[Any, ...]
    """What its cost depends on: kind, channels, kernel, stride, size of the input. Equal keys, equal cost."""
    make: Callable[[], nn.Module] = field(compare=False)
    """Build it."""
    inputs: tuple[tuple[int, ...], ...]
    """Shapes of its inputs without the example axis, e.g. ``((3, 224, 224),)``."""


class SearchSpace(ABC):
    """All sub-networks of one supernet. Subclasses are frozen: two of the same name are equal."""

    name: str
    """Short, lower-case, without a dash: it starts the names of its sub-networks."""
    summary: str
    """One line: what it is and where it comes from."""
    source: str
    """Paper and table, or repository and file, that the space was read from."""
    systems: tuple[str, ...]
    """Keys of the catalogue's systems that search this space."""
    classes: int = IMAGENET_CLASSES
    channels: int = 3

    @property
    @abstractmethod
    def published(self) -> Mapping[str, Choice]:
        """Published sub-networks by name, e.g. ``attentivenas-a0``."""

    @property
    def figures(self) -> tuple[Published, ...]:
        """What was published of sub-networks: cost and accuracy."""
        return ()

    @property
    @abstractmethod
    def size(self) -> int:
        """How many different sub-networks there are, resolutions included, exactly."""

    @property
    def architectures(self) -> int | None:
        """How many there are when resolutions are not told apart; None where the space does not say."""
        return None

    @property
    def decisions(self) -> tuple[str, ...]:
        """What is decided, one line each; empty where the space does not say."""
        return ()

    @abstractmethod
    def sample(self, rng: random.Random) -> Choice:
        """Draw a sub-network as the paper does (usually each choice uniform), with ``rng``."""

    @abstractmethod
    def smallest(self) -> Choice:
        """Return the sub-network with the least of everything."""

    @abstractmethod
    def largest(self) -> Choice:
        """Return the sub-network with the most of everything."""

    @abstractmethod
    def check(self, choice: Choice) -> None:
        """Raise `ZooError` where ``choice`` is not in the space, saying what is."""

    @abstractmethod
    def resolution(self, choice: Choice) -> int:
        """Return the pixels a side at which ``choice`` sees images."""

    @abstractmethod
    def pieces(self, choice: Choice) -> tuple[Piece, ...]:
        """Take a sub-network apart, in the order of the work; a piece that occurs twice stands twice."""

    @abstractmethod
    def build(self, choice: Choice, *, in_channels: int = 3, num_classes: int | None = None) -> nn.Module:
        """Build a sub-network on its own: images ``[example, channel, height, width]`` to logits."""

    @abstractmethod
    def format(self, choice: Choice) -> str:
        """Return the one spelling of a sub-network: ``NAME-...`` of letters, digits, ``_ . +``."""

    @abstractmethod
    def parse(self, text: str) -> Choice | None:
        """Return the sub-network that ``text`` names (published names too); None when it is no such text.

        Raises:
            ZooError: it is of this space but names no sub-network of it.
        """

    def mutate(self, choice: Choice, rng: random.Random, share: float = 0.1) -> Choice:
        """Return ``choice`` with about ``share`` of its decisions drawn anew.

        Raises:
            ZooError: this space has no finer way than drawing anew.
        """
        raise ZooError(f"sub-networks of {self.name} are drawn whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnetwork:
    """One sub-network by name: the config of a space's family."""

    subnetwork: str
    """Published, or spelled out; always the space's own spelling."""


def as_family(space: SearchSpace) -> Family:
    """Make a space a family of the registry: its sub-networks count, profile and train by name."""

    def chosen(config: Subnetwork) -> Choice:
        choice = space.parse(config.subnetwork)
        if choice is None:
            raise ZooError(f"{config.subnetwork!r} is no sub-network of {space.name}")
        return choice

    def configure(subnetwork: str) -> Subnetwork:
        return Subnetwork(subnetwork=space.format(chosen(Subnetwork(subnetwork=subnetwork))))

    def parse(text: str) -> Subnetwork | None:
        choice = space.parse(text)
        return None if choice is None else Subnetwork(subnetwork=space.format(choice))

    def build(config: Subnetwork, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
        return space.build(chosen(config), in_channels=in_channels, num_classes=num_classes)

    return Family(
        name=space.name,
        summary=space.summary,
        example=next(iter(space.published), space.format(space.smallest())),
        pattern_help=f"sub-networks of {space.name}, e.g. {space.format(space.smallest())}",
        knobs={"subnetwork": "its name, published or spelled out"},
        parse=parse,
        configure=configure,
        build=build,
        format=lambda config: config.subnetwork,
        default_resolution=lambda config, native: space.resolution(chosen(config)),
        near=lambda text: tuple(difflib.get_close_matches(text.lower(), space.published, n=3, cutoff=0.75)),
        systems=space.systems,
        variants={name: Subnetwork(subnetwork=name) for name in space.published},
        published=space.figures,
        classes=space.classes,
        channels=space.channels,
    )
