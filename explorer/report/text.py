"""Turn numbers into text: the only module that does.

Figures carry three significant digits; accuracies carry as many decimals as their examples can
support. Intervals are 95 % intervals throughout.
"""

import math
from collections import Counter
from collections.abc import Sequence

from explorer.analysis.result import Interval, Point, PoolSummary
from explorer.convention import COST_KINDS, Composition, CostAxis, CostKind
from explorer.question import Budget, Target
from explorer.record import Cost, CostFigure
from explorer.spec import Candidate, CandidateKind, Cascade, Ensemble, Exit, Member, ModelSpec, Signal, Stage

MINUS = "\N{MINUS SIGN}"
MICRO = "\N{MICRO SIGN}"
ARROW = "\N{RIGHTWARDS ARROW}"
TIMES = "\N{MULTIPLICATION SIGN}"
AT_LEAST = "\N{GREATER-THAN OR EQUAL TO}"
AT_MOST = "\N{LESS-THAN OR EQUAL TO}"
EN_DASH = "\N{EN DASH}"

KIND_NAMES = {
    CandidateKind.SINGLE: "single model",
    CandidateKind.ENSEMBLE: "ensemble",
    CandidateKind.CASCADE: "cascade",
    CandidateKind.DISTILLED: "distilled model",
}
_ARTICLES = {"ensemble": "an"}
_LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, MICRO + "s"), (1e-9, "ns"))
_JOULES = ((1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, MICRO + "J"), (1e-9, "nJ"))
_STEPS = {"s": _SECONDS, "J": _JOULES}
_UNIT_TEXT = {"MAC": "MACs", "FLOP": "FLOPs", "op": "ops", "parameter": "parameters"}
_UNIT_TEXT |= {"B": "B", "USD": "USD"}
_AXIS_TEXT = {
    "macs": "MACs per example",
    "flops": "FLOPs per example",
    "worst_macs": "MACs of the dearest example",
    "elementwise_ops": "elementwise operations per example",
    "parameters": "parameters held",
    "param_bytes": "bytes of parameters held",
    "activation_peak_bytes": "peak bytes of activations, one example",
    "latency": "latency of one example",
    "worst_latency": "latency of the slowest call",
    "parallel_latency": "latency of one example, members side by side",
    "time_per_example": "time of one example in full calls",
    "energy": "energy of one example",
    "money": "price of a million examples",
    "price": "price of a million calls",
}


def significant(value: float, digits: int = 3) -> str:
    """Write ``value`` with that many significant digits and no exponent.

    >>> significant(1.234567), significant(123456.0), significant(0.00123)
    ('1.23', '123000', '0.00123')
    """
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ("n/a" if math.isnan(value) else f"{value}")
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:.{max(decimals, 0)}f}".replace("-", MINUS)


def _scaled(value: float, steps: Sequence[tuple[float, str]]) -> tuple[str, str]:
    """Return digits and prefix of the largest step that leaves at least one whole unit."""
    size = abs(value)
    for index, (scale, prefix) in enumerate(steps):
        if size >= scale * 0.9995 or index == len(steps) - 1:
            return significant(value / scale), prefix
    raise AssertionError("unreachable: the last step always matches")


def format_amount(value: float, kind: CostKind) -> str:
    """Write an amount of a cost kind with prefix and unit.

    >>> from explorer.convention import cost_kind
    >>> format_amount(4_089_184_256, cost_kind("macs")), format_amount(1_500_000, cost_kind("param_bytes"))
    ('4.09 GMACs', '1.50 MB')
    """
    if kind.unit in _STEPS:
        digits, unit = _scaled(value, _STEPS[kind.unit]) if value else ("0", kind.unit)
        return f"{digits} {unit}"
    if kind.unit == "USD" and abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f} USD"  # nobody writes 1.50 kUSD
    if abs(value) >= 1000 or float(value).is_integer():
        whole = float(value).is_integer() and abs(value) < 1000
        digits, prefix = (f"{value:.0f}", "") if whole else _scaled(value, _LARGE)
    else:
        digits, prefix = significant(value), ""
    unit = _UNIT_TEXT[kind.unit]
    return (
        f"{digits} {prefix} {unit}".replace("  ", " ") if unit == "parameters" else f"{digits} {prefix}{unit}"
    )


def format_macs(value: float) -> str:
    """Write multiply-accumulates: ``4.09 GMACs``."""
    digits, prefix = _scaled(value, _LARGE)
    return f"{digits} {prefix}MACs"


def format_cost(figure: CostFigure, kind: CostKind) -> str:
    """Write a cost figure; its interval follows where it has one.

    An exact count has none: ``4.09 GMACs``; a measurement has: ``1.84 ms (1.80 to 1.91 ms)``.
    """
    value = format_amount(figure.value, kind)
    between = format_cost_interval(figure, kind)
    return f"{value} ({between})" if between else value


