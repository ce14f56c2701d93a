"""Seeds as repeats: means over ensembles of one model's seeds, and intervals over examples and seeds.

Two things could have been drawn otherwise: the examples and the seeds. `Resampling` draws both again. An
example is drawn with replacement as often as there are examples, the same draw for every model, so that
differences are paired. Seeds are too few to be drawn like that: of two of them a bootstrap knows two
values. So what each seed adds to ensembles of n is worked out (`seed_effects`, the first term of Hoeffding's
decomposition), and a draw moves the mean as Student's t with s - 1 degrees of freedom says for s seeds
(`Resampling.seed_moves`). Equally good seeds err on different examples and so come out apart: the draws of
examples hold that already, and the effects are shrunk by it. With one seed nothing is known of seeds, and
nothing of it is in the interval.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from explorer.analysis.bootstrap import LEVEL
from explorer.analysis.pool import Pool
from explorer.analysis.result import Interval
from explorer.analysis.scoring.score import candidate_decisions
from explorer.analysis.scoring.tables import answer_table, right_everywhere
from explorer.errors import UsageError
from explorer.spec import Averaging, ModelSpec, Single

LARGEST = 5
"""Members of the largest ensemble of one model that is looked at."""
DRAWS = 2_000
_SEED = 20005
_FAMILY = re.compile(r"(?:timm:)?[a-z]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """One model of a pool and its seeds."""

    model: ModelSpec
    recipe: str
    """Empty: the pool's own recipe."""
    rows: tuple[int, ...]
    """Of its members in the pool, by seed."""
    cost: float
    """Of one member, in the unit of the pool's axis."""

    @property
    def family(self) -> str:
        """The leading letters of the model's name."""
        return family(self.model.name)

    @property
    def key(self) -> str:
        """Text that names this model under this recipe."""
        return f"{self.model}~{self.recipe}" if self.recipe else str(self.model)


def family(name: str) -> str:
    """Return what scales of one family share: the leading letters of a model's name.

    >>> family("wrn10-0.5"), family("mobile-x0.25"), family("timm:resnet18")
    ('wrn', 'mobile', 'timm:resnet')
    """
    found = _FAMILY.match(name)
    return found[0] if found else name


def grouped(pool: Pool) -> tuple[Scale, ...]:
    """Return every model of a pool under each of its recipes, cheapest first."""
    rows: dict[tuple[ModelSpec, str], list[int]] = {}
    for row, member in enumerate(pool.members):
        rows.setdefault((member.model, member.recipe), []).append(row)
    found = [
        Scale(model=model, recipe=recipe, rows=tuple(of), cost=float(pool.costs[of].mean()))
        for (model, recipe), of in rows.items()
    ]
    return tuple(sorted(found, key=lambda scale: (scale.cost, scale.key)))


def scales(pool: Pool) -> tuple[Scale, ...]:
    """Return the plain models of a pool: its own recipe, no ensemble inside the network; cheapest first."""
    return tuple(s for s in grouped(pool) if not s.recipe and "+" not in s.model.name)


def families(found: Sequence[Scale]) -> dict[str, tuple[Scale, ...]]:
    """Return the scales of each family that has two or more, in the order given."""
    names = dict.fromkeys(scale.family for scale in found)
    several = {name: tuple(s for s in found if s.family == name) for name in sorted(names)}
    return {name: members for name, members in several.items() if len(members) > 1}


def one_seed_note(found: Iterable[Scale]) -> tuple[str, ...]:
    """Return the note on those of ``found`` that have one seed; empty where all have more."""
    alone = dict.fromkeys(
        f"{scale.model} ({scale.recipe.rpartition('-')[0]})" if scale.recipe else str(scale.model)
        for scale in found
        if len(scale.rows) == 1
    )
    if not alone:
        return ()
    return (f"one seed, whose luck is in no interval: {', '.join(alone)}",)


