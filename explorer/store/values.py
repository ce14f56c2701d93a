"""What the store answers with beside the records of `explorer.record`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRecord:
    """What one design scored on one data set and cost axis."""

    design: str
    """Canonical text."""
    dataset: str
    split_digest: str
    axis: str
    """Text of the cost axis, ``macs`` or ``latency@cpu``."""
    document: Mapping[str, object]
    """The figures, as the writer wrote them; JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRecord:
    """One artefact that was built."""

    id: int
    """Names the export in this store: `Store.put_verification` takes it."""
    design: str
    """Canonical text."""
    dataset: str
    path: str
    """Absolute, on the machine that built it."""
    digest: str
    """SHA-256 of the artefact's main file, which is not kept in the store."""
    format: str
    """``onnx``, ..."""
    created_at: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord:
    """One conformance run of an export."""

    export_id: int
    passed: bool
    document: Mapping[str, object]
    """Routes and latencies, as the writer wrote them; JSON."""
    created_at: str
    """UTC, ISO 8601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreInfo:
    """How much is in a store."""

    url: str
    root: Path
    revision: str
    """Format revision of the ledger."""
    counts: Mapping[str, int]
    """Table -> current rows."""
    superseded: int
    """Rows kept that a later row corrects, all tables."""
    bytes: int
    """Ledger and stored files, in bytes."""
    files: int
    """Stored files."""
    orphans: int
    """Stored files that no row names: a write was interrupted between the files and the ledger."""
    orphan_bytes: int
    without_weights: int
    """Current members whose weights are not here: a bundle brought their predictions alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What a full check of a store found."""

    problems: tuple[str, ...]
    """One line each; empty means: every row and every file is as it was written."""
    notes: tuple[str, ...]
    """Harmless findings, such as orphaned files."""
    files_checked: int
    bytes_checked: int

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems
