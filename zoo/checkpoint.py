"""A training checkpoint on disk: written whole or not at all, checked on the way back in.

The file is a line with the format's version, a line with the SHA-256 of the rest, and a `torch.save`
payload. Format history: 1, first.
"""

import contextlib
import hashlib
import io
import os
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zoo.registry import ZooError

_FORMAT = b"zoo-checkpoint "
_VERSION = 1
_MAGIC = _FORMAT + b"%d\n" % _VERSION


class DamagedError(ZooError):
    """The file is a checkpoint, but not a whole one: training may start again from scratch."""


def save(path: Path, identity: Mapping[str, object], payload: Mapping[str, Any]) -> None:
    """Write a checkpoint so that after a power cut ``path`` holds the old one or the new one, whole.

    Args:
        path: the file; missing folders are made.
        identity: plain JSON values that say which training this is.
        payload: tensors and plain values that the training goes on from.
    """
    buffer = io.BytesIO()
    torch.save({"identity": dict(identity), "payload": dict(payload)}, buffer)
    content = buffer.getbuffer()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def epochs_done(path: Path) -> int:
    """Return how many epochs the checkpoint at ``path`` keeps; 0 where there is none that is whole."""
    return stack_done(path)[1]


def stack_done(path: Path) -> tuple[tuple[int, ...], int]:
    """Return the seeds that the checkpoint at ``path`` holds side by side, and how many epochs it keeps.

    No seeds where it is of one alone; no epochs where there is none that is whole.
    """
    try:
        _, _, body = path.read_bytes().split(b"\n", 2)
        document = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except (FileNotFoundError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError):
        return (), 0
    payload = document["payload"]
    epochs = len(payload["curves"][0] if "curves" in payload else payload["curve"])
    return tuple(document["identity"].get("seeds", ())), epochs


def load(path: Path, identity: Mapping[str, object]) -> Mapping[str, Any]:
    """Return the payload of the checkpoint at ``path``, which must be of the training ``identity``.

    Raises:
        DamagedError: truncated or altered content.
        ZooError: not a checkpoint, one of another format version, or one of another training; the
            message tells what differs.
    """
    content = path.read_bytes()
    if not content.startswith(_MAGIC):
        if _MAGIC.startswith(content):
            raise DamagedError(f"checkpoint {path} is cut off after {len(content)} bytes")
        if content.startswith(_FORMAT):
            version = content[len(_FORMAT) :].split(b"\n", 1)[0].decode(errors="replace")
            raise ZooError(f"checkpoint {path} has format {version}; this version reads {_VERSION}")
        raise ZooError(f"{path} is not a training checkpoint; name another file or remove it")
    digest, _, body = content[len(_MAGIC) :].partition(b"\n")
    found = hashlib.sha256(body).hexdigest()
    if digest.decode(errors="replace") != found:
        raise DamagedError(
            f"checkpoint {path} is cut off or altered: {len(body)} bytes, SHA-256 {found[:12]}"
        )
    document = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    _same_training_or_raise(path, document["identity"], identity)
    return document["payload"]


def _same_training_or_raise(path: Path, found: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    differences = [
        f"{key}: {found.get(key, 'absent')} there, {wanted.get(key, 'absent')} wanted"
        for key in [*wanted, *(found.keys() - wanted.keys())]
        if found.get(key, "absent") != wanted.get(key, "absent")
    ]
    if differences:
        raise ZooError(
            f"checkpoint {path} is of another training ({'; '.join(differences)}); "
            "name another file or remove it"
        )
