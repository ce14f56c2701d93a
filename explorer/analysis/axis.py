"""What stands between a stored figure and its value on a cost axis: units, batch, and the device's price."""

from explorer.accounting.money import money_per_million
from explorer.convention import Basis, CostAxis
from explorer.data.devices import find_device_entry
from explorer.data.prices import Price, PriceChoice, Purchase, choose_price, shipped_prices
from explorer.errors import UsageError
from explorer.record import CostFigure
from explorer.store import Store
from explorer.store.prices import read_prices
from explorer.workload import Workload

_SECOND = CostFigure(value=1.0, low=1.0, high=1.0, basis=Basis.PUBLISHED)


def axis_factor(store: Store, axis: CostAxis) -> tuple[float, tuple[str, ...]]:
    """Return what a stored figure is multiplied by on the axis, and a note on the price in it.

    Raises:
        UsageError: nobody has priced the device.
    """
    if not axis.kind.needs_price or axis.workload is None:
        return axis.factor, ()
    device = _plain(axis.workload.device)
    choice = price_of(store, device)
    if choice is None:
        raise UsageError(
            f"no price for {device!r}; give one with "
            f"`explorer devices prices set {device} USD_PER_HOUR --date YYYY-MM-DD --source TEXT`"
        )
    price = choice.price
    units = units_of(axis.workload, price)
    note = (
        f"{axis}: {'' if units == 1 else f'{units:g} x '}{price.usd_per_hour:g} USD an hour per {price.unit} "
        f"({price.purchase}, {price.date}{', OLD' if price.is_old() else ''}, {price.source}), "
        "busy all the time"
    )
    return axis.factor * money_per_million(_SECOND, price, units=units).value, (note,)


def price_of(store: Store, device: str) -> PriceChoice | None:
    """Return the price to reckon ``device`` with, on demand before spot; None where nobody has priced it.

    Raises:
        UsageError: unknown device.
    """
    known = (*read_prices(store), *shipped_prices())
    plain = _plain(device)
    return choose_price(known, plain) or choose_price(known, plain, purchase=Purchase.SPOT)


def _plain(device: str) -> str:
    """Return a device's name without its number: all cards of a machine have one price."""
    return device.partition(":")[0]


def units_of(workload: Workload, price: Price) -> float:
    """Return how many priced units a call occupies: one virtual CPU a thread; of a TPU chip what it sees."""
    if price.unit == "vcpu":
        return float(workload.threads)
    return 1 / find_device_entry(price.device).devices_per_chip if price.unit == "chip" else 1.0
