"""The folder that is shipped: ``model.onnx``, ``design.json``, ``README.md``.

``design.json`` format history:
1. first version.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import safetensors
import safetensors.torch

from explorer import __version__
from explorer.analysis.bootstrap import share_interval
from explorer.build import graph
from explorer.build.answers import Probabilities, stored_answers
from explorer.build.exits import plans_of
from explorer.build.onnx_export import export_member
from explorer.build.readme import readme_text
from explorer.data import DATASETS, load_images
from explorer.errors import InputDataError, StoreError, UsageError, unknown_name
from explorer.record import MemberRecord
from explorer.spec import Candidate, Member, averaging_of, design_id, parse_design, parse_member
from explorer.store import Store
from explorer.store.imported import RECIPE as IMPORTED
from zoo import build_classifier

SCHEMA_VERSION = 1
MODEL_FILE, DESIGN_FILE, README_FILE = "model.onnx", "design.json", "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A built design on disk."""

    path: Path
    """The folder."""
    design: Candidate
    digest: str
    """SHA-256 of ``model.onnx``."""
    bytes: int
    """Size of ``model.onnx``."""
    document: Mapping[str, Any]
    """Content of ``design.json``."""

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.path / MODEL_FILE

    @property
    def dataset(self) -> str:
        """Name of the data set its members were trained on."""
        return str(self.document["dataset"])

    @property
    def thresholds(self) -> dict[str, float]:
        """Exit thresholds by input name; empty unless a cascade."""
        return graph.thresholds_of(self.design)

    @property
    def members(self) -> dict[Member, Member]:
        """Member as the design names it -> member with its recipe."""
        return {parse_member(m["name"]): parse_member(m["member"]) for m in self.document["members"]}


def build_artefact(
    store: Store,
    dataset: str,
    design: Candidate,
    out: Path,
    *,
    overwrite: bool = False,
    recipe: str | None = None,
) -> Artefact:
    """Write ``design`` as a folder that can be deployed: all of it or nothing.

    Args:
        store: holds the members.
        dataset: which the members were trained on.
        design: what to build.
        out: the folder to write; it must not exist, or be empty, or ``overwrite`` be given.
        overwrite: replace an artefact that is already there; any other folder is left alone.
        recipe: recipe id of the members that name none; needed where the store holds several.

    Raises:
        UsageError: a member is not in the store, or ``out`` is taken.
        StoreError: a member's weights are not kept here.
        InputDataError: stored weights do not fit the architecture they are recorded for.
    """
    _check_free(out, overwrite)
    records = {member: stored_member(store, dataset, member, recipe) for member in design.members}
    channels = _same_split(records, dataset).channels
    class_names = store.class_names(dataset)
    native = _native(dataset)
    image_shape = (channels, native, native)
    model = graph.compose_design(
        design,
        {member: _exported(store, record, image_shape) for member, record in records.items()},
        dataset=dataset,
        class_names=class_names,
        image_shape=image_shape,
    )
    content = model.SerializeToString(deterministic=True)
    document = {
        **_description(dataset, design, records),
        "classes": list(class_names),
        "input": {"name": "images", "dtype": "float32", "shape": ["n", *image_shape], "range": [0, 1]},
        "outputs": list(graph.OUTPUTS),
        "expected": _expected(store, dataset, design, records),
        "files": {MODEL_FILE: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}},
        "built_with": {"scale-or-ensemble": __version__, "onnx": onnx.__version__},
    }
    with _whole_folder(out) as folder:
        _write(folder / MODEL_FILE, content)
        _write(folder / DESIGN_FILE, json.dumps(document, indent=2, ensure_ascii=False).encode())
        _write(folder / README_FILE, readme_text(document).encode())
    return load_artefact(out)


