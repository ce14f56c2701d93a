"""What a number means: cost kinds with unit and composition rule, and the basis a number stands on.

``macs`` is the stored integer: one multiply-accumulate of a convolution, linear layer or matrix
product counts once; everything else is counted as ``elementwise_ops`` and never mixed in. ``flops``
always means 2 x ``macs`` and is derived, never stored.
"""

from dataclasses import dataclass
from enum import StrEnum

from explorer.errors import ConventionError, UsageError, unknown_name
from explorer.workload import Workload


class Basis(StrEnum):
    """Where a cost figure comes from. Figures on different bases are told apart everywhere."""

    COUNTED = "counted"
    """Exact arithmetic on shapes under a stated convention; nothing was run."""
    MEASURED = "measured"
    """Timed or read on the device named, with raw samples kept."""
    COMPOSED = "composed"
    """Members' measured figures added up under a stated placement; the whole was not measured."""
    COMPILED = "compiled"
    """A compiler's own estimate."""
    FITTED = "fitted"
    """A model fitted to measurements of the same device."""
    TRANSFERRED = "transferred"
    """A model fitted on another device, scaled to this one."""
    BOUND = "bound"
    """A roofline or specification bound: the truth is not better than this."""
    PUBLISHED = "published"
    """Somebody else's figure, with source and convention."""


PREDICTED = frozenset((Basis.FITTED, Basis.TRANSFERRED, Basis.BOUND))
"""What nobody ran or compiled: a measured figure goes before it."""


class Composition(StrEnum):
    """How a candidate's cost follows from its parts."""

    SUM = "sum"
    """Every part is paid, always: parameters held in memory."""
    EXPECTED = "expected"
    """Ensemble parts are summed; a cascade stage is paid by the share of inputs that reaches it."""
    MAX = "max"
    """Parts run one after the other and reuse the same memory: the largest one counts."""
    WORST = "worst"
    """Ensemble parts are summed; a cascade is paid as by the input that runs every stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostKind:
    """One kind of cost: its name, unit, and how it composes."""

    name: str
    unit: str
    composition: Composition
    needs_device: bool
    """Whether the figure only exists for a named device (``latency@cpu``)."""
    doc: str
    derived_from: str | None = None
    """The stored kind this one is computed from."""
    factor: float = 1.0
    """Value of this kind = factor x value of ``derived_from``."""
    per_example: bool = False
    """Whether the stored figure is of a whole call, and this kind a batch's share of it."""
    members_at_once: bool = False
    """Whether the members of a stage run side by side, each on a worker of its own: the slowest counts."""
    needs_price: bool = False
    """Whether the figure is multiplied by what the device costs (`explorer.accounting.money`)."""


_KINDS = (
    CostKind(
        name="macs",
        unit="MAC",
        composition=Composition.EXPECTED,
        needs_device=False,
        doc="multiply-accumulates of convolutions, linear layers and matrix products, one example",
    ),
    CostKind(
        name="flops",
        unit="FLOP",
        composition=Composition.EXPECTED,
        needs_device=False,
        doc="2 x macs, derived",
        derived_from="macs",
        factor=2.0,
    ),
    CostKind(
        name="worst_macs",
        unit="MAC",
        composition=Composition.WORST,
        needs_device=False,
        doc="macs of the example that costs most: one that runs every stage of a cascade",
        derived_from="macs",
    ),
    CostKind(
        name="elementwise_ops",
        unit="op",
        composition=Composition.EXPECTED,
        needs_device=False,
        doc="additions, activations, norms, pooling and softmax: one per element and step",
    ),
    CostKind(
        name="parameters",
        unit="parameter",
        composition=Composition.SUM,
        needs_device=False,
        doc="learned numbers, shared ones once; every stage of a cascade is held",
    ),
    CostKind(
        name="param_bytes",
        unit="B",
        composition=Composition.SUM,
        needs_device=False,
        doc="bytes of the parameters in the deployed dtype",
    ),
    CostKind(
        name="activation_peak_bytes",
        unit="B",
        composition=Composition.MAX,
        needs_device=False,
        doc="largest sum of live activations, one example, by tensor liveness",
    ),
    CostKind(
        name="latency",
        unit="s",
        composition=Composition.EXPECTED,
        needs_device=True,
        doc="median time of one call of the workload's batch, members one after the other",
    ),
    CostKind(
        name="worst_latency",
        unit="s",
        composition=Composition.WORST,
        needs_device=True,
        doc="latency of the call that takes longest: one that runs every stage of a cascade",
        derived_from="latency",
    ),
    CostKind(
        name="parallel_latency",
        unit="s",
        composition=Composition.EXPECTED,
        needs_device=True,
        doc="latency with a worker for each member of a stage, none slowed by another: an assumption",
        derived_from="latency",
        members_at_once=True,
    ),
    CostKind(
        name="time_per_example",
        unit="s",
        composition=Composition.EXPECTED,
        needs_device=True,
        doc="latency over the batch, derived: what one example takes of the device when calls are full",
        derived_from="latency",
        per_example=True,
    ),
    CostKind(
        name="energy",
        unit="J",
        composition=Composition.EXPECTED,
        needs_device=True,
        doc="energy of one example, of the board or package alone, calls full",
    ),
    CostKind(
        name="money",
        unit="USD",
        composition=Composition.EXPECTED,
        needs_device=True,
        doc="US dollars for a million examples at the device's price, calls full, derived from latency",
        derived_from="latency",
        per_example=True,
        needs_price=True,
    ),
    CostKind(
        name="price",
        unit="USD",
        composition=Composition.EXPECTED,
        needs_device=False,
        doc="what the seller charges, US dollars for a million calls",
    ),
)
COST_KINDS: dict[str, CostKind] = {kind.name: kind for kind in _KINDS}


