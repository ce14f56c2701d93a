"""From what a person types to a network that can be counted: zoo names and their own functions."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.errors import UsageError
from explorer.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

COLOUR_CHANNELS = 3
NATIVE = 32
"""Image size that small-image families are counted at when none is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Countable:
    """A network without weights, and the input it is counted at."""

    model: ModelSpec
    """Resolution set."""
    network: "nn.Module"
    channels: int
    classes: int | None
    """None for a person's own function, which decides itself."""
    note: str = ""
    """How it was built, where that was not on the meta device."""

    def input_shape(self, batch: int = 1, resolution: int | None = None) -> tuple[int, int, int, int]:
        """Return ``[example, channel, height, width]``."""
        side = resolution or self.model.resolution or NATIVE
        return (batch, self.channels, side, side)


def countable(model: ModelSpec, *, channels: int | None = None, classes: int | None = None) -> Countable:
    """Build ``model`` on the meta device: no weights are allocated.

    Args:
        model: a zoo name, ``timm:NAME``, or ``package.module:function`` that returns an ``nn.Module``;
            that one is imported from the working directory or what is installed, and needs a resolution.
        channels: of the input; by default what the family is made for, 3 for a person's own function.
        classes: outputs; default 10, for timm 1,000.

    Raises:
        UsageError: unknown name, a function that is not there or returns something else, or no resolution.
        ZooError: the zoo refuses the name or a knob.
    """
    if is_own_function(model):
        return _own(model, channels or COLOUR_CHANNELS)
    from explorer.measure.trace import build_on_meta
    from zoo import build, canonical_name, default_resolution

    resolution = model.resolution or default_resolution(model.name, NATIVE)
    spec = ModelSpec(canonical_name(model.name), resolution)
    outputs = classes or default_classes(spec)
    inputs = channels or default_channels(spec)

    def make() -> "nn.Module":
        return build(spec.name, in_channels=inputs, num_classes=outputs, resolution=resolution)

    network, note = build_on_meta(make)
    return Countable(model=spec, network=network, channels=inputs, classes=outputs, note=note)


def default_classes(model: ModelSpec) -> int:
    """Return how many outputs a model is counted with when nobody says: those its family is made for."""
    from zoo import family_of

    return family_of(model.name).classes


def default_channels(model: ModelSpec) -> int:
    """Return how many input channels a model is counted with when nobody says."""
    from zoo import family_of

    return family_of(model.name).channels


def is_own_function(model: ModelSpec) -> bool:
    """Tell whether the name is ``package.module:function`` and not a bridged one."""
    return ":" in model.name and not model.name.startswith("timm:")


def _own(model: ModelSpec, channels: int) -> Countable:
    from torch import nn

    from explorer.measure.trace import build_on_meta

    module_name, _, function_name = model.name.partition(":")
    if model.resolution is None:
        raise UsageError(f"{model} needs a resolution, e.g. {model}@224")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"cannot import {module_name!r} of {model.name!r}: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        named = [name for name in vars(module) if callable(vars(module)[name]) and not name.startswith("_")]
        raise UsageError(
            f"{module_name!r} has no function {function_name!r}; it has: {', '.join(sorted(named)) or 'none'}"
        )
    network, note = build_on_meta(function)
    if not isinstance(network, nn.Module):
        raise UsageError(f"{model.name} returned a {type(network).__name__}; wanted a torch.nn.Module")
    return Countable(model=model, network=network, channels=channels, classes=None, note=note)
