"""The studies, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from explorer.errors import unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """Students that learn the mean probabilities of a study's own networks."""

    students: tuple[str, ...]
    """Models."""
    seeds: tuple[int, ...]
    teacher: str
    """Model of the teacher's members."""
    teacher_seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """Runs whose learning rate falls several times; the network at the end of each fall is a member."""

    models: tuple[str, ...]
    seeds: tuple[int, ...]
    cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InnerEnsembles:
    """Networks that hold several members: the model's name says which (``wrn10-0.5+mimo2``)."""

    models: tuple[str, ...]
    seeds: tuple[int, ...]


Arm = Distilled | Snapshots | InnerEnsembles


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Somebody else's accuracy of a network of the study."""

    model: str
    accuracy: float
    """Top-1 on the publisher's test set, in [0, 1]."""
    source: str
    note: str
    """What differs from this study's training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One study: every model with every seed, and the arms beside them."""

    name: str
    summary: str
    """One line."""
    dataset: str
    recipe: str
    """A recipe's name."""
    models: tuple[str, ...]
    """The scales; each is trained with every seed."""
    seeds: tuple[int, ...]
    """Unless other seeds are asked for."""
    arms: tuple[Arm, ...] = ()
    published: tuple[Published, ...] = ()


def _all(pattern: str, *knobs: str) -> tuple[str, ...]:
    return tuple(pattern.format(knob) for knob in knobs)


_WIDE = _all("wrn10-{}", "0.125", "0.25", "0.5", "1", "2")

_DEFINED = (
    Study(
        name="digits-scaling",
        summary="three tiny networks and a distilled one on handwritten digits: a first try, seconds long",
        dataset="digits",
        recipe="quick",
        models=("mlp16x1", *_all("wrn10-{}", "0.125", "0.25")),
        seeds=(0, 1),
        arms=(Distilled(students=("wrn10-0.125",), seeds=(0,), teacher="wrn10-0.25", teacher_seeds=(0, 1)),),
    ),
    Study(
        name="fashion-mnist-scaling",
        summary="wide ResNets and mobile networks of 0.3 to 30 M MACs on Fashion-MNIST: hours on two cores",
        dataset="fashion-mnist",
        recipe="reference",
        models=(
            *_WIDE,
            *_all("mobile-x{}", "0.0625", "0.125", "0.25", "0.5"),
        ),
        seeds=(0, 1, 2, 3, 4),
        arms=(
            Distilled(
                students=_all("wrn10-{}", "0.25", "0.5"),
                seeds=(0, 1, 2),
                teacher="wrn10-1",
                teacher_seeds=(0, 1, 2, 3, 4),
            ),
            Snapshots(models=("wrn10-0.5",), seeds=(0, 1), cycles=4),
            InnerEnsembles(models=_all("wrn10-0.5+{}", "mimo2", "batch4", "packed4", "trunk4"), seeds=(0, 1)),
        ),
    ),
    *(
        Study(
            name=f"fashion-mnist-{share}",
            summary=f"the wide ResNets on a {share} of the examples: are they large for their data? {time}",
            dataset="fashion-mnist",
            recipe=share,
            models=_WIDE,
            seeds=(0, 1, 2, 3, 4),
        )
        for share, time in (("tenth", "40 minutes on two cores"), ("fortieth", "20 minutes on two cores"))
    ),
    Study(
        name="cifar10-scaling",
        summary="wide ResNets and mobile networks on CIFAR-10, as in the founding paper: for a CUDA device",
        dataset="cifar10",
        recipe="cifar10",
        models=(
            *_all("wrn16-{}", "1", "2", "4", "8"),
            *_all("wrn28-{}", "2", "4", "10"),
            *_all("mobile-x{}", "0.5", "1", "2", "4", "8"),
        ),
        seeds=(0, 1, 2, 3, 4),
        published=(
            Published(
                model="wrn28-10",
                accuracy=0.960,
                source="google/uncertainty-baselines, baselines/cifar/README.md",
                note="a single network",
            ),
            Published(
                model="wrn28-10",
                accuracy=0.9761,
                source="osmr/imgclsmob, gluon/README.md (error 2.39 %)",
                note="a stronger recipe than that of the original paper",
            ),
        ),
    ),
)

STUDIES: Mapping[str, Study] = MappingProxyType({defined.name: defined for defined in _DEFINED})
"""Name -> study."""


def study(name: str) -> Study:
    """Return the study called ``name``.

    Raises:
        UsageError: no such study; the message lists those that exist.
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    return STUDIES[name]
