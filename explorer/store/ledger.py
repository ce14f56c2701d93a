"""The store: one folder that keeps members, predictions, labels, costs and artefacts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from sqlalchemy import Engine

from explorer.errors import StoreError
from explorer.record import CostRecord, MemberRecord, PredictionsRecord
from explorer.spec import Member
from explorer.store import check, costs, designs, files, members, rows
from explorer.store.database import reading, writing
from explorer.store.location import sqlite_url
from explorer.store.migrate import HEAD, bring_up_to_date
from explorer.store.opening import open_root
from explorer.store.values import (
    CheckResult,
    EvaluationRecord,
    ExportRecord,
    StoreInfo,
    VerificationRecord,
)
from explorer.store.weights import read_weights, with_digest


class Store:
    """A ledger of rows and a folder of immutable files, opened with `Store.open`.

    Everything is append-only: what is put twice is kept once, and what contradicts an earlier record
    supersedes it without deleting it. When a ``put`` returns, what it wrote survives a kill and a power
    cut; files are on the disk before the row that names them. Any number of processes and threads
    may use one store at once; a writer waits up to 30 seconds for another one.

    Every method may raise `StoreError` (locked, damaged, disk full); only further errors are listed.
    """

    def __init__(self, root: Path, engine: Engine) -> None:
        self._root = root
        self._engine = engine
        self._files = root / "files"

    @staticmethod
    def open(url: str | Path | None = None, *, create: bool = True) -> "Store":
        """Open the store at ``url``, made first if it is not there, migrated first if it is old.

        Args:
            url: a folder, ``sqlite:///PATH`` or ``reference``, the study that ships (not to be made);
                default ``$EXPLORER_STORE``, then ``./explorer-store``.
            create: whether a missing store is made.

        Raises:
            UsageError: ``url`` is not a place a store can be.
            StoreError: missing and not to be made; written by a newer version; damaged.
        """
        return Store(*open_root(url, create=create))

    def close(self) -> None:
        """Close all connections; the store object is of no more use."""
        self._engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def root(self) -> Path:
        """The folder that holds everything."""
        return self._root

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the ledger; `Store.open` takes it."""
        return sqlite_url(self._root)

    @property
    def work(self) -> Path:
        """Folder for unfinished work, such as training checkpoints: disposable, never named by a row."""
        folder = self._root / "work"
        folder.mkdir(exist_ok=True)
        return folder

    # ---- members ------------------------------------------------------------------------------

    def put_member(self, record: MemberRecord) -> None:
        """Write a member whose weights were put before.

        Raises:
            UsageError: the member names no recipe.
            StoreError: its weights are not in the store.
        """
        self._require_file(record.weights_digest, "safetensors", f"weights of {record.member}")
        with writing(self._engine) as connection:
            members.put_member(connection, record)

    def members(self, dataset: str | None = None, recipe_id: str | None = None) -> tuple[MemberRecord, ...]:
        """Return the current members, sorted by data set, model, recipe and seed."""
        with reading(self._engine) as connection:
            return members.read_members(connection, dataset, recipe_id)

    def find_member(self, dataset: str, member: Member) -> MemberRecord | None:
        """Return one member's current record, or None; without a recipe, of the plain one with most members.

        Raises:
            UsageError: ``member`` names no recipe, and the store holds it under several as good.
        """
        with reading(self._engine) as connection:
            return members.find_member(connection, dataset, member)

    def datasets(self) -> tuple[str, ...]:
        """Return the names of the data sets that have members, sorted."""
        return tuple(sorted({record.dataset for record in self.members()}))

    def commit_member(
        self,
        record: MemberRecord,
        weights: bytes,
        predictions: Mapping[str, np.ndarray],
        *,
        labels: Mapping[str, np.ndarray] | None = None,
        class_names: Sequence[str] = (),
    ) -> tuple[PredictionsRecord, ...]:
        """Write a trained member, its weights, predictions and the splits' labels: all of it or nothing.

        Args:
            record: ``weights_digest`` may be empty: it is filled in.
            weights: content of the safetensors file.
            predictions: split -> probabilities ``[example, class]``.
            labels: split -> true classes ``[example]``; not needed when they are in the store.
            class_names: names of the classes, needed with ``labels``.

        Raises:
            UsageError: the member names no recipe, or a split is neither ``select`` nor ``report``.
            InputDataError: predictions or labels are not what they should be, or the digest is wrong.
        """
        record = with_digest(record, weights)
        members.require_recipe(record.member)
        wanted = {
            split: members.checked_probabilities(array, record.member, record.dataset, split)
            for split, array in predictions.items()
        }
        checked = {
            split: members.checked_labels(array, class_names, record.dataset, split)
            for split, array in (labels or {}).items()
        }
        # First every file, then every row: a kill in between leaves files that no row names.
        files.put_bytes(self._files, weights, "safetensors")
        stored = tuple(
            self._stored_predictions(record.member, record.dataset, split, record.split_digest, array)
            for split, array in wanted.items()
        )
        label_digests = {split: files.put_array(self._files, array) for split, array in checked.items()}
        with writing(self._engine) as connection:
            for split, array in checked.items():
                key = {"dataset": record.dataset, "split": split, "split_digest": record.split_digest}
                members.put_labels(connection, key, label_digests[split], len(array), class_names)
            members.put_member(connection, record)
            for found in stored:
                members.put_predictions(connection, found, weights_digest=record.weights_digest)
        return stored

    def put_weights(self, data: bytes) -> str:
        """Store the content of a safetensors file and return its digest."""
        return files.put_bytes(self._files, data, "safetensors")

    def weights(self, digest: str) -> bytes:
        """Return the content of a stored safetensors file, hash checked.

        Raises:
            StoreError: the member came without its weights: the message says how to get them.
        """
        return read_weights(self._engine, self._files, digest)

    def has_weights(self, record: MemberRecord) -> bool:
        """Tell whether a member's weights are here: a bundle may have brought its predictions alone."""
        return files.path_of(self._files, record.weights_digest, "safetensors").is_file()

    # ---- predictions and labels ---------------------------------------------------------------

    def put_predictions(
        self, member: Member, dataset: str, split: str, split_digest: str, probabilities: np.ndarray
    ) -> PredictionsRecord:
        """Store a member's probabilities ``[example, class]`` on a split, as float16.

        Raises:
            UsageError: the member names no recipe, or the split is neither ``select`` nor ``report``.
            InputDataError: not two axes, not finite, outside [0, 1], rows that do not add up to 1, or
                another number of examples or classes than the labels have.
        """
        members.require_recipe(member)
        array = members.checked_probabilities(probabilities, member, dataset, split)
        record = self._stored_predictions(member, dataset, split, split_digest, array)
        with writing(self._engine) as connection:
            members.put_predictions(connection, record)
        return record

    def predictions(
        self, dataset: str, split: str, *, member: Member | None = None
    ) -> tuple[PredictionsRecord, ...]:
        """Return the current predictions of a split, sorted by member.

        Only those made by a member's current weights; several split digests may occur.
        """
        members.require_split(split)
        with reading(self._engine) as connection:
            return members.read_predictions(connection, dataset, split, member)

    def probabilities(self, record: PredictionsRecord) -> np.ndarray:
        """Return stored probabilities: float16 ``[example, class]``, memory-mapped, read-only."""
        array = files.get_array(self._files, record.digest)
        if array.dtype != np.float16 or array.shape != (record.examples, record.classes):
            raise StoreError(
                f"{files.path_of(self._files, record.digest, 'npy')} holds {array.dtype} "
                f"{list(array.shape)}, the ledger says float16 [{record.examples}, {record.classes}]"
            )
        return array

    def put_labels(
        self, dataset: str, split: str, split_digest: str, labels: np.ndarray, class_names: Sequence[str]
    ) -> None:
        """Store the true classes ``[example]`` of a split, in the order of the predictions' rows.

        Raises:
            UsageError: the split is neither ``select`` nor ``report``.
            InputDataError: not one axis of integers, or a label without a class.
        """
        array = members.checked_labels(labels, class_names, dataset, split)
        digest = files.put_array(self._files, array)
        key = {"dataset": dataset, "split": split, "split_digest": split_digest}
        with writing(self._engine) as connection:
            members.put_labels(connection, key, digest, len(array), class_names)

    def labels(self, dataset: str, split: str, split_digest: str) -> np.ndarray:
        """Return the true classes of a split: int64 ``[example]``, memory-mapped, read-only."""
        members.require_split(split)
        with reading(self._engine) as connection:
            found = members.read_labels(connection, dataset, split, split_digest)
            known = members.read_labels(connection, dataset)
        if not found:
            shown = ", ".join(f"{row['split']} of split {row['split_digest'][:12]}" for row in known)
            raise StoreError(
                f"no labels of {dataset} {split} for split {split_digest[:12]}; known: {shown or 'none'}"
            )
        return files.get_array(self._files, found[0]["digest"])

    def class_names(self, dataset: str) -> tuple[str, ...]:
        """Return the names of a data set's classes, by label."""
        with reading(self._engine) as connection:
            found = members.read_labels(connection, dataset)
        if not found:
            raise StoreError(f"no labels of {dataset!r} in {self._root}, so its class names are not known")
        return tuple(found[-1]["class_names"])

    # ---- costs --------------------------------------------------------------------------------

    def put_cost(
        self,
        record: CostRecord,
        samples: Sequence[float] | None = None,
        *,
        warmup: Sequence[float] = (),
        notes: Mapping[str, object] | None = None,
    ) -> CostRecord:
        """Write a cost figure with its raw samples, and return it with their digest.

        Args:
            record: the figure.
            samples: raw samples in the cost kind's unit, in the order taken.
            warmup: discarded first samples, kept for inspection.
            notes: what was seen beside the samples, kept with them; JSON.

        Raises:
            UsageError: unknown or derived cost kind, device missing or out of place, no resolution.
            InputDataError: a figure or sample that is not finite, or outside its own interval.
        """
        costs.require_cost(record)
        record = replace(record, figure=costs.as_floats(record.figure))
        if samples is not None:
            digest = files.put_bytes(self._files, costs.encode_samples(samples, warmup, notes), "parquet")
            record = replace(record, samples_digest=digest)
        elif record.samples_digest is not None:
            self._require_file(record.samples_digest, "parquet", f"samples of {record.model}")
        with writing(self._engine) as connection:
            costs.put_cost(connection, record)
        return record

    def costs(
        self, kind: str | None = None, device: str | None = None, *, since: str = ""
    ) -> tuple[CostRecord, ...]:
        """Return the current cost figures written at ``since`` (ISO 8601, UTC) or later, oldest first.

        A model has one for every basis, convention and workload (dtype, batch, threads, backend, hardware).
        """
        with reading(self._engine) as connection:
            return costs.read_costs(connection, kind, device, since)

    def samples(self, digest: str, *, phase: str = "sample") -> np.ndarray:
        """Return the raw samples of a measurement, or its ``warmup``: float64, in the order taken."""
        return costs.decode_samples(files.get_bytes(self._files, digest, "parquet"), phase)

    def sample_notes(self, digest: str) -> dict[str, Any]:
        """Return what was seen beside a measurement's samples."""
        return costs.decode_notes(files.get_bytes(self._files, digest, "parquet"))

    # ---- designs ------------------------------------------------------------------------------

    def put_evaluation(self, record: EvaluationRecord) -> None:
        """Write what a design scored.

        Raises:
            UsageError: not a design, or not a cost axis.
            InputDataError: the document has no JSON form.
        """
        with writing(self._engine) as connection:
            designs.put_evaluation(connection, record)

    def evaluations(self, dataset: str | None = None) -> tuple[EvaluationRecord, ...]:
        """Return the current evaluations, oldest first."""
        with reading(self._engine) as connection:
            return designs.read_evaluations(connection, dataset)

    def put_export(
        self, design: str, dataset: str, path: str | Path, *, digest: str, format: str
    ) -> ExportRecord:
        """Write that an artefact was built at ``path``; ``digest`` is that of its main file.

        Raises:
            UsageError: not a design.
        """
        with writing(self._engine) as connection:
            return designs.put_export(connection, design, dataset, path, digest=digest, format=format)

    def exports(self, dataset: str | None = None) -> tuple[ExportRecord, ...]:
        """Return the current exports, oldest first."""
        with reading(self._engine) as connection:
            return designs.read_exports(connection, dataset)

    def put_verification(self, export_id: int, passed: bool, document: Mapping[str, object]) -> None:
        """Write the outcome of an export's conformance run.

        Raises:
            StoreError: no such export.
            InputDataError: the document has no JSON form.
        """
        with writing(self._engine) as connection:
            designs.put_verification(connection, export_id, passed, document)

    def verifications(self, export_id: int | None = None) -> tuple[VerificationRecord, ...]:
        """Return the latest verification of every export, oldest first."""
        with reading(self._engine) as connection:
            return designs.read_verifications(connection, export_id)

    # ---- the store itself ---------------------------------------------------------------------

    def info(self) -> StoreInfo:
        """Return how much is in the store."""
        return check.store_info(self._engine, self._root)

    def check(self) -> CheckResult:
        """Read every row and hash every file; return what is wrong."""
        return check.check_store(self._engine, self._root)

    def migrate(self) -> tuple[str, str]:
        """Bring the ledger to this version's format; return revision before and after.

        `open` has done so already; this is for a person who wants to be told.
        """
        before, after = bring_up_to_date(self._engine)
        return before or HEAD, after

    def stamp(self) -> str:
        """Return a text that changes whenever anything is written: a key for caches."""
        with reading(self._engine) as connection:
            return rows.stamp(connection)

    # ---- pieces -------------------------------------------------------------------------------

    def _stored_predictions(
        self, member: Member, dataset: str, split: str, split_digest: str, array: np.ndarray
    ) -> PredictionsRecord:
        return PredictionsRecord(
            member=member,
            dataset=dataset,
            split=split,
            split_digest=split_digest,
            digest=files.put_array(self._files, array),
            examples=array.shape[0],
            classes=array.shape[1],
        )

    def _require_file(self, digest: str, suffix: str, what: str) -> None:
        if not files.path_of(self._files, digest, suffix).is_file():
            raise StoreError(f"{what}: no stored file {digest[:12]}....{suffix}; put it into the store first")
