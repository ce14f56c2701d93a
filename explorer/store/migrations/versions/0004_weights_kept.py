"""Members whose weights are not here: those of a bundle that carries predictions alone.

Until now no member was written without its weights, which is what the column says by default.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "members",
        sa.Column("weights_kept", sa.Boolean(), nullable=False, server_default=sa.text("1")),
    )
