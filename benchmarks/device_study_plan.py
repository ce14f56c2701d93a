"""What the study of a device measures: the most informative first, so that any end is a good one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from explorer.errors import UsageError
from explorer.prediction.families import family
from explorer.run.fitting import CANDIDATES
from explorer.run.profiling.plan import GROUP
from explorer.run.profiling.subjects import Subject
from explorer.spec import parse_model
from explorer.workload import Precision, Runtime, Workload

STAGES = ("planned", "eager", "graph", "compiled", "nhwc", "placements", "energy")
TIMM_RESOLUTION, TIMM_CLASSES = 224, 1000
ZOO_RESOLUTION, ZOO_CLASSES = 32, 10
ZOO = ("wrn10-1", "wrn10-4", "wrn16-1", "wrn16-4", "wrn16-10", "wrn28-10", "wrn40-4", "mobile-x1")
MODELS = (
    *(f"timm:{name}@{TIMM_RESOLUTION}" for name in CANDIDATES),
    *(f"{name}@{ZOO_RESOLUTION}" for name in ZOO),
)
COMPILED = (
    *(
        "resnet50",
        "vit_small_patch16_224",
        "efficientnet_b0",
        "convnext_tiny",
        "swin_tiny_patch4_window7_224",
    ),
    *("resnet18", "mobilenetv3_large_100", "regnety_016", "vit_base_patch16_224", "mixer_b16_224", "vgg16"),
    "densenet121",
)
"""Compiling takes minutes for all of them."""
ENSEMBLES = ("wrn10-1@32", "wrn16-4@32", "mobile-x1@32", "timm:mobilenetv3_small_100@96")
SIZES = (2, 4, 8)
CALIBRATION_RUNS = 10
_MIXERS = frozenset(
    ("vit", "deit", "swin", "mixer", "resmlp", "xcit", "pvt", "levit", "coatnet", "maxvit", "mobilevit")
)
"""Families whose time is not in convolutions: another memory format is no question for them."""
_COMPILED_AT_ONCE = 2
"""Models of a compiled unit: what is interrupted is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What is measured in one go, and in the same rounds: models under a workload, or one ensemble."""

    stage: str
    workload: Workload
    subjects: tuple[str, ...]
    """Models with their resolution, or one design."""
    placements: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Return what its rows tell: ``time``, ``placement`` or ``energy``."""
        return {"placements": "placement", "energy": "energy"}.get(self.stage, "time")

    def key(self, subject: str) -> str:
        """Return what names the row of a subject: a second one of this name is not measured."""
        return f"{self.kind} {self.workload} {subject}"

    def only(self, subjects: Sequence[str]) -> "Unit":
        """Return the unit with some of its subjects."""
        return replace(self, subjects=tuple(subjects))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a study is to hold."""

    device: str = "cuda"
    models: tuple[str, ...] = ()
    """Texts, with resolution; none: all."""
    stages: tuple[str, ...] = STAGES
    batches: tuple[int, ...] = ()
    """Of the stages of single models; none: all."""
    seconds: float = 0.5
    repeat: int = 1
    planned: tuple[str, ...] = field(default=())
    """What the planner chose to calibrate from."""

    def document(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @staticmethod
    def read(found: Mapping[str, Any]) -> "Asked":
        """Return what `document` wrote."""
        given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in found.items()}
        return Asked(**given)


def subject_of(text: str) -> Subject:
    """Return a model as it is profiled: timm's answer for ImageNet's classes, others for ten.

    Raises:
        UsageError: not a model.
        ZooError: unknown model.
    """
    from zoo import canonical_name

    given = parse_model(text)
    timm = given.name.startswith("timm:")
    size = given.resolution or (TIMM_RESOLUTION if timm else ZOO_RESOLUTION)
    return Subject(
        model=replace(given, name=canonical_name(given.name), resolution=size),
        channels=3,
        classes=TIMM_CLASSES if timm else ZOO_CLASSES,
    )


def candidates(asked: Asked) -> tuple[tuple[str, ...], int]:
    """Return the timm models to choose calibration runs from, and the resolution they share."""
    found = [subject_of(text) for text in asked.models or MODELS]
    timm = [one for one in found if one.model.name.startswith("timm:")]
    size = timm[0].resolution if timm else TIMM_RESOLUTION
    return tuple(s.model.name.removeprefix("timm:") for s in timm if s.resolution == size), size


def main_precision(device: str) -> Precision:
    """Return the precision that the predictors that ship were fitted in; CPUs have float32 for all."""
    return Precision.FP32 if device == "cpu" else Precision.AMP


def units(asked: Asked) -> tuple[Unit, ...]:
    """Return everything to be measured, in order.

    Raises:
        UsageError: an unknown stage.
    """
    for stage in asked.stages:
        if stage not in STAGES:
            raise UsageError(f"unknown stage {stage!r}; known: {', '.join(STAGES)}")
    wanted = asked.stages
    return tuple(one for one in _everything(asked) if one.stage in wanted and _batch_asked(one, asked))


def _batch_asked(unit: Unit, asked: Asked) -> bool:
    return not asked.batches or unit.workload.batch in asked.batches or unit.kind != "time"


def _everything(asked: Asked) -> Iterator[Unit]:
    texts = tuple(str(subject_of(text).model) for text in asked.models or MODELS)
    ten = tuple(text for text in texts if text in asked.planned)
    others = tuple(text for text in texts if text not in ten)
    compiled = texts[: len(COMPILED)] if asked.models else _named(texts, COMPILED)
    convolutions = tuple(text for text in texts if family(text) not in _MIXERS)
    main, half, single = main_precision(asked.device), Precision.BF16, Precision.FP32

    def models(
        stage: str,
        some: Sequence[str],
        precision: Precision,
        batches: Sequence[int],
        runtime: Runtime = Runtime.EAGER,
    ) -> Iterator[Unit]:
        at_once = _COMPILED_AT_ONCE if runtime is Runtime.COMPILED else GROUP
        for batch in batches:
            workload = Workload(
                device=asked.device,
                batch=batch,
                precision=precision,
                runtime=runtime,
                channels_last=stage == "nhwc",
            )
            for first in range(0, len(some), at_once):
                part = tuple(some[first : first + at_once])
                yield Unit(stage=stage, workload=workload, subjects=part)

    yield from models("planned", ten, main, (64, 256))
    yield from models("eager", others, main, (64, 256))
    for precision in (half, single):
        yield from models("eager", texts, precision, (1, 8, 64))
    yield from models("eager", texts, main, (1, 8))
    for precision in (half, single):
        yield from models("eager", texts, precision, (256,))
    yield from models("graph", texts, half, (1, 8), Runtime.GRAPH)
    yield from models("compiled", compiled, main, (64,), Runtime.COMPILED)
    yield from models("nhwc", convolutions, main, (64, 256))
    yield from _placements(asked, 1)
    energy = Workload(device=asked.device, batch=64, precision=main, runtime=Runtime.EAGER)
    for text in (ten or texts)[:CALIBRATION_RUNS]:
        yield Unit(stage="energy", workload=energy, subjects=(text,))
    # what tells least for its time comes last, whatever its stage
    yield from models("graph", texts, single, (1, 8), Runtime.GRAPH)
    yield from models("compiled", compiled, main, (1,), Runtime.COMPILED)
    yield from _placements(asked, 64)


def _placements(asked: Asked, batch: int) -> Iterator[Unit]:
    on_gpu = ("sequential", "streams", "graph", "batched")
    nets = asked.models[: len(ENSEMBLES)] if asked.models else ENSEMBLES
    workload = Workload(device=asked.device, batch=batch, runtime=Runtime.EAGER)
    for size in SIZES:
        for text in nets:
            model = subject_of(text).model
            design = f"mean({', '.join(f'{model}#{seed}' for seed in range(size))})"
            yield Unit(
                stage="placements",
                workload=workload,
                subjects=(design,),
                placements=("sequential", "batched") if asked.device == "cpu" else on_gpu,
            )


def _named(texts: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    order = {f"timm:{name}@{TIMM_RESOLUTION}": place for place, name in enumerate(names)}
    return tuple(sorted((text for text in texts if text in order), key=lambda text: order[text]))
