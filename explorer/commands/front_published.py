"""The front over published models: which options of `explorer front` it takes, and its answer."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from explorer.commands.searching import SearchArguments
from explorer.errors import UsageError
from explorer.question import Target

if TYPE_CHECKING:
    from explorer.store import Store

_DEFAULT_MEMBERS = 4
_OF_PREDICTIONS = (
    *("how_sure", "resamples", "recipe", "mix_recipes", "max_members", "averaging", "first_members"),
    *("signals", "max_designs", "no_cascades"),
)
"""Options that say how predictions are searched: published accuracies come without."""

_OPTIONS = [
    click.option(
        "--published",
        is_flag=True,
        help="Published figures (`explorer import timm`, `explorer import catalogue`), also where there are "
        "predictions.",
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
    click.option(
        "--group",
        type=click.Choice(("kind", "family")),
        help="Of published figures: fronts of groups side by side: networks, supernets' sub-networks, timm's "
        "by training data (kind), or each family.",
    ),
    click.option(
        "--reach",
        multiple=True,
        metavar="SHARE",
        help="With --group: an accuracy, e.g. 80%, that each group's cheapest is sought for; repeatable.",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Of published figures: draw the groups' fronts and recipes' gains, .svg or .png.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedArguments:
    """What the options about published figures were set to."""

    published: bool
    test_set: str | None
    predicted_ensembles: int | None
    group: str | None
    reach: tuple[str, ...]
    out: Path | None

    @property
    def given(self) -> bool:
        """Whether one of them asks for published figures."""
        return (
            self.published
            or bool(self.reach)
            or any(one is not None for one in (self.test_set, self.predicted_ensembles, self.group, self.out))
        )


def published_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about published figures; the command gets them as ``published_arguments``."""

    @functools.wraps(function)
    def wrapped(**options: Any) -> Any:
        names = PublishedArguments.__dataclass_fields__
        arguments = PublishedArguments(**{name: options.pop(name) for name in names})
        return function(published_arguments=arguments, **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def wants_published(store: "Store", dataset: str, arguments: PublishedArguments) -> bool:
    """Say whether the front is over published figures: asked for, or nothing else is here.

    Raises:
        StoreError: the store is locked or damaged.
    """
    if arguments.given:
        return True
    from explorer.store.imported import predicted_datasets
    from explorer.store.published import published_datasets

    return dataset in published_datasets(store) and dataset not in predicted_datasets(store)


def front_published(
    store: "Store",
    dataset: str,
    costs: tuple[str, ...],
    search_arguments: SearchArguments,
    arguments: PublishedArguments,
    every: bool,
) -> tuple[dict[str, object], str, tuple[str, ...]]:
    """Return document, text and notes, the figure drawn; ``every``: show every point.

    Raises:
        UsageError: an option that is about predictions, a figure that cannot be drawn, or what
            `published_front` refuses.
    """
    from explorer.analysis.published.front import PublishedQuestion, published_front
    from explorer.analysis.published.groups import Grouping
    from explorer.report.published import published_document, published_text

    _refuse_options_of_predictions()
    if arguments.reach and not arguments.group:
        raise UsageError("--reach belongs to --group, which was not asked for")
    group = arguments.group or ("kind" if arguments.out else None)
    question = PublishedQuestion(
        dataset=dataset,
        costs=costs,
        test_set=arguments.test_set or "",
        only=search_arguments.only,
        exclude=search_arguments.exclude,
        members=arguments.predicted_ensembles or 0,
        grouping=None if group is None else Grouping(group),
        reach=tuple(_share(text) for text in arguments.reach),
    )
    if arguments.out is not None:
        from explorer.report.published_figure import check_figure_file

        check_figure_file(arguments.out)
    front = published_front(store, question)
    notes = front.notes
    if arguments.out is not None:
        from explorer.report.published_figure import published_figure_info, write_published_figure

        info = published_figure_info(front)
        write_published_figure(arguments.out, info)
        notes = (*notes, f"drawn: {arguments.out}", *info.notes)
    return published_document(front), published_text(front, every=every), notes


def _share(text: str) -> float:
    """Read ``80%`` or ``0.8``."""
    try:
        return Target.parse(f"accuracy>={text}").accuracy
    except UsageError as error:
        raise UsageError(f"--reach {text!r}: wanted a share from 0 to 1, e.g. 0.8 or 80%") from error


def _refuse_options_of_predictions() -> None:
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in _OF_PREDICTIONS and given:
            raise UsageError(
                f"{parameter.opts[0]} is about predictions; published figures are of single models alone"
            )
