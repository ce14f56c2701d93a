"""The app's charts: the infos' values, and few enough marks to stay quick."""

from pathlib import Path
from typing import Any

import pytest

from explorer.analysis.result import Advice, Front
from explorer.question import Budget
from explorer.report.curves_info import curves_info
from explorer.report.evidence import gather_evidence
from explorer.report.front_info import front_info, shown_points
from explorer.report.report_info import report_info
from explorer.spec import design_id
from explorer.store import Store
from explorer.ui import queries
from explorer.ui.charts import PICK, curves_chart, front_chart


@pytest.fixture(scope="module")
def answered(store_root: Path) -> tuple[Front, Advice]:
    with Store.open(store_root, create=False) as store:
        request = queries.Request(
            store=store.url,
            stamp=store.stamp(),
            dataset="digits",
            axis="macs",
            averaging="mean",
            max_members=3,
        )
    return queries.searched(request).front, queries.advice(request, str(Budget.parse("macs<=1M")))


def rows_with(chart: dict[str, Any], column: str) -> list[dict[str, Any]]:
    return next(rows for rows in chart["datasets"].values() if rows and column in rows[0])


def test_every_shown_point_is_a_selectable_mark(answered: tuple[Front, Advice]) -> None:
    front, advice = answered

    chart = front_chart(front_info(front, advice), picked=None).to_dict()

    marks = rows_with(chart, "id")
    assert {row["id"] for row in marks} == {design_id(p.design) for p in shown_points(front, advice)}
    assert [param["name"] for param in chart["params"]] == [PICK]
    assert chart["description"].startswith("Scatter chart")


def test_the_cloud_is_thin_and_not_selectable(answered: tuple[Front, Advice]) -> None:
    front, advice = answered

    chart = front_chart(front_info(front, advice), picked=None).to_dict()

    cloud = chart["layer"][0]
    assert cloud["mark"]["type"] == "circle"
    assert sum(len(rows) for rows in chart["datasets"].values()) < 4000
    assert "tooltip" not in cloud["encoding"]


def test_curves_have_a_mark_a_size(answered: tuple[Front, Advice]) -> None:
    front, advice = answered

    chart = curves_chart(curves_info(front, advice)).to_dict()

    assert len(rows_with(chart, "members")) == sum(len(curve.sizes) for curve in front.curves) == 9


def test_evidence_is_that_of_the_pool(store_root: Path, answered: tuple[Front, Advice]) -> None:
    front, advice = answered
    with Store.open(store_root, create=False) as store:
        evidence = gather_evidence(store, front, command="test")

    assert len(evidence.members) == len(front.pool.members) == 9
    assert {record.kind for record in evidence.costs} == {"macs"}
    assert len(evidence.costs) == 3
    assert evidence.conditions is None
    info = report_info(front, advice, evidence)
    assert {row.cost for row in info.members} == {"71.3 kMACs", "263 kMACs", "1.01 MMACs"}
