"""Say the answer in one paragraph, and in one line: what to ship, at what cost, and how sure."""

from explorer.analysis.result import Advice, Comparison, Crossover, Point, Verdict
from explorer.prediction.decision import Verdict as CostVerdict
from explorer.question import Budget
from explorer.report.text import (
    format_about,
    format_accuracy,
    format_accuracy_value,
    format_amount,
    format_axis,
    format_cost,
    format_count,
    format_difference,
    format_points,
    format_question,
    format_ratio,
    format_share,
    kind_name,
    per_what,
    share_decimals,
    short_design,
    with_article,
)
from explorer.spec import Candidate

CROSSOVERS_TOLD = 3
"""Changes of kind that are told one by one; along a long front neighbours alternate by chance."""


def headline(advice: Advice) -> str:
    """Say the decision in one short line, without evidence."""
    if advice.answer is None:
        return f"Nothing fits: {format_question(advice.question)}"
    point = advice.answer
    return (
        f"Ship {with_article(kind_name(point.kind))}: {format_accuracy_value(point.accuracy)} "
        f"for {format_amount(point.cost.value, advice.axis.kind)}"
    )


def answer_sentence(advice: Advice) -> str:
    """Say the whole answer: what to ship, cost, accuracy, and the paired evidence against the rest.

    The design appears in its canonical text form, so that it can be copied out of the sentence.
    """
    if advice.answer is None:
        return _no_answer(advice)
    point = advice.answer
    condition = _condition(advice)
    first = (
        f"{condition}, ship the {kind_name(point.kind)} {point.design}: "
        f"{format_accuracy(point.accuracy)} on {format_count(point.accuracy.n)} report examples, "
        f"for {format_cost(point.cost, advice.axis.kind)} {per_what(advice.axis)}{_basis(point)}."
    )
    return " ".join(part for part in (first, _evidence(advice, point), _cheaper(advice, point)) if part)


def _condition(advice: Advice) -> str:
    dataset = advice.pool.dataset
    if isinstance(advice.question, Budget):
        return f"With {format_question(advice.question)} on {dataset}"
    return f"For {format_question(advice.question)} on {dataset}"


def _basis(point: Point) -> str:
    basis = str(point.cost.basis)
    return "" if basis == "counted" else f" ({basis})"


def _no_answer(advice: Advice) -> str:
    sentence = f"Nothing fits: no design made of these members has {format_question(advice.question)}"
    sentence += f" on {advice.pool.dataset}."
    nearest = advice.next_up
    if nearest is None:
        return sentence
    return (
        f"{sentence} The nearest is the {kind_name(nearest.kind)} {nearest.design}: "
        f"{format_accuracy(nearest.accuracy)} for {format_cost(nearest.cost, advice.axis.kind)} "
        f"{per_what(advice.axis)}."
    )


def comparison_with(advice: Advice, other: Candidate) -> Comparison | None:
    """Return the paired comparison of the answer with ``other``, where one was made."""
    return next((c for c in advice.comparisons if c.second == other), None)


def _evidence(advice: Advice, point: Point) -> str:
    rival = advice.runner_up
    if rival is None:
        return "No candidate of another kind fits, so there is nothing to compare it with."
    opening = (
        f"The runner-up, the {kind_name(rival.kind)} {rival.design}, reaches "
        f"{format_accuracy_value(rival.accuracy)} for {format_amount(rival.cost.value, advice.axis.kind)}"
    )
    found = comparison_with(advice, rival.design)
    if found is None:
        return f"{opening}."
    return f"{opening}; {comparison_clause(found)}."


def comparison_clause(comparison: Comparison) -> str:
    """Say what a paired comparison of the answer with another design allows to be said."""
    difference = comparison.difference
    paired = f"paired on the same examples, the difference is {format_difference(difference)}"
    if comparison.verdict is Verdict.BETTER:
        return f"{paired}, so the answer is more accurate"
    if comparison.verdict is Verdict.WORSE:
        return f"{paired}, so on fresh examples the answer is less accurate, although selection preferred it"
    said = f"{paired}, so these {format_count(difference.n)} examples cannot tell which is more accurate"
    return f"{said}{_needed(comparison)}"


def comparison_short(comparison: Comparison) -> str:
    """Say a paired comparison in a line for a card: the difference, and what it allows."""
    verdict = {
        Verdict.BETTER: "the answer is more accurate",
        Verdict.WORSE: "the answer is less accurate here",
        Verdict.CANNOT_TELL: "cannot tell",
    }[comparison.verdict]
    return f"Answer minus this: {format_difference(comparison.difference)}: {verdict}."