def load_artefact(directory: Path) -> Artefact:
    """Read an artefact and check that its model is the one that was built.

    Raises:
        InputDataError: no artefact, or a file of it is missing, damaged or was changed.
        StoreError: a newer version of this project wrote it.
    """
    document = _document(directory)
    model = directory / MODEL_FILE
    try:
        design = parse_design(document["design"])
        wanted = document["files"][MODEL_FILE]
        sha256, size = str(wanted["sha256"]), int(wanted["bytes"])
        artefact = Artefact(path=directory, design=design, digest=sha256, bytes=size, document=document)
        named = set(artefact.members)
        _, channels, height, width = document["input"]["shape"]
        shape, classes = (int(channels), int(height), int(width)), list(document["classes"])
        names = [str(document[key]) for key in ("dataset", "split_digest")]
    except (KeyError, TypeError, ValueError) as error:
        raise InputDataError(f"{directory / DESIGN_FILE} is damaged: {error!r}; build it again") from error
    if (
        str(design) != document["design"]
        or named != set(design.members)
        or min(*shape, len(classes), *map(len, names)) < 1
    ):
        raise InputDataError(
            f"{directory / DESIGN_FILE} is damaged: members, shape or classes do not match the design"
        )
    try:
        content = model.read_bytes()
    except OSError as error:
        raise InputDataError(f"{model} cannot be read ({error.strerror}); build it again") from error
    if len(content) != size:
        raise InputDataError(f"{model} has {len(content)} bytes, {size} were built: truncated or replaced")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputDataError(
            f"{model} was changed since it was built: SHA-256 {found[:12]}, not {sha256[:12]}"
        )
    return artefact


def stored_predictions(store: Store, artefact: Artefact) -> Probabilities:
    """Return what the store holds of the artefact's members on ``report``, by the design's member names.

    Raises:
        StoreError: predictions are missing, or belong to other weights than those in the artefact.
    """
    weights = {parse_member(m["member"]): m["weights_sha256"] for m in artefact.document["members"]}
    found = {}
    for name, member in artefact.members.items():
        record = store.find_member(artefact.dataset, member)
        if record is None or record.weights_digest != weights[member]:
            now = "does not hold it" if record is None else "holds other weights of it"
            raise StoreError(f"{artefact.path} was built from {member}; the store {now}: build it again")
        found[name] = _report_probabilities(store, record)
        if found[name] is None:
            raise StoreError(f"the store has no predictions of {member} on {artefact.dataset} report")
    return found


def _document(directory: Path) -> dict[str, Any]:
    path = directory / DESIGN_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputDataError(
            f"{directory} is no artefact: {DESIGN_FILE} cannot be read ({error.strerror}); "
            "make one with: explorer build DESIGN --out DIR"
        ) from error
    except ValueError as error:
        raise InputDataError(f"{path} is not JSON ({error}); build it again") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if type(version) is not int or version < 1:
        raise InputDataError(f"{path} has no schema_version; wanted 1 to {SCHEMA_VERSION}")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has schema_version {version}; this version knows up to {SCHEMA_VERSION}: "
            "upgrade scale-or-ensemble"
        )
    return document


def stored_member(store: Store, dataset: str, member: Member, recipe: str | None) -> MemberRecord:
    """Return the record of a member of a design; ``recipe`` is that of members that name none.

    Raises:
        UsageError: it is not in the store, was imported, or the store has it under several recipes.
    """
    wanted = replace(member, recipe=member.recipe or recipe or "")
    record = store.find_member(dataset, wanted)
    if record is None:
        named = replace(wanted, recipe=wanted.recipe or IMPORTED)
        if named.recipe == IMPORTED and store.predictions(dataset, "report", member=named):
            raise UsageError(f"{named} was imported: there are answers, but no weights to build a file from")
        found = [entry.member for entry in store.members(dataset)]
        known = {str(entry if wanted.recipe else replace(entry, recipe="")) for entry in found}
        raise unknown_name(f"member of {dataset}", str(wanted), known)
    return record


