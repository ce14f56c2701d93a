"""One design in full: figures, members, how it compares with the answer, and the file."""

import streamlit as st

from explorer.analysis.result import Advice, Point
from explorer.errors import ExplorerError
from explorer.report.answer import comparison_short
from explorer.report.front_info import stage_rows
from explorer.report.report_info import design_row
from explorer.report.text import format_bytes, short_design
from explorer.spec import design_id
from explorer.ui import queries
from explorer.ui.sidebar import Choice


def show_detail(choice: Choice, point: Point, advice: Advice) -> None:
    """Show the picked design and offer it as a file."""
    row = design_row(point, advice.axis)
    is_answer = advice.answer is not None and point.design == advice.answer.design
    title = "The answer in full" if is_answer else "The chosen design in full"
    st.subheader(title, anchor=False)
    with st.container(border=True):
        st.markdown(f"**{row.kind_name.capitalize()}**: {short_design(point.design)}".replace("~", "\\~"))
        st.code(str(point.design), language=None, wrap_lines=True)
        figures = st.columns([1, 1, 1, 1.4, 1.4])
        figures[0].metric("Accuracy", row.accuracy, help=f"95% interval {row.interval}, on fresh examples")
        figures[1].metric("Chosen at", row.select_accuracy, help="On the examples it was chosen on")
        figures[2].metric("Regret", row.regret, help="Chosen at minus accuracy, in points")
        figures[3].metric("Cost", row.cost, help=row.cost_interval or "an exact count")
        figures[4].metric("Worst case", row.worst_cost, help="An input that runs every stage")
        st.dataframe(
            {
                "Stage": [stage.name for stage in stage_rows(point)],
                "Members": [stage.members for stage in stage_rows(point)],
                "Inputs that reach it": [stage.reached for stage in stage_rows(point)],
                "Inputs that leave here": [stage.leaves for stage in stage_rows(point)],
                "Leaves when": [stage.condition for stage in stage_rows(point)],
            },
            hide_index=True,
        )
        if advice.answer is not None and not is_answer:
            found = queries.comparison(choice.request, str(advice.answer.design), str(point.design))
            st.caption(comparison_short(found))
        _offer_file(choice, str(point.design), design_id(point.design))


def _offer_file(choice: Choice, design: str, name: str) -> None:
    """Build the design when asked, then offer the ONNX file and the whole folder."""
    wanted = f"built {choice.request.stamp} {choice.request.dataset} {design}"
    if st.button("Build the ONNX file", icon=":material/deployed_code:", type="primary"):
        st.session_state[wanted] = True
    if not st.session_state.get(wanted):
        return
    try:
        made = queries.built(choice.request, design)
    except ExplorerError as error:
        st.error(str(error), icon=":material/error:")
        return
    left, right, _ = st.columns([1, 1, 2])
    left.download_button(
        f"Save model.onnx ({format_bytes(len(made.onnx))})",
        made.onnx,
        file_name=f"{name}.onnx",
        mime="application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
    )
    right.download_button(
        "Save the whole folder (zip)",
        made.folder,
        file_name=f"{name}.zip",
        mime="application/zip",
        icon=":material/folder_zip:",
        on_click="ignore",
    )
    st.caption(
        f"One graph, batch compaction inside. SHA-256 {made.digest}. Check it with `explorer verify DIR`."
    )
