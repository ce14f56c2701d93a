"""Lay the page out: the answer first, then the front, its table twin, one design, the evidence."""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from explorer.analysis.result import Advice, Front, Point
from explorer.errors import ExplorerError, StoreError
from explorer.report.answer import answer_sentence, changes, headline, optimism_sentence
from explorer.report.curves_info import curves_info
from explorer.report.front_info import FrontInfo, front_info, shown_points
from explorer.report.provenance_text import searched_text
from explorer.report.report_info import DesignRow, KindCard, design_rows, kind_cards
from explorer.spec import design_id
from explorer.store import Store
from explorer.ui import queries, state
from explorer.ui.charts import PICK, curves_chart, front_chart
from explorer.ui.detail import show_detail
from explorer.ui.sidebar import Choice, choose

CHART_KEY = "front_chart"
_SHAPES = {"single": ":blue[●]", "ensemble": ":orange[■]", "cascade": ":green[▲]", "distilled": ":violet[◆]"}


def main() -> None:
    """Show the app."""
    st.set_page_config(page_title="Bigger model, ensemble or cascade?", page_icon="⚖️", layout="wide")
    argument = queries.store_argument()
    try:
        with Store.open(argument, create=False) as store:
            choice = choose(store)
    except StoreError as error:
        show_no_store(str(error))
        return
    except ExplorerError as error:
        st.error(str(error), icon=":material/error:")
        return
    if choice is None:
        show_no_members()
        return
    try:
        show_answer_page(choice)
    except ExplorerError as error:
        st.error(str(error), icon=":material/error:")


def show_no_store(reason: str) -> None:
    """Say that there is no store, and which command makes one."""
    st.title("Nothing to compare yet")
    st.markdown("The app shows what is in a store, and there is none to read:")
    st.info(reason)
    _first_commands()


def show_no_members() -> None:
    """Say that the store is empty, and which command fills it."""
    st.title("Nothing to compare yet")
    st.markdown("This store holds no trained members with costs.")
    _first_commands()


def _first_commands() -> None:
    st.markdown("Train small networks on data that ships with the project, in about two minutes:")
    st.code("explorer quickstart", language="bash")
    st.markdown("Or train your own, with several seeds each, and count them on the way:")
    st.code("explorer train wrn10-0.5 wrn10-1 --dataset digits --seeds 0-4", language="bash")
    st.markdown("Then start the app on that store:")
    st.code("explorer app --store ./explorer-store", language="bash")


def show_answer_page(choice: Choice) -> None:
    """Show everything about one question.

    Raises:
        ExplorerError: what the store or the analysis refused.
    """
    front = queries.searched(choice.request).front
    advice = queries.advice(choice.request, choice.budget)
    info = front_info(front, advice)
    points = {design_id(point.design): point for point in shown_points(front, advice)}
    picked = _picked(points, advice)
    _show_answer(advice)
    _show_cards(kind_cards(advice))
    _show_front(info, picked)
    # What is picked and what the answer names come first: the table is long and cannot be scrolled to a row.
    rows = sorted(design_rows(front, advice), key=lambda row: (row.id != picked, not row.role))
    _show_table(rows, picked)
    if picked is not None:
        show_detail(choice, points[picked], advice)
    _show_evidence(choice, front, advice)
    chosen = st.session_state.get(state.PICKED)
    state.to_url({**choice.url, "design": str(points[chosen].design) if chosen in points else ""})


def _picked(points: Mapping[str, Point], advice: Advice) -> str | None:
    """Return the id of the design to detail: the one picked, the address's, or the answer."""
    chosen = st.session_state.get(state.PICKED)
    if chosen in points:
        return str(chosen)
    linked = st.query_params.get("design")
    if chosen is None and linked is not None:
        found = next((key for key, point in points.items() if str(point.design) == linked), None)
        if found is not None:
            st.session_state[state.PICKED] = found
            return found
    return None if advice.answer is None else design_id(advice.answer.design)


def _show_answer(advice: Advice) -> None:
    st.caption("Bigger model, ensemble or cascade?")
    st.title(headline(advice), anchor=False)
    text = answer_sentence(advice)
    named = (advice.answer, advice.runner_up, advice.cheaper, advice.next_up)
    designs = sorted({str(point.design) for point in named if point is not None}, key=len, reverse=True)
    st.markdown(_with_code(text, designs))
    if advice.answer is None:
        st.badge("Nothing fits", color="red")
    elif advice.cannot_tell:
        st.badge("Cannot tell which is more accurate", color="orange", icon=":material/balance:")
    else:
        st.badge("Told apart on fresh examples", color="green", icon=":material/check:")
    st.caption(_plain(optimism_sentence(advice)))


