"""Which sums a cascade's stages hand on, and the graph of its exits: a signal against its threshold.

The signals are those of `explorer.analysis.scoring.signals`, in float32:

========= =============================================================================
p         largest of the stage's probabilities
margin    the same, less the smaller of the two largest
entropy   - sum of p log p, with log of at least 2^-126, so that 0 adds 0
agreement votes for the answer / members; under ``vote`` that is p
========= =============================================================================

Members vote inside the branch where they run; what has to outlive it is carried out as a sum over
members ``[n, class]``: ``total`` where the next stage is averaged with what ran, ``votes`` where an exit
asks for agreement. Rows of examples that have left are meaningless there, and nobody reads them.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from explorer.build.nodes import AXIS_1, TINY, TWO, Part, constant, node
from explorer.spec import Averaging, Candidate, Cascade, Exit, Signal, Stage, averaging_of

TOTAL, VOTES = "total", "votes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One stage of a design: what it runs, what it averages, when it is left, what it hands on."""

    number: int
    stage: Stage
    """Whose members run here."""
    combined: Stage
    """Whose average answers: with all stages this one is joined to."""
    joined: bool
    leave: Exit | None
    """None: the last stage always answers."""
    carried: tuple[str, ...]
    """Sums that outlive the stage: ``total``, ``votes``."""

    @property
    def prefix(self) -> str:
        """Begins the names of the stage's own tensors."""
        return f"stage{self.number}"

    @property
    def averaging(self) -> Averaging:
        """The rule of the stage, and of all it is joined to."""
        return averaging_of(self.combined)


def plans_of(design: Candidate) -> tuple[Plan, ...]:
    """Return what each stage of a design has to do, in order of execution."""
    if not isinstance(design, Cascade):
        return (Plan(number=0, stage=design, combined=design, joined=False, leave=None, carried=()),)
    plans: list[Plan] = []
    votes = False  # whether the stage after this one goes on from votes
    for number in reversed(range(len(design.stages))):
        last = number == len(design.exits)
        leave = None if last else design.exits[number]
        next_joined = not last and design.joined[number]
        combined = design.combined[number]
        votes = (votes and next_joined) or (leave is not None and _counts_votes(leave, combined))
        plans.append(
            Plan(
                number=number,
                stage=design.stages[number],
                combined=combined,
                joined=number > 0 and design.joined[number - 1],
                leave=leave,
                carried=(TOTAL,) * next_joined + (VOTES,) * votes,
            )
        )
    return tuple(reversed(plans))


def exit_part(plan: Plan, prob: str, votes: str | None, *, threshold: str) -> Part:
    """Tell of every example whether it is too unsure to leave: the output is bool ``[n]``.

    Args:
        plan: of the stage that may be left.
        prob: the stage's answer ``[n, class]``.
        votes: votes of all that is averaged ``[n, class]``; needed for agreement only.
        threshold: scalar.
    """
    assert plan.leave is not None
    at = f"exit{plan.number + 1}"
    signal = plan.leave.signal
    value, unsure = f"{at}_confidence", f"{at}_unsure"
    if signal is Signal.ENTROPY:
        nodes = [
            node("Max", [prob, TINY], f"{at}_floored"),
            node("Log", [f"{at}_floored"], f"{at}_log"),
            node("Mul", [prob, f"{at}_log"], f"{at}_products"),
            node("ReduceSum", [f"{at}_products", AXIS_1], f"{at}_negative", keepdims=0),
            node("Neg", [f"{at}_negative"], value),
            node("Greater", [value, threshold], unsure),
        ]
        return Part(nodes=tuple(nodes), constants=(), output=unsure)
    count = f"{at}_count"
    constants: tuple[onnx.TensorProto, ...] = (constant(count, len(plan.combined.members), np.float32),)
    if _counts_votes(plan.leave, plan.combined):
        assert votes is not None
        nodes = [
            node("ArgMax", [prob], f"{at}_top", axis=1, keepdims=1, select_last_index=0),
            node("GatherElements", [votes, f"{at}_top"], f"{at}_votes", axis=1),
            node("Squeeze", [f"{at}_votes", AXIS_1], f"{at}_agreeing"),
            node("Div", [f"{at}_agreeing", count], value),
        ]
    elif signal is Signal.MARGIN:
        nodes, constants = _margin(plan, prob, at, value), constants * (plan.averaging is Averaging.VOTE)
    else:
        nodes, constants = [node("ReduceMax", [prob, AXIS_1], value, keepdims=0)], ()
    nodes.append(node("Less", [value, threshold], unsure))
    return Part(nodes=tuple(nodes), constants=constants, output=unsure)


def _margin(plan: Plan, prob: str, at: str, value: str) -> list[onnx.NodeProto]:
    """Subtract the two largest; votes as whole numbers, so that a margin of 3/7 is not that less rounding."""
    pair, count = f"{at}_pair", f"{at}_count"
    nodes = [helper.make_node("TopK", [prob, TWO], [pair, f"{pair}_classes"], name=pair, axis=1)]
    best = pair
    if plan.averaging is Averaging.VOTE:
        best = f"{at}_best"
        nodes += [
            node("Mul", [pair, count], f"{at}_near_votes"),
            node("Round", [f"{at}_near_votes"], best),
        ]
    nodes += [
        node("ReduceMax", [best, AXIS_1], f"{at}_first", keepdims=0),
        node("ReduceMin", [best, AXIS_1], f"{at}_second", keepdims=0),
    ]
    ends = [f"{at}_first", f"{at}_second"]
    if plan.averaging is Averaging.VOTE:
        return [*nodes, node("Sub", ends, f"{at}_ahead"), node("Div", [f"{at}_ahead", count], value)]
    return [*nodes, node("Sub", ends, value)]


def extreme_thresholds(signal: Signal) -> tuple[float, float]:
    """Return a threshold of the signal at which every example leaves, and one at which none does."""
    return (1000.0, -1.0) if signal is Signal.ENTROPY else (0.0, 1.1)


def _counts_votes(leave: Exit, combined: Stage) -> bool:
    """Tell whether an exit needs votes beside the stage's answer; under ``vote`` they are the answer."""
    return leave.signal is Signal.AGREEMENT and averaging_of(combined) is not Averaging.VOTE
