"""`explorer guarantee`: a cascade's threshold that keeps a promise, when to refuse, exits under a budget."""

import re
from typing import TYPE_CHECKING

import click

from explorer.commands.common import (
    cost_option,
    dataset_option,
    json_option,
    open_store,
    print_json,
    store_option,
)
from explorer.commands.searching import MemberArguments, member_options
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.question import Budget, Target
from explorer.spec import Candidate, parse_design

if TYPE_CHECKING:
    from explorer.analysis.pool import Pool

_Answer = tuple[dict[str, object], str, bool]
"""Document, text, and whether what was asked could be done."""


@click.command("guarantee", short_help="A cascade's threshold that keeps a promise on accuracy or cost.")
@click.argument("design")
@dataset_option
@click.option("--target", metavar="accuracy>=SHARE", help="Promise an accuracy, e.g. 'accuracy>=92%'.")
@click.option(
    "--budget",
    metavar="KIND[@DEVICE]<=AMOUNT",
    help="Promise a mean cost, e.g. 'macs<=2M'; with --target both at once. With --reject: the mean cost at "
    "which the second stage is spent best, which is no promise.",
)
@click.option(
    "--near-full",
    type=float,
    metavar="SHARE",
    help="Promise an accuracy at most this much below the second stage's: 0.01 is one point.",
)
@click.option(
    "--reject",
    type=float,
    metavar="SHARE",
    help="Answer only when sure: promise that at most this share of the answers given is wrong.",
)
@click.option(
    "--early-exit",
    metavar="KIND[@DEVICE]<=AMOUNT",
    help="No promise: the best exits of a chain of 2 or more stages within a mean cost.",
)
@click.option(
    "--delta",
    type=float,
    default=0.05,
    show_default=True,
    help="How often a promise may be broken, over redrawn select examples.",
)
@click.option(
    "--picked-from",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many designs DESIGN was picked out of on the select examples; they share --delta.",
)
@cost_option
@member_options
@store_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    design: str,
    dataset: str,
    target: str | None,
    budget: str | None,
    near_full: float | None,
    reject: float | None,
    early_exit: str | None,
    delta: float,
    picked_from: int,
    cost: str,
    member_arguments: MemberArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Find the exit threshold of a cascade that keeps a promise, with probability 1 - delta.

    Three questions, one at a time:

    \b
      --target, --budget, both, or --near-full   a threshold with a promise, of 2 stages
      --reject                                   when to refuse to answer, of any design
      --early-exit                               exits of a longer chain, no promise

    E.g. `explorer guarantee 'wrn10-1@8#0 -> wrn10-2@8#0' --dataset digits --target 'accuracy>=95%'`. Found
    on `select`, quoted on `report`. DESIGN's own thresholds are replaced and may be left out ('A -> B');
    --reject keeps them. Exit code 1: the promise cannot be made; what could be is said.
    """
    spent = _one_question(target, budget, near_full, reject, early_exit)
    axis = _axis(context, cost, spent)
    asked = parse_design(design if reject is not None else _with_exits(design))
    with open_store(store_url) as store:
        pool, _ = member_arguments.covering(store, dataset, (asked,)).pool(store, dataset, axis)
        limit = None if spent is None else spent.limit
        if early_exit is not None:
            assert limit is not None
            document, text, done = _early_exit(pool, asked, limit)
        elif reject is not None:
            document, text, done = _reject(pool, asked, reject, limit, (delta, picked_from))
        else:
            accuracy = None if target is None else Target.parse(target).accuracy
            document, text, done = _promise(pool, asked, (accuracy, limit, near_full), (delta, picked_from))
    if as_json:
        print_json(document)
    else:
        click.echo(text)
    if not done:
        raise click.exceptions.Exit(1)


def _promise(
    pool: "Pool",
    design: Candidate,
    asked: tuple[float | None, float | None, float | None],
    surely: tuple[float, int],
) -> _Answer:
    from explorer.analysis.advice.promise import Terms, promise
    from explorer.analysis.advice.thresholds import two_stages_of
    from explorer.report.guarantee import promise_document, promise_text

    (target, budget, near_full), (delta, picked_from) = asked, surely
    terms = Terms(target=target, budget=budget, near_full=near_full, delta=delta, picked_from=picked_from)
    found = promise(pool, two_stages_of(design), terms)
    shown = found, pool.summary, pool.axis
    return promise_document(*shown), promise_text(*shown), found.kept is not None


def _reject(
    pool: "Pool", design: Candidate, risk: float, budget: float | None, surely: tuple[float, int]
) -> _Answer:
    from explorer.analysis.advice.refusal import refusal
    from explorer.report.refusal import refusal_document, refusal_text

    found = refusal(pool, design, risk, delta=surely[0], picked_from=surely[1], budget=budget)
    shown = found, pool.summary, pool.axis
    return refusal_document(*shown), refusal_text(*shown), found.kept is not None


def _early_exit(pool: "Pool", design: Candidate, budget: float) -> _Answer:
    from explorer.analysis.advice.early_exits import early_exits
    from explorer.report.early_exits import early_exit_document, early_exit_text

    found = early_exits(pool, design, budget)
    shown = found, pool.summary, pool.axis
    return early_exit_document(*shown), early_exit_text(*shown), True


def _one_question(
    target: str | None,
    budget: str | None,
    near_full: float | None,
    reject: float | None,
    early_exit: str | None,
) -> Budget | None:
    """Return the budget of what is asked, if any, and refuse two questions at once.

    Raises:
        UsageError: no question, or more than one.
    """
    if reject is None and early_exit is None and near_full is None and target is None and budget is None:
        raise UsageError(
            "say what to promise: --target 'accuracy>=92%', --budget 'macs<=2M', both, or --near-full 0.01; "
            "or ask with --reject 0.02 when to refuse, or with --early-exit 'macs<=2M' for a chain's exits"
        )
    given = {
        "--target": target is not None,
        "--near-full": near_full is not None,
        "--reject": reject is not None,
        "--early-exit": early_exit is not None,
        "--budget": budget is not None and reject is None and target is None,
    }
    asked = [name for name, there in given.items() if there]
    if len(asked) > 1:
        raise UsageError(f"one question at a time, got {' and '.join(asked)}")
    text = early_exit if early_exit is not None else budget
    return None if text is None else Budget.parse(text)


def _axis(context: click.Context, cost: str, budget: Budget | None) -> CostAxis:
    """Return the budget's axis, or else that of ``--cost``.

    Raises:
        UsageError: both were told, and differ.
    """
    axis = CostAxis.parse(cost)
    if budget is None or budget.axis == axis:
        return axis
    if context.get_parameter_source("cost") is click.core.ParameterSource.COMMANDLINE:
        raise UsageError(f"the budget is on {budget.axis} but --cost is {axis}; give one of them")
    return budget.axis


def _with_exits(text: str) -> str:
    """Put a threshold where a chain has none, for the grammar; it is replaced.

    >>> _with_exits("a@8#0 -> + b@8#0 -> [margin>=0.2] c@8#0")
    'a@8#0 -> [p>=0.5] + b@8#0 -> [margin>=0.2] c@8#0'
    """
    return re.sub(r"->\s*(?!\s*\[)", "-> [p>=0.5] ", text)
