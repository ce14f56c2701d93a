"""Reading tables of accuracies: test sets by file name, rounding, and all that can be wrong with a row."""

from pathlib import Path

import pytest

from explorer.data.timm_results import TEST_SETS, read_results_table
from explorer.errors import InputDataError
from tests.timm_folder import RESULTS_HEADER, write_table

GOOD = "resnet50.a1_in1k,224,80.214,19.786,94.614,5.386,25.56,0.950,bicubic"


def write(folder: Path, *rows: str, name: str = "results-imagenet.csv", header: str = RESULTS_HEADER) -> Path:
    return write_table(folder / name, header, list(rows))


def test_a_row_gives_shares_and_tells_architecture_from_tag(tmp_path: Path) -> None:
    table = read_results_table(write(tmp_path, GOOD))
    (row,) = table.rows

    assert (table.name, table.test_set, table.examples) == ("results-imagenet", "imagenet", 50_000)
    assert (row.architecture, row.tag, row.resolution) == ("resnet50", "a1_in1k", 224)
    assert (row.top1, row.top5, row.params) == (0.80214, 0.94614, 25.56)
    assert (row.crop, row.interpolation, row.line) == (0.95, "bicubic", 2)


def test_thousands_separators_and_a_name_without_tag(tmp_path: Path) -> None:
    (row,) = read_results_table(
        write(tmp_path, 'eva_giant,560,89.790,10.210,98.990,1.010,"1,014.45",1.000,bicubic')
    ).rows
    assert (row.params, row.architecture, row.tag) == (1014.45, "eva_giant", "")


@pytest.mark.parametrize("test_set", TEST_SETS, ids=lambda one: one.name)
def test_the_number_of_images_is_what_the_published_accuracies_are_shares_of(test_set, shared_dir) -> None:
    """Of another number of images, one more or fewer, distinctly fewer accuracies would be whole counts."""
    path = shared_dir / "data" / "timm" / f"results-{test_set.table}.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    table = read_results_table(path)
    assert (table.examples, table.notes) == (test_set.examples, ())
    assert len(table.rows) == 1556

    def whole(n: int) -> int:
        return sum(round(100 * round(row.top1 * n) / n, 3) == round(100 * row.top1, 3) for row in table.rows)

    assert whole(test_set.examples) > 0.93 * len(table.rows)
    assert whole(test_set.examples) > max(whole(test_set.examples + step) for step in (-1, 1))


def test_an_unknown_test_set_has_no_number_of_images(tmp_path: Path) -> None:
    table = read_results_table(write(tmp_path, GOOD, name="results-imagenet-a-clean.csv"))
    assert (table.test_set, table.examples) == ("imagenet-a-clean", None)
    assert "how many images imagenet-a-clean has is not known" in table.notes[0]


def test_accuracies_that_are_no_shares_of_the_test_set_lose_their_number_of_images(tmp_path: Path) -> None:
    rows = [f"m{i}.in1k,224,{50 + i / 1000:.3f},0,90,10,5,1,bicubic" for i in (1, 2, 3, 5, 7)]
    table = read_results_table(write(tmp_path, *rows, name="results-imagenet-a.csv"))
    assert table.examples is None
    assert "only 0 of 5 accuracies are shares of 7,500 images" in table.notes[0]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (GOOD.replace("80.214", "much"), "line 2: top1 is 'much', not a number"),
        (GOOD.replace("80.214", "101"), "line 2: top1 is '101', wanted a number, 0 to 100"),
        (GOOD.replace("94.614", "nan"), "top5 is 'nan'"),
        (GOOD.replace("25.56", "-1"), "param_count is '-1', wanted a number, 0 or more"),
        (GOOD.replace("224", "22.4"), "img_size is '22.4', wanted a whole number"),
        (GOOD.replace("224", ""), "img_size is '', not a number"),
        (GOOD.replace("resnet50.a1_in1k", " "), "no model name"),
        (f"{GOOD},1,2", "more cells than columns"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line(tmp_path: Path, row: str, wanted: str) -> None:
    with pytest.raises(InputDataError, match=wanted):
        read_results_table(write(tmp_path, row))


def test_a_row_that_stands_twice_names_both_lines(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match=r"line 3: resnet50.a1_in1k at 224 stands in line 2 already"):
        read_results_table(write(tmp_path, GOOD, GOOD))


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b", header="model,accuracy")
    with pytest.raises(
        InputDataError, match="lacks the columns img_size, top1, top5, param_count; it has model, accuracy"
    ):
        read_results_table(path)


def test_no_file_no_rows_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="no such file"):
        read_results_table(tmp_path / "results-x.csv")
    with pytest.raises(InputDataError, match="has no rows"):
        read_results_table(write(tmp_path))
    (tmp_path / "results-b.csv").write_bytes(b"model,\xff\xfe\n")
    with pytest.raises(InputDataError, match="cannot be read as a table"):
        read_results_table(tmp_path / "results-b.csv")
