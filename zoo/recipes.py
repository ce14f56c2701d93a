"""Training recipes: every setting that shapes the weights, as one frozen value with an id."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from zoo.registry import ZooError

ONECYCLE_START = 0.1
"""Share of the peak learning rate at which the ``onecycle`` schedule starts."""
ONECYCLE_RISE = 0.25
"""Share of the training after which ``onecycle`` reaches its peak."""
PRECISIONS = ("float32", "bfloat16")
SNAPSHOT_STRETCH = 2
"""Epochs of a cyclic run over those of the recipe it derives from, where the caller says none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How members are trained: SGD with momentum, one schedule, three augmentations.

    Weight decay acts on weights of convolutions and linear layers, not on biases and norms. Fields with a
    default came later: at their default they take no part in the id, so older ids stay what they were.
    """

    name: str
    epochs: int
    batch_size: int
    """Examples a step, at most; an epoch is cut into steps whose sizes differ by at most one."""
    learning_rate: float
    """Peak of the schedule."""
    momentum: float
    nesterov: bool
    weight_decay: float
    schedule: Literal["cosine", "onecycle"]
    """``cosine``: linear warm-up, then half a cosine to 0; ``onecycle``: linear up, linear to 0."""
    warmup_epochs: float
    """Of the ``cosine`` schedule."""
    label_smoothing: float
    crop_padding: int
    """Black pixels added on each side before a random crop back to size; 0 for no crop."""
    flip: bool
    """Whether half the images are mirrored left to right."""
    cutout: int
    """Side of a random black square in pixels (arXiv 1708.04552); 0 for none."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward pass in training, by autocast; weights, their steps and the loss stay float32."""
    base: str = ""
    """Id of the recipe this one derives from, whose members it may be compared with."""
    teacher: str = ""
    """Design whose averaged probabilities are the labels (soft labels only: MEAL V2, arXiv 2009.08453),
    as canonical text, members with their recipes; empty for the data set's labels."""
    cycles: int = 1
    """Times the rate falls from its peak to 0 (warm restarts, arXiv 1608.03983, equation 5 with equal
    periods; as in snapshot ensembles, arXiv 1704.00109, equation 2)."""
    snapshot: int = 0
    """Which cycle's end the network is taken from, 1 to ``cycles``; 0 for the end of the training."""
    trained: Literal["all", "norms"] = "all"
    """``norms``: only the scales and shifts of normalisation layers learn, all else stays as it was drawn
    (arXiv 2003.00152)."""
    sharpness: float = 0.0
    """Length of the step uphill before each gradient is taken, over all weights (rho of sharpness-aware
    minimisation, arXiv 2010.01412, equation 2); 0 for none. Each step then passes twice through the
    network."""
    mixup: float = 0.0
    """Alpha of the Beta distribution that shares of mixed pairs come from (arXiv 1710.09412); 0 for none."""
    drop_block: float = 0.0
    """Share of the features dropped in contiguous squares at the end of training, rising in a straight line
    from 0 (arXiv 1810.12890); 0 for none."""
    train_share: float = 1.0
    """Share of the training examples it learns from: of each class the first in a fixed order, the same ones
    for every seed, see `zoo.arrays.learned_positions`."""
    start: str = ""
    """Design whose members' weights the training starts from, or the merged ones are made of, as canonical
    text, members with their recipes; empty for weights drawn from the seed."""

    def __post_init__(self) -> None:
        problems = [
            (self.epochs < 1, f"epochs must be at least 1, got {self.epochs}"),
            (self.batch_size < 2, f"batch_size must be at least 2, got {self.batch_size}"),
            (not self.learning_rate > 0, f"learning_rate must be above 0, got {self.learning_rate}"),
            (not 0 <= self.momentum < 1, f"momentum must be in [0, 1), got {self.momentum}"),
            (self.nesterov and self.momentum == 0, "nesterov needs momentum above 0"),
            (not self.weight_decay >= 0, f"weight_decay must be at least 0, got {self.weight_decay}"),
            (
                self.schedule not in ("cosine", "onecycle"),
                f"unknown schedule {self.schedule!r}; known: cosine, onecycle",
            ),
            (not self.warmup_epochs >= 0, f"warmup_epochs must be at least 0, got {self.warmup_epochs}"),
            (
                not 0 <= self.label_smoothing < 1,
                f"label_smoothing must be in [0, 1), got {self.label_smoothing}",
            ),
            (self.crop_padding < 0, f"crop_padding must be at least 0, got {self.crop_padding}"),
            (self.cutout < 0, f"cutout must be at least 0, got {self.cutout}"),
            *self._problems_of_derived(),
            *self._problems_of_variants(),
        ]
        for wrong, message in problems:
            if wrong:
                raise ZooError(f"recipe {self.name!r}: {message}")

    def _problems_of_derived(self) -> list[tuple[bool, str]]:
        cyclic = self.cycles > 1
        return [
            (
                self.precision not in PRECISIONS,
                f"unknown precision {self.precision!r}; known: {', '.join(PRECISIONS)}",
            ),
            (self.cycles < 1, f"cycles must be at least 1, got {self.cycles}"),
            (
                cyclic and self.schedule != "cosine",
                f"{self.cycles} cycles need the schedule cosine, got {self.schedule}",
            ),
            (
                cyclic and self.warmup_epochs > 0,
                f"{self.cycles} cycles take no warm-up, got {self.warmup_epochs} epochs",
            ),
            (
                cyclic and self.epochs % self.cycles != 0,
                f"epochs must be a multiple of the {self.cycles} cycles, got {self.epochs}",
            ),
            (self.snapshot != 0 and not cyclic, f"snapshot {self.snapshot} needs at least 2 cycles, got 1"),
            (
                not 0 <= self.snapshot <= self.cycles,
                f"snapshot must be from 0 to {self.cycles}, the number of cycles, got {self.snapshot}",
            ),
            (
                bool(self.teacher) and cyclic,
                f"a teacher and {self.cycles} cycles of snapshots exclude each other",
            ),
            (
                bool(self.teacher) and self.label_smoothing > 0,
                f"a teacher's labels are soft already: label_smoothing must be 0, got {self.label_smoothing}",
            ),
        ]

    def _problems_of_variants(self) -> list[tuple[bool, str]]:
        return [
            (self.trained not in ("all", "norms"), f"unknown trained {self.trained!r}; known: all, norms"),
            (not self.sharpness >= 0, f"sharpness must be at least 0, got {self.sharpness}"),
            (not self.mixup >= 0, f"mixup must be at least 0, got {self.mixup}"),
            (not 0 <= self.drop_block < 1, f"drop_block must be in [0, 1), got {self.drop_block}"),
            (not 0 < self.train_share <= 1, f"train_share must be in (0, 1], got {self.train_share}"),
        ]

    def settings(self) -> dict[str, object]:
        """Return the settings by name, as plain JSON values; those with a default only where they differ."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.default is dataclasses.MISSING or getattr(self, field.name) != field.default
        }

    @property
    def id(self) -> str:
        """Name and 8 hexadecimal digits of the settings' SHA-256: two recipes never share one."""
        text = json.dumps(self.settings(), sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    @property
    def training_passes(self) -> int:
        """MACs of training on one example over those of a forward pass.

        Forward, gradients of activations, gradients of weights: 3. Where only norms learn, no convolution
        needs a gradient of its weights: 2. Sharpness-aware steps do all of it twice.
        """
        return (2 if self.trained == "norms" else 3) * (2 if self.sharpness else 1)

    @property
    def alone(self) -> bool:
        """Whether seeds cannot be trained side by side: a teacher, weights to start from, drawn masks."""
        return bool(self.teacher or self.start or self.drop_block)

    def with_epochs(self, epochs: int) -> "Recipe":
        """Return the recipe stretched or cut to ``epochs``: another recipe, with another id."""
        return dataclasses.replace(self, epochs=epochs)

    @property
    def base_id(self) -> str:
        """Id of the recipe this one derives from; its own id, where it derives from none."""
        return self.base or self.id

    @property
    def run(self) -> "Recipe":
        """The recipe of the training run this network comes from: one and the same for all its snapshots."""
        if self.snapshot == 0:
            return self
        return dataclasses.replace(self, name=f"snapshots{self.cycles}", snapshot=0)

    def variant(self, name: str) -> "Recipe":
        """Return this recipe with one thing changed, by the name of the change in `VARIANTS`.

        Raises:
            ZooError: no such variant; the message lists those that exist.
        """
        if name not in VARIANTS:
            raise ZooError(f"unknown variant {name!r} of recipe {self.name!r}; known: {', '.join(VARIANTS)}")
        return dataclasses.replace(self, name=name, base=self.base_id, **VARIANTS[name])  # type: ignore[arg-type]  # names of fields

    def started(self, name: str, start: str, **changes: Any) -> "Recipe":
        """Return the recipe that goes on from stored weights and learns the labels, for one cycle.

        Args:
            name: what to call it, e.g. ``finetuned``.
            start: canonical text of the design whose members' weights it starts from.
            changes: settings that differ besides.

        Raises:
            ZooError: an empty ``start``, or settings that cannot be.
        """
        if not start:
            raise ZooError(f"recipe {self.name!r}: starting from weights needs a design, got an empty text")
        single = {"teacher": "", "cycles": 1, "snapshot": 0}
        changed = {**single, "name": name, "base": self.base_id, "start": start, **changes}
        return dataclasses.replace(self, **changed)

    def distilled(self, teacher: str) -> "Recipe":
        """Return the recipe that trains on a teacher's probabilities instead of labels (arXiv 2009.08453).

        Args:
            teacher: canonical text of the teacher's design, members with their recipes.

        Raises:
            ZooError: an empty ``teacher``, or a recipe with cycles.
        """
        if not teacher:
            raise ZooError(f"recipe {self.name!r}: distilling needs a teacher's design, got an empty text")
        return dataclasses.replace(
            self, name="distilled", base=self.base_id, teacher=teacher, label_smoothing=0.0
        )

    def snapshots(self, cycles: int = 4, epochs: int | None = None) -> tuple["Recipe", ...]:
        """Return one recipe for each cycle's end of one cyclic training (arXiv 1704.00109).

        All share one `run`: training one of them makes the networks of all.

        Args:
            cycles: falls of the rate from its peak to 0, at least 2.
            epochs: of the whole run, a multiple of ``cycles``; None takes twice this recipe's, rounded up.

        Raises:
            ZooError: fewer than 2 cycles, epochs that are no multiple of them, or a recipe with a teacher.
        """
        if cycles < 2:
            raise ZooError(f"recipe {self.name!r}: snapshots need at least 2 cycles, got {cycles}")
        each = -(-SNAPSHOT_STRETCH * self.epochs // cycles)
        return tuple(
            dataclasses.replace(
                self,
                name=f"snapshot{number}of{cycles}",
                base=self.base_id,
                schedule="cosine",
                warmup_epochs=0.0,
                epochs=each * cycles if epochs is None else epochs,
                cycles=cycles,
                snapshot=number,
            )
            for number in range(1, cycles + 1)
        )


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Return the learning rate after the share ``progress`` in [0, 1) of the training."""
    if recipe.cycles > 1:
        progress = progress * recipe.cycles % 1.0
    if recipe.schedule == "onecycle":
        if progress < ONECYCLE_RISE:
            share = ONECYCLE_START + (1 - ONECYCLE_START) * progress / ONECYCLE_RISE
        else:
            share = (1 - progress) / (1 - ONECYCLE_RISE)
        return recipe.learning_rate * share
    # A warm-up longer than half the training would leave no room to descend.
    warmup = min(recipe.warmup_epochs / recipe.epochs, 0.5)
    if progress < warmup:
        return recipe.learning_rate * progress / warmup
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


_STANDARD = Recipe(
    name="standard",
    epochs=30,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="cosine",
    warmup_epochs=1.0,
    label_smoothing=0.0,
    crop_padding=4,
    flip=True,
    cutout=0,
)

_REFERENCE = dataclasses.replace(
    _STANDARD,
    name="reference",
    epochs=10,
    batch_size=64,
    learning_rate=0.05,
    schedule="onecycle",
    warmup_epochs=0.0,
    crop_padding=2,
)

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "standard": _STANDARD,
        "plain": dataclasses.replace(_STANDARD, name="plain", crop_padding=2, flip=False),
        "quick": Recipe(
            name="quick",
            epochs=10,
            batch_size=64,
            learning_rate=0.1,
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            schedule="onecycle",
            warmup_epochs=0.0,
            label_smoothing=0.0,
            crop_padding=1,
            flip=False,
            cutout=0,
        ),
        "reference": _REFERENCE,
        "tenth": dataclasses.replace(_REFERENCE, name="tenth", epochs=40, train_share=0.1),
        "fortieth": dataclasses.replace(_REFERENCE, name="fortieth", epochs=80, train_share=0.025),
        "cifar10": dataclasses.replace(_STANDARD, name="cifar10", epochs=60, precision="bfloat16"),
    }
)
"""``standard``: natural images, flip and crop. ``plain``: small crops only, for images that must not be
mirrored. ``quick``: 8x8 digits in seconds. ``reference``: the shipped study's, short enough for a CPU; half
the batch of ``standard`` makes up in steps for a third of its epochs. ``tenth`` and ``fortieth``: the same on
so much of the examples, each seen four and eight times as often: for so little data small networks are large.
``cifar10``: for a CUDA device; 60 epochs under a cosine, where the published protocol of wide ResNets takes
200 with steps down by 5 at 60, 120 and 160 (arXiv 1605.07146, section 3; batch, rate, momentum and decay are
the published ones)."""


VARIANTS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "batchnorm-only": {"trained": "norms"},
        "sam": {"sharpness": 0.05},
        "mixup": {"mixup": 0.2},
        "dropblock": {"drop_block": 0.1},
        "label-smoothing": {"label_smoothing": 0.1},
    }
)
"""Name of a variant -> settings in which it differs from the recipe it is a variant of, itself a recipe
``BASE+VARIANT``."""


def recipe(name: str, default: str = "standard") -> Recipe:
    """Return the recipe called ``name``: of `RECIPES`, or ``BASE+VARIANT``, or a variant of the default.

    Args:
        name: e.g. ``standard``, ``reference+sam``, ``sam``.
        default: name of the recipe that a variant is of where none is said.

    Raises:
        ZooError: no such recipe; the message lists those that exist.
    """
    base, variant = split_name(name, default)
    return RECIPES[base].variant(variant) if variant else RECIPES[base]


def split_name(name: str, default: str = "standard") -> tuple[str, str]:
    """Return the names of the recipe and of its variant, empty for none; see `recipe`.

    Raises:
        ZooError: no such recipe; the message lists those that exist.
    """
    base, _, variant = (default, "", name) if name in VARIANTS else name.partition("+")
    if base not in RECIPES or ("+" in name and variant not in VARIANTS):
        raise ZooError(
            f"unknown recipe {name!r}; known: {', '.join(RECIPES)}; variants, alone or after BASE+: "
            f"{', '.join(VARIANTS)}"
        )
    return base, variant
