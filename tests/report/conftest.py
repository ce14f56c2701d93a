"""Hand-made results: a front, an advice and evidence whose numbers are easy to follow."""

from collections.abc import Callable

import pytest

from explorer.analysis.result import (
    Advice,
    Comparison,
    Crossover,
    Front,
    Interval,
    Point,
    PoolSummary,
    ScaleCurve,
    SearchedDesign,
    Verdict,
)
from explorer.convention import Basis, CostAxis
from explorer.question import Budget
from explorer.record import CostFigure, CostRecord, MemberRecord, TrainingRecord
from explorer.report.evidence import Evidence, Provenance
from explorer.spec import CandidateKind, Member, ModelSpec, parse_design

MACS = {"wrn10-0.25": 71_300, "wrn10-0.5": 263_000, "wrn10-1": 1_010_000, "wrn10-2": 3_970_000}
EXAMPLES = 539
MEMBERS = tuple(Member(name, 8, seed, "quick-1234abcd") for name in MACS for seed in range(3))


def interval(value: float, half: float = 0.013, n: int = EXAMPLES) -> Interval:
    return Interval(value=value, low=value - half, high=min(value + half, 1.0), n=n, method="bootstrap")


def point(
    text: str,
    accuracy: float,
    cost: float,
    *,
    select: float | None = None,
    reached: tuple[float, ...] = (1.0,),
) -> Point:
    design = parse_design(text)
    spread = 0.06 * cost if len(reached) > 1 else 0.0
    return Point(
        design=design,
        select_accuracy=accuracy + 0.004 if select is None else select,
        select_cost=cost,
        accuracy=interval(accuracy),
        cost=CostFigure(value=cost, low=cost - spread, high=cost + spread, basis=Basis.COUNTED),
        worst_cost=float(sum(MACS[m.name] for m in design.members)),
        reached=reached,
    )


@pytest.fixture
def pool() -> PoolSummary:
    return PoolSummary(
        dataset="digits",
        split_digest="ab" * 32,
        recipe_id="quick-1234abcd",
        members=tuple(f"{m.model}#{m.seed}" for m in MEMBERS),
        select_examples=360,
        report_examples=EXAMPLES,
        classes=10,
    )


@pytest.fixture
def front(pool: PoolSummary) -> Front:
    singles = (
        point("wrn10-0.25@8#1", 0.911, 71_300),
        point("wrn10-0.5@8#2", 0.948, 263_000),
        point("wrn10-1@8#0", 0.967, 1_010_000),
        point("wrn10-2@8#1", 0.976, 3_970_000),
    )
    ensembles = (
        point("mean(wrn10-0.25@8#0, wrn10-0.25@8#1)", 0.929, 142_600),
        point("mean(wrn10-0.5@8#0, wrn10-0.5@8#2)", 0.961, 526_000),
        point("mean(wrn10-1@8#0, wrn10-1@8#1, wrn10-1@8#2)", 0.980, 3_030_000),
    )
    cascades = (
        point("wrn10-0.25@8#1 -> [p>=0.81] wrn10-0.5@8#2", 0.946, 131_000, reached=(1.0, 0.227)),
        point(
            "wrn10-0.25@8#1 -> [p>=0.93] mean(wrn10-0.5@8#0, wrn10-0.5@8#2)",
            0.963,
            290_000,
            reached=(1.0, 0.416),
        ),
        point(
            "wrn10-0.5@8#2 -> [p>=0.97] mean(wrn10-1@8#0, wrn10-1@8#1, wrn10-1@8#2)",
            0.981,
            1_230_000,
            reached=(1.0, 0.319),
        ),
    )
    return Front(
        pool=pool,
        axis=CostAxis.parse("macs"),
        points=(singles[0], *cascades),
        searched={CandidateKind.SINGLE: 12, CandidateKind.ENSEMBLE: 781, CandidateKind.CASCADE: 2_041_537},
        cloud=tuple(
            SearchedDesign(
                design="wrn10-0.25@8#1",
                kind=CandidateKind.CASCADE,
                cost=71_300 * 1.004**i,
                accuracy=0.90 + 0.08 * (i / 1000) ** 0.6 - 0.002 * (i % 17),
            )
            for i in range(1, 1000)
        ),
        curves=tuple(
            ScaleCurve(
                model=ModelSpec(name, 8),
                sizes=(1, 2, 3),
                costs=(macs, 2.0 * macs, 3.0 * macs),
                accuracies=(base, base + 0.009, base + 0.012),
                lows=(base - 0.006, base + 0.005, base + 0.012),
                highs=(base + 0.007, base + 0.013, base + 0.012),
            )
            for (name, macs), base in zip(MACS.items(), (0.905, 0.943, 0.964, 0.972), strict=True)
        ),
        notes=("members of recipe long-9999 were left out",),
        fronts_by_kind={
            CandidateKind.SINGLE: singles,
            CandidateKind.ENSEMBLE: ensembles,
            CandidateKind.CASCADE: cascades,
        },
    )


