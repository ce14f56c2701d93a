"""`explorer curves`: how error falls with cost and with members, and what lies beyond."""

from typing import TYPE_CHECKING

import click

from explorer.commands.common import (
    cost_option,
    json_option,
    open_store,
    print_json,
    store_option,
)
from explorer.commands.searching import MemberArguments, member_options
from explorer.convention import CostAxis
from explorer.errors import ConventionError, UsageError
from explorer.question import Target, parse_amount

if TYPE_CHECKING:
    from explorer.analysis.curves.published_gain import PredictedAccuracy
    from explorer.analysis.curves.scale_survey import Missing
    from explorer.analysis.curves.survey import CurvesQuestion, Survey
    from explorer.store import Store

_LOSSES = ("error", "log_loss", "calibrated_log_loss", "brier")


@click.command("curves", short_help="Error against cost and against members: fitted laws, crossovers.")
@click.option(
    "--dataset", default=None, metavar="NAME", help="digits, fashion-mnist, cifar10, or folder:PATH."
)
@cost_option
@click.option("--family", "families", multiple=True, metavar="NAME", help="Only this family; several times.")
@click.option(
    "--members",
    multiple=True,
    default=(10, 50),
    show_default=True,
    type=click.IntRange(1),
    help="Predict ensembles of so many members; several times.",
)
@click.option(
    "--at",
    multiple=True,
    metavar="COST",
    help="Predict one network of this cost, e.g. 100M or 2ms; several times.  [default: twice the dearest]",
)
@click.option(
    "--parameters",
    multiple=True,
    metavar="N",
    help="Split so many parameters best, e.g. 1M; several times.  [default: those of the largest scale]",
)
@click.option(
    "--worth",
    default="0.1%",
    show_default=True,
    metavar="SHARE",
    help="Gain in accuracy that makes another seed worth training.",
)
@click.option(
    "--loss",
    default=_LOSSES[0],
    show_default=True,
    type=click.Choice(_LOSSES),
    help="What the table over members shows; --json has all.",
)
@click.option(
    "--published-error",
    default=None,
    metavar="SHARE",
    help="Predict ensembles of a network of which only this error is published, e.g. 23.79%; needs no store.",
)
@click.option(
    "--published-members",
    multiple=True,
    type=click.IntRange(1),
    help="Members of such an ensemble; several times.  [default: 5]",
)
@member_options
@store_option
@json_option
def command(
    dataset: str | None,
    cost: str,
    families: tuple[str, ...],
    members: tuple[int, ...],
    at: tuple[str, ...],
    parameters: tuple[str, ...],
    worth: str,
    loss: str,
    published_error: str | None,
    published_members: tuple[int, ...],
    member_arguments: MemberArguments,
    store_url: str | None,
    as_json: bool,
) -> None:
    """Say what each family's curves say: bigger, more members, or another seed?

    E.g. `explorer curves --dataset fashion-mnist --cost macs --at 100M`. Power laws are fitted to the
    error over cost and over members; what lies outside of the measured is marked as extrapolated. With
    `--published-error 23.79%` it predicts ensembles of a network that is known by its error alone.
    """
    axis = CostAxis.parse(cost)
    if dataset is None and published_error is None:
        raise UsageError("nothing to look at: give --dataset NAME, or --published-error SHARE")
    if published_members and published_error is None:
        raise UsageError("--published-members is about a published network: give its --published-error too")
    from explorer.analysis.curves.survey import CurvesQuestion

    question = CurvesQuestion(
        families=families,
        at=tuple(sorted({parse_amount(amount, axis.kind.unit) for amount in at})),
        members=tuple(sorted(set(members))),
        asked=_share("--worth", worth),
        budgets=tuple(sorted({parse_amount(amount, "parameter") for amount in parameters})),
    )
    published = _published(published_error, published_members or (5,))
    found: Survey | None = None
    notes: tuple[str, ...] = ()
    if dataset is not None:
        with open_store(store_url) as store:
            found, notes = _survey(store, dataset, axis, member_arguments, question)
    from explorer.report.curves_document import LOSS_KEYS, curves_document
    from explorer.report.curves_text import curves_text

    if as_json:
        print_json(curves_document(found, notes, published))
    else:
        shown = next(kind for kind, key in LOSS_KEYS.items() if key == loss)
        click.echo(curves_text(found, notes, published, shown))


def _survey(
    store: "Store",
    dataset: str,
    axis: CostAxis,
    members: MemberArguments,
    question: "CurvesQuestion",
) -> "tuple[Survey, tuple[str, ...]]":
    from explorer.analysis.curves.survey import survey
    from explorer.run.progress import progress

    pool, notes = members.pool(store, dataset, axis)
    parameters = _parameters(store, dataset, members)
    with progress("curves") as update:
        return survey(pool, parameters, question, update), notes


def _parameters(store: "Store", dataset: str, members: MemberArguments) -> "dict[str, float] | Missing":
    """Return the parameters of one member of each scale, or why they are not known."""
    from explorer.analysis.curves.scale_survey import Missing
    from explorer.analysis.statistics.seeds import grouped

    try:
        pool, _ = members.pool(store, dataset, CostAxis.parse("parameters"))
    except (UsageError, ConventionError) as error:  # not counted here: all but the split needs none
        return Missing(reason=str(error))
    return {scale.key: scale.cost for scale in grouped(pool)}


def _published(error: str | None, members: tuple[int, ...]) -> "tuple[PredictedAccuracy, ...]":
    if error is None:
        return ()
    from explorer.analysis.curves.published_gain import predict_ensemble_accuracy

    accuracy = 1 - _share("--published-error", error)
    return tuple(predict_ensemble_accuracy(accuracy, n, outside=True) for n in sorted(set(members)))


def _share(option: str, text: str) -> float:
    """Read ``23.79%`` or ``0.2379``."""
    try:
        return Target.parse(f"accuracy>={text}").accuracy
    except UsageError as error:
        raise UsageError(f"{option} {text!r}: wanted a share from 0 to 1, e.g. 0.001 or 0.1%") from error
