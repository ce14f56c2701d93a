"""Count what scaling rules give: networks at each phi, published ones, and each rule's largest in a budget.

Every cost is counted on the meta device, never taken from the closed form a rule aims by: rounding, stems and
heads make the two differ. Networks counted once are remembered.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from explorer.errors import UsageError, unknown_name
from explorer.question import Budget
from explorer.report.scaling import Choice, Figure, ScaledRow
from explorer.run.progress import Update
from explorer.run.scaled_search import Search, close_in, explore
from zoo.families.efficientnet import of_phi
from zoo.registry import Family, registered_families
from zoo.scaling import compound
from zoo.scaling.efficientnet import COEFFICIENTS, published_of_phi
from zoo.scaling.rules import Network, Rule, Scalable, knobs_of, rules_for
from zoo.scaling.tiny import POINTS, tiny_point

BUDGET_KINDS = ("macs", "parameters")
PUBLISHED = "published"
"""The choice among a family's published variants, beside the rules."""
CURVE_SHARES = (0.125, 0.25, 0.5)
"""Sizes of a curve over the chosen one."""


class Counter:
    """Counts networks without weights, each once."""

    def __init__(self, update: Update = lambda share, text: None) -> None:
        from explorer.measure.meta_speed import KernelsOnce

        self._known: dict[Network, ScaledRow] = {}
        self._kernels = KernelsOnce()
        self._update = update
        self.share = 0.0
        """Of the work done, for the progress shown."""

    def row(self, network: Network) -> ScaledRow:
        """Return what ``network`` costs, with what was published of it.

        Raises:
            ZooError, UsageError: it cannot be built or traced at its resolution.
        """
        if network not in self._known:
            self._update(self.share, f"{network.model}@{network.resolution}")
            self._known[network] = self._count(network)
        return self._known[network]

    def _count(self, network: Network) -> ScaledRow:
        from explorer.accounting import count
        from explorer.measure.trace import trace_model
        from explorer.run.countable import countable
        from explorer.spec import ModelSpec

        found = countable(ModelSpec(network.model, network.resolution))
        with self._kernels:
            cost = count(trace_model(found.network, found.input_shape()))
        return ScaledRow(
            model=found.model.name,
            resolution=network.resolution,
            knobs=knobs_of(network.model),
            parameters=cost.parameters,
            macs=cost.macs,
            published=published_figures(network),
        )


def published_figures(network: Network) -> dict[str, Figure]:
    """Return the first published figure of each quantity of this network at this resolution."""
    found: dict[str, Figure] = {}
    for family in registered_families().values():
        for row in family.published:
            if row.model != network.model:
                continue
            for quantity, value, rounding in (
                ("parameters", row.parameters, row.parameters_rounding),
                ("macs", row.macs, row.macs_rounding),
            ):
                # Parameters are the same at every resolution; MACs are not.
                here = row.resolution == network.resolution or quantity == "parameters"
                if value is not None and here and quantity not in found:
                    found[quantity] = Figure(value=value, rounding=rounding, source=row.source)
    return found


def parse_phis(text: str) -> tuple[float, ...]:
    """Read ``0..7``, ``2.5`` or ``0,1,2.5``; a range goes in whole steps.

    >>> parse_phis("0..2,2.5")
    (0.0, 1.0, 2.0, 2.5)

    Raises:
        UsageError: not of that form, or over 100 of them.
    """
    found: list[float] = []
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        try:
            low, high = float(first), float(last if dots else first)
        except ValueError:
            raise UsageError(f"not a phi: {part.strip()!r}; wanted e.g. 0..7, 2.5 or 0,1,2.5") from None
        if not (math.isfinite(low) and math.isfinite(high) and low <= high <= low + 100):
            raise UsageError(f"not a range of phi: {part.strip()!r}; wanted e.g. 0..7, at most 100 steps")
        found += [low + step for step in range(int(high - low + 1e-9) + 1)]
    return tuple(dict.fromkeys(found))


def phi_rows(
    to: Scalable, phis: Sequence[float], counter: Counter, *, by_rule: bool = False
) -> tuple[ScaledRow, ...]:
    """Return the network of each phi, counted.

    EfficientNet's whole phi from 0 to 8 mean the published B0 to B8, whose coefficients are rounded by hand.

    Args:
        to: what is scaled.
        phis: of the compound rule.
        counter: counts.
        by_rule: the rule's own networks everywhere, also where published ones are.

    Raises:
        ZooError: a phi at which a knob leaves its range.
    """
    rows = []
    for index, phi in enumerate(phis):
        counter.share = index / len(phis)
        network, name = _of_phi(to, phi, by_rule=by_rule)
        row = dataclasses.replace(counter.row(network), phi=phi, basis="rule" if name is None else PUBLISHED)
        rows.append(row if name is None else dataclasses.replace(row, rule_phi=COEFFICIENTS[name].phi))
    return tuple(rows)


def _of_phi(to: Scalable, phi: float, *, by_rule: bool) -> tuple[Network, str | None]:
    if to.family.name != "efficientnet" or to.base.model != "efficientnet-b0":
        return to.fit(compound(phi)), None
    name = None if by_rule else published_of_phi(phi)
    if name is None:
        config = of_phi(phi)
        return Network(model=to.family.format(config), resolution=config.resolution), None
    return Network(model=f"efficientnet-{name}", resolution=COEFFICIENTS[name].resolution), name


def published_rows(to: Scalable, counter: Counter) -> tuple[ScaledRow, ...]:
    """Return the family's published networks, each counted once a resolution it was published at.

    For TinyNets each row says what the tiny formula gives at the same MACs.

    Raises:
        UsageError: nothing was published of the family.
    """
    networks = _published_networks(to.family)
    if not networks:
        raise UsageError(f"no published networks of {to.family.name}: ask with --phi or --budget")
    rows = []
    for index, network in enumerate(networks):
        counter.share = index / len(networks)
        rows.append(_with_formula(counter.row(network)))
    return tuple(rows)


