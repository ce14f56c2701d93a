"""Distil the ensemble, ship it, or train something bigger?

Question  A student that learned from an ensemble's averaged answers (MEAL V2, arXiv 2009.08453: soft labels
          only) costs as much to run as one network of its size. How does it do against that network trained
          on labels, against its teacher, and against a larger network that took as much training?
Method    Per student scale: mean accuracy on `report` over seeds, minus that of the three others. As much
          training: the dearest scale of the family whose training MACs do not exceed the teacher's and the
          student's together; and, were the teacher there anyway, the student's alone with the teacher's
          answers. Nothing is chosen.
Interval  95 %, bootstrap over examples (the same for both: paired) and seeds; a teacher is one ensemble.
Inputs    A store with distilled members and the members of their teacher.

    python -m analyses.distil_or_ensemble
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explorer.analysis.costs import most_cost
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Interval
from explorer.analysis.scoring.score import candidate_decisions
from explorer.analysis.statistics.seeds import (
    Estimate,
    Resampling,
    Scale,
    SeedValues,
    grouped,
    one_seed_note,
    right_answers,
    scales,
)
from explorer.convention import CostAxis
from explorer.record import MemberRecord
from explorer.report.finding import Absent, Finding, Table
from explorer.report.plots import Panel, Rule, Series
from explorer.report.text import format_amount, format_points, format_share, short_design
from explorer.run.analysing import run_analysis
from explorer.spec import Candidate, Member, parse_design
from explorer.store import Store

NAME = "distil_or_ensemble"
MACS = CostAxis.parse("macs")
ALONE, TEACHER, LARGER = "same network, labels", "its teacher", "as much training"
LARGER_ALONE = "as much, teacher given"
HEADER = ("student", "against", "costs", "trained for", "accuracy", "student ahead by, points")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rival:
    """What a student is compared with."""

    role: str
    name: str
    accuracy: Estimate
    cost: float
    """MACs per example."""
    training: float
    """MACs of making it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Student:
    """One scale's students of one teacher, and their rivals."""

    scale: Scale
    teacher: Candidate
    accuracy: Estimate
    training: float
    """MACs: the student's own, the teacher's answers, and the teacher's training."""
    training_alone: float
    """The same without the teacher's training."""
    rivals: tuple[Rival, ...]

    def ahead(self, rival: Rival) -> Interval:
        """Return the student's accuracy minus the rival's."""
        return (self.accuracy - rival.accuracy).interval()


def students(
    pool: Pool, records: Mapping[Member, MemberRecord], resampling: Resampling
) -> tuple[Student, ...]:
    """Return every distilled scale of a pool whose teacher is there too, cheapest first."""
    return tuple(
        _student(pool, scale, records, resampling)
        for scale in _distilled(pool)
        if not _missing(pool, _teacher_of(pool, scale, records))
    )


def _distilled(pool: Pool) -> tuple[Scale, ...]:
    return tuple(scale for scale in grouped(pool) if pool.members[scale.rows[0]].distilled)


def _teacher_of(pool: Pool, scale: Scale, records: Mapping[Member, MemberRecord]) -> Candidate:
    """Return the design a scale's students learned from; one recipe has one teacher."""
    return parse_design(str(records[_full(pool, pool.members[scale.rows[0]])].training.recipe["teacher"]))


def _missing(pool: Pool, teacher: Candidate) -> list[str]:
    """Return the members of a teacher that the pool does not hold."""
    held = {_full(pool, member) for member in pool.members}
    return [str(member) for member in dict.fromkeys(teacher.members) if _full(pool, member) not in held]


def _student(
    pool: Pool, scale: Scale, records: Mapping[Member, MemberRecord], resampling: Resampling
) -> Student:
    made = [records[_full(pool, pool.members[row])].training for row in scale.rows]
    teacher = _teacher_of(pool, scale, records)
    # a student's own training counts its teacher's answers
    alone = float(np.mean([training.macs for training in made]))
    taught = sum(records[_full(pool, member)].training.macs for member in dict.fromkeys(teacher.members))
    accuracy = resampling.estimate(right_answers(pool, scale, "report", largest=1), 1)
    rivals = [
        _single(pool, other, ALONE, records, resampling)
        for other in scales(pool)
        if other.model == scale.model
    ]
    rivals.append(_teacher(pool, teacher, taught, resampling))
    for role, limit in ((LARGER_ALONE, alone), (LARGER, alone + taught)):
        fits = [
            other
            for other in scales(pool)
            if other.family == scale.family
            and other.cost > scale.cost
            and _training(pool, other, records) <= limit
        ]
        if fits:
            rivals.append(_single(pool, fits[-1], role, records, resampling))
    return Student(
        scale=scale,
        teacher=teacher,
        accuracy=accuracy,
        training=alone + taught,
        training_alone=alone,
        rivals=tuple(rivals),
    )


def _single(
    pool: Pool, scale: Scale, role: str, records: Mapping[Member, MemberRecord], resampling: Resampling
) -> Rival:
    accuracy = resampling.estimate(right_answers(pool, scale, "report", largest=1), 1)
    training = _training(pool, scale, records)
    return Rival(role=role, name=str(scale.model), accuracy=accuracy, cost=scale.cost, training=training)


