"""The form of a result bundle: `manifest.json` beside ``files/<sha256>.<suffix>``.

The manifest holds the rows and lists the files; ``content`` in it is the SHA-256 of all the rest, so that
no byte of a bundle can change unseen. Rows are in the order in which they were written first, one a line;
nothing in it depends on when or where the bundle is made, so equal content gives equal bytes.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from explorer import __version__
from explorer.errors import InputDataError
from explorer.store.bundle_rows import TABLES, BundleRows, decode_rows
from explorer.store.database import canonical_json
from explorer.store.files import SUFFIXES

FORMAT = "explorer-bundle"
VERSION = 1
"""What this version writes, and the highest it reads."""
MANIFEST = "manifest.json"
FOLDER = "files"
FILE_NAME = re.compile(rf"{FOLDER}/(?P<digest>[0-9a-f]{{64}})\.(?P<suffix>{'|'.join(SUFFIXES)})")
"""The only names besides the manifest's that a bundle may hold: none leads out of it."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class BundleFile:
    """One file of a bundle."""

    digest: str
    """SHA-256."""
    suffix: str
    bytes: int

    @property
    def name(self) -> str:
        """Its path inside the bundle."""
        return f"{FOLDER}/{self.digest}.{self.suffix}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says of itself."""

    product: str
    """Version of the program that wrote it."""
    rows: BundleRows
    files: tuple[BundleFile, ...]


def manifest_bytes(rows: Mapping[str, Sequence[Mapping[str, Any]]], files: Sequence[BundleFile]) -> bytes:
    """Return the manifest of encoded rows (table -> rows) and files."""
    ordered = {name: _in_order(rows[name]) for name in TABLES}
    listed = [{"name": f.name, "bytes": f.bytes, "sha256": f.digest} for f in sorted(files)]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "product": __version__,
        "rows": ordered,
        "files": listed,
    }
    parts = [f'"content":"{_content(document)}"', f'"files":{_lines(listed)}']
    parts += [f'"{name}":{canonical_json(document[name])}' for name in ("format", "product")]
    tables = ",\n".join(f'"{name}":{_lines(found)}' for name, found in sorted(ordered.items()))
    parts += [f'"rows":{{\n{tables}\n}}', f'"version":{VERSION}']
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Read a manifest; ``where`` names the bundle in errors.

    Raises:
        InputDataError: not a bundle's, of a newer version, damaged, or its rows contradict one another.
    """
    try:
        document = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputDataError(f"{where}: {MANIFEST} is damaged: it is not JSON ({reason})") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        said = document.get("format") if isinstance(document, dict) else None
        raise InputDataError(f"{where} is no bundle: its {MANIFEST} has format {said!r}, wanted {FORMAT!r}")
    _require_version(document, where)
    try:
        content = _content({name: part for name, part in document.items() if name != "content"})
    except (ValueError, RecursionError) as error:  # a number or a text that JSON written by us cannot hold
        raise InputDataError(f"{where}: {MANIFEST} is damaged: {error}") from None
    if document.get("content") != content:
        raise InputDataError(
            f"{where}: {MANIFEST} is damaged: its content has SHA-256 {content[:12]}..., "
            f"it says {str(document.get('content'))[:12]!r}"
        )
    known = {"format", "version", "product", "content", "rows", "files"}
    if set(document) != known or not isinstance(document["product"], str):
        raise InputDataError(f"{where}: {MANIFEST} holds {sorted(document)}; wanted {sorted(known)}")
    files = _files(document["files"], where)
    rows = decode_rows(document["rows"], where)
    _require_same_files(rows, files, where)
    return Manifest(product=document["product"], rows=rows, files=files)


def _require_version(document: Mapping[str, Any], where: str) -> None:
    version = document.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > VERSION:
        raise InputDataError(
            f"{where} was written by a newer version of this program ({document.get('product')}): it is a "
            f"bundle of version {version}, this program reads up to {VERSION}; upgrade scale-or-ensemble"
        )
    if version != VERSION or isinstance(version, bool):
        raise InputDataError(f"{where}: not a version of a bundle: {version!r}; wanted {VERSION}")


def _files(listed: object, where: str) -> tuple[BundleFile, ...]:
    if not isinstance(listed, list):
        raise InputDataError(f"{where}: files must be a list")
    found = []
    for entry in listed:
        name = entry.get("name") if isinstance(entry, dict) else None
        match = FILE_NAME.fullmatch(name) if isinstance(name, str) else None
        size = entry.get("bytes") if isinstance(entry, dict) else None
        if match is None or set(entry) != {"name", "bytes", "sha256"} or entry["sha256"] != match["digest"]:
            raise InputDataError(
                f"{where}: {MANIFEST} lists {name!r}; wanted {FOLDER}/<sha256>.<suffix> and its SHA-256"
            )
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InputDataError(f"{where}: {name} cannot have {size!r} bytes")
        found.append(BundleFile(digest=match["digest"], suffix=match["suffix"], bytes=size))
    if len({file.name for file in found}) != len(found):
        raise InputDataError(f"{where}: {MANIFEST} lists a file twice")
    return tuple(sorted(found))


def _require_same_files(rows: BundleRows, files: Sequence[BundleFile], where: str) -> None:
    listed = {(file.digest, file.suffix) for file in files}
    named = rows.files()
    for digest, suffix in sorted(named - listed):
        raise InputDataError(f"{where}: a row names {digest[:12]}....{suffix}, which is not in the bundle")
    for digest, suffix in sorted(listed - named):
        raise InputDataError(f"{where}: no row names its file {digest[:12]}....{suffix}")


def _in_order(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: (row["created_at"], canonical_json(row)))


def _lines(rows: Sequence[Mapping[str, Any]]) -> str:
    return "[\n" + ",\n".join(canonical_json(row) for row in rows) + "\n]" if rows else "[]"


def _content(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
