"""Memory format and form of what was timed; workloads by their new name.

Rows written before this were timed contiguous and as built, which is what the columns say by default.
The device label ``cpu-eager`` becomes the workload text ``cpu/eager``.
"""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SAID = (
    "device",
    "device_name",
    "dtype",
    "batch",
    "threads",
    "backend",
    "versions",
    "power_state",
    "memory_format",
    "form",
)
"""What the hash of conditions covered in this format."""


def upgrade() -> None:
    op.add_column(
        "conditions",
        sa.Column("memory_format", sa.String(), nullable=False, server_default="contiguous"),
    )
    op.add_column(
        "conditions",
        sa.Column("form", sa.String(), nullable=False, server_default="as-built"),
    )
    op.execute("UPDATE costs SET device = 'cpu/eager' WHERE device = 'cpu-eager'")
    op.execute("UPDATE evaluations SET axis = 'latency@cpu/eager' WHERE axis = 'latency@cpu-eager'")
    _hash_again()


def _hash_again() -> None:
    """Let the same conditions, met again, find their old row: their hash covers the new fields too."""
    table = sa.table(
        "conditions",
        sa.column("id", sa.Integer),
        sa.column("content", sa.String),
        *(sa.column(name, sa.JSON if name == "versions" else None) for name in _SAID),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(table)).mappings().all():
        said = {name: row[name] for name in _SAID}
        text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        content = hashlib.sha256(text.encode()).hexdigest()
        connection.execute(sa.update(table).where(table.c.id == row["id"]).values(content=content))