def format_cost_interval(figure: CostFigure, kind: CostKind) -> str:
    """Write the 95 % interval of a cost, or nothing where the figure is exact."""
    if figure.low == figure.high:
        return ""
    return format_range(figure.low, figure.high, kind)


def format_range(low: float, high: float, kind: CostKind) -> str:
    """Write two amounts, the unit once where both have the same: ``1.16 to 1.30 MMACs``."""
    first, last = format_amount(low, kind), format_amount(high, kind)
    digits, _, unit = first.partition(" ")
    return f"{digits} to {last}" if last.endswith(f" {unit}") else f"{first} to {last}"


def format_axis(axis: CostAxis) -> str:
    """Name a cost axis for a heading: ``latency of one example on cpu``."""
    name = _AXIS_TEXT.get(axis.kind.name, axis.kind.name)
    if axis.kind.name == "latency" and axis.workload is not None and axis.workload.batch > 1:
        name = f"latency of {format_count(axis.workload.batch)} examples"
    return name if axis.device is None else f"{name} on {axis.device}"


def per_what(axis: CostAxis) -> str:
    """Say what a cost on an axis is paid for: an example, a call of many, a million examples; or held."""
    if axis.kind.needs_price:
        return "per million examples"
    if axis.kind.name == "price":
        return "per million calls"
    if axis.kind.composition is Composition.SUM:
        return "held"
    if axis.kind.composition is Composition.MAX:
        return "at once"
    if axis.kind.composition is Composition.WORST:
        return "for the slowest call" if axis.kind.unit == "s" else "for the dearest example"
    calls = axis.kind.name in ("latency", "parallel_latency")
    batch = axis.workload.batch if axis.workload is not None and calls else 1
    return "per example" if batch == 1 else f"per call of {format_count(batch)} examples"


def share_decimals(examples: int) -> int:
    """Return the decimals of a percentage that ``examples`` can support: 1 below 2,000, else 2."""
    return 1 if examples < 2000 else 2


def format_share(value: float, decimals: int = 1) -> str:
    """Write a share as a percentage: ``0.974`` is ``97.4%``."""
    return f"{100 * value:.{decimals}f}%".replace("-", MINUS)


def format_accuracy(accuracy: Interval) -> str:
    """Write an accuracy with its interval: ``97.4% (95% interval 96.1% to 98.5%)``."""
    return f"{format_accuracy_value(accuracy)} (95% interval {format_accuracy_interval(accuracy)})"


def format_accuracy_value(accuracy: Interval) -> str:
    """Write an accuracy alone: ``97.4%``."""
    return format_share(accuracy.value, share_decimals(accuracy.n))


def format_accuracy_interval(accuracy: Interval) -> str:
    """Write the interval of an accuracy: ``96.1% to 98.5%``."""
    decimals = share_decimals(accuracy.n)
    return f"{format_share(accuracy.low, decimals)} to {format_share(accuracy.high, decimals)}"


def format_points(value: float, decimals: int) -> str:
    """Write a signed difference of shares in percentage points: ``+0.6``."""
    text = f"{100 * value:+.{decimals}f}".replace("-", MINUS)
    return text[1:] if float(f"{100 * value:.{decimals}f}") == 0 else text


def points_decimals(decimals: int, *figures: float) -> int:
    """Return ``decimals``, or one more where one of the differences would round to zero.

    A bound that is written as zero hides on which side of zero the interval ends.
    """
    hidden = any(figure != 0 and float(f"{100 * figure:.{decimals}f}") == 0 for figure in figures)
    return decimals + hidden


def format_difference(difference: Interval) -> str:
    """Write a paired difference: ``+0.6 points (95% interval −0.2 to +1.3)``."""
    figures = (difference.low, difference.value, difference.high)
    decimals = points_decimals(share_decimals(difference.n), *figures)
    low, value, high = (format_points(figure, decimals) for figure in figures)
    return f"{value} points (95% interval {low} to {high})"


def format_count(value: int) -> str:
    """Write a whole number with separators: ``24,500,000``."""
    return f"{value:,}".replace("-", MINUS)


def format_about(value: int) -> str:
    """Write a rough whole number with two significant digits: ``4,100``."""
    if value < 100:
        return format_count(value)
    scale = 10 ** (math.floor(math.log10(value)) - 1)
    return format_count(round(value / scale) * scale)


def format_ratio(first: float, second: float) -> str:
    """Write how often ``second`` goes into ``first``: ``2.4x``.

    >>> format_ratio(3.0, 1.25)
    '2.40\N{MULTIPLICATION SIGN}'
    """
    return f"{significant(first / second)}{TIMES}"


