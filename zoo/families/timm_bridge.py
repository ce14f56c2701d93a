"""Every architecture of timm under ``timm:NAME``, untrained.

Also the one place that knows how to import torchvision (which timm's norm layers do) next to a torch
build its compiled extension was not made for: see `declare_torchvision_ops`.
"""

import difflib
import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from zoo.registry import IMAGENET_CLASSES, Family, ZooError

PREFIX = "timm:"

_TORCHVISION_OPS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_libraries: list[torch.library.Library] = []
"""Declarations live as long as their library object."""


def declare_torchvision_ops() -> None:
    """Declare the schemas of torchvision's detection operators where its extension cannot load.

    torchvision registers meta kernels for ``nms`` at import and dies on "operator torchvision::nms does
    not exist" when its extension was compiled for another torch build (say, a CUDA wheel beside a CPU
    torch). The classifiers here never call these operators, so that they are declared is enough. Call
    before the first import of torchvision; where the operators exist this does nothing.
    """
    spec = importlib.util.find_spec("torchvision")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for extension in sorted(Path(folder).glob("_C*.so")):
            try:
                torch.ops.load_library(str(extension))
            except OSError:
                continue  # compiled for another build of torch: what this function is for
    for name, schema in _TORCHVISION_OPS.items():
        if not hasattr(torch.ops.torchvision, name):
            library = torch.library.Library("torchvision", "FRAGMENT")
            library.define(schema)
            _libraries.append(library)


@functools.cache
def _timm() -> ModuleType:
    """Import timm, once, and only when a timm name is asked for: it takes seconds."""
    declare_torchvision_ops()
    import timm

    return timm


@dataclass(frozen=True, slots=True, kw_only=True)
class TimmConfig:
    """One timm architecture."""

    model: str
    """As timm spells it: ``resnet50``, or with a tag, ``resnet50.a1_in1k``."""

    def __post_init__(self) -> None:
        if not self.model or not _timm().is_model(self.model):
            near = _near(self.model)
            hint = f"did you mean {', '.join(near)}? " if near else ""
            count = len(_timm().list_models())
            raise ZooError(f"unknown timm model {self.model!r}; {hint}timm has {count}: timm.list_models()")
        try:
            _timm().get_pretrained_cfg(self.model)
        except RuntimeError as error:  # the architecture is there, the tag after the point is not
            raise ZooError(f"unknown timm model {self.model!r}: {error}") from error


def _near(text: str) -> tuple[str, ...]:
    return tuple(
        PREFIX + name for name in difflib.get_close_matches(text, _timm().list_models(), n=3, cutoff=0.75)
    )


def _parse(text: str) -> TimmConfig | None:
    return TimmConfig(model=text[len(PREFIX) :]) if text.startswith(PREFIX) else None


def _default_config(config: TimmConfig) -> dict[str, object]:
    found = _timm().get_pretrained_cfg(config.model)
    if found is None:
        raise ZooError(f"timm has no default input size for {config.model!r}; name one without a tag")
    return found.to_dict()


def _default_resolution(config: TimmConfig, native: int) -> int:
    """Return timm's own input size, whatever the images': its models are made for it."""
    size = _default_config(config).get("input_size")
    if not isinstance(size, tuple | list):
        raise ZooError(f"timm gives no input size for {config.model!r}")
    return int(size[-1])


def _build(config: TimmConfig, in_channels: int, num_classes: int, resolution: int | None) -> nn.Module:
    """Return the untrained timm model; those of fixed size are built for ``resolution``."""
    arguments: dict[str, object] = {}
    default = _default_config(config)
    if resolution not in (None, _default_resolution(config, 0)) and default.get("fixed_input_size"):
        arguments["img_size"] = resolution
    try:
        return _timm().create_model(
            config.model, pretrained=False, in_chans=in_channels, num_classes=num_classes, **arguments
        )
    except (TypeError, ValueError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise ZooError(
            f"timm cannot build {config.model} for {in_channels} channels, {num_classes} classes and "
            f"{resolution or 'default'} pixels: {error}"
        ) from error


FAMILY = Family(
    name="timm",
    summary="every architecture of PyTorch Image Models, untrained",
    example="timm:resnet50",
    pattern_help="timm:NAME",
    knobs={"model": "a name timm knows, see timm.list_models()"},
    parse=_parse,
    configure=TimmConfig,
    build=_build,
    format=lambda config: PREFIX + config.model,
    default_resolution=_default_resolution,
    near=_near,
    classes=IMAGENET_CLASSES,
)