def _same_split(records: Mapping[Member, MemberRecord], dataset: str) -> MemberRecord:
    """Return the first record, after making sure that all saw the same training examples."""
    first, *others = records.values()
    for record in others:
        if record.split_digest != first.split_digest:
            raise UsageError(
                f"{first.member} and {record.member} were trained under different splits of {dataset}: "
                "what one learned from, the other may be reported on"
            )
    return first


def _description(dataset: str, design: Candidate, records: Mapping[Member, MemberRecord]) -> dict[str, Any]:
    """Return the part of ``design.json`` that says what the artefact is made of."""
    return {
        "schema_version": SCHEMA_VERSION,
        "format": "onnx",
        "design": str(design),
        "design_id": design_id(design),
        "kind": design.kind.value,
        "dataset": dataset,
        "split_digest": next(iter(records.values())).split_digest,
        "averaging": [averaging_of(stage).value for stage in graph.stages_of(design)],
        "thresholds": graph.thresholds_of(design),
        "signals": [signal.value for signal in graph.signals_of(design)],
        "joined": [plan.joined for plan in plans_of(design)],
        "members": [
            {"name": str(member), "member": str(record.member), "weights_sha256": record.weights_digest}
            for member, record in records.items()
        ],
    }


def _native(dataset: str) -> int:
    """Return the height and width of a data set's images."""
    return DATASETS[dataset].native if dataset in DATASETS else load_images(dataset).native


def _exported(store: Store, record: MemberRecord, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    member = record.member
    channels, native, _ = image_shape
    classifier = build_classifier(
        member.name,
        channels=channels,
        classes=record.classes,
        native=native,
        resolution=member.resolution,
    )
    weights = store.weights(record.weights_digest)
    try:
        classifier.load_state_dict(safetensors.torch.load(weights))
    except (RuntimeError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise InputDataError(f"stored weights of {member} do not fit its architecture: {reason}") from error
    return export_member(classifier, image_shape, architecture=(str(member.model), record.classes))


def _expected(
    store: Store, dataset: str, design: Candidate, records: Mapping[Member, MemberRecord]
) -> dict[str, Any] | None:
    """Return what stored predictions on ``report`` promise; None where a member has none there."""
    probabilities: dict[Member, Any] = {}
    for member, record in records.items():
        probabilities[member] = _report_probabilities(store, record)
        if probabilities[member] is None:
            return None
    digest = next(iter(records.values())).split_digest
    labels = store.labels(dataset, "report", digest)
    answers, _ = stored_answers(design, probabilities, tuple(graph.thresholds_of(design).values()))
    interval = share_interval(int((answers.label == labels).sum()), len(labels))
    stages = len(graph.stages_of(design))
    return {
        "split": "report",
        "examples": len(labels),
        "accuracy": {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n},
        "reached": [float((answers.stage >= number).mean()) for number in range(stages)],
    }


def _report_probabilities(store: Store, record: MemberRecord) -> Any:
    for found in store.predictions(record.dataset, "report", member=record.member):
        if found.split_digest == record.split_digest:
            return store.probabilities(found)
    return None


def _check_free(out: Path, overwrite: bool) -> None:
    """Refuse to write over anything but an artefact that may be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / DESIGN_FILE).is_file():
        raise UsageError(f"{out} exists and is no artefact; choose another folder")
    if not overwrite:
        raise UsageError(f"{out} already holds an artefact; choose another folder or give --overwrite")


@contextlib.contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder to fill that becomes ``out`` when the block ends well, and vanishes otherwise."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.new-", dir=out.parent))
    old = fresh.with_name(fresh.name.replace(".new-", ".old-"))
    try:
        yield fresh
        fresh.chmod(0o755)  # mkdtemp makes it private
        if out.exists():
            out.rename(old)
        fresh.rename(out)
        _sync(out.parent)
    except BaseException:
        if old.exists() and not out.exists():
            old.rename(out)
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
