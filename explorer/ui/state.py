"""Keep what the widgets are set to in the address, so that a link shows what its sender sees."""

from collections.abc import Mapping, Sequence

import streamlit as st

PICKED = "picked"
"""Session key: id of the design whose details are shown; the answer's when absent."""
TABLE_ROUND = "table_round"
"""Session key: counts picks made in the chart, so that the table drops its own selection."""


def from_url(name: str, options: Sequence[str], default: str) -> str:
    """Return the address's value for a widget when it is one of ``options``, else ``default``."""
    value = st.query_params.get(name, default)
    return value if value in options else default


def number_from_url(name: str) -> float | None:
    """Return a number of the address, or None where there is none that can be read."""
    text = st.query_params.get(name)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def to_url(values: Mapping[str, str]) -> None:
    """Write the widgets' values to the address; empty ones are left out."""
    wanted = {name: value for name, value in values.items() if value}
    if dict(st.query_params) != wanted:
        st.query_params.from_dict(wanted)


def pick_from_chart(key: str, parameter: str) -> None:
    """Take over the design that was clicked in the chart; a click on nothing leaves the pick alone."""
    chosen = st.session_state[key]["selection"].get(parameter) or []
    if chosen and "id" in chosen[0]:
        st.session_state[PICKED] = chosen[0]["id"]
        st.session_state[TABLE_ROUND] = st.session_state.get(TABLE_ROUND, 0) + 1


def pick_from_table(key: str, ids: Sequence[str]) -> None:
    """Take over the row that was chosen in the table."""
    rows = st.session_state[key]["selection"]["rows"]
    if rows and rows[0] < len(ids):
        st.session_state[PICKED] = ids[rows[0]]
