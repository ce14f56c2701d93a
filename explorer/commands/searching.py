"""The options that say what is searched, and the search."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import click

from explorer.commands.common import mix_recipes_option, recipe_option
from explorer.convention import CostAxis
from explorer.spec import Averaging, Candidate, Signal

if TYPE_CHECKING:
    from explorer.analysis.pool import Pool
    from explorer.analysis.result import Front
    from explorer.analysis.search.plan import Space
    from explorer.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberArguments:
    """What the options that say which members may be used were set to."""

    recipe: str | None = None
    mix_recipes: bool = False
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def pool(self, store: "Store", dataset: str, axis: CostAxis) -> "tuple[Pool, tuple[str, ...]]":
        """Load the members' predictions and costs, with notes on what was left out."""
        (pool,), notes = self.pools(store, dataset, (axis,))
        return pool, notes

    def pools(
        self, store: "Store", dataset: str, axes: Sequence[CostAxis]
    ) -> "tuple[tuple[Pool, ...], tuple[str, ...]]":
        """Load the members that have a cost on every axis: one pool an axis, and notes."""
        from explorer.analysis.choice import MemberChoice
        from explorer.analysis.pool import load_pools

        pools, notes = load_pools(store, dataset, axes, recipe=self.recipe, mix_recipes=self.mix_recipes)
        pools, chosen = MemberChoice(only=self.only, exclude=self.exclude).of(pools)
        return pools, notes + chosen

    def covering(self, store: "Store", dataset: str, designs: tuple[Candidate, ...]) -> Self:
        """Return these with the recipes that the designs name themselves, unless some were asked for."""
        from explorer.analysis.loading import base_recipes

        if self.recipe is not None or self.mix_recipes:
            return self
        bases = base_recipes(store, dataset)
        members = [member for design in designs for member in design.members]
        named = {bases[member.recipe] for member in members if member.recipe in bases}
        if len(named) == 1:
            return replace(self, recipe=named.pop())
        return replace(self, mix_recipes=len(named) > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchArguments(MemberArguments):
    """What the search options were set to."""

    space: "Space"

    def search(
        self, store: "Store", dataset: str, axis: CostAxis, *, drawn: bool = False
    ) -> "tuple[Pool, Front]":
        """Load the pool and search it; ``drawn``: with what a figure needs beside the front."""
        from explorer.analysis.search.exact import search

        pool, notes = self.pool(store, dataset, axis)
        return pool, search(pool, axis, self.space, notes=notes, drawn=drawn)


_MEMBER_OPTIONS = [
    recipe_option,
    mix_recipes_option,
    click.option(
        "--only",
        multiple=True,
        metavar="NAME",
        help="Use nothing but this member, model or family; may be given several times.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="NAME",
        help="Do not use this member, model or family; may be given several times.",
    ),
]
_OPTIONS = [
    click.option(
        "--max-members",
        default=4,
        show_default=True,
        type=click.IntRange(1, 8),
        help="Largest ensemble searched.",
    ),
    click.option(
        "--averaging",
        default=Averaging.MEAN.value,
        show_default=True,
        type=click.Choice([rule.value for rule in Averaging]),
        help="How an ensemble combines its members.",
    ),
    click.option(
        "--first-members",
        default=1,
        show_default=True,
        type=click.IntRange(1, 8),
        help="Largest first stage of a cascade searched.",
    ),
    click.option(
        "--signal",
        "signals",
        multiple=True,
        default=(Signal.P.value,),
        show_default=True,
        type=click.Choice([signal.value for signal in Signal]),
        help="What an example may leave a cascade's first stage by; may be given several times.",
    ),
    click.option(
        "--max-designs",
        default=4_000_000_000,
        show_default=True,
        type=click.IntRange(1),
        help="Limit of the search; what it leaves out is said.",
    ),
    click.option("--no-cascades", is_flag=True, help="Search singles and ensembles only."),
    *_MEMBER_OPTIONS,
]


def _member_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of `MemberArguments` out of a command's options."""
    return {name: options.pop(name) for name in ("recipe", "mix_recipes", "only", "exclude")}


def member_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which members may be used; the command gets them as ``member_arguments``."""

    @functools.wraps(function)
    def wrapped(**options: Any) -> Any:
        arguments = MemberArguments(**_member_arguments(options))
        return function(member_arguments=arguments, **options)

    for option in reversed(_MEMBER_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def search_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is searched; the command gets them as ``search_arguments``."""

    @functools.wraps(function)
    def wrapped(**options: Any) -> Any:
        from explorer.analysis.search.plan import Space

        # a subcommand of help text alone never comes here, so numpy stays unloaded there
        space = Space(
            max_members=options.pop("max_members"),
            first_members=options.pop("first_members"),
            signals=tuple(dict.fromkeys(map(Signal, options.pop("signals")))),
            averaging=Averaging(options.pop("averaging")),
            cascades=not options.pop("no_cascades"),
            max_designs=options.pop("max_designs"),
        )
        arguments = SearchArguments(space=space, **_member_arguments(options))
        return function(search_arguments=arguments, **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
