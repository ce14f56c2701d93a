"""The front over published models: which options of `explorer front` it takes, and its answer."""

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from explorer.commands.searching import SearchArguments
from explorer.errors import UsageError

if TYPE_CHECKING:
    from explorer.store import Store

_DEFAULT_MEMBERS = 4
_OF_PREDICTIONS = (
    *("how_sure", "resamples", "recipe", "mix_recipes", "max_members", "averaging", "first_members"),
    *("signals", "max_designs", "no_cascades"),
)
"""Options that say how predictions are searched: published accuracies come without."""

published_options = [
    click.option(
        "--published",
        is_flag=True,
        help="Published figures (`explorer import timm`), also where there are predictions.",
    ),
    click.option(
        "--accuracy",
        "test_set",
        metavar="TEST_SET",
        help="Of published figures: another test set, e.g. imagenet-a.  [default: imagenet]",
    ),
    click.option(
        "--predicted-ensembles",
        type=click.IntRange(min=2, max=10),
        is_flag=False,
        flag_value=_DEFAULT_MEMBERS,
        metavar="[N]",
        help=f"Of published figures: predict ensembles of 2 to N ({_DEFAULT_MEMBERS}) trainings of a model.",
    ),
]


def wants_published(
    store: "Store", dataset: str, published: bool, test_set: str | None, members: int | None
) -> bool:
    """Say whether the front is over published figures: asked for, or nothing else is here.

    Raises:
        StoreError: the store is locked or damaged.
    """
    if published or test_set is not None or members is not None:
        return True
    from explorer.store.imported import predicted_datasets
    from explorer.store.published import published_datasets

    return dataset in published_datasets(store) and dataset not in predicted_datasets(store)


def front_published(
    store: "Store",
    dataset: str,
    costs: tuple[str, ...],
    search_arguments: SearchArguments,
    asked: tuple[str | None, int | None, bool],
) -> tuple[dict[str, object], str, tuple[str, ...]]:
    """Return document, text and notes; ``asked``: test set, members to predict, whether to show every point.

    Raises:
        UsageError: an option that is about predictions, or what `published_front` refuses.
    """
    from explorer.analysis.published.front import PublishedQuestion, published_front
    from explorer.report.published import published_document, published_text

    _refuse_options_of_predictions()
    test_set, members, every = asked
    question = PublishedQuestion(
        dataset=dataset,
        costs=costs,
        test_set=test_set or "",
        only=search_arguments.only,
        exclude=search_arguments.exclude,
        members=members or 0,
    )
    front = published_front(store, question)
    return published_document(front), published_text(front, every=every), front.notes


def _refuse_options_of_predictions() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in _OF_PREDICTIONS and given:
            raise UsageError(
                f"{parameter.opts[0]} is about predictions; published figures are of single models alone"
            )
