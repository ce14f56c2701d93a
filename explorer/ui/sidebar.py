"""The sidebar: store, data set, cost axis, what is searched, and the budget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer.convention import CostAxis
from explorer.errors import UsageError
from explorer.question import Budget
from explorer.report.front_info import budget_steps, default_budget, nearest_step
from explorer.report.text import format_amount, format_axis, format_count
from explorer.spec import Averaging
from explorer.store import Store
from explorer.store.imported import predicted_datasets
from explorer.ui import queries, state

MAX_MEMBERS = 6
"""Largest ensemble the app searches; the command line goes further."""
_DEFAULT_MEMBERS = "4"
_AVERAGING = {
    "mean": "mean of probabilities",
    "geometric": "geometric mean of probabilities",
    "logit": "mean of logits",
    "vote": "majority vote",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the widgets are set to."""

    request: queries.Request
    budget: str
    """Canonical text of the question."""
    url: Mapping[str, str]
    """The same, for the address."""


def choose(store: Store) -> Choice | None:
    """Show the sidebar; None when the store has nothing to choose from.

    Raises:
        ExplorerError: what the store or the analysis refused.
    """
    datasets = predicted_datasets(store)
    if not datasets or not queries.axes_of(store):
        return None
    with st.sidebar:
        st.markdown("### Question")
        dataset = _select("Data set", "dataset", datasets, datasets[0])
        axes = queries.axes_of(store, dataset) or queries.axes_of(store)
        axis = _select("Cost", "cost", axes, "macs" if "macs" in axes else axes[0], _axis_name)
        slot = st.container()
        st.markdown("### Search")
        averaging = _select(
            "Ensembles answer with",
            "averaging",
            tuple(rule.value for rule in Averaging),
            "mean",
            _AVERAGING.__getitem__,
        )
        sizes = tuple(str(n) for n in range(1, MAX_MEMBERS + 1))
        members = st.select_slider(
            "Members of an ensemble, at most",
            sizes,
            value=state.from_url("members", sizes, _DEFAULT_MEMBERS),
            key="members",
        )
        request = queries.Request(
            store=store.url,
            stamp=store.stamp(),
            dataset=dataset,
            axis=axis,
            averaging=averaging,
            max_members=int(members),
        )
        budget = _budget(slot, request)
        st.markdown("### Store")
        predicted = len({record.member for record in store.predictions(dataset, "report")})
        st.caption(f"`{store.root}`, {format_count(predicted)} members of {dataset}")
    return Choice(
        request=request,
        budget=str(budget),
        url={
            "dataset": dataset,
            "cost": axis,
            "budget": repr(budget.limit),
            "averaging": averaging,
            "members": members,
        },
    )


def _select(
    label: str, name: str, options: tuple[str, ...], default: str, text: Callable[[str], str] = str
) -> str:
    first = state.from_url(name, options, default)
    chosen = st.selectbox(label, options, index=options.index(first), format_func=text, key=name)
    return str(chosen)


def _axis_name(axis: str) -> str:
    return format_axis(CostAxis.parse(axis))


def _budget(slot: DeltaGenerator, request: queries.Request) -> Budget:
    """Show the budget slider, log-spaced over the costs that occur.

    Raises:
        UsageError: no design has a cost above zero on this axis.
    """
    front = queries.searched(request).front
    steps, default = budget_steps(front), default_budget(front)
    if not steps or default is None:
        raise UsageError(f"no design of {request.dataset} has a cost above zero on {request.axis}")
    if len(steps) == 1:
        return Budget(front.axis, steps[0])
    linked = state.number_from_url("budget")
    with slot:
        limit = st.select_slider(
            f"Budget: at most, in {front.axis}",
            steps,
            value=default if linked is None else nearest_step(steps, linked),
            format_func=lambda value: format_amount(value, front.axis.kind),
            key=f"budget {request}",
            help="Log-spaced over the costs of the designs found.",
        )
    return Budget(front.axis, float(limit))
