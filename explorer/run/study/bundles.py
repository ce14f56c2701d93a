"""One result bundle a training and seed: written as soon as its members are committed.

A bundle that is there is whole, and none is ever written again: a kill loses nothing, and a folder of
bundles can be copied while the study runs. Their names say what is in them, so that a run on an empty
store takes up those that are there instead of training again.
"""

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import UsageError
from explorer.run.training.jobs import MemberJob
from explorer.spec import Member
from explorer.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFolder:
    """Where a study's bundles are."""

    path: Path
    study: str
    """Name of the study."""
    split_digest: str
    """Of the images: results under another split are other results."""
    weights: bool
    """Whether the members' weights go in."""

    def require_writable(self) -> None:
        """Make the folder, and try it: a study must not learn after an hour that it cannot leave anything.

        Raises:
            UsageError: it cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise UsageError(
                f"cannot write bundles to {self.path}: {error.strerror or error}; name another folder"
            ) from error

    def file_of(self, job: MemberJob, seed: int) -> Path:
        """Return the bundle of one seed of a training."""
        return self._named(job, f"split{self.split_digest[:8]}-seed{seed}")

    def _named(self, job: MemberJob, which: str) -> Path:
        name = f"{self.study}-{job.model}-{job.recipe.id}-{which}"
        return self.path / f"{re.sub('[^A-Za-z0-9_.+@-]', '_', name)}.zip"

    def take_in(self, store: Store, jobs: Iterable[MemberJob]) -> tuple[Path, ...]:
        """Merge the bundles of ``jobs`` that are there into the store and return them.

        Raises:
            InputDataError: a bundle is damaged; the store has what came before it.
        """
        from explorer.store.bundle import ingest_bundle

        found = []
        for job in jobs:
            for seed in job.seeds:
                # Names did not tell the split before: such a bundle counts if its members are of this one.
                names = (self.file_of(job, seed), self._named(job, f"seed{seed}"))
                found += [path for path in names if path.is_file()][:1]
        for path in found:
            ingest_bundle(store, path)
        return tuple(found)

    def write(self, store: Store, jobs: Iterable[MemberJob]) -> tuple[Path, ...]:
        """Write the bundles of ``jobs``, all committed, that are not there yet, and return them."""
        from explorer.store.bundle import write_bundle

        written = []
        for job in jobs:
            for seed in job.seeds:
                path = self.file_of(job, seed)
                if path.exists():
                    continue
                write_bundle(
                    store,
                    path,
                    dataset=job.dataset,
                    members=members_of(job, seed),
                    weights="all" if self.weights else "none",
                )
                written.append(path)
        return tuple(written)


def members_of(job: MemberJob, seed: int) -> tuple[Member, ...]:
    """Return the members of one seed of a training."""
    return tuple(member for member in job.members if member.seed == seed)
