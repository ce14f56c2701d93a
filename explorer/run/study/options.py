"""How a study is run."""

from dataclasses import dataclass
from pathlib import Path

from explorer.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """What a person may choose of a run; none of it but seeds and epochs changes what is made."""

    minutes: float | None = None
    """Time there is; None: as long as it takes."""
    device: str = "cpu"
    workers: int | None = None
    """Trainings at a time; None: one a core, one on a GPU."""
    seeds: tuple[int, ...] | None = None
    """Instead of the study's; arms keep those of their seeds that are among them."""
    epochs: int | None = None
    """Instead of the recipe's own; another recipe then."""
    data_dir: Path | None = None
    bundles: Path | None = None
    """Folder for result bundles."""
    bundle_weights: bool = True
    """Whether bundles hold the members' weights."""
    carry_checkpoints: bool = False
    """Whether unfinished trainings are kept beside the bundles instead of in the store."""
    stacked: int | None = None
    """Seeds trained side by side in one process; None: on a GPU as measured, 1 on a CPU."""
    compiled: bool = False
    """Whether networks run through ``torch.compile``."""

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"a study needs more than 0 minutes, got {self.minutes}")
        if self.carry_checkpoints and self.bundles is None:
            raise UsageError("checkpoints are carried in the folder of bundles; say which with --bundles DIR")

    @property
    def checkpoints(self) -> Path | None:
        """Folder for unfinished trainings; None: in the store."""
        return self.bundles / "checkpoints" if self.bundles and self.carry_checkpoints else None
