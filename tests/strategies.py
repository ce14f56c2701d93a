"""Random values of the project for property tests; no test lives here."""

from collections.abc import Sequence
from itertools import combinations, pairwise, product

import numpy as np
from hypothesis import strategies as st

from explorer.analysis.pool import Pool
from explorer.analysis.result import PoolSummary
from explorer.convention import Basis, CostAxis
from explorer.record import CostFigure
from explorer.spec import Candidate, Cascade, Exit, Member, Single, ensemble


def make_pool(
    select: np.ndarray,
    select_labels: Sequence[int] | np.ndarray,
    report: np.ndarray,
    report_labels: Sequence[int] | np.ndarray,
    costs: Sequence[float] | None = None,
    *,
    members: Sequence[Member] | None = None,
    axis: str = "macs",
    figures: Sequence[CostFigure] | None = None,
) -> Pool:
    """Return a pool of arrays: probabilities ``[member, example, class]`` are rounded to float16."""
    count = len(select)
    members = tuple(members or (Member(f"net{row:02d}", 8, 0) for row in range(count)))
    basis = Basis.MEASURED if axis.startswith("latency") else Basis.COUNTED
    if figures is None:
        figures = [CostFigure(value=c, low=c, high=c, basis=basis) for c in costs or range(1, count + 1)]
    return Pool(
        summary=PoolSummary(
            dataset="made-up",
            split_digest="0" * 64,
            recipe_id="quick-00000000",
            members=tuple(map(str, members)),
            select_examples=select.shape[1],
            report_examples=report.shape[1],
            classes=select.shape[2],
        ),
        axis=CostAxis.parse(axis),
        members=members,
        select=np.asarray(select, dtype=np.float16),
        select_labels=np.asarray(select_labels, dtype=np.int64),
        report=np.asarray(report, dtype=np.float16),
        report_labels=np.asarray(report_labels, dtype=np.int64),
        cost_figures=tuple(figures),
    )


def simulated_pool(
    *,
    models: int,
    seeds: int,
    select: int,
    report: int,
    classes: int = 10,
    seed: int = 0,
    axis: str = "macs",
) -> Pool:
    """Return a pool that behaves like networks of growing size: harder examples, shared mistakes."""
    rng = np.random.default_rng(seed)
    members = sorted(Member(f"net{model}", 8, s) for model in range(models) for s in range(seeds))
    splits = []
    for examples in (select, report):
        labels = rng.integers(0, classes, examples)
        hard = rng.normal(0, 1.6, (examples, classes))
        rows = []
        for member in members:
            skill = 2.0 + 0.9 * int(member.name[3:])
            logits = hard + rng.normal(0, 1.2, (examples, classes))
            logits[np.arange(examples), labels] += skill
            chance = np.exp(logits - logits.max(axis=1, keepdims=True))
            rows.append((chance / chance.sum(axis=1, keepdims=True)).astype(np.float16))
        splits += [np.stack(rows), labels]
    costs = [float(1000 * 3 ** int(member.name[3:]) + 7) for member in members]
    return make_pool(*splits, costs, members=members, axis=axis)


@st.composite
def probability_arrays(draw: st.DrawFn, *, members: int, examples: int, classes: int) -> np.ndarray:
    """Draw float16 ``[member, example, class]`` with few distinct values, so that ties abound.

    Rows need not sum to 1 exactly: stored ones do not either.
    """
    levels = draw(
        st.sampled_from(
            [
                (0.0, 0.25, 0.5, 1.0),
                (0.0, 2.0**-24, 0.3333, 0.3335, 0.5),
                (0.1, 0.2, 0.3, 0.4, 0.7),
                (2.0**-24, 2.0**-23, 3 * 2.0**-24, 0.5, 0.9995),
            ]
        )
    )
    size = members * examples * classes
    picks = draw(st.lists(st.integers(0, len(levels) - 1), min_size=size, max_size=size))
    return np.array([levels[p] for p in picks], dtype=np.float16).reshape(members, examples, classes)


@st.composite
def pools(draw: st.DrawFn, *, max_members: int = 4, max_examples: int = 7, axis: str = "macs") -> Pool:
    """Draw a small pool full of ties, in probabilities and in costs; costs are exact in binary."""
    count = draw(st.integers(1, max_members))
    classes = draw(st.integers(2, 4))
    sizes = draw(st.integers(1, max_examples)), draw(st.integers(1, max_examples))
    splits: list[np.ndarray] = []
    for examples in sizes:
        splits.append(draw(probability_arrays(members=count, examples=examples, classes=classes)))
        labels = st.lists(st.integers(0, classes - 1), min_size=examples, max_size=examples)
        splits.append(np.array(draw(labels), dtype=np.int64))
    costs = draw(st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, 7.0]), min_size=count, max_size=count))
    # seeds 2 and 10: text order is not the order of the members; "big" sorts before "mean(", "net1" after
    names = [Member("net1", 8, 10), Member("net1", 8, 2), Member("big", 16, 0), Member("net1-x2", 8, 0)]
    return make_pool(*splits, costs, members=sorted(names[:count]), axis=axis)


def every_design(pool: Pool, most: int) -> list[Candidate]:
    """Every set of up to ``most`` members, and every cascade from one member to one, at every cut."""
    sets = [s for n in range(1, most + 1) for s in combinations(pool.members, n)]
    designs: list[Candidate] = [ensemble(s) for s in sets]
    for first, second in product(pool.members, sets):
        sure = sorted({float(p) for p in pool.select[pool.members.index(first)].max(axis=1)})
        if second != (first,):
            # what holds the first stage's member runs the rest only, and averages
            rest = tuple(member for member in second if member != first)
            stages, joined = (Single(first), ensemble(rest)), (first in second,)
            designs += [Cascade(stages, (Exit((a + b) / 2),), joined) for a, b in pairwise(sure)]
    return designs