def format_seconds(value: float) -> str:
    """Write a duration for people: ``41 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if value < 10:
        digits, unit = _scaled(value, _SECONDS) if value else ("0", "s")
        return f"{digits} {unit}"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    minutes, seconds = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def format_bytes(value: int) -> str:
    """Write a size in decimal units: ``1.50 MB``."""
    digits, prefix = (str(value), "") if value < 1000 else _scaled(value, _LARGE)
    return f"{digits} {prefix}B"


def format_threshold(value: float) -> str:
    """Write an exit threshold with at most four decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"


def format_reached(point: Point) -> str:
    """Say which share of inputs reaches each later stage of a cascade; empty for anything else."""
    return f" {ARROW} ".join(format_share(share) for share in point.reached[1:])


_SIGNALS = {
    Signal.P: "largest probability",
    Signal.MARGIN: "lead of the largest probability",
    Signal.ENTROPY: "entropy in nats",
    Signal.AGREEMENT: "share of members that agree",
}


def exit_condition(leave: Exit) -> str:
    """Say when an input leaves: ``largest probability is at least 0.83``."""
    least = "at least" if leave.signal.relation == ">=" else "at most"
    return f"{_SIGNALS[leave.signal]} is {least} {leave.threshold!r}"


def kind_name(kind: CandidateKind) -> str:
    """Name a kind of candidate for a sentence: ``single model``."""
    return KIND_NAMES[kind]


def with_article(noun: str) -> str:
    """Put the indefinite article before a kind's name: ``an ensemble``."""
    return f"{_ARTICLES.get(noun, 'a')} {noun}"


def short_design(design: Candidate) -> str:
    """Name a design in few characters, seeds left out: ``wrn10-1@8 -> 3 x wrn10-2@8``."""
    if isinstance(design, Cascade):
        parts = [_short_stage(design.stages[0])]
        for leave, joined, stage in zip(design.exits, design.joined, design.stages[1:], strict=True):
            sure = AT_LEAST if leave.signal.relation == ">=" else AT_MOST
            plus = "+ " if joined else ""
            parts.append(
                f"({leave.signal}{sure}{format_threshold(leave.threshold)} stops) {ARROW} "
                f"{plus}{_short_stage(stage)}"
            )
        return " ".join(parts)
    return _short_stage(design)


def _short_stage(stage: Stage) -> str:
    if not isinstance(stage, Ensemble):
        return _short_members(stage.members)
    rule = "" if stage.averaging == "mean" else f" ({stage.averaging})"
    return f"{_short_members(stage.members)}{rule}"


def _short_members(members: Sequence[Member]) -> str:
    counts = Counter(str(member.model) for member in members)
    return " + ".join(name if n == 1 else f"{n}{TIMES}{name}" for name, n in counts.items())


def format_question(question: Budget | Target) -> str:
    """Say the question's condition: ``at most 4.00 MMACs``, ``accuracy of at least 97.0%``."""
    if isinstance(question, Budget):
        device = f" on {question.axis.device}" if question.axis.device else ""
        return (
            f"at most {format_amount(question.limit, question.axis.kind)}{device} {per_what(question.axis)}"
        )
    return f"at least {format_share(question.accuracy)} accuracy"


def format_pool(pool: PoolSummary) -> str:
    """Say what the designs were made of, in one clause."""
    chosen, reported = format_count(pool.select_examples), format_count(pool.report_examples)
    return (
        f"{format_count(len(pool.members))} members, recipe {pool.recipe_id}; "
        f"chosen on {chosen} examples, reported on {reported} others"
    )


def count_text(model: ModelSpec, cost: Cost, *, by: str | None = None) -> str:
    """Write what a model costs as aligned lines; ``by`` (``operator``, ``module``) breaks the MACs down.

    Exact figures stand beside the short ones: a count is an integer and is shown as one.
    """
    rows = [
        (name, getattr(cost, name))
        for name in ("macs", "flops", "elementwise_ops", "parameters", "param_bytes", "activation_peak_bytes")
    ]
    lines = [f"{model}, {format_count(cost.batch)} example{'' if cost.batch == 1 else 's'}"]
    lines += [f"  {name:<22}{format_count(n):>20}   {format_amount(n, COST_KINDS[name])}" for name, n in rows]
    if cost.uncounted:
        missing = ", ".join(f"{op} ({format_count(n)}{TIMES})" for op, n in sorted(cost.uncounted.items()))
        lines.append(f"  NOT COUNTED: {missing}")
    else:
        lines.append("  every operator was counted")
    if by is not None:
        parts = cost.macs_by_op if by == "operator" else cost.macs_by_module
        lines.append(f"MACs by {by}:")
        lines += [
            f"  {name or '(the model itself)':<40}{format_count(n):>20}   {format_share(n / cost.macs)}"
            for name, n in sorted(parts.items(), key=lambda item: -item[1])
            if n
        ]
    return "\n".join(lines)
