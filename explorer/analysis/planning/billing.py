"""What a training and a million examples are billed at: the ledger's times by the prices asked for."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from explorer.accounting.lifetime import LifetimeCost, TrainingRun, lifetime_cost
from explorer.accounting.money import SECONDS_PER_HOUR, money_per_million
from explorer.analysis.axis import price_of
from explorer.analysis.axis import units_of as priced_units  # the axis `money` must bill the same units
from explorer.analysis.pool import Pool
from explorer.analysis.training_runs import Training, stored_name
from explorer.convention import Basis
from explorer.data.devices import find_device_entry
from explorer.data.prices import HERE, Price, PriceChoice, make_price
from explorer.errors import UsageError
from explorer.record import CostFigure
from explorer.spec import Candidate, Member
from explorer.store import Store
from explorer.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What is paid, as a person said it."""

    serving_usd: float | None = None
    """An hour of one unit of the serving device; None: by the price book."""
    training_usd: float | None = None
    """An hour of one unit of whatever a member was trained on; None: by the price book, and where that is
    the device served on, as there."""
    utilisation: float = 1.0
    """Share of the paid serving time in which the device works."""
    hours: Mapping[Member, float] = field(default_factory=dict)
    """Member, as the store names it -> hours its training took, before what the ledger says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUsed:
    """A price, what it is for, and how far sellers are apart."""

    price: Price
    what: str
    """``serving`` or ``training``"""
    units: float
    choice: PriceChoice | None
    """None: given on the command line."""


class Billing:
    """Bills trainings and serving by one tariff; remembers every price it used."""

    def __init__(
        self, store: Store, pool: Pool, trainings: Mapping[Member, Training], tariff: Tariff
    ) -> None:
        """Choose the price of serving.

        Raises:
            UsageError: the pool's costs are no times on a device, or nobody has priced the device.
        """
        if pool.axis.kind.name != "time_per_example" or pool.axis.workload is None:
            raise UsageError(f"serving is paid by the time of an example, this pool holds {pool.axis}")
        self.tariff = tariff
        self._store, self._pool, self._trainings = store, pool, trainings
        self._workload: Workload = pool.axis.workload
        self._prices: dict[str, PriceUsed] = {}
        self._serving = self._serving_price()
        self._memo: dict[str, TrainingRun] = {}

    @property
    def prices(self) -> tuple[PriceUsed, ...]:
        """That of serving first, then those of training by device."""
        return (self._serving, *(self._prices[device] for device in sorted(self._prices)))

    def cost(self, design: Candidate, time_per_example: CostFigure) -> LifetimeCost:
        """Return what a design costs over its life.

        Raises:
            UsageError: a member without a training record, or a device that nobody has priced.
        """
        runs: dict[str, TrainingRun] = {}
        waiting = [stored_name(self._pool, member) for member in design.members]
        own = tuple(map(str, waiting))
        while waiting:
            member = waiting.pop()
            if str(member) not in runs:
                runs[str(member)] = self._run(member)
                known = self._trainings.get(member)
                waiting += () if known is None else (*known.teachers, *known.goes_on_from)
        serving = money_per_million(
            time_per_example,
            self._serving.price,
            utilisation=self.tariff.utilisation,
            units=self._serving.units,
        )
        return lifetime_cost(str(design), own, runs, serving, serving_price=self._serving.price)

    def _run(self, member: Member) -> TrainingRun:
        name = str(member)
        if name not in self._memo:
            self._memo[name] = self._new_run(member)
        return self._memo[name]

    def _new_run(self, member: Member) -> TrainingRun:
        known, given = self._trainings.get(member), self.tariff.hours.get(member)
        how = f"give its hours: --training-hours '{member}=H'"
        if given is not None:
            # nobody measured it here: a figure from outside
            taken = given * SECONDS_PER_HOUR
            seconds = CostFigure(value=taken, low=taken, high=taken, basis=Basis.PUBLISHED)
        elif known is None or known.record.wall_s <= 0:
            raise UsageError(f"this store has no training time of {member}; {how}")
        elif known.missing_cycles:
            missing = ", ".join(map(str, known.missing_cycles))
            raise UsageError(
                f"{member} goes on from snapshots of its run that are not in this store ({missing}); {how}"
            )
        else:
            seconds = known.seconds
        used = self._training_price(member, known)
        return TrainingRun(
            member=str(member),
            seconds=seconds,
            price=used.price,
            units=used.units,
            teachers=() if known is None else tuple(map(str, known.teachers)),
            goes_on_from=() if known is None else tuple(map(str, known.goes_on_from)),
        )

    def _serving_price(self) -> PriceUsed:
        device = self._workload.device.partition(":")[0]
        if self.tariff.serving_usd is not None:
            price, choice = _given(device, self.tariff.serving_usd, "--price"), None
        else:
            choice = price_of(self._store, device)
            if choice is None:
                raise _no_price(device, "--price USD_PER_HOUR")
            price = choice.price
        return PriceUsed(
            price=price, what="serving", units=priced_units(self._workload, price), choice=choice
        )

    def _training_price(self, member: Member, known: Training | None) -> PriceUsed:
        """Return the price of what a member was trained on; of a training elsewhere that of serving."""
        names = (self._serving.price.device,) if known is None else _device_names(known)
        if names[0] not in self._prices:
            self._prices[names[0]] = self._new_training_price(member, names)
        return self._prices[names[0]]

    def _new_training_price(self, member: Member, names: tuple[str, ...]) -> PriceUsed:
        choice = None
        if self.tariff.training_usd is not None:
            price = _given(names[0], self.tariff.training_usd, "--training-price-per-hour")
        elif self._serving.price.device in names:
            price, choice = self._serving.price, self._serving.choice
        else:
            found = (price_of(self._store, name) for name in names)
            choice = next((one for one in found if one is not None), None)
            if choice is None:
                raise _no_price(names[0], "--training-price-per-hour USD", f" {member} was trained on")
            price = choice.price
        # a training here keeps one card, or, on a CPU, one core busy
        return PriceUsed(price=price, what="training", units=1.0, choice=choice)


def read_hours(texts: Sequence[str], read: Callable[[str], Member]) -> dict[Member, float]:
    """Read ``MEMBER=HOURS``, several times.

    Args:
        texts: as given.
        read: member's text -> the member as the store names it.

    Raises:
        UsageError: not of that form, hours below 0, or one member twice.
    """
    found: dict[Member, float] = {}
    for text in texts:
        name, equals, hours = text.rpartition("=")
        try:
            value = float(hours)
        except ValueError:
            value = math.nan
        if not equals or not 0 <= value < math.inf:
            raise UsageError(f"not a training time: {text!r}; wanted MEMBER=HOURS, e.g. 'wrn10-1@8#0=2.5'")
        member = read(name)
        if member in found:
            raise UsageError(f"hours of {member} were given twice")
        found[member] = value
    return found


def _device_names(known: Training) -> tuple[str, ...]:
    """Return what the device of a training may be priced under: as it was called, and by its maker's name."""
    names = (known.device, known.record.device_name)
    found: list[str] = []
    for name in names:
        if name in HERE:
            found.append(name)
        elif key := _table_key(name):
            found.append(key)
    return tuple(found) or (known.device,)


def _table_key(name: str) -> str:
    """Return the device table's key of a device, or nothing: a maker's name need not be in the table."""
    try:
        return find_device_entry(name).key
    except UsageError:
        return ""


def _given(device: str, usd_per_hour: float, option: str) -> Price:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return make_price(device, usd_per_hour, date_text=today, source=f"given as {option}")


def _no_price(device: str, option: str, what: str = "") -> UsageError:
    return UsageError(
        f"no price for {device!r}{f', which{what}' if what else ''}; give {option}, or write one down: "
        f"`explorer devices prices set {device} USD_PER_HOUR --date YYYY-MM-DD --source TEXT`"
    )
