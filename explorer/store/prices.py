"""The user's prices, as rows: written once, superseded, never changed."""

from datetime import date
from typing import TYPE_CHECKING

from sqlalchemy import select

from explorer.data.prices import Price, Purchase
from explorer.store.database import reading, writing
from explorer.store.rows import NewRow, append, content_of, current
from explorer.store.schema import prices

if TYPE_CHECKING:
    from explorer.store.ledger import Store


def put_price(store: "Store", price: Price) -> None:
    """Write a price; another amount for the same device, terms, day and source supersedes the earlier one.

    Raises:
        StoreError: the store is locked, damaged or full.
    """
    key = {
        "device": price.device,
        "purchase": str(price.purchase),
        "region": price.region,
        "date": price.date.isoformat(),
        "source": price.source,
    }
    values = {"unit": price.unit, "usd_per_hour": price.usd_per_hour}
    content = content_of({**key, **values}, f"price of {price.device}")
    with writing(store._engine) as connection:
        append(connection, NewRow(table=prices, key=key, values=values, content=content))


def read_prices(store: "Store", device: str | None = None) -> tuple[Price, ...]:
    """Return the user's current prices, of one device (its key) or of all, oldest row first.

    Raises:
        StoreError: the store is locked or damaged.
    """
    query = select(prices).where(current(prices)).order_by(prices.c.id)
    if device is not None:
        query = query.where(prices.c.device == device)
    with reading(store._engine) as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(
        Price(
            device=row["device"],
            usd_per_hour=row["usd_per_hour"],
            unit=row["unit"],
            date=date.fromisoformat(row["date"]),
            source=row["source"],
            region=row["region"],
            purchase=Purchase(row["purchase"]),
        )
        for row in rows
    )