def _needed(comparison: Comparison) -> str:
    if comparison.examples_to_tell is None:
        return "; they are right equally often"
    needed = format_about(comparison.examples_to_tell)
    return f"; a difference of this size would take about {needed} report examples"


def _cheaper(advice: Advice, point: Point) -> str:
    if not advice.cannot_tell or advice.cheaper is None:
        return ""
    cheaper = advice.cheaper
    if advice.cost_verdict is CostVerdict.TOO_CLOSE:
        other = cheaper if cheaper.design != point.design else advice.runner_up
        named = f"the {kind_name(other.kind)} {other.design}" if other is not None else "the runner-up"
        return (
            f"Which costs less, the answer or {named}, is too close to call: "
            f"the {point.cost.basis} costs' intervals overlap too far."
        )
    if cheaper.design != point.design and cheaper.cost.value == 0:
        nothing = f"the {kind_name(cheaper.kind)} {cheaper.design} costs nothing"
        return f"Of those that cannot be told apart {nothing}."
    if cheaper.design != point.design:
        ratio = format_ratio(point.cost.value, cheaper.cost.value)
        return (
            f"Of those that cannot be told apart the cheapest is the {kind_name(cheaper.kind)} "
            f"{cheaper.design}, at {format_amount(cheaper.cost.value, advice.axis.kind)}: "
            f"the answer costs {ratio} as much."
        )
    rival = advice.runner_up
    if rival is None or rival.cost.value <= point.cost.value:
        return "Of those that cannot be told apart, the answer is also the cheapest."
    if point.cost.value == 0:
        return "The answer is also the cheaper of the two: it costs nothing."
    ratio = format_ratio(rival.cost.value, point.cost.value)
    return f"The answer is also the cheaper of the two: the runner-up costs {ratio} as much."


def crossover_sentence(crossover: Crossover, advice: Advice) -> str:
    """Say where the best kind changes: ``From 1.20 MMACs up, ...``."""
    return (
        f"At {format_amount(crossover.cost, advice.axis.kind)} the best design changes from "
        f"{with_article(kind_name(crossover.before))} to {with_article(kind_name(crossover.after))}."
    )


def changes(advice: Advice) -> tuple[str, ...]:
    """Say what would change the answer: more examples, a little more budget, a crossover."""
    said = []
    rival = advice.runner_up
    found = comparison_with(advice, rival.design) if rival is not None else None
    if found is not None and found.verdict is Verdict.CANNOT_TELL and found.examples_to_tell is not None:
        said.append(
            f"About {format_about(found.examples_to_tell)} report examples, instead of "
            f"{format_count(found.difference.n)}, would tell the answer from the runner-up if their "
            "difference is as large as it looks."
        )
    if advice.next_up is not None and advice.answer is not None:
        said.append(_next_up(advice, advice.answer, advice.next_up))
    said.extend(crossover_sentences(advice))
    return tuple(said)


def crossover_sentences(advice: Advice) -> tuple[str, ...]:
    """Say where the best kind changes; of many changes, how many, the first and the last."""
    found = advice.crossovers
    if len(found) <= CROSSOVERS_TOLD:
        return tuple(crossover_sentence(crossover, advice) for crossover in found)
    return (
        f"The kind of the best design changes {format_count(len(found))} times along the front; the first "
        "and the last time:",
        crossover_sentence(found[0], advice),
        crossover_sentence(found[-1], advice),
    )


def _next_up(advice: Advice, point: Point, dearer: Point) -> str:
    gain = format_points(dearer.accuracy.value - point.accuracy.value, share_decimals(point.accuracy.n))
    return (
        f"The next dearer design of the front, {with_article(kind_name(dearer.kind))} "
        f"({short_design(dearer.design)}), costs {format_amount(dearer.cost.value, advice.axis.kind)} "
        f"and differs by {gain} points on the report examples."
    )


def optimism_sentence(advice: Advice) -> str:
    """Say by how much choosing flattered the answer: selection regret."""
    if advice.answer is None:
        return ""
    point = advice.answer
    decimals = share_decimals(point.accuracy.n)
    regret = format_points(point.regret, decimals)
    effect = (
        f"choosing flattered it by {regret} points"
        if regret.startswith("+")
        else "choosing did not flatter it"
    )
    return (
        f"On the {format_count(advice.pool.select_examples)} examples it was chosen on, the answer had "
        f"{format_share(point.select_accuracy, decimals)}; on fresh ones "
        f"{format_accuracy_value(point.accuracy)}: {effect}."
    )


def axis_sentence(advice: Advice) -> str:
    """Say what the cost axis is."""
    return f"Cost is {format_axis(advice.axis)}: {advice.axis.kind.doc}."
