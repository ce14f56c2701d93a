"""`explorer lifetime`: training plus serving over a volume, and where one design overtakes another."""

import click

from explorer.commands.common import dataset_option, json_option, open_store, print_json, store_option
from explorer.commands.searching import SearchArguments, search_options
from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.question import Target, parse_amount
from explorer.spec import parse_design, parse_member
from explorer.workload import Workload


@click.command(
    "lifetime", short_help="Training plus serving over a volume; where one design overtakes another."
)
@click.argument("designs", nargs=-1, metavar="[DESIGN]...")
@dataset_option
@click.option(
    "--volume",
    "volumes",
    multiple=True,
    default=("1M", "100M", "10G"),
    show_default=True,
    metavar="N",
    help="Examples to serve, e.g. 250k or 3M; may be given several times.",
)
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="WORKLOAD",
    help="What serves, and how: cpu, cuda/b64/bf16; members need a latency on it.",
)
@click.option(
    "--price",
    type=float,
    metavar="USD",
    help="An hour of one unit of --device: a card, a chip, on CPUs a virtual CPU.  [default: price book]",
)
@click.option(
    "--training-price-per-hour",
    "training_price",
    type=float,
    metavar="USD",
    help="An hour of what members were trained on.  [default: --price if it is --device, or price book]",
)
@click.option(
    "--training-hours",
    multiple=True,
    metavar="MEMBER=H",
    help="Hours a member's training took, instead of the recorded ones or where there are none.",
)
@click.option(
    "--utilisation",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the paid serving time in which the device works.",
)
@click.option(
    "--target",
    metavar="accuracy>=SHARE",
    help="Without DESIGN: compare those that reach it, e.g. 'accuracy>=91%'.",
)
@search_options
@store_option
@json_option
def command(
    designs: tuple[str, ...],
    dataset: str,
    volumes: tuple[str, ...],
    device: str,
    price: float | None,
    training_price: float | None,
    training_hours: tuple[str, ...],
    utilisation: float,
    target: str | None,
    search_arguments: SearchArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Add up what each DESIGN costs to train and to serve, and where one overtakes another.

    With a virtual CPU at 4 cents an hour: `explorer lifetime 'wrn10-2@28#0' 'mean(wrn10-1@28#0,
    wrn10-1@28#1)' --dataset fashion-mnist --price 0.04`.

    Every member is trained once, at the price of the device it was trained on; distilled ones pay for their
    teachers, snapshots for their run up to there. Without DESIGN: designs of the front, or with --target
    those that reach it. Accuracies stand beside the costs: a cheaper design may be a worse one.
    """
    asked = tuple(parse_design(text) for text in designs)
    aim = Target.parse(target) if target is not None else None
    if asked and aim:
        raise UsageError("give either DESIGN or --target, not both: a target chooses the designs")
    amounts = tuple(dict.fromkeys(parse_amount(text, "examples") for text in volumes))
    axis = CostAxis.parse(f"time_per_example@{Workload.parse(device)}")
    from explorer.analysis.planning.billing import Billing, Tariff, read_hours
    from explorer.analysis.planning.over_lifetime import designs_for_target, designs_of_front, over_lifetime
    from explorer.analysis.training_runs import read_trainings, stored_name
    from explorer.report.lifetime import lifetime_document, lifetime_text

    with open_store(store_url) as store:
        arguments = search_arguments.covering(store, dataset, asked) if asked else search_arguments
        pool, notes = arguments.pool(store, dataset, axis)
        tariff = Tariff(
            serving_usd=price,
            training_usd=training_price,
            utilisation=utilisation,
            hours=read_hours(training_hours, lambda text: stored_name(pool, parse_member(text))),
        )
        billing = Billing(store, pool, read_trainings(store, dataset), tariff)
        if not asked:
            from explorer.analysis.search.exact import search

            front = search(pool, axis, arguments.space, notes=notes, drawn=False)
            if aim is None:
                asked, note = designs_of_front(front)
            else:
                asked, note = designs_for_target(pool, front, billing, aim)
            notes = (*front.notes, note)
        found = over_lifetime(pool, asked, billing, amounts, target=aim, notes=notes)
    if as_json:
        print_json(lifetime_document(found, pool.summary))
    else:
        click.echo(lifetime_text(found, pool.summary))
