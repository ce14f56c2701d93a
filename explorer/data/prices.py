"""What an hour of a device costs: dated, with its source, so that an old price is seen to be old.

Prices of one card differ severalfold between sellers and change by the week; those that ship are a start, the
user's own (`explorer.store.prices`) go before them.
"""

import csv
import datetime
import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files

from explorer.data.devices import find_device_entry
from explorer.errors import InputDataError, UsageError

OLD_AFTER_DAYS = 365
"""A price older than this is marked in every output."""
UNITS = ("gpu", "chip", "vcpu")
"""What is rented by the hour: one card, one TPU chip, one virtual CPU."""
HERE = {"cpu": "vcpu", "cuda": "gpu"}
"""Devices of this machine that may be priced though the table does not know them, and their unit."""
_KIND_UNITS = {"gpu": "gpu", "tpu": "chip", "edge-tpu": "chip", "cpu": "vcpu"}


class Purchase(StrEnum):
    """On which terms a device is rented."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    """Cheaper, and taken away without asking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one unit of a device costs, where and when that was so."""

    device: str
    """Key of the device table, or ``cpu``, ``cuda`` for this machine's own."""
    usd_per_hour: float
    unit: str
    """Of `UNITS`: what the price is for."""
    date: datetime.date
    """When the price was looked up."""
    source: str
    region: str = ""
    """Empty where it was not said."""
    purchase: Purchase = Purchase.ON_DEMAND
    shipped: bool = False
    """Came with this program; False: the user's own."""

    def age_days(self, today: datetime.date | None = None) -> int:
        """Return days since the price was looked up; never below 0."""
        return max(((today or _today()) - self.date).days, 0)

    def is_old(self, today: datetime.date | None = None) -> bool:
        """Return whether the price is older than a year."""
        return self.age_days(today) > OLD_AFTER_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChoice:
    """The price that a figure in money stands on, and how far its alternatives are apart."""

    price: Price
    low: float
    """Smallest hourly price among the alternatives."""
    high: float
    """Largest."""
    alternatives: int
    """How many prices there were to choose from, the chosen one counted."""


def make_price(
    device: str,
    usd_per_hour: float,
    *,
    date_text: str | None,
    source: str,
    region: str = "",
    purchase: str = Purchase.ON_DEMAND,
    unit: str | None = None,
) -> Price:
    """Check a price as a person wrote it down.

    Args:
        device: any name that `find_device_entry` knows, or ``cpu``, ``cuda``.
        usd_per_hour: of one unit.
        date_text: when it was looked up, ``2026-11-01``.
        source: who says so.
        region: where the device stands, if that matters.
        purchase: on-demand or spot.
        unit: of `UNITS`; by default what the device is usually rented by.

    Raises:
        UsageError: unknown device, no date or one in the future, no source, a price that is not above 0.
    """
    if not date_text or not date_text.strip():
        raise UsageError(f"a price needs the date it was looked up: --date {_today().isoformat()}")
    if not source.strip():
        raise UsageError("a price needs a source: --source 'seller, page'")
    if not (math.isfinite(usd_per_hour) and usd_per_hour > 0):
        raise UsageError(f"a price must be a number of dollars above 0, got {usd_per_hour}")
    key, usual = _device_and_unit(device)
    unit = unit or usual
    if unit not in UNITS:
        raise UsageError(f"unknown unit {unit!r}; known: {', '.join(UNITS)}")
    if purchase not in list(Purchase):
        raise UsageError(f"unknown purchase {purchase!r}; known: {', '.join(Purchase)}")
    return Price(
        device=key,
        usd_per_hour=float(usd_per_hour),
        unit=unit,
        date=_past_date(date_text.strip()),
        source=source.strip(),
        region=region.strip(),
        purchase=Purchase(purchase),
    )


def shipped_prices() -> tuple[Price, ...]:
    """Return the prices that came with this program, sorted by device, terms and price."""
    return _shipped()


def choose_price(
    prices: Iterable[Price],
    device: str,
    *,
    purchase: Purchase = Purchase.ON_DEMAND,
    region: str | None = None,
) -> PriceChoice | None:
    """Return the price to reckon a device with, or None where there is none.

    The user's own go before those shipped; of these the newest date counts, and of several sellers on that
    date the one in the middle (the lower of two). The choice says how far they are apart.

    Raises:
        UsageError: unknown device.
    """
    key, _ = _device_and_unit(device)
    fitting = [
        price
        for price in prices
        if price.device == key and price.purchase is purchase and region in (None, price.region)
    ]
    own = [price for price in fitting if not price.shipped]
    newest = _newest(own or fitting)
    if not newest:
        return None
    ranked = sorted(newest, key=lambda price: (price.usd_per_hour, price.source, price.region))
    return PriceChoice(
        price=ranked[(len(ranked) - 1) // 2],
        low=ranked[0].usd_per_hour,
        high=ranked[-1].usd_per_hour,
        alternatives=len(ranked),
    )


def _newest(prices: Sequence[Price]) -> list[Price]:
    latest = max((price.date for price in prices), default=None)
    return [price for price in prices if price.date == latest]


def _device_and_unit(name: str) -> tuple[str, str]:
    plain = name.strip().lower()
    if plain in HERE:
        return plain, HERE[plain]
    device = find_device_entry(name)
    return device.key, _KIND_UNITS[device.kind]


def _past_date(text: str) -> datetime.date:
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"not a date: {text!r}; wanted e.g. {_today().isoformat()}") from None
    # A day of grace: it is already tomorrow in half of the world.
    if found > _today() + datetime.timedelta(days=1):
        raise UsageError(
            f"a price cannot be looked up in the future: {text}, and today is {_today().isoformat()}"
        )
    return found


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


@functools.cache
def _shipped() -> tuple[Price, ...]:
    text = files("explorer.data").joinpath("tables/prices.csv").read_text(encoding="utf-8")
    found = []
    for row in csv.DictReader(text.splitlines()):
        try:
            price = Price(
                device=find_device_entry(row["device"]).key,
                usd_per_hour=float(row["usd_per_hour"]),
                unit=row["unit"],
                date=datetime.date.fromisoformat(row["date"]),
                source=row["source"],
                region=row["region"],
                purchase=Purchase(row["purchase"]),
                shipped=True,
            )
        except ValueError as error:
            raise InputDataError(f"price table: {dict(row)}: {error}") from error
        found.append(price)
    return tuple(sorted(found, key=lambda price: (price.device, price.purchase, price.usd_per_hour)))
