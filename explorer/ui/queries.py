"""The one place where the app asks the analysis; answers are kept until the store changes."""

import argparse
import io
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from explorer.analysis.advice.advise import advise
from explorer.analysis.axis import price_of
from explorer.analysis.pool import Pool, load_pool
from explorer.analysis.result import Advice, Comparison, Front
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.statistics.compare import compare
from explorer.convention import COST_KINDS, Composition, CostAxis, CostKind, terms_hold_for
from explorer.errors import UsageError
from explorer.question import Budget
from explorer.report import report_html
from explorer.spec import Averaging, parse_design
from explorer.store import Store
from explorer.store.reference import store_to_read
from explorer.workload import Workload

FOLDER_FILES = ("model.onnx", "design.json", "README.md")
"""What a built folder holds, as `explorer.build.artefact` writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything a front depends on: the key under which it is kept."""

    store: str
    stamp: str
    """Changes whenever anything is written to the store."""
    dataset: str
    axis: str
    averaging: str
    max_members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """A pool and the front searched in it."""

    pool: Pool
    front: Front


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An artefact ready to be saved by the browser."""

    design: str
    onnx: bytes
    folder: bytes
    """Zip of the whole folder: model, design.json, README."""
    digest: str


def store_argument(arguments: Sequence[str] | None = None) -> str | None:
    """Return what follows ``--store`` on the command line; without it the study that ships, or None.

    None means that the store decides itself.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--store")
    known, _ = parser.parse_known_args(sys.argv[1:] if arguments is None else list(arguments))
    return store_to_read(known.store if known.store is None else str(known.store))


def axes_of(store: Store, dataset: str | None = None) -> tuple[str, ...]:
    """Return the cost axes that the store has figures for, counted ones first; of one data set or of all."""
    records = store.costs()
    if dataset is not None:
        models = {record.member.model for record in store.predictions(dataset, "report")}
        records = tuple(r for r in records if r.model in models and terms_hold_for(r.convention, dataset))
    stored = {(record.kind, record.device) for record in records}
    devices = sorted({device for _, device in stored if device is not None})
    found = []
    for kind in COST_KINDS.values():
        if kind.composition is Composition.WORST or kind.members_at_once:
            continue  # a limit beside a mean cost, an assumption: asked for rather than offered
        source = kind.derived_from or kind.name
        if kind.needs_device:
            able = [device for device in devices if (source, device) in stored and _tells(kind, device)]
            found += [
                f"{kind.name}@{device}" for device in able if not kind.needs_price or _priced(store, device)
            ]
        elif (source, None) in stored:
            found.append(kind.name)
    return tuple(found)


def _tells(kind: CostKind, device: str) -> bool:
    """Tell whether a kind says more than what it comes from: one example's time is the call's at batch 1."""
    return kind.needs_price or not kind.per_example or Workload.parse(device).batch > 1


def _priced(store: Store, device: str) -> bool:
    try:
        return price_of(store, Workload.parse(device).device) is not None
    except UsageError:  # a device of before the table
        return False


@st.cache_resource(max_entries=8, show_spinner="Searching every single, ensemble and cascade ...")
def searched(request: Request) -> Searched:
    """Load the members and search them; kept until the store changes.

    Raises:
        ExplorerError: what the store or the analysis refused.
    """
    with Store.open(request.store, create=False) as store:
        axis = CostAxis.parse(request.axis)
        pool, notes = load_pool(store, request.dataset, axis)
        space = Space(max_members=request.max_members, averaging=Averaging(request.averaging))
        front = search(pool, axis, space, notes=notes)
        return Searched(pool=pool, front=front)


@st.cache_data(max_entries=200, show_spinner=False)
def advice(request: Request, budget: str) -> Advice:
    """Answer a budget, written as text.

    Raises:
        ExplorerError: what the analysis refused.
    """
    found = searched(request)
    return advise(found.pool, found.front, Budget.parse(budget))


@st.cache_data(max_entries=200, show_spinner=False)
def comparison(request: Request, first: str, second: str) -> Comparison:
    """Compare two designs, paired.

    Raises:
        ExplorerError: what the analysis refused.
    """
    return compare(searched(request).pool, parse_design(first), parse_design(second))


@st.cache_data(max_entries=8, show_spinner="Writing the report ...")
def report(request: Request, budget: str) -> str:
    """Return the HTML report of an answer.

    Raises:
        ExplorerError: what the store or the analysis refused.
    """
    with Store.open(request.store, create=False) as store:
        return report_html(store, searched(request).front, advice(request, budget), command="explorer app")


@st.cache_data(max_entries=8, show_spinner="Building the file ...")
def built(request: Request, design: str) -> Built:
    """Build a design and return its files.

    Raises:
        ExplorerError: what the store or the builder refused.
    """
    from explorer.build.artefact import build_artefact  # torch and onnx: only when asked for

    front = searched(request).front
    with tempfile.TemporaryDirectory() as parent, Store.open(request.store, create=False) as store:
        folder = Path(parent) / "artefact"
        artefact = build_artefact(
            store, request.dataset, parse_design(design), folder, recipe=front.pool.recipe_id
        )
        return Built(
            design=design,
            onnx=artefact.model.read_bytes(),
            folder=_zipped(folder),
            digest=artefact.digest,
        )


def _zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FOLDER_FILES:
            archive.write(folder / name, name)
    return buffer.getvalue()
