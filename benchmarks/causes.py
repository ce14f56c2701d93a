"""Why a counter disagrees: split the difference into named terms that add up to it.

Counters say where their figure comes from in two ways: by operator (fvcore, torch, ptflops-aten) or by
module (the others). Ours is known by both at once, so it can be laid beside either. A term is named from
the evidence: which module or operator it is at, its sign, and whether it equals a figure that is known
(the additions of biases, say). What fits no name is called unexplained and stays visible.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.reading import Reading

UNEXPLAINED = "unexplained"
_SHARED = "modules used in several places counted once for each"
_NORMS = ("norm", "bn")
_ATTENTION, _CONV, _PRODUCT, _RECURRENT = "attention", "convolution", "matrix product", "recurrent layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Our count of one operator in one module."""

    path: str
    module: str
    """Class name of the module at ``path``."""
    layer: str
    """The torch layer it is or inherits from: ``convolution``, ``linear``, ``recurrent``; or empty."""
    exact: bool
    """Whether it is that torch class itself, not a subclass."""
    operator: str
    macs: int
    bias: int
    """Additions of a bias within the operator, which we count as elementwise operations."""
    layer_bias: int
    """Additions of the layer's bias, within the operator or after it; 0 where it is no layer with a bias."""

    @property
    def group(self) -> str:
        """What kind of contraction it is."""
        if "scaled_dot_product" in self.operator:
            return _ATTENTION
        if self.layer == "recurrent":
            return _RECURRENT
        return _CONV if "conv" in self.operator else _PRODUCT


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One named share of a difference."""

    cause: str
    macs: int
    """Peer minus ours."""


def explain(
    pieces: Iterable[Piece],
    reading: Reading,
    classes: Mapping[str, str],
    shared: Collection[str] = (),
) -> tuple[Term, ...]:
    """Return the terms of (reading's total - ours), largest first; they add up to it exactly.

    Args:
        pieces: ours, by module and operator.
        reading: the peer's.
        classes: class name of every module, by path.
        shared: all paths of modules that are in the model at more than one.
    """
    ours = list(pieces)
    # Where a whole module is covered by one rule of the peer, compare there.
    ours, terms = _without_replaced(ours, reading, classes)
    by_path = {p.path for p in reading.parts if p.path}
    if by_path or not any(p.operator for p in reading.parts):
        terms += _by_module(ours, reading, classes, shared)
    else:
        terms += _by_operator(ours, reading)
    merged: Counter[str] = Counter()
    for term in terms:
        merged[term.cause] += term.macs
    rest = reading.macs - sum(p.macs for p in reading.parts)
    if rest:
        merged[f"{UNEXPLAINED}: in its total, not in its parts"] += rest
    ordered = sorted(merged.items(), key=lambda item: -abs(item[1]))
    return tuple(Term(cause=cause, macs=macs) for cause, macs in ordered if macs)


def _without_replaced(
    ours: list[Piece], reading: Reading, classes: Mapping[str, str]
) -> tuple[list[Piece], list[Term]]:
    found: Counter[str] = Counter()
    kept = []
    for piece in ours:
        outer = next((r for r in reading.replaced if piece.path == r or piece.path.startswith(f"{r}.")), None)
        if outer is None:
            kept.append(piece)
        else:
            found[outer] -= piece.macs
    for part in reading.parts:
        if part.path in reading.replaced:
            found[part.path] += part.macs
    terms = [
        Term(cause=f"one rule for all of {classes[path]} drops the linear layers inside it", macs=macs)
        for path, macs in found.items()
    ]
    return kept, terms


# ---- counters that name operators -----------------------------------------------------------------


def _by_operator(ours: list[Piece], reading: Reading) -> list[Term]:
    counted: Counter[str] = Counter()
    extra: Counter[str] = Counter()
    for part in reading.parts:
        group = _peer_group(part.operator)
        if group:
            counted[group] += part.macs
        else:
            extra[part.operator] += part.macs
    mine: Counter[str] = Counter()
    bias: Counter[str] = Counter()
    for piece in ours:
        mine[piece.group] += piece.macs
        bias[piece.group] += piece.bias
    terms = [Term(cause=f"counts {_plain(op)}", macs=macs) for op, macs in extra.items()]
    if reading.biases:
        terms += [Term(cause="counts the biases", macs=amount) for amount in bias.values()]
        mine += bias
    difference = {group: counted[group] - mine[group] for group in {*mine, *counted}}
    # A peer that sees fused attention or an LSTM taken apart has it among its matrix products.
    for whole in (_ATTENTION, _RECURRENT):
        moved = min(max(difference.get(_PRODUCT, 0), 0), max(-difference.get(whole, 0), 0))
        if moved:
            difference[_PRODUCT] -= moved
            difference[whole] += moved
    for group, amount in difference.items():
        if amount:
            terms.append(Term(cause=_operator_cause(group, amount), macs=amount))
    return terms


def _peer_group(operator: str) -> str | None:
    name = operator.lower()
    if "scaled_dot_product" in name or "attention" in name:
        return _ATTENTION
    if "conv" in name:
        return _CONV
    if "upsample" in name:  # upsample_bilinear2d is no linear layer
        return None
    if any(word in name for word in ("mm", "linear", "matmul", "einsum")):
        return _PRODUCT
    return None


def _operator_cause(group: str, amount: int) -> str:
    if amount < 0 and group == _ATTENTION:
        return "fused attention not counted"
    if amount < 0:
        return f"{group}s not counted"
    return f"{UNEXPLAINED}: {group}s counted higher"


# ---- counters that name modules -------------------------------------------------------------------


def _by_module(
    ours: list[Piece], reading: Reading, classes: Mapping[str, str], shared: Collection[str]
) -> list[Term]:
    at: dict[str, list[Piece]] = defaultdict(list)
    for piece in ours:
        at[piece.path].append(piece)
    theirs: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for part in reading.parts:
        if part.path in reading.replaced and part.path:
            continue
        if part.operator:
            functions[part.operator] += part.macs
        else:
            theirs[part.path] += part.macs
    terms = []
    open_products = open_attention = 0
    for path in {*at, *theirs}:
        pieces, macs = at.get(path, []), theirs.get(path, 0)
        if functions and not any(piece.layer for piece in pieces) and not macs:
            # Not a layer of its own: the peer may have seen it as a function, without a path.
            open_products += sum(p.macs for p in pieces if p.group != _ATTENTION)
            open_attention += sum(p.macs for p in pieces if p.group == _ATTENTION)
        else:
            here = _at_one_path(pieces, macs, classes.get(path, "?"))
            if path in shared and macs > sum(piece.macs for piece in pieces):
                here = [Term(cause=_SHARED, macs=sum(term.macs for term in here))]
            terms += here
    for name, macs in functions.items():
        if _peer_group(name):
            open_products -= macs
        else:
            terms.append(Term(cause=f"counts {_plain(name)}", macs=macs))
    if open_products > 0:
        terms.append(Term(cause="matrix products called as functions not counted", macs=-open_products))
    elif open_products < 0:
        terms.append(
            Term(cause="matrix products counted twice, as function and inside it", macs=-open_products)
        )
    if open_attention:
        terms.append(Term(cause="fused attention not counted", macs=-open_attention))
    return terms


def _at_one_path(pieces: list[Piece], theirs: int, module: str) -> list[Term]:
    mine = sum(piece.macs for piece in pieces)
    amount = theirs - mine
    if not amount:
        return []
    if not pieces:
        return [Term(cause=f"counts {_kind(module)}", macs=theirs)]
    if not theirs:
        return [Term(cause=_missed(piece), macs=-piece.macs) for piece in pieces]
    first = pieces[0]
    if amount == sum(piece.layer_bias for piece in pieces):
        return [Term(cause="counts the biases", macs=amount)]
    if any(amount == -piece.macs for piece in pieces):
        lost = next(piece for piece in pieces if amount == -piece.macs)
        return [Term(cause=_missed(lost), macs=amount)]
    if first.layer == "linear" and amount < 0:
        return [Term(cause="linear layer on [batch, token, channel] counted for one token", macs=amount)]
    if first.layer == "convolution" and "Transpose" in module and amount > 0:
        return [Term(cause="transposed convolution counted at the size of its output", macs=amount)]
    if first.layer:
        way = "higher" if amount > 0 else "lower"
        return [Term(cause=f"{first.layer} layer {first.module} counted {way}", macs=amount)]
    if amount < 0:
        return [Term(cause="matrix products called as functions counted in part", macs=amount)]
    return [Term(cause=f"{UNEXPLAINED}: {module} counted higher", macs=amount)]


def _missed(piece: Piece) -> str:
    if piece.group == _ATTENTION:
        return "fused attention not counted"
    if piece.group == _RECURRENT:
        return "recurrent layers not counted"
    if piece.layer and not piece.exact:
        return f"{piece.layer} subclass without a rule ({piece.module})"
    if piece.layer:
        return f"{piece.layer} layer {piece.module} not counted"
    called = "convolutions" if piece.group == _CONV else "matrix products"
    return f"{called} called as functions not counted"


def _kind(module: str) -> str:
    name = module.lower()
    if any(word in name for word in _NORMS):
        return "normalisation"
    if "pool" in name:
        return "pooling"
    if any(
        word in name
        for word in ("relu", "gelu", "silu", "swish", "sigmoid", "tanh", "softmax", "mish", "elu")
    ):
        return "activations"
    return f"module {module}"


def _plain(operator: str) -> str:
    name = operator.removeprefix("aten.").rstrip("_").lower()
    if any(word in name for word in ("batch_norm", "layer_norm", "group_norm", "instance_norm")):
        return "normalisation"
    if "pool" in name:
        return "pooling"
    if name in ("relu", "gelu", "silu", "elu", "prelu", "relu6", "softmax"):
        return "activations"
    if name in ("add", "mul"):
        return "element-wise add and mul"
    if name in ("interpolate", "upsample") or "upsample" in name:
        return "interpolation"
    return f"operator {name}"