def _with_code(sentence: str, designs: Sequence[str]) -> str:
    """Set the designs as code; placeholders keep a member from being set inside an ensemble."""
    for index, design in enumerate(designs):
        sentence = sentence.replace(design, f"\0{index}\0")
    sentence = _plain(sentence)
    for index, design in enumerate(designs):
        sentence = sentence.replace(f"\0{index}\0", f"`{design}`")
    return sentence


def _plain(sentence: str) -> str:
    """Keep names from being read as Markdown."""
    for character in "\\`*_<[$~:#":
        sentence = sentence.replace(character, f"\\{character}")
    return sentence


def _show_cards(cards: Sequence[KindCard]) -> None:
    if not cards:
        return
    for column, card in zip(st.columns(len(cards)), cards, strict=True):
        with column, st.container(border=True, height="stretch"):
            answer = " :gray-badge[the answer]" if card.is_answer else ""
            st.markdown(f"{_SHAPES[card.kind]} **{card.title}**{answer}")
            st.markdown(f"#### {card.accuracy} for {card.cost}")
            st.caption(f"95% interval {card.interval}")
            st.markdown(_plain(card.label))
            if not card.is_answer:
                st.caption(_plain(card.verdict))


def _show_front(info: FrontInfo, picked: str | None) -> None:
    st.subheader("Accuracy against cost", anchor=False)
    if not info.marks:
        st.info(info.alt)
        return
    st.altair_chart(
        front_chart(info, picked),
        width="stretch",
        key=CHART_KEY,
        on_select=lambda: state.pick_from_chart(CHART_KEY, PICK),
        selection_mode=PICK,
    )
    st.caption(
        "Click a mark for its details. Full marks are on the Pareto front, pale ones are the best of their "
        "kind at their cost; bars are 95% intervals. The grey cloud is a sample of all searched designs, as "
        "scored on the examples designs were chosen on. The large ring is the answer, the small one the "
        "design shown in full below."
    )


def _show_table(rows: Sequence[DesignRow], picked: str | None) -> None:
    ids = [row.id for row in rows]
    frame = pd.DataFrame(
        {
            "": ["\N{BLACK RIGHT-POINTING TRIANGLE}" if row.id == picked else "" for row in rows],
            "Kind": [row.kind_name for row in rows],
            "Role": [row.role for row in rows],
            "On front": [row.on_front for row in rows],
            "Accuracy": [row.accuracy for row in rows],
            "95% interval": [row.interval for row in rows],
            "Chosen at": [row.select_accuracy for row in rows],
            "Regret": [row.regret for row in rows],
            "Cost": [row.cost for row in rows],
            "Worst case": [row.worst_cost for row in rows],
            "Stage 2": [row.reached for row in rows],
            "Design": [row.design for row in rows],
        }
    )
    styled = frame.style.apply(
        lambda line: ["background-color: #f2c94c44" if ids[line.name] == picked else ""] * len(line), axis=1
    )
    key = f"designs_{st.session_state.get(state.TABLE_ROUND, 0)}"
    st.dataframe(
        styled,
        hide_index=True,
        height=300,
        key=key,
        on_select=lambda: state.pick_from_table(key, ids),
        selection_mode="single-row",
        column_config={
            "": st.column_config.TextColumn(width=30),
            "Design": st.column_config.TextColumn(width="large"),
        },
    )


def _show_evidence(choice: Choice, front: Front, advice: Advice) -> None:
    told = changes(advice)
    if told:
        st.subheader("What would change the answer", anchor=False)
        st.markdown("\n".join(f"- {_plain(sentence)}" for sentence in told))
    info = curves_info(front, advice)
    if info.lines:
        st.subheader("More members of one model", anchor=False)
        st.altair_chart(curves_chart(info), width="stretch", key="curves_chart")
        st.caption(
            "One line a model, one mark a number of members averaged; the band holds the worst and best set."
        )
    st.subheader("Report", anchor=False)
    if st.button("Write the HTML report", icon=":material/description:"):
        st.download_button(
            "Save report.html",
            queries.report(choice.request, choice.budget),
            file_name=f"{choice.request.dataset}-{choice.request.axis}.html",
            mime="text/html",
            icon=":material/download:",
            on_click="ignore",
        )
    with st.expander("Where the numbers come from"):
        pool = front.pool
        st.markdown(
            f"- Store: `{choice.request.store}`\n- Split: `{pool.split_digest}`\n"
            f"- Recipe: `{pool.recipe_id}`\n- Scored: {searched_text(front)}"
        )
        notes = tuple(dict.fromkeys((*front.notes, *advice.notes)))
        if notes:
            st.markdown("\n".join(f"- {_plain(note)}" for note in notes))
        st.code(" ".join(pool.members), language=None, wrap_lines=True)
