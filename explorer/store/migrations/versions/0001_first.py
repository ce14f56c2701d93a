"""First format.

The helper below is a frozen copy of what `explorer.store.schema` looked like: a migration must not
change when the schema moves on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("resolution", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("classes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("name", "resolution", "channels", "classes", name="uq_models_name"),
    )
    op.create_table(
        "conditions",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("device_name", sa.String(), nullable=False),
        sa.Column("dtype", sa.String(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("threads", sa.Integer(), nullable=False),
        sa.Column("backend", sa.String(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("power_state", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_conditions"),
        sa.UniqueConstraint("content", name="uq_conditions_content"),
    )
    op.create_table(
        "designs",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("design_id", sa.String(length=12), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_designs"),
        sa.UniqueConstraint("design_id", name="uq_designs_design_id"),
        sa.UniqueConstraint("text", name="uq_designs_text"),
    )
    _members_and_predictions()
    _costs_and_designs()


def _members_and_predictions() -> None:
    _append_only(
        "members",
        ("dataset", "member"),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column(
            "model_id", sa.Integer(), sa.ForeignKey("models.id", name="fk_members_model_id"), nullable=False
        ),
        sa.Column("recipe_id", sa.String(), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("split_digest", sa.String(), nullable=False),
        sa.Column("weights_digest", sa.String(), nullable=False),
        sa.Column("training", sa.JSON(), nullable=False),
    )
    _append_only(
        "predictions",
        ("dataset", "split", "split_digest", "member"),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("split", sa.String(), nullable=False),
        sa.Column("split_digest", sa.String(), nullable=False),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("weights_digest", sa.String(), nullable=True),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("classes", sa.Integer(), nullable=False),
    )
    _append_only(
        "labels",
        ("dataset", "split", "split_digest"),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("split", sa.String(), nullable=False),
        sa.Column("split_digest", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("class_names", sa.JSON(), nullable=False),
    )


def _costs_and_designs() -> None:
    _append_only(
        "costs",
        ("model_id", "kind", "device", "basis", "convention", "workload"),
        sa.Column(
            "model_id", sa.Integer(), sa.ForeignKey("models.id", name="fk_costs_model_id"), nullable=False
        ),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("convention", sa.String(), nullable=False),
        sa.Column("workload", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("high", sa.Float(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column(
            "conditions_id", sa.Integer(), sa.ForeignKey("conditions.id", name="fk_costs_conditions_id")
        ),
        sa.Column("samples_digest", sa.String(), nullable=True),
    )
    _append_only(
        "evaluations",
        ("design_id", "dataset", "split_digest", "axis"),
        sa.Column(
            "design_id",
            sa.Integer(),
            sa.ForeignKey("designs.id", name="fk_evaluations_design_id"),
            nullable=False,
        ),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("split_digest", sa.String(), nullable=False),
        sa.Column("axis", sa.String(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
    )
    _append_only(
        "exports",
        ("path", "format"),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column(
            "design_id",
            sa.Integer(),
            sa.ForeignKey("designs.id", name="fk_exports_design_id"),
            nullable=False,
        ),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
    )
    _append_only(
        "verifications",
        ("export_id",),
        sa.Column(
            "export_id",
            sa.Integer(),
            sa.ForeignKey("exports.id", name="fk_verifications_export_id"),
            nullable=False,
        ),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
    )


def _append_only(name: str, key: tuple[str, ...], *columns: sa.Column) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        *columns,
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("superseded_by", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["superseded_by"],
            [f"{name}.id"],
            name=f"fk_{name}_superseded_by",
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
    )
    current = sa.text("superseded_by IS NULL")
    op.create_index(
        f"uq_{name}_current",
        name,
        list(key),
        unique=True,
        sqlite_where=current,
    )