def seed_sets(seeds: int, largest: int = LARGEST) -> np.ndarray:
    """Return all sets of 1 to ``largest`` of ``seeds`` seeds, int32 ``[set, slot]``, padded with -1."""
    largest = min(largest, seeds)
    sets = [chosen for n in range(1, largest + 1) for chosen in combinations(range(seeds), n)]
    padded = np.full((len(sets), largest), -1, dtype=np.int32)
    for place, chosen in enumerate(sets):
        padded[place, : len(chosen)] = chosen
    return padded


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeedValues:
    """One figure (1 for a right answer, a loss) of every set of one model's seeds on every example."""

    key: str
    """Names the model: figures with one key share their draws of seeds."""
    seeds: int
    sets: np.ndarray
    """int32 ``[set, slot]``, padded with -1: all sets of 1, 2, ... seeds, see `seed_sets`."""
    values: np.ndarray
    """float32 ``[set, example]``"""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Members of the ensembles that there are figures of."""
        return tuple(range(1, self.sets.shape[1] + 1))

    def of_size(self, size: int) -> np.ndarray:
        """Return the indices of the sets of ``size`` seeds, int64 ``[set]``."""
        return np.flatnonzero((self.sets >= 0).sum(axis=1) == size)

    def mean(self, size: int) -> float:
        """Return the mean over examples and over all sets of ``size`` seeds."""
        return float(self.values[self.of_size(size)].mean(dtype=np.float64))


def right_answers(pool: Pool, scale: Scale, split: str, *, largest: int = LARGEST) -> SeedValues:
    """Return which examples of a split each set of a model's seeds answers right, averaged as ``mean``.

    Raises:
        UsageError: no such split.
    """
    probabilities, labels = pool.arrays(split)
    sets = seed_sets(len(scale.rows), largest)
    table = answer_table(probabilities[list(scale.rows)], labels, Averaging.MEAN)
    right = right_everywhere(table, sets).astype(np.float32)
    return SeedValues(key=scale.key, seeds=len(scale.rows), sets=sets, values=right)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A figure with what it would have been under other draws; differences of two stay paired."""

    value: float
    draws: np.ndarray
    """float64 ``[draw]``"""
    n: int
    """Examples."""

    def __sub__(self, other: "Estimate") -> "Estimate":
        return Estimate(value=self.value - other.value, draws=self.draws - other.draws, n=self.n)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> "Estimate":
        """Return a function of this figure, taken draw by draw."""
        value = float(function(np.array([self.value]))[0])
        return Estimate(value=value, draws=function(self.draws), n=self.n)

    def interval(self) -> Interval:
        """Return the value with its 95 % percentile interval."""
        low, high = percentiles(self.draws)
        return Interval(value=self.value, low=low, high=high, n=self.n, method="bootstrap")


def percentiles(draws: np.ndarray) -> tuple[float, float]:
    """Return the ends of the middle 95 % of ``draws`` ``[draw]``; infinite draws count as such."""
    tail = (1 - LEVEL) / 2
    # no interpolation: between a finite and an infinite draw there is no number
    low, high = np.quantile(draws, [tail, 1 - tail], method="closest_observation")
    return float(low), float(high)