def _published_networks(family: Family) -> tuple[Network, ...]:
    found = [Network(model=row.model, resolution=row.resolution) for row in family.published]
    return tuple(dict.fromkeys(found))


def _with_formula(row: ScaledRow) -> ScaledRow:
    known = POINTS.get(row.model.removeprefix("tinynet-"))
    if known is None or not row.model.startswith("tinynet-"):
        return row
    given = tiny_point(known.share)
    formula = {
        "share": known.share,
        "width": given.width,
        "depth": given.depth,
        "resolution": given.resolution,
        "same": given == known,
    }
    return dataclasses.replace(row, formula=formula)


def budget_of(text: str) -> Budget:
    """Read a budget on what networks can be scaled to.

    Raises:
        UsageError: not a budget, or one on another kind of cost.
    """
    budget = Budget.parse(text)
    if str(budget.axis) not in BUDGET_KINDS:
        raise UsageError(f"scaling rules meet a budget on {' or '.join(BUDGET_KINDS)}, got {budget.axis}")
    return budget


def chosen_rules(to: Scalable, names: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the rules to ask, all that apply where none are named.

    Raises:
        UsageError: a rule that does not exist or cannot scale this family.
    """
    known = [rule.name for rule in rules_for(to)]
    if _published_networks(to.family):
        known.append(PUBLISHED)
    wanted = tuple(dict.fromkeys(names)) or tuple(known)
    for name in wanted:
        if name not in known:
            raise unknown_name(f"rule for {to.family.name}", name, known)
    return wanted


def choices(to: Scalable, budget: Budget, rules: Sequence[str], counter: Counter) -> tuple[Choice, ...]:
    """Return what each rule would build within the budget: the largest network it has there.

    Raises:
        UsageError: no rule has anything within the budget; the message says the smallest there is.
    """
    by_name = {rule.name: rule for rule in rules_for(to)}
    found = []
    for index, name in enumerate(rules):
        counter.share = index / len(rules)
        if name == PUBLISHED:
            found.append(_choose_published(to, budget, counter))
        else:
            found.append(_choose(to, by_name[name], budget, counter))
    if all(choice.row is None for choice in found):
        kind = str(budget.axis)
        smallest = [choice.smallest for choice in found if choice.smallest is not None]
        if not smallest:
            raise UsageError(f"no network of {to.family.name} within {budget}: {found[0].reason}")
        least = min(smallest, key=lambda row: row.cost(kind))
        raise UsageError(
            f"no network of {to.family.name} within {budget}: the smallest is "
            f"{least.model}@{least.resolution} with {least.cost(kind):,} {kind}"
        )
    return tuple(found)


def _choose(to: Scalable, rule: Rule, budget: Budget, counter: Counter) -> Choice:
    kind = str(budget.axis)

    def choice(row: ScaledRow | None, reason: str = "", **more: Any) -> Choice:
        return Choice(
            rule=rule.name, summary=rule.summary, source=rule.source, row=row, reason=reason, **more
        )

    if kind == "parameters" and rule.name == "resolution":
        return choice(None, "resolution does not change the parameters")
    search = Search(to=to, rule=rule, kind=kind, limit=budget.limit, count=counter.row)
    if rule.low <= 1.0 <= rule.high and rule.name != "tiny":
        search.within(1.0)  # the base itself, in whose name a network of equal cost is told
    start = budget.limit / counter.row(to.base).cost(kind)
    explore(search, min(max(start, rule.low), rule.high))
    low, high = search.bracket()
    if search.best is None or low is None:
        return choice(None, _too_small(search), smallest=search.least)
    if high is not None:
        close_in(search, low, high)
    size, row = search.best
    reason = "" if high is not None else "the largest the rule has"
    return choice(row, reason, size=size, curve=_curve(search, size))


def _too_small(search: Search) -> str:
    least = search.least
    if least is None:
        return search.refused
    return f"the smallest, {least.model}@{least.resolution}, has {least.cost(search.kind):,} {search.kind}"


def _curve(search: Search, size: float) -> tuple[tuple[float, ScaledRow], ...]:
    points = [(size * share, search.row(size * share)) for share in CURVE_SHARES]
    own = search.row(size)
    return tuple((at, row) for at, row in (*points, (size, own)) if row is not None)


def _choose_published(to: Scalable, budget: Budget, counter: Counter) -> Choice:
    kind = str(budget.axis)

    def choice(row: ScaledRow | None, **more: Any) -> Choice:
        return Choice(
            rule=PUBLISHED,
            summary="the largest published network",
            source="the family's publications",
            row=row,
            **more,
        )

    rows: list[ScaledRow] = []
    for network in _published_networks(to.family):
        there = published_figures(network).get(kind)
        # Well beyond the limit by what was published: not worth a count.
        if there is None or there.value <= 1.2 * budget.limit or not rows:
            rows.append(counter.row(network))
    fits = [row for row in rows if row.cost(kind) <= budget.limit]
    if not fits:
        least = min(rows, key=lambda row: row.cost(kind))
        reason = f"the smallest, {least.model}@{least.resolution}, has {least.cost(kind):,} {kind}"
        return choice(None, reason=reason, smallest=least)
    best = max(fits, key=lambda row: (row.cost(kind), row.macs))
    base = counter.row(to.base)
    curve = tuple(sorted(((row.macs / base.macs, row) for row in fits), key=lambda point: point[0]))
    return choice(best, size=best.macs / base.macs, curve=curve)
