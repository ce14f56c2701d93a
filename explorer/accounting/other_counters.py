"""Say what another counter would print for a trace, and why it differs, term by term.

The start is always ``macs`` of `explorer.accounting.conventions`; each convention is a list of rules
(`explorer.accounting.counter_rules`), and ``macs`` plus all amounts is the figure.

| convention | whose figure |
|---|---|
| macs | this project's |
| 2xmacs | papers that call a multiply and an add two operations |
| pycls | facebookresearch/pycls, dev/model_complexity.json |
| fvcore | ``fvcore.nn.FlopCountAnalysis(model.eval(), x).total()`` |
| torch | ``torch.utils.flop_counter.FlopCounterMode`` around a forward pass on CPU tensors |
| timm | ``infer_gmacs`` of timm's benchmark tables: fvcore, attention taken apart |
| mmpretrain | ``Flops`` of its convolutional networks' metafiles: hooks of mmcv, without classifier |
| mmpretrain-fvcore | the same of its EfficientNets and ViTs: fvcore in training mode, no classifier |

A trace holds what reached ATen: where a counter looks higher up (einsum, which fvcore rounds to four
digits; a module's exact type), docs/conventions.md says what that changes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from explorer.accounting import counter_rules
from explorer.accounting.formulas import find_formula
from explorer.errors import unknown_name
from explorer.record import OpRecord, Trace

_ONE = "one multiply-accumulate is one"
_TWO = "a multiply and an add are two"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One reason why a counter's figure is not the MACs."""

    reason: str
    operators: Mapping[str, int]
    """Operators the reason holds for, and how often they ran."""
    amount: int
    """What it adds to the figure; negative for what the counter leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedBy:
    """What a counter prints for one forward pass, from the MACs."""

    convention: str
    macs: int
    """Under this project's convention."""
    macs_or_flops: int
    """The figure, in the counter's own unit."""
    unit_word: str
    """What the counter calls its unit, and what one multiply-accumulate is in it."""
    explanation: tuple[Difference, ...]
    """Largest first; ``macs`` and all amounts add up to ``macs_or_flops``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Convention:
    unit_word: str
    summary: str
    rules: tuple[counter_rules.Rule, ...] = ()


_FVCORE = (counter_rules.fvcore_norm, counter_rules.fvcore_interpolation, counter_rules.fvcore_misses)

_CONVENTIONS: Mapping[str, _Convention] = {
    "macs": _Convention(
        unit_word=f"MACs: {_ONE}",
        summary="convolutions, linear layers and matrix products: this project's own figure",
    ),
    "2xmacs": _Convention(
        unit_word=f"FLOPs: {_TWO}",
        summary="twice the MACs",
        rules=(counter_rules.doubled,),
    ),
    "pycls": _Convention(
        unit_word=f"flops: {_ONE}",
        summary="MACs and biases",
        rules=(counter_rules.pycls_bias,),
    ),
    "fvcore": _Convention(
        unit_word=f"flops: {_ONE}",
        summary="adds norms, adaptive pooling and interpolation; no rule for fused attention",
        rules=(counter_rules.attention_missed, counter_rules.fvcore_pool, *_FVCORE),
    ),
    "torch": _Convention(
        unit_word=f"FLOPs: {_TWO}",
        summary="twice the MACs; no rule for the CPU's kernels of attention and LSTM",
        rules=(counter_rules.doubled, counter_rules.torch_attention_missed, counter_rules.torch_lstm_missed),
    ),
    "timm": _Convention(
        unit_word=f"GMACs in its tables: {_ONE}",
        summary="as fvcore, with attention taken apart and counted",
        rules=(counter_rules.fvcore_pool, *_FVCORE),
    ),
    "mmpretrain": _Convention(
        unit_word=f"Flops: {_ONE}",
        summary="adds norms, rectifiers, pooling, biases; without classifier and products outside modules",
        rules=(
            *(counter_rules.unhooked_missed, counter_rules.head_missed, counter_rules.mmcv_norm),
            *(counter_rules.mmcv_rectifier, counter_rules.mmcv_pool, counter_rules.mmcv_bias),
        ),
    ),
    "mmpretrain-fvcore": _Convention(
        unit_word=f"Flops: {_ONE}",
        summary="as fvcore on a model in training mode, attention taken apart, without classifier",
        rules=(
            *(counter_rules.head_missed, counter_rules.training_norm, counter_rules.module_pool),
            *(counter_rules.fvcore_interpolation, counter_rules.fvcore_misses),
        ),
    ),
}

COUNTED_BY: Mapping[str, str] = {name: convention.summary for name, convention in _CONVENTIONS.items()}
"""Conventions that `as_counted_by` knows, and a line on each."""


def as_counted_by(trace: Trace, convention: str) -> CountedBy:
    """Return what the counter called ``convention`` would print for ``trace``, and why.

    Operators without a formula count as 0 here as there; see `explorer.accounting.count` for them.

    Raises:
        UsageError: no such convention.
    """
    if convention not in _CONVENTIONS:
        raise unknown_name("convention", convention, _CONVENTIONS)
    chosen = _CONVENTIONS[convention]
    setting = counter_rules.setting(trace)
    macs = 0
    amounts: dict[str, int] = {}
    operators: dict[str, dict[str, int]] = {}
    for op, own in _with_macs(trace):
        macs += own
        for rule in chosen.rules:
            term = rule(op, own, setting)
            if term is None or term[1] == 0:
                continue
            reason, amount = term
            name = counter_rules.plain_name(op)
            amounts[reason] = amounts.get(reason, 0) + amount
            calls = operators.setdefault(reason, {})
            calls[name] = calls.get(name, 0) + 1
    return CountedBy(
        convention=convention,
        macs=macs,
        macs_or_flops=macs + sum(amounts.values()),
        unit_word=chosen.unit_word,
        explanation=tuple(
            Difference(reason=reason, operators=operators[reason], amount=amount)
            for reason, amount in sorted(amounts.items(), key=lambda item: -abs(item[1]))
        ),
    )


def _with_macs(trace: Trace) -> Iterator[tuple[OpRecord, int]]:
    """Yield every operator with its multiply-accumulates."""
    for op in trace.ops:
        formula = find_formula(op.op)
        yield op, formula(op).macs if formula else 0
