"""Counts that claims need and that are more than one quantity of one or two models."""

import io
from collections.abc import Callable, Mapping

from explorer.data.claims import Quantity
from explorer.run.claims.closed_forms import CLOSED_FORMS, Found
from explorer.run.claims.counted import Counts, buildable

__all__ = ["SPECIAL", "Found"]


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


def over_published(counts: Counts, *, model: str, quantity: str, amount: float, name: str) -> Found:
    """Return a published amount of a network that cannot be built over the counted one of ``model``."""
    counted = counts.quantity(model, Quantity(quantity))
    return Found(value=amount / counted, parts={name: amount, model: counted})


def smallest_of_space(counts: Counts, *, space: str) -> Found:
    """Return the MACs of the search space's smallest sub-network."""
    return _end_of_space(counts, space, largest=False)


def largest_of_space(counts: Counts, *, space: str) -> Found:
    """Return the MACs of the search space's largest sub-network."""
    return _end_of_space(counts, space, largest=True)


def _end_of_space(counts: Counts, name: str, *, largest: bool) -> Found:
    from zoo.supernets import spaces

    space = spaces()[name]
    choice = space.largest() if largest else space.smallest()
    resolution = space.resolution(choice)
    macs = float(counts.cost(f"{space.format(choice)}@{resolution}").macs)
    end = "largest" if largest else "smallest"
    return Found(value=macs, parts={f"{end} of {name} at {resolution} px": macs})


def architectures(counts: Counts, *, space: str) -> Found:
    """Return how many sub-networks a space has when resolutions are not told apart."""
    from zoo.supernets import spaces

    found = spaces()[space].architectures or spaces()[space].size
    return Found(value=float(found), parts={space: float(found)})


def speech_macs(counts: Counts, *, space: str, name: str, frames: int) -> Found:
    """Return the MACs of a published sub-network that hears ``frames`` frames of 80 mel bands."""
    from explorer.accounting import count
    from explorer.measure.trace import build_on_meta, trace_model
    from zoo.supernets import spaces

    whole = spaces()[space]
    network, _note = build_on_meta(lambda: whole.build(whole.published[name], in_channels=1))
    macs = float(count(trace_model(network.eval(), (1, 1, 80, frames))).macs)
    return Found(value=macs, parts={f"{name}, {frames} frames": macs})


def added(counts: Counts, *, model: str, against: str, base: str, quantity: str) -> Found:
    """Return what ``model`` adds to ``base`` over what ``against`` adds to it."""
    start = counts.quantity(base, Quantity(quantity))
    amounts = {name: counts.quantity(name, Quantity(quantity)) - start for name in (model, against)}
    first, second = amounts.values()
    return Found(value=first / second, parts=amounts)


def added_over(counts: Counts, *, amount: float, model: str, base: str, name: str) -> Found:
    """Return ``amount`` parameters over those that ``model`` adds to ``base``."""
    more = counts.cost(model).parameters - counts.cost(base).parameters
    return Found(value=amount / more, parts={name: amount, f"{model} over {base}": more})


def saved_megabytes(counts: Counts, *, model: str) -> Found:
    """Return the size of a model's weights file as PyTorch wrote it before version 1.6, in 10^6 bytes."""
    import torch

    state = buildable(model, weights=True).network.state_dict()
    written = io.BytesIO()
    torch.save(state, written, _use_new_zipfile_serialization=False)
    # Addresses of the process stand in the file, so that its size differs by some kB from run to run.
    megabytes = round(len(written.getbuffer()) / 1e6, 1)
    return Found(value=megabytes, parts={model: 1e6 * megabytes})


def intensity(counts: Counts, *, model: str, batch: int = 1, fused: bool = False) -> Found:
    """Return floating-point operations (two a MAC) a byte between memory and processor."""
    from explorer.accounting.traffic import arithmetic_intensity
    from explorer.measure.trace import trace_model

    subject = buildable(model)
    trace = trace_model(subject.network, subject.input_shape(batch))
    found = 2 * arithmetic_intensity(trace, fused=fused)
    return Found(value=found, parts={model: found})


def region_work(counts: Counts, *, trunk: str, region: str, regions: int, against: str) -> Found:
    """Return the MACs of a detector's trunk and of its regions over those of one network."""
    whole = counts.cost(trunk).macs
    each = counts.cost(region).macs
    other = counts.cost(against).macs
    parts = {trunk: whole, f"{regions} x {region}": regions * each, against: other}
    return Found(value=(whole + regions * each) / other, parts=parts)


def _closed(form: Callable[..., Found]) -> Callable[..., Found]:
    def found(counts: Counts, **arguments: float) -> Found:
        return form(**arguments)

    return found


SPECIAL: Mapping[str, Callable[..., Found]] = {
    function.__name__: function
    for function in (
        *(ensemble_share, norm_share, products_and_bits, over_published, smallest_of_space, largest_of_space),
        *(architectures, added, added_over, saved_megabytes, intensity, region_work, speech_macs),
    )
} | {name: _closed(form) for name, form in CLOSED_FORMS.items()}
"""By the name that a check gives."""