class Resampling:
    """Draws of examples and seeds that all figures of one question share; see the module."""

    def __init__(self, examples: int, *, draws: int = DRAWS, over_seeds: bool = True) -> None:
        if examples < 1 or draws < 1:
            raise UsageError(f"resampling needs examples and draws, got {examples} and {draws}")
        random = np.random.default_rng(_SEED)
        self.examples = examples
        self.draws = draws
        self._over_seeds = over_seeds
        self._counts = np.empty((examples, draws), dtype=np.float32)
        for draw in range(draws):
            drawn = random.integers(0, examples, examples)
            self._counts[:, draw] = np.bincount(drawn, minlength=examples)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over the drawn examples of ``values`` ``[row, example]``: ``[row, draw]``."""
        return (np.asarray(values, dtype=np.float32) @ self._counts).astype(np.float64) / self.examples

    def seed_shares(self, key: str, seeds: int) -> np.ndarray:
        """Return each seed's share of a draw, float64 ``[draw, seed]``; one key, one set of draws.

        Of s seeds s - 1 are drawn with replacement, which gives a mean over seeds the variance of its usual
        standard error (McCarthy and Snowden 1985, Vital and Health Statistics 2:95). For figures that are
        no means; of means see `seed_moves`.
        """
        if not self._over_seeds or seeds == 1:
            return np.full((self.draws, seeds), 1 / seeds)
        random = self._of(key)
        even = np.full(seeds, 1 / seeds)
        return random.multinomial(seeds - 1, even, size=self.draws) / (seeds - 1)

    def seed_moves(self, key: str, seeds: int) -> np.ndarray:
        """Return by how much of each seed's effect a draw is off, float64 ``[draw, seed]``; one key, one set.

        Times the seeds' distances from their mean, and summed, a draw is their standard error times
        Student's t with s - 1 degrees of freedom: what other seeds would have moved the mean by, seen that
        the scatter of s seeds is itself an estimate. Zero for one seed.
        """
        if not self._over_seeds or seeds == 1:
            return np.zeros((self.draws, seeds))
        random, freedom = self._of(key), seeds - 1
        normal = random.standard_normal((self.draws, seeds))
        normal -= normal.mean(axis=1, keepdims=True)
        scatter = np.sqrt(random.chisquare(freedom, (self.draws, 1)) / freedom)
        return normal / scatter / np.sqrt(seeds * freedom)

    def _of(self, key: str) -> np.random.Generator:
        return np.random.default_rng([_SEED, zlib.crc32(key.encode())])

    def estimate(self, found: SeedValues, size: int) -> Estimate:
        """Return the mean figure of ensembles of ``size`` seeds, and its draws.

        Raises:
            UsageError: there are fewer seeds.
        """
        if size not in found.sizes:
            raise UsageError(f"{found.key} has {found.seeds} seeds; no ensemble of {size}")
        value = found.mean(size)
        draws = self.means(found.values[found.of_size(size)]).mean(axis=0)
        if self._over_seeds and found.seeds > 1:
            draws = draws + size * (self.seed_moves(found.key, found.seeds) @ seed_effects(found, size))
        return Estimate(value=value, draws=draws, n=self.examples)

    def estimates(self, found: SeedValues) -> dict[int, Estimate]:
        """Return the estimate of every size, see `estimate`."""
        return {size: self.estimate(found, size) for size in found.sizes}


def seed_effects(found: SeedValues, size: int) -> np.ndarray:
    """Return what each seed adds to ensembles of ``size``, float64 ``[seed]``, zero on average.

    The mean over sets that hold the seed minus the mean over those that do not, times (s - 1) / s for s
    seeds: for one member, its distance from the mean. Where every seed is in the ensemble there is
    nothing to compare; the effect is then that in ensembles of one fewer, diluted by one more member.

    Of the effects' sum of squares, what their scatter over examples explains is taken out, down to zero:
    the rule of `explorer.analysis.statistics.luck.spread`, by the same analysis of variance.
    """
    seeds = found.seeds
    compared = min(size, seeds - 1)
    rows = found.of_size(compared)
    holds = (found.sets[rows, :, None] == np.arange(seeds)).any(axis=1).T
    weights = holds / holds.sum(axis=1, keepdims=True) - ~holds / (~holds).sum(axis=1, keepdims=True)
    each = (weights.astype(np.float32) @ found.values[rows]).astype(np.float64)
    effects, examples = each.mean(axis=1), each.shape[1]
    squares = float((effects**2).sum())
    if examples < 2 or squares == 0:
        return np.zeros(seeds)
    noise = float(each.var(axis=1, ddof=1).sum()) / examples
    kept = np.sqrt(max(0.0, 1 - noise / squares))
    return effects * kept * (seeds - 1) / seeds * compared / size


def seed_deviation(pool: Pool, *, split: str = "report") -> float:
    """Return the standard deviation over seeds of one model's accuracy, pooled over all models.

    By degrees of freedom: the root of all squared distances from the models' means over seeds less models.

    Raises:
        UsageError: no model has two seeds, or no such split.
    """
    labels = pool.arrays(split)[1]
    answers = (candidate_decisions(pool, Single(member), split)[0] for member in pool.members)
    accuracy = np.array([np.mean(decisions == labels) for decisions in answers])
    groups = [accuracy[list(scale.rows)] for scale in grouped(pool) if len(scale.rows) > 1]
    if not groups:
        raise UsageError("no model of this pool has two seeds: how far seeds scatter is not known")
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return float((squares / sum(len(group) - 1 for group in groups)) ** 0.5)
