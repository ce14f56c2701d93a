"""Counts that claims need and that are more than one quantity of one or two models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from explorer.run.claims.counted import Counts, buildable


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A figure, and what it was computed from."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)


def ensemble_share(counts: Counts, *, member: str, members: int, single: str) -> Found:
    """Return the MACs of an ensemble of equal members over those of one model."""
    each, one = counts.cost(member).macs, counts.cost(single).macs
    return Found(value=members * each / one, parts={f"{members} x {member}": members * each, single: one})


def norm_share(counts: Counts, *, model: str) -> Found:
    """Return the share of a model's parameters that scale and shift its norms."""
    from torch.nn.modules.batchnorm import _NormBase
    from torch.nn.modules.normalization import GroupNorm, LayerNorm

    network = buildable(model).network
    norms = sum(
        parameter.numel()
        for module in network.modules()
        if isinstance(module, _NormBase | GroupNorm | LayerNorm)
        for parameter in module.parameters(recurse=False)
    )
    every = counts.cost(model).parameters
    return Found(value=norms / every, parts={"norms": norms, "all": every})


def products_and_bits(counts: Counts, *, model: str, bits: int, against: str, against_bits: int) -> Found:
    """Return MACs x bits of one model over those of another: the cost of arXiv 2105.03536's curves."""
    amounts = {
        f"{model} at {bits} bit": float(counts.cost(model).macs * bits),
        f"{against} at {against_bits} bit": float(counts.cost(against).macs * against_bits),
    }
    first, second = amounts.values()
    return Found(value=first / second, parts=amounts)


SPECIAL: Mapping[str, Callable[..., Found]] = {
    "ensemble_share": ensemble_share,
    "norm_share": norm_share,
    "products_and_bits": products_and_bits,
}
"""By the name that a check gives."""
