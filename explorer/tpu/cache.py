"""Keep what was compiled: once by what was asked, once by the very program that the compiler got.

A question (model's name, shape, device, options, versions, our own code) is answered without tracing the
model or importing jax. When only the question is new but the program is not, because a version of ours
changed nothing in it, the compiler need not run either.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

PACKAGES = ("jax", "jaxlib", "libtpu", "torch", "timm", "scale-or-ensemble")
"""Whose versions can change an answer."""
_OWN_CODE = (
    "explorer.tpu.program",
    "explorer.tpu.torch_export",
    "explorer.tpu.table",
    "explorer.tpu.worker",
    "explorer.tpu.hlo",
    "explorer.measure.deploy",
    "explorer.measure.norm_folding",
    "explorer.measure.data_flow",
    "zoo",
)
"""Modules and packages whose source can: the operator table, the deploy form, the zoo's networks."""


def default_folder() -> Path:
    """Return where compiled answers are kept unless said otherwise."""
    named = os.environ.get("EXPLORER_TPU_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("scale-or-ensemble")) / "tpu"


def versions() -> dict[str, str]:
    """Return the installed versions of `PACKAGES`, without importing them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def code_digest() -> str:
    """Return the SHA-256 of our own source that shapes the program."""
    digest = hashlib.sha256()
    for name in _OWN_CODE:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
        for path in files:
            digest.update(f"{name}/{path.relative_to(origin.parent)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def key_of(document: Mapping[str, object]) -> str:
    """Return the SHA-256 of a question as plain values."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def read(folder: Path, section: str, key: str) -> dict[str, Any] | None:
    """Return what is kept under ``key``; None where there is nothing, or nothing whole."""
    try:
        found = json.loads(_path(folder, section, key).read_bytes())
    except (FileNotFoundError, ValueError):
        return None  # a damaged entry is compiled again and written over
    return found if isinstance(found, dict) and found.get("key") == key else None


def write(folder: Path, section: str, key: str, facts: Mapping[str, object]) -> None:
    """Keep ``facts`` under ``key``: whole or not at all, also when two processes do so at once."""
    path = _path(folder, section, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**facts, "key": key}, sort_keys=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def _path(folder: Path, section: str, key: str) -> Path:
    return folder / section / f"{key}.json"
