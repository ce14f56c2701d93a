"""`explorer select`: weighted ensembles by greedy or beam search, for any metric."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from explorer.commands.common import (
    cost_option,
    dataset_option,
    json_option,
    mix_recipes_option,
    open_store,
    print_json,
    recipe_option,
    store_option,
)
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.question import parse_amount

if TYPE_CHECKING:
    from explorer.analysis.advice.weighted import Wanted
    from explorer.analysis.pool import Pool

METRICS = ("accuracy", "log-loss", "brier", "top-5", "ece", "worst-class")
PARTIAL = 4
"""Exit code of a selection that was stopped early."""
_NOTHING = 130


@click.command("select", short_help="Weighted ensembles by greedy or beam search, for any metric.")
@dataset_option
@cost_option
@click.option(
    "--metric",
    default="accuracy",
    show_default=True,
    type=click.Choice(METRICS),
    help="What the ensemble is to be good at. The last three take longer.",
)
@click.option(
    "--rounds",
    default=25,
    show_default=True,
    type=click.IntRange(1, 127),
    help="Most picks; a member picked three times has weight three.",
)
@click.option(
    "--beam",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Ensembles kept a round; 1 is greedy.",
)
@click.option(
    "--front",
    "steps",
    type=click.IntRange(2, 500),
    metavar="BUDGETS",
    help="Instead of one ensemble the front over --cost, greedily under so many budgets, e.g. 24.",
)
@click.option("--max-distinct", type=click.IntRange(min=1), metavar="N", help="Most different members.")
@click.option(
    "--max-cost",
    metavar="AMOUNT",
    help="Most cost of the different members together on --cost, e.g. 20M; repeats cost nothing.",
)
@click.option(
    "--max-parameters", metavar="AMOUNT", help="Most parameters of the different members, e.g. 300k."
)
@click.option(
    "--cost-penalty",
    default="0",
    metavar="ERROR/AMOUNT",
    help="What cost counts as: '0.001/1M' trades a million of --cost for an error lower by 0.001.",
)
@click.option(
    "--include", multiple=True, metavar="MEMBER", help="Must be in it, e.g. wrn10-1@28#0; may be repeated."
)
@click.option(
    "--exclude", multiple=True, metavar="NAME", help="A member, model or family to do without; repeatable."
)
@click.option(
    "--family-limit",
    "family_limits",
    multiple=True,
    metavar="NAME=N",
    help="Most different members of a family (wrn=2) or model (wrn10-1@28=1); may be repeated.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Break ties by chance.  [default: lowest name first]"
)
@recipe_option
@mix_recipes_option
@store_option
@json_option
def command(
    dataset: str,
    cost: str,
    recipe: str | None,
    mix_recipes: bool,
    store_url: str | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Select a weighted ensemble from any number of members, beyond what `explorer front` can search.

    Members are added one after the other, again and again the one that makes the average best on `select`;
    --beam 20 keeps 20 ensembles a round instead of one. E.g. `explorer select --dataset fashion-mnist
    --metric log-loss --max-cost 20M --beam 20`. It is quoted on `report`, against the best single member
    and against its own plain mean. One Ctrl-C keeps the best so far (exit code 4).
    """
    axis = CostAxis.parse(cost)
    limited = _parsed(chosen, axis)
    from explorer.analysis.advice.weighted import Wanted, quote_weighted, search_weighted
    from explorer.analysis.pool import load_pools
    from explorer.analysis.search.greedy_objectives import Objective
    from explorer.report.selection import selection_document, selection_text
    from explorer.run.progress import progress

    wanted = Wanted(
        objective=Objective(chosen["metric"]),
        rounds=chosen["rounds"],
        width=chosen["beam"],
        seed=chosen["seed"],
        max_distinct=chosen["max_distinct"],
        include=chosen["include"],
        exclude=chosen["exclude"],
        **limited,
    )
    axes = [axis, CostAxis.parse("parameters")] if wanted.max_parameters is not None else [axis]
    with open_store(store_url) as store:
        pools, notes = load_pools(store, dataset, axes, recipe=recipe, mix_recipes=mix_recipes)
        if chosen["steps"] is not None:
            _front(pools, wanted, chosen["steps"], notes, as_json=as_json)
            return
        with progress("select") as update, one_interrupt() as interrupted:
            found = search_weighted(
                pools,
                wanted,
                should_stop=interrupted,
                on_progress=lambda share: update(share, doing(wanted)),
            )
        if not found.found.rounds and found.found.stopped:
            _end_without_any()
        weighted = quote_weighted(pools, wanted, found, notes=notes)
    if as_json:
        print_json(selection_document(weighted))
    else:
        click.echo(selection_text(weighted))
    if found.found.stopped:
        raise click.exceptions.Exit(PARTIAL)