def _teacher(pool: Pool, teacher: Candidate, training: float, resampling: Resampling) -> Rival:
    decided, _ = candidate_decisions(pool, teacher, "report")
    right = (decided == pool.report_labels).astype(np.float32)[None]
    values = SeedValues(key=str(teacher), seeds=1, sets=np.zeros((1, 1), np.int32), values=right)
    return Rival(
        role=TEACHER,
        name=short_design(teacher),
        accuracy=resampling.estimate(values, 1),
        cost=most_cost(pool, teacher),
        training=float(training),
    )


def _training(pool: Pool, scale: Scale, records: Mapping[Member, MemberRecord]) -> float:
    """Return the mean MACs that training one member of a scale took."""
    return float(np.mean([records[_full(pool, pool.members[row])].training.macs for row in scale.rows]))


def _full(pool: Pool, member: Member) -> Member:
    """Return a member as the store names it: with its recipe."""
    return Member(member.name, member.resolution, member.seed, member.recipe or pool.summary.recipe_id)


def analyse(store: Store, dataset: str) -> Finding | Absent:
    """Answer the question from a store."""
    pool, notes = load_pool(store, dataset, MACS)
    if not any(member.distilled for member in pool.members):
        return Absent(
            reason=f"no distilled members of {dataset} in this store; `explorer train --teacher DESIGN` "
            "makes them"
        )
    records = {record.member: record for record in store.members(dataset)}
    found = students(pool, records, Resampling(len(pool.report_labels)))
    orphans = [
        f"left out: students {scale.model}, whose teacher's {', '.join(missing)} is not in this store"
        for scale in _distilled(pool)
        if (missing := _missing(pool, _teacher_of(pool, scale, records)))
    ]
    if not found:
        return Absent(reason=f"no student of {dataset} has its whole teacher beside it; {'; '.join(orphans)}")
    sentences = [_sentence(student) for student in found]
    return Finding(
        question="Distil the ensemble, ship it, or train something bigger?",
        answer=" ".join(sentences),
        tables=(Table(header=HEADER, rows=tuple(row for student in found for row in _rows(student))),),
        panels=tuple(map(_panel, found)),
        alt="Accuracy against the MACs of making it: student, the same network trained on labels, teacher, "
        "larger "
        "networks. " + " ".join(sentences),
        numbers={
            "pool": {"split": pool.summary.split_digest, "recipe": pool.summary.recipe_id},
            "students": [_numbers(student) for student in found],
        },
        notes=(
            "Trained for: MACs of making one, the teacher's members and answers included in the student's "
            "row. "
            "Intervals are 95 %, bootstrap over examples and seeds; the teacher is one ensemble, so its "
            "seeds stay.",
            *one_seed_note(student.scale for student in found),
            *orphans,
            *notes,
        ),
    )


def _sentence(student: Student) -> str:
    parts = []
    for rival in student.rivals:
        if rival.role != LARGER_ALONE:
            ahead = student.ahead(rival)
            parts.append(
                f"{format_points(ahead.value, 2)} points ({format_points(ahead.low, 2)} to "
                f"{format_points(ahead.high, 2)}) against {rival.role} ({rival.name})"
            )
    joined = "; ".join(parts)
    return f"{student.scale.model} distilled, accuracy with 95 % interval: {joined}."


def _rows(student: Student) -> list[tuple[str, ...]]:
    value = student.accuracy.value
    own = (
        format_amount(student.scale.cost, MACS.kind),
        format_amount(student.training, MACS.kind),
        format_share(value, 2),
        "",
    )
    rows = [(str(student.scale.model), f"(taught by {short_design(student.teacher)})", *own)]
    for rival in student.rivals:
        ahead = student.ahead(rival)
        rows.append(
            (
                str(student.scale.model),
                f"{rival.role}: {rival.name}",
                format_amount(rival.cost, MACS.kind),
                format_amount(rival.training, MACS.kind),
                format_share(rival.accuracy.value, 2),
                f"{format_points(ahead.value, 2)} ({format_points(ahead.low, 2)} to "
                f"{format_points(ahead.high, 2)})",
            )
        )
    return rows


def _panel(student: Student) -> Panel:
    marks = [(f"distilled {student.scale.model.name}", student.training, student.accuracy)]
    marks += [(f"{rival.role}: {rival.name}", rival.training, rival.accuracy) for rival in student.rivals]
    series = []
    for style, (label, training, accuracy) in enumerate(marks):
        between = accuracy.interval()
        series.append(
            Series(
                label=label,
                x=(training,),
                y=(between.value,),
                low=(between.low,),
                high=(between.high,),
                style=style,
                joined=False,
            )
        )
    return Panel(
        title=f"{student.scale.model.name} taught by {short_design(student.teacher)}",
        x_label="MACs of making it",
        y_label="Accuracy on report examples",
        series=tuple(series),
        rules=(Rule(at=student.training_alone, label="the student, its teacher given"),),
        x_unit="macs",
        y_unit="share",
    )


def _numbers(student: Student) -> dict:
    rivals = []
    for rival in student.rivals:
        ahead = student.ahead(rival)
        rivals.append(
            {
                "role": rival.role,
                "name": rival.name,
                "cost": rival.cost,
                "training": rival.training,
                "accuracy": rival.accuracy.value,
                "ahead": {"value": ahead.value, "low": ahead.low, "high": ahead.high},
            }
        )
    return {
        "student": str(student.scale.model),
        "recipe": student.scale.recipe,
        "teacher": str(student.teacher),
        "accuracy": student.accuracy.value,
        "training": student.training,
        "training, teacher given": student.training_alone,
        "rivals": rivals,
    }


if __name__ == "__main__":
    sys.exit(run_analysis(NAME, __doc__, analyse))
