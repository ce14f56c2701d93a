"""What `explorer zoo list` and `explorer zoo show` tell, worked out: plain values for JSON and for text."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zoo import Family
    from zoo.catalogue import Found, System
    from zoo.catalogue.cited import Arrow, Figures, Point
    from zoo.published import Published
    from zoo.supernets import SearchSpace

_QUIET_SECONDS = 3.0
"""Counting longer than this says on stderr how far it is."""
_LARGE_NATIVE, _SMALL_NATIVE = 224, 32
"""Pixels a side of the images of ImageNet, and of the small data sets."""


@dataclass(frozen=True, slots=True)
class _Network:
    """A network to count, with what was published of it."""

    family: "Family"
    model: str
    resolution: int
    published: "Published | None" = None


def systems_document(text: str | None, role: str | None, offers: str | None) -> list[dict[str, Any]]:
    """Return the systems that have ``text`` in key, name, title, line or arXiv id, that role, that offer."""
    from zoo.catalogue import systems
    from zoo.catalogue.cited import cited_counts

    counts = cited_counts()
    wanted = (text or "").casefold()

    def fits(system: "System") -> bool:
        words = (system.key, system.name, system.title, system.what, system.arxiv or "")
        return (
            (role is None or role in system.roles)
            and (offers is None or offers in system.offers)
            and any(wanted in word.casefold() for word in words)
        )

    return [
        {**system_document(system), "cited": dict(zip(("points", "arrows"), counts[key], strict=True))}
        for key, system in systems().items()
        if fits(system)
    ]


def system_document(system: "System") -> dict[str, Any]:
    """Return one entry of the catalogue, with the ids of its claims."""
    return {
        "name": system.name,
        "key": system.key,
        "role": str(system.roles[0]),
        "roles": [str(role) for role in system.roles],
        "block": system.block,
        "offers": [str(offer) for offer in system.offers],
        "outside_reason": system.outside_reason or None,
        "seed": list(system.seed),
        "year": system.year,
        "arxiv": system.arxiv,
        "title": system.title or None,
        "what": system.what,
        "headline": system.headline or None,
        "elsewhere": system.elsewhere or None,
        "not_built": system.not_built or None,
        "claims": list(_claims_by_system().get(system.key, ())),
    }


@cache
def _claims_by_system() -> dict[str, tuple[str, ...]]:
    from explorer.data.claims import read_claims

    found: dict[str, tuple[str, ...]] = {}
    for claim in read_claims().values():
        found[claim.system] = (*found.get(claim.system, ()), claim.id)
    return found


def families_document() -> list[dict[str, Any]]:
    """Return the families of the registry, each with an example."""
    import zoo

    return [
        {"name": f.name, "example": f.example, "summary": f.summary, "of": list(f.systems)}
        for f in zoo.registered_families().values()
    ]


def show_document(name: str, *, count: bool = True) -> dict[str, Any]:
    """Return all there is on a system, a family or a network.

    Args:
        name: as a person types it.
        count: whether to count what was published.

    Raises:
        ZooError: nothing has that name, or it names a network that cannot be.
    """
    from zoo.catalogue import find, spaces_of

    found = find(name.partition("@")[0])  # with a resolution, as tables print networks
    families = _families(found)
    spaces = {space.name: space for system in found.systems for space in spaces_of(system.key)}
    networks = _networks(found, families)
    main = families[0] if families else None
    return {
        "schema_version": 1,
        "name": main.name if main else found.systems[0].name,
        "summary": main.summary if main else found.systems[0].what,
        "pattern": main.pattern_help if main else None,
        "knobs": dict(main.knobs) if main else {},
        "variant": (found.variant or main.example) if main else None,
        "systems": [system_document(system) for system in found.systems],
        "families": [_family_document(family) for family in families if family.name not in spaces],
        "spaces": [_space_document(space) for space in spaces.values()],
        "networks": _count_all(networks) if count else [_row(network, None) for network in networks],
        **_cited(found.systems),
    }


def _families(found: "Found") -> list["Family"]:
    """Return the families to tell of: the one named, else all of the system, one of its name first."""
    from zoo.catalogue import families_of

    if found.family is not None:
        return [found.family]
    key = found.systems[0].key
    return sorted(families_of(key), key=lambda family: family.name != key.replace("-", "_"))


def _cited(systems: Sequence["System"]) -> dict[str, list[dict[str, Any]]]:
    """Return what is cited of ``systems``: points, arrows, and why there are none."""
    from zoo.catalogue.cited import arrows, cited_points, no_points_because

    keys = [system.key for system in systems]
    reasons = {key: no_points_because(key) for key in keys}
    return {
        "cited": [_point_document(point) for key in keys for point in cited_points(key)],
        "arrows": [_arrow_document(arrow) for key in keys for arrow in arrows(key)],
        "no_points_because": [{"system": k, "reason": reason} for k, reason in reasons.items() if reason],
    }


def _point_document(point: "Point") -> dict[str, Any]:
    return {
        "system": point.system,
        "network": point.network,
        "model": point.model or None,
        "dataset": point.dataset,
        "resolution": point.resolution,
        **_figures_document(point),
        "search_cost": point.search_cost,
        "training": point.training or None,
        "convention": point.convention or None,
        "source": point.source,
        "status": str(point.status),
        "note": point.note or None,
    }


def _arrow_document(arrow: "Arrow") -> dict[str, Any]:
    return {
        "system": arrow.system,
        "kind": str(arrow.kind),
        "network": arrow.network,
        "setting": arrow.setting or None,
        "dataset": arrow.dataset,
        "resolution": arrow.resolution,
        "before": _figures_document(arrow.before),
        "after": _figures_document(arrow.after),
        "difference": arrow.difference,
        "macs_ratio": arrow.macs_ratio,
        "free": arrow.free,
        "source": arrow.source,
        "status": str(arrow.status),
        "note": arrow.note or None,
    }


def _figures_document(figures: "Figures") -> dict[str, float | None]:
    return {"parameters": figures.parameters, "macs": figures.macs, "top1": figures.top1}


def _networks(found: "Found", families: Sequence["Family"]) -> list[_Network]:
    """Return what was published of the families, and an example of each that has nothing published.

    Of one network only its rows, or itself.
    """
    if found.family is None or found.variant is None:
        return [network for family in families for network in _published(family) or [_example(family)]]
    rows = _published(found.family)
    if found.is_network:
        rows = [network for network in rows if _same(network.model, found.variant)]
    return rows or [_example(found.family, found.variant)]


def _published(family: "Family") -> list[_Network]:
    return [_Network(family, row.model, row.resolution, row) for row in family.published]


def _same(model: str, variant: str) -> bool:
    import zoo

    return zoo.canonical_name(model) == variant


def _example(family: "Family", variant: str = "") -> _Network:
    """Return ``variant``, or the family's example, at the size of the images that the family is made for."""
    import zoo

    model = variant or family.example
    native = _SMALL_NATIVE if family.classes < zoo.registry.IMAGENET_CLASSES else _LARGE_NATIVE
    return _Network(family, model, zoo.default_resolution(model, native))


