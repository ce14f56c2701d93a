"""Where results are kept: an append-only ledger beside immutable files.

>>> import tempfile
>>> from explorer.store import Store
>>> with Store.open(tempfile.mkdtemp()) as store:
...     store.members("digits")
()
"""

from typing import TYPE_CHECKING

from explorer.store.values import (
    CheckResult,
    EvaluationRecord,
    ExportRecord,
    StoreInfo,
    VerificationRecord,
)

if TYPE_CHECKING:
    from explorer.store.ledger import Store

__all__ = ["CheckResult", "EvaluationRecord", "ExportRecord", "Store", "StoreInfo", "VerificationRecord"]


def __getattr__(name: str) -> object:
    """Load `Store` when it is first asked for: SQLAlchemy takes a third of a second to import."""
    if name != "Store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from explorer.store.ledger import Store

    globals()["Store"] = Store
    return Store