def _front(
    pools: "Sequence[Pool]", wanted: "Wanted", steps: int, notes: tuple[str, ...], *, as_json: bool
) -> None:
    """Print the front of weighted ensembles over cost."""
    from explorer.analysis.advice.weighted_front import quote_ladder, search_ladder
    from explorer.report.weighted_front import weighted_front_document, weighted_front_text
    from explorer.run.progress import progress

    with progress("select") as update, one_interrupt() as interrupted:
        ladder = search_ladder(
            pools,
            wanted,
            steps,
            should_stop=interrupted,
            on_progress=lambda share: update(share, f"{steps} budgets"),
        )
    if not ladder.rungs:
        _end_without_any()
    found = quote_ladder(pools, wanted, ladder, notes=notes)
    if as_json:
        print_json(weighted_front_document(found))
    else:
        click.echo(weighted_front_text(found))
    if ladder.stopped:
        raise click.exceptions.Exit(PARTIAL)


@contextmanager
def one_interrupt() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C only be noted; a second one interrupts as ever."""
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)
        click.echo("stopping after this step; Ctrl-C again to end at once", err=True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


def doing(wanted: "Wanted") -> str:
    """Say what is being searched."""
    return f"{wanted.rounds} rounds by {wanted.objective}" + (
        f", beam of {wanted.width}" if wanted.width > 1 else ""
    )


def _end_without_any() -> NoReturn:
    click.echo("explorer: interrupted before the first ensemble was whole: nothing to show", err=True)
    raise click.exceptions.Exit(_NOTHING)


def _parsed(chosen: dict[str, Any], axis: CostAxis) -> dict[str, Any]:
    """Read the limits that are amounts."""
    most, parameters = chosen["max_cost"], chosen["max_parameters"]
    return {
        "max_cost": None if most is None else parse_amount(most, axis.kind.unit),
        "max_parameters": None if parameters is None else parse_amount(parameters, "parameter"),
        "cost_penalty": parse_penalty(chosen["cost_penalty"], axis.kind.unit),
        "family_limits": dict(parse_family_limit(text) for text in chosen["family_limits"]),
    }


def parse_penalty(text: str, unit: str) -> float:
    """Read an error for an amount of cost, ``0.001/1M``, or for one unit of it.

    >>> parse_penalty("0.5/2k", "MAC"), parse_penalty("1e-9", "MAC")
    (0.00025, 1e-09)

    Raises:
        UsageError: not of that form, or below 0.
    """
    error, slash, amount = text.partition("/")
    try:
        value = float(error)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UsageError(f"not a cost penalty: {text!r}; wanted an error for an amount, e.g. 0.001/1M")
    return value / parse_amount(amount, unit) if slash else value


def parse_family_limit(text: str) -> tuple[str, int]:
    """Read ``NAME=N``.

    >>> parse_family_limit("wrn=2")
    ('wrn', 2)

    Raises:
        UsageError: not of that form.
    """
    name, _, most = text.rpartition("=")
    if not name or not most.isdecimal():
        raise UsageError(f"not a family limit: {text!r}; wanted NAME=N, e.g. wrn=2")
    return name, int(most)
