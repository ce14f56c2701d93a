"""`explorer zoo space`: search spaces, their sizes, published sub-networks, and some within a budget."""

import random
from typing import TYPE_CHECKING, Any

import click

from explorer.commands.common import json_option, print_json, zoo_errors
from explorer.errors import UsageError, unknown_name
from explorer.question import Budget
from explorer.report.subnets import about, space_text, spaces_text

if TYPE_CHECKING:
    from explorer.run.subnets import SubnetCosts
    from zoo.supernets import Choice, SearchSpace


@click.command("space", short_help="Search spaces of supernets: size, sub-networks, cost.")
@click.argument("name", required=False)
@click.option(
    "--sample",
    "samples",
    type=click.IntRange(min=1, max=10_000),
    help="How many sub-networks to draw; with --budget, how many to find.  [default: 5 within a budget]",
)
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@click.option(
    "--budget",
    "budget_texts",
    multiple=True,
    metavar="KIND<=AMOUNT",
    help="Find sub-networks within it: macs<=400M, parameters<=6M, latency@cpu<=20ms.",
)
@click.option(
    "--verify",
    default=0,
    type=click.IntRange(min=0),
    metavar="K",
    help="With a budget on latency@cpu: measure K of those found, whole, beside their predictions.",
)
@json_option
def command(
    name: str | None,
    samples: int | None,
    seed: int,
    budget_texts: tuple[str, ...],
    verify: int,
    as_json: bool,
) -> None:
    """List the search spaces, or tell what NAME holds: size, decisions, published sub-networks, costs.

    Names of sub-networks are models: `explorer count NAME` takes them.
    """
    from explorer.run.subnets import SubnetCosts
    from zoo.supernets import spaces

    if len(budget_texts) > 1:
        raise UsageError(f"one budget at a time, got {', '.join(budget_texts)}")
    budget = Budget.parse(budget_texts[0]) if budget_texts else None
    if name is None and (samples or budget or verify):
        raise UsageError("--sample, --budget and --verify need a space: explorer zoo space NAME")
    if verify and (budget is None or budget.axis.kind.name != "latency"):
        raise UsageError(
            "--verify measures what a budget on latency@cpu predicts; give --budget latency@cpu<=..."
        )
    document: dict[str, Any] = {"schema_version": 1}
    with zoo_errors():
        if name is None:
            document["spaces"] = [_space(SubnetCosts(space)) for space in spaces().values()]
        else:
            if name not in spaces():
                raise unknown_name("search space", name, spaces())
            costs = SubnetCosts(spaces()[name])
            document["space"] = _space(costs)
            rng = random.Random(seed)
            if budget is not None:
                document["within"] = _within(costs, budget, samples or 5, rng, verify)
            elif samples:
                drawn = [costs.space.sample(rng) for _ in range(samples)]
                document["sampled"] = {"seed": seed, "subnets": [_subnet(costs, one) for one in drawn]}
    if as_json:
        print_json(document)
    else:
        click.echo(spaces_text(document) if name is None else space_text(document))


def _space(costs: "SubnetCosts") -> dict[str, Any]:
    from explorer.run.subnets import published_subnets

    space = costs.space
    return {
        "name": space.name,
        "summary": space.summary,
        "source": space.source,
        "systems": list(space.systems),
        "size": str(space.size),
        "size_about": about(space.size),
        "architectures": None if space.architectures is None else str(space.architectures),
        "decisions": list(space.decisions),
        "smallest": _subnet(costs, space.smallest()),
        "largest": _subnet(costs, space.largest()),
        "published": [
            {
                "name": one.name,
                "resolution": one.resolution,
                "macs": one.cost.macs,
                "parameters": one.cost.parameters,
                "published_macs": one.macs,
                "published_parameters": one.parameters,
                "top1": one.top1,
                "source": one.source,
                "on_front": one.on_front,
            }
            for one in published_subnets(costs)
        ],
    }


def _subnet(costs: "SubnetCosts", choice: "Choice") -> dict[str, Any]:
    space: SearchSpace = costs.space
    cost = costs.of(choice)
    return {
        "name": space.format(choice),
        "resolution": space.resolution(choice),
        "macs": cost.macs,
        "parameters": cost.parameters,
        "elementwise_ops": cost.elementwise_ops,
    }


def _within(costs: "SubnetCosts", budget: Budget, n: int, rng: random.Random, verify: int) -> dict[str, Any]:
    from explorer.run.subnets import FRUGAL, PREDICTED, THOROUGH, SubnetLatencies, is_measured, within

    measured = is_measured(budget.axis)
    latencies = SubnetLatencies(costs.space)
    kind = budget.axis.kind.name

    def amount(choice: "Choice") -> float:
        return latencies.of(choice) if measured else float(costs.of(choice).of(kind))

    found = within(costs.space, amount, budget.limit, n, rng, FRUGAL if measured else THOROUGH)
    subnets = [{**_subnet(costs, one.choice), "amount": one.amount} for one in found.subnets]
    for row, one in list(zip(subnets, found.subnets, strict=True))[::-1][:verify]:
        row["measured_s"] = latencies.whole(one.choice)
    return {
        "limit": budget.limit,
        "axis": str(budget.axis),
        "basis": PREDICTED if measured else "counted",
        "measured_pieces": latencies.measured,
        "drawn": found.drawn,
        "mutated": found.mutated,
        "fitting": found.fitting,
        "verified": min(verify, len(subnets)),
        "subnets": subnets,
    }