def cost_kind(name: str) -> CostKind:
    """Return the cost kind called ``name``.

    Raises:
        UsageError: no such kind; the message lists those that exist.
    """
    if name not in COST_KINDS:
        raise unknown_name("cost kind", name, COST_KINDS)
    return COST_KINDS[name]


@dataclass(frozen=True, slots=True)
class CostAxis:
    """A cost kind on a device: what a front's horizontal axis shows.

    The device is a workload's text (`explorer.workload`): which device, and how the model runs on it.

    >>> str(CostAxis.parse("latency@cuda/bf16/b64")), str(CostAxis.parse("macs"))
    ('latency@cuda/b64/bf16', 'macs')
    """

    kind: CostKind
    device: str | None = None

    def __post_init__(self) -> None:
        if self.kind.needs_device and self.device is None:
            raise UsageError(f"cost kind '{self.kind.name}' needs a device, e.g. '{self.kind.name}@cpu'")
        if not self.kind.needs_device and self.device is not None:
            raise UsageError(
                f"cost kind '{self.kind.name}' does not depend on a device; "
                f"write '{self.kind.name}' without '@{self.device}'"
            )
        if self.device is not None:
            object.__setattr__(self, "device", str(Workload.parse(self.device)))

    @property
    def stored_kind(self) -> str:
        """Name of the kind that the store keeps and this one is worked out from."""
        return self.kind.derived_from or self.kind.name

    @property
    def workload(self) -> Workload | None:
        """Device and how it is used; None for a kind that depends on none."""
        return None if self.device is None else Workload.parse(self.device)

    @property
    def factor(self) -> float:
        """Value on this axis = factor x stored figure, prices left out."""
        batch = self.workload.batch if self.workload is not None and self.kind.per_example else 1
        return self.kind.factor / batch

    @staticmethod
    def parse(text: str) -> "CostAxis":
        """Read ``KIND`` or ``KIND@DEVICE``.

        Raises:
            UsageError: unknown kind, missing device, or a device where none belongs.
        """
        name, _, device = text.strip().partition("@")
        return CostAxis(cost_kind(name.strip()), device.strip() or None)

    def __str__(self) -> str:
        return self.kind.name if self.device is None else f"{self.kind.name}@{self.device}"


IMPORTED_TERMS = "imported:"
"""Begins the convention of a cost that came with predictions made elsewhere; the data set's name follows."""


def imported_terms(dataset: str) -> str:
    """Return the convention of costs that were imported with predictions on ``dataset``."""
    return f"{IMPORTED_TERMS}{dataset}"


def terms_hold_for(convention: str, dataset: str) -> bool:
    """Tell whether a cost of that convention may be used on ``dataset``.

    Two sellers' services on two data sets may have one name: an imported cost stays with its data set.
    """
    return not convention.startswith(IMPORTED_TERMS) or convention == imported_terms(dataset)


def same_basis_or_raise(bases: set[Basis], what: str) -> None:
    """Refuse to put figures of different bases under one heading.

    Raises:
        ConventionError: more than one basis in ``bases``.
    """
    if len(bases) > 1:
        raise ConventionError(
            f"{what} mixes costs that are {' and '.join(sorted(bases))}; compare them only within one basis"
        )