@pytest.fixture
def make_advice(front: Front) -> Callable[..., Advice]:
    """Return the answer under 4 M MACs, with a difference to the runner-up as asked for."""

    def make(low: float = -0.004, value: float = 0.005, high: float = 0.013) -> Advice:
        verdict = Verdict.BETTER if low > 0 else Verdict.WORSE if high < 0 else Verdict.CANNOT_TELL
        cascade = front.fronts_by_kind[CandidateKind.CASCADE][-1]
        single = front.fronts_by_kind[CandidateKind.SINGLE][-1]
        ensemble = front.fronts_by_kind[CandidateKind.ENSEMBLE][-1]
        comparisons = tuple(
            Comparison(
                first=cascade.design,
                second=other.design,
                difference=Interval(value=value, low=low, high=high, n=EXAMPLES, method="bootstrap"),
                verdict=verdict,
                only_first_right=7,
                only_second_right=4,
                examples_to_tell=4_137,
            )
            for other in (ensemble, single)
        )
        return Advice(
            cost_verdict=None,
            question=Budget.parse("macs<=4M"),
            axis=front.axis,
            pool=front.pool,
            answer=cascade,
            runner_up=ensemble,
            best_of_kind={
                CandidateKind.SINGLE: single,
                CandidateKind.ENSEMBLE: ensemble,
                CandidateKind.CASCADE: cascade,
            },
            comparisons=comparisons,
            cannot_tell=verdict is Verdict.CANNOT_TELL,
            cheaper=cascade,
            crossovers=(Crossover(cost=131_000, before=CandidateKind.SINGLE, after=CandidateKind.CASCADE),),
            next_up=None,
            notes=front.notes,
        )

    return make


@pytest.fixture
def advice(make_advice: Callable[..., Advice]) -> Advice:
    return make_advice()


@pytest.fixture
def evidence() -> Evidence:
    return Evidence(
        cost_factor=1.0,
        members=tuple(
            MemberRecord(
                member=member,
                dataset="digits",
                split_digest="ab" * 32,
                channels=1,
                classes=10,
                training=TrainingRecord(
                    recipe_id=member.recipe,
                    recipe={"epochs": 20},
                    epochs=20,
                    examples_seen=17_960,
                    wall_s=7.3,
                    device="cpu",
                    macs=3 * 17_960 * MACS[member.name],
                    curve=({"epoch": 19.0, "loss": 0.0812, "accuracy": 0.99, "wall_s": 7.3},),
                    versions={"torch": "2.13.0"},
                ),
                weights_digest="cd" * 32,
            )
            for member in MEMBERS
        ),
        costs=tuple(
            CostRecord(
                model=ModelSpec(name, 8),
                channels=1,
                classes=10,
                kind="macs",
                device=None,
                figure=CostFigure(value=macs, low=macs, high=macs, basis=Basis.COUNTED),
                convention="macs-v1",
                source="explorer 0.1.0",
            )
            for name, macs in MACS.items()
        ),
        provenance=Provenance(
            product="scale-or-ensemble 0.1.0",
            made="2026-01-02T03:04:05+00:00",
            platform="Linux x86_64, Python 3.11.2",
            versions={"numpy": "2.4.6"},
            store_revision="0001",
        ),
    )