def _count_all(networks: Sequence[_Network]) -> list[dict[str, Any]]:
    """Count networks without weights, and say on stderr how far it is where that takes long."""
    begun = time.monotonic()
    counted: dict[tuple[Any, ...], dict[str, Any]] = {}
    rows = []
    for index, network in enumerate(networks):
        row = network.published  # several tables may hold one network
        key = (network.model, network.resolution, *((row.channels, row.classes) if row else ()))
        if key not in counted:
            if time.monotonic() - begun > _QUIET_SECONDS:
                click.echo(f"counting {network.model}: {index + 1} of {len(networks)}", err=True)
            counted[key] = _count(network)
        rows.append(_row(network, counted[key]))
    return rows


def _count(network: _Network) -> dict[str, Any]:
    """Return what a network costs here: parameters, MACs of one example, and what was not counted."""
    from explorer.accounting import count
    from explorer.measure.trace import trace_model
    from explorer.run.countable import countable
    from explorer.spec import ModelSpec

    row = network.published
    found = countable(
        ModelSpec(network.model, network.resolution),
        channels=row.channels if row else 3,
        classes=row.classes if row else None,
    )
    cost = count(trace_model(found.network, found.input_shape()))
    return {"parameters": cost.parameters, "macs": cost.macs, "uncounted": dict(cost.uncounted)}


def _row(network: _Network, here: dict[str, Any] | None) -> dict[str, Any]:
    """Return one network: what it costs here, what was published, and how far they are apart."""
    row = network.published
    published = None
    if row is not None:
        published = {
            "parameters": row.parameters,
            "macs": row.macs,
            "top1": row.top1,
            "dataset": row.dataset,
            "source": row.source,
            "status": str(row.status),
            "note": row.note or None,
        }
    return {
        "model": network.model,
        "resolution": network.resolution,
        "here": here,
        "published": published,
        "departs": {} if row is None or here is None else row.off(here["parameters"], here["macs"]),
        "why": (row.departs or None) if row else None,
    }


def _family_document(family: "Family") -> dict[str, Any]:
    return {
        "name": family.name,
        "summary": family.summary,
        "pattern": family.pattern_help,
        "example": family.example,
        "knobs": dict(family.knobs),
        "variants": list(family.variants),
        "of": list(family.systems),
    }


def _space_document(space: "SearchSpace") -> dict[str, Any]:
    return {
        "name": space.name,
        "summary": space.summary,
        "source": space.source,
        "size": space.size,
        "smallest": space.format(space.smallest()),
        "largest": space.format(space.largest()),
        "variants": list(space.published),
        "of": list(space.systems),
    }
