"""Members' weights: which a record names, and what to say of those that are not here."""

from dataclasses import replace
from pathlib import Path

from sqlalchemy import Engine, select

from explorer.errors import InputDataError, StoreError
from explorer.record import MemberRecord
from explorer.spec import parse_member
from explorer.store import files
from explorer.store.database import reading
from explorer.store.rows import current
from explorer.store.schema import members

SUFFIX = "safetensors"


def with_digest(record: MemberRecord, data: bytes) -> MemberRecord:
    """Return the record with the digest of its weights' content.

    Raises:
        InputDataError: it names another one already.
    """
    digest = files.digest_of(data)
    if record.weights_digest not in ("", digest):
        raise InputDataError(
            f"weights of {record.member} have SHA-256 {digest[:12]}..., "
            f"the record says {record.weights_digest[:12]}..."
        )
    return replace(record, weights_digest=digest)


def read_weights(engine: Engine, folder: Path, digest: str) -> bytes:
    """Return the content of a stored safetensors file, hash checked.

    Raises:
        StoreError: the member came without its weights (the message says how to get them), or the file is
            missing or damaged.
    """
    if not files.path_of(folder, digest, SUFFIX).is_file():
        query = select(members.c.dataset, members.c.member).where(
            current(members), members.c.weights_digest == digest, ~members.c.weights_kept
        )
        with reading(engine) as connection:
            found = connection.execute(query.order_by(members.c.id)).first()
        if found is not None:
            raise _not_here(found.dataset, found.member)
    return files.get_bytes(folder, digest, SUFFIX)


def _not_here(dataset: str, member: str) -> StoreError:
    parsed = parse_member(member)
    return StoreError(
        f"the weights of {member} ({dataset}) are not in this store, only its predictions; get them from a "
        f"bundle that has them (explorer db ingest PATH), or train it again in a store of its own "
        f"(explorer train {parsed.model} --dataset {dataset} --seeds {parsed.seed} --store FOLDER)"
    )
