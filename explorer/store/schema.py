"""The tables of the ledger.

Two sorts of table. Look-up tables (`models`, `conditions`, `designs`) hold a value once. All others
are append-only: a row's key says what it is about, ``content`` is the hash of what it says, and of
the rows with one key exactly one is current (``superseded_by`` is null; a partial unique index keeps it
so). Nothing but ``superseded_by`` is ever updated, and no row is deleted.

A change here needs a migration; `tests/store/test_migrate.py` compares the two.
"""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


def _id() -> Column[int]:
    return Column("id", Integer, primary_key=True, autoincrement=False)


def _text(name: str) -> Column[str]:
    return Column(name, String, nullable=False)


def _integer(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _append_only(name: str, key: tuple[str, ...], *columns: Column) -> Table:
    """Return a table of which one row per ``key`` is current."""
    table = Table(
        name,
        metadata,
        _id(),
        *columns,
        _text("content"),
        _text("created_at"),
        # Deferred, because the old row must point to the new one before that exists: otherwise two
        # rows would be current for a moment, which the index forbids.
        Column(
            "superseded_by",
            Integer,
            ForeignKey(f"{name}.id", deferrable=True, initially="DEFERRED"),
        ),
    )
    current = text("superseded_by IS NULL")
    Index(
        f"uq_{name}_current",
        *(table.c[column] for column in key),
        unique=True,
        sqlite_where=current,
    )
    table.info["key"] = key
    return table


models = Table(
    "models",
    metadata,
    _id(),
    _text("name"),
    _integer("resolution"),
    _integer("channels"),
    _integer("classes"),
    UniqueConstraint("name", "resolution", "channels", "classes"),
)
"""Networks by architecture: what a cost depends on."""

conditions = Table(
    "conditions",
    metadata,
    _id(),
    Column("content", String, nullable=False, unique=True),
    _text("device"),
    _text("device_name"),
    _text("dtype"),
    _integer("batch"),
    _integer("threads"),
    _text("backend"),
    Column("versions", JSON, nullable=False),
    _text("power_state"),
    Column("memory_format", String, nullable=False, server_default="contiguous"),
    Column("form", String, nullable=False, server_default="as-built"),
)
"""Device, workload and software of a measurement: `explorer.record.Conditions`."""

designs = Table(
    "designs",
    metadata,
    _id(),
    Column("design_id", String(12), nullable=False, unique=True),
    Column("text", String, nullable=False, unique=True),
)
"""Candidates by canonical text; ``design_id`` is `explorer.spec.design_id`."""

members = _append_only(
    "members",
    ("dataset", "member"),
    _text("dataset"),
    _text("member"),
    Column("model_id", Integer, ForeignKey("models.id"), nullable=False),
    _text("recipe_id"),
    _integer("seed"),
    _text("split_digest"),
    _text("weights_digest"),
    Column("training", JSON, nullable=False),
    # Whether the weights' file came with the row: a bundle may bring predictions alone.
    Column("weights_kept", Boolean, nullable=False, server_default=text("1")),
)
"""Trained networks: `explorer.record.MemberRecord`."""

predictions = _append_only(
    "predictions",
    ("dataset", "split", "split_digest", "member"),
    _text("dataset"),
    _text("split"),
    _text("split_digest"),
    _text("member"),
    # Null when the member was not in the ledger yet; see `explorer.store.members`.
    Column("weights_digest", String),
    _text("digest"),
    _integer("examples"),
    _integer("classes"),
)
"""Where class probabilities are: `explorer.record.PredictionsRecord`."""

labels = _append_only(
    "labels",
    ("dataset", "split", "split_digest"),
    _text("dataset"),
    _text("split"),
    _text("split_digest"),
    _text("digest"),
    _integer("examples"),
    Column("class_names", JSON, nullable=False),
)
"""True classes of a split's examples, in the order of the predictions' rows."""

costs = _append_only(
    "costs",
    ("model_id", "kind", "device", "basis", "convention", "workload"),
    Column("model_id", Integer, ForeignKey("models.id"), nullable=False),
    _text("kind"),
    _text("device"),  # empty where the kind needs none: null would not be equal to itself in the index
    _text("basis"),
    _text("convention"),
    _text("workload"),  # dtype, batch, threads, backend and hardware; empty for a count
    Column("value", Float, nullable=False),
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
    _text("source"),
    Column("conditions_id", Integer, ForeignKey("conditions.id")),
    Column("samples_digest", String),
)
"""Cost figures of models: `explorer.record.CostRecord`."""

evaluations = _append_only(
    "evaluations",
    ("design_id", "dataset", "split_digest", "axis"),
    Column("design_id", Integer, ForeignKey("designs.id"), nullable=False),
    _text("dataset"),
    _text("split_digest"),
    _text("axis"),
    Column("document", JSON, nullable=False),
)
"""What a design scored: `explorer.store.EvaluationRecord`."""

exports = _append_only(
    "exports",
    ("path", "format"),
    _text("path"),
    _text("format"),
    Column("design_id", Integer, ForeignKey("designs.id"), nullable=False),
    _text("dataset"),
    _text("digest"),
)
"""Artefacts built from designs: `explorer.store.ExportRecord`."""

verifications = _append_only(
    "verifications",
    ("export_id",),
    Column("export_id", Integer, ForeignKey("exports.id"), nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("document", JSON, nullable=False),
)
"""Conformance runs of artefacts: `explorer.store.VerificationRecord`."""

prices = _append_only(
    "prices",
    ("device", "purchase", "region", "date", "source"),
    _text("device"),
    _text("purchase"),
    _text("region"),  # empty where it was not said
    _text("date"),
    _text("source"),
    _text("unit"),
    Column("usd_per_hour", Float, nullable=False),
)
"""What an hour of a device costs, written down by the user: `explorer.data.prices.Price`."""

published = _append_only(
    "published",
    ("dataset", "name"),
    _text("dataset"),
    _text("name"),
    _text("kind"),
    _text("digest"),
    _text("source"),
    _integer("entries"),
    Column("document", JSON, nullable=False),
)
"""Tables of accuracies and costs that others published: `explorer.store.published.PublishedTable`."""

FILE_COLUMNS = (
    (members, "weights_digest", "safetensors"),
    (predictions, "digest", "npy"),
    (labels, "digest", "npy"),
    (costs, "samples_digest", "parquet"),
)
"""Table, column and suffix of every stored file that a row names."""
