"""The app without a browser: what it says, what it remembers, what it does with nothing."""

import io
import sys
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.spec import design_id, parse_design
from explorer.store import Store
from explorer.ui import queries, state

APP = Path(__file__).resolve().parents[2] / "app.py"
WAIT_S = 120


@pytest.fixture
def app(store_root: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", "--store", str(store_root)])
    return AppTest.from_file(str(APP), default_timeout=WAIT_S)


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    parts = (*app.title, *app.markdown, *app.caption, *app.subheader, *app.code)
    return "\n".join(element.value for element in parts)


def parameters(app: AppTest) -> dict[str, str]:
    return {name: value[0] if isinstance(value, list) else value for name, value in app.query_params.items()}


def test_the_answer_comes_first(app: AppTest) -> None:
    app.run()

    assert app.title[0].value.startswith("Ship a")
    text = shown(app)
    assert "report examples" in text
    assert "paired on the same examples" in text
    assert "The answer in full" in text
    assert "Best single model" in text
    assert [metric.label for metric in app.metric] == [
        "Accuracy",
        "Chosen at",
        "Regret",
        "Cost",
        "Worst case",
    ]


def test_the_table_twin_has_the_answer(app: AppTest) -> None:
    app.run()

    table = app.dataframe[0].value
    assert list(table["Role"]).count("answer") == 1
    assert {"single model", "ensemble", "cascade"} <= set(table["Kind"])
    answer = table[table["Role"] == "answer"].iloc[0]
    assert answer["Design"] == app.code[0].value
    assert answer["Accuracy"] == app.metric[0].value


def test_a_smaller_budget_gives_a_cheaper_answer_and_goes_to_the_address(app: AppTest) -> None:
    app.run()
    before = app.title[0].value
    slider = next(widget for widget in app.select_slider if widget.label.startswith("Budget"))

    slider.set_value(_step(app, 2)).run()

    assert app.title[0].value != before
    assert float(parameters(app)["budget"]) < 100_000


def _step(app: AppTest, index: int) -> float:
    """Return a budget step; the widget's own options are texts."""
    from explorer.report.front_info import budget_steps

    values = parameters(app)
    with Store.open(queries.store_argument(), create=False) as store:
        request = queries.Request(
            store=store.url,
            stamp=store.stamp(),
            dataset=values["dataset"],
            axis=values["cost"],
            averaging=values["averaging"],
            max_members=int(values["members"]),
        )
    return budget_steps(queries.searched(request).front)[index]


def test_the_address_sets_the_widgets(app: AppTest) -> None:
    app.query_params["cost"] = "latency@cpu"
    app.query_params["members"] = "2"
    app.query_params["averaging"] = "vote"
    app.run()

    assert "ms on cpu per example" in shown(app)
    assert [widget.value for widget in app.selectbox] == ["digits", "latency@cpu", "vote"]
    assert parameters(app)["members"] == "2"


def test_a_broken_address_is_ignored(app: AppTest) -> None:
    app.query_params["cost"] = "money@moon"
    app.query_params["budget"] = "lots"
    app.query_params["design"] = "no such design"
    app.run()

    assert app.title[0].value.startswith("Ship a")
    assert parameters(app)["cost"] == "macs"


def test_a_picked_design_is_shown_and_compared_and_shared(app: AppTest) -> None:
    app.run()
    table = app.dataframe[0].value
    other = next(design for design in table["Design"] if design != app.code[0].value)

    app.session_state[state.PICKED] = design_id(parse_design(other))
    app.run()

    assert app.code[0].value == other
    assert "The chosen design in full" in shown(app)
    assert "Answer minus this" in shown(app)
    assert parameters(app)["design"] == other


def test_a_shared_design_is_opened(app: AppTest) -> None:
    app.run()
    shared = str(app.dataframe[0].value["Design"].iloc[-1])
    app.query_params["design"] = shared

    app.run()

    assert app.code[0].value == shared
    assert app.dataframe[0].value["Design"].iloc[0] == shared


def test_the_report_can_be_saved(app: AppTest) -> None:
    app.run()

    next(button for button in app.button if button.label == "Write the HTML report").click().run()

    assert not app.exception
    assert [button.label for button in app.get("download_button")] == ["Save report.html"]


def test_a_builder_that_refuses_is_told_in_one_line(app: AppTest) -> None:
    """The synthetic members have no real weights: the builder says so, the page stays."""
    app.run()

    next(button for button in app.button if button.label == "Build the ONNX file").click().run()

    assert not app.exception
    assert len(app.error) == 1
    assert app.title[0].value.startswith("Ship a")


def test_no_store_says_which_command_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--store", str(tmp_path / "none")])

    app = AppTest.from_file(str(APP), default_timeout=WAIT_S).run()

    assert not app.exception
    assert app.title[0].value == "Nothing to compare yet"
    assert "explorer quickstart" in [code.value for code in app.code]
    assert not (tmp_path / "none").exists()


def test_an_empty_store_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "empty"
    Store.open(root).close()
    monkeypatch.setattr(sys, "argv", ["app.py", "--store", str(root)])

    app = AppTest.from_file(str(APP), default_timeout=WAIT_S).run()

    assert not app.exception
    assert app.title[0].value == "Nothing to compare yet"


def test_the_store_comes_from_the_command_line_or_is_left_to_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.store.reference.SHIPPED", tmp_path / "none")
    assert queries.store_argument(["--store", "here"]) == "here"
    assert queries.store_argument(["--other", "x"]) is None


def test_axes_are_those_that_have_figures(store_root: Path) -> None:
    with Store.open(store_root, create=False) as store:
        assert queries.axes_of(store) == ("macs", "flops", "latency@cpu")


def test_a_folder_is_zipped_whole(tmp_path: Path) -> None:
    for name in queries.FOLDER_FILES:
        (tmp_path / name).write_text(name)

    archive = zipfile.ZipFile(io.BytesIO(queries._zipped(tmp_path)))

    assert archive.namelist() == list(queries.FOLDER_FILES)
    assert archive.read("design.json") == b"design.json"
