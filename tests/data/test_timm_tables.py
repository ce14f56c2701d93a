"""Reading benchmark tables: what the file's name says, rounding, and all that can be wrong with a row."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.data.timm_tables import BenchmarkTable, read_benchmark_table
from explorer.errors import InputDataError
from explorer.workload import Precision, Runtime

HEADER = (
    "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,"
    "param_count,infer_gmacs,infer_macts"
)
GOOD = "resnet50,224,1000.0,64.0,64,25.56,4.11,11.11"
NAME = "benchmark-infer-amp-nhwc-pt240-cu124-rtx3090.csv"


def write(folder: Path, *rows: str, name: str = NAME, header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def test_a_row_gives_times_of_a_call_and_of_an_example(tmp_path: Path) -> None:
    (row,) = read_benchmark_table(write(tmp_path, GOOD)).rows

    assert (row.model, row.resolution, row.batch, row.line) == ("resnet50", 224, 64, 2)
    assert row.seconds == pytest.approx(0.064)
    assert row.seconds_per_example == pytest.approx(0.001)
    assert (row.params, row.gmacs, row.macts) == (25.56, 4.11, 11.11)


@pytest.mark.parametrize(
    ("name", "device", "precision", "channels_last", "runtime"),
    [
        (NAME, "rtx3090", Precision.AMP, True, Runtime.EAGER),
        ("benchmark-infer-amp-nchw-pt240-cu124-rtx4090-dynamo.csv", "rtx4090", "amp", False, "compiled"),
        ("benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv", "i9-10940x", "fp32", False, "compiled"),
        ("benchmark-infer-amp-nchw-pt291-cu130-5090.csv", "rtx5090", "amp", False, "eager"),
        ("benchmark-infer-amp-nchw-pt291-cu130-pro6000maxq.csv", "pro6000maxq", "amp", False, "eager"),
        ("benchmark-infer-bfloat16-nhwc-pt240-cu124-h100-sxm.csv", "h100-sxm", "bf16", True, "eager"),
        ("benchmark-infer-amp-nhwc-A100_80GB PCIe.csv", "a100-80gb-pcie", "amp", True, "eager"),
        ("benchmark-infer-amp.csv", None, "amp", None, "eager"),
        ("mine.csv", None, None, None, "eager"),
        ("fp32-nchw-mine-dynamo.csv", None, "fp32", False, "compiled"),
    ],
)
def test_the_file_name_says_what_was_run(
    tmp_path: Path,
    name: str,
    device: str | None,
    precision: str | None,
    channels_last: bool | None,
    runtime: str,
) -> None:
    table = read_benchmark_table(write(tmp_path, GOOD, name=name))

    assert (table.device, table.precision, table.channels_last, table.runtime) == (
        device,
        precision,
        channels_last,
        runtime,
    )


def test_the_workload_is_written_as_everywhere(tmp_path: Path) -> None:
    assert str(read_benchmark_table(write(tmp_path, GOOD)).workload(64)) == "rtx3090/b64/amp/nhwc"
    assert str(read_benchmark_table(write(tmp_path, GOOD, name="x.csv")).workload(1)) == "unknown"


def test_thousands_separators_are_numbers(tmp_path: Path) -> None:
    row = 'eva_giant,336,"1,000.50",,"1,024","1,013.01","2,982.23","3,428.16"'
    (read,) = read_benchmark_table(write(tmp_path, row)).rows

    assert (read.batch, read.params, read.gmacs, read.macts) == (1024, 1013.01, 2982.23, 3428.16)
    assert read.seconds == pytest.approx(1024 / 1000.5)


def test_the_time_with_more_digits_is_taken(tmp_path: Path) -> None:
    # 0.22 a second is anything from 4.44 to 4.65 s; the step time says 4.556317
    slow = "samvit,1024,0.22,4556.317,1,637.03,2982.23,3428.16"
    fast = "test_vit,160,188343.61,5.4,1024,0.37,0.04,0.48"
    rows = read_benchmark_table(write(tmp_path, slow, fast)).rows

    assert rows[0].seconds == pytest.approx(4.556317)
    assert rows[1].seconds == pytest.approx(1024 / 188343.61)


def test_a_step_time_that_says_something_else_is_not_taken(tmp_path: Path) -> None:
    (row,) = read_benchmark_table(write(tmp_path, "a,224,0.22,9999.999,1,1,1,1")).rows

    assert row.seconds == pytest.approx(1 / 0.22)


def test_counts_may_be_missing(tmp_path: Path) -> None:
    (row,) = read_benchmark_table(
        write(tmp_path, "mobilenetv3_large_150d,224,5094.2,201.0,1024,14.62,,")
    ).rows
    short = write(
        tmp_path,
        "a,224,10,8",
        header="model,infer_img_size,infer_samples_per_sec,infer_batch_size",
        name="short.csv",
    )

    assert (row.gmacs, row.macts, row.params) == (None, None, 14.62)
    assert read_benchmark_table(short).rows[0].gmacs is None


BAD = {
    "nan,": "infer_samples_per_sec is 'nan'",
    "NaN,": "infer_samples_per_sec is 'NaN'",
    ",": "infer_samples_per_sec is '', not a number",
    "0,": "infer_samples_per_sec is '0', wanted a finite number above 0",
    "-3.5,": "infer_samples_per_sec is '-3.5'",
    "inf,": "infer_samples_per_sec is 'inf'",
    "fast,": "infer_samples_per_sec is 'fast', not a number",
    "5,nan": "infer_step_time is 'nan'",
    "5,-1": "infer_step_time is '-1'",
}


@pytest.mark.parametrize("cells", BAD)
def test_a_bad_time_is_refused_with_file_line_and_what_came(tmp_path: Path, cells: str) -> None:
    path = write(tmp_path, GOOD, f"vgg11,224,{cells},64,132.86,7.61,7.44")

    with pytest.raises(InputDataError) as caught:
        read_benchmark_table(path)

    assert f"{path}, line 3: {BAD[cells]}" in str(caught.value)


@pytest.mark.parametrize("cells", BAD)
def test_or_left_out_and_listed(tmp_path: Path, cells: str) -> None:
    path = write(tmp_path, f"vgg11,224,{cells},64,132.86,7.61,7.44", GOOD)

    table = read_benchmark_table(path, skip_bad=True)

    assert [row.model for row in table.rows] == ["resnet50"]
    assert len(table.skipped) == 1
    assert "line 2" in table.skipped[0]
    assert BAD[cells] in table.skipped[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,0,10,1,8,1,1,1", "infer_img_size is '0'"),
        ("a,224.5,10,1,8,1,1,1", "infer_img_size is '224.5', wanted a whole number"),
        ("a,224,10,1,,1,1,1", "infer_batch_size is ''"),
        ("a,224,10,1,-8,1,1,1", "infer_batch_size is '-8'"),
        ("a,224,10,1,8,1,-1,1", "infer_gmacs is '-1'"),
        ("a,224,10,1,8,1,1,nan", "infer_macts is 'nan'"),
        (",224,10,1,8,1,1,1", "no model name"),
        ("a,224,10,1,8,1,1,1,surplus", "more cells than columns: ['surplus']"),
    ],
)
def test_other_bad_cells_too(tmp_path: Path, row: str, said: str) -> None:
    path = write(tmp_path, row)

    with pytest.raises(InputDataError) as caught:
        read_benchmark_table(path)

    assert f"line 2: {said}" in str(caught.value)


def test_a_model_timed_twice_is_refused_at_one_size_only(tmp_path: Path) -> None:
    other = GOOD.replace("224", "288")
    path = write(tmp_path, GOOD, other, GOOD)

    with pytest.raises(InputDataError, match=r"line 4: resnet50 at 224 stands in line 2 already"):
        read_benchmark_table(path)
    assert len(read_benchmark_table(path, skip_bad=True).rows) == 2


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "a,3,4", header="model,train_img_size,infer_batch_size")

    with pytest.raises(InputDataError) as caught:
        read_benchmark_table(path, skip_bad=True)

    assert "lacks the columns infer_img_size, infer_samples_per_sec; it has model" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00model", HEADER.encode() + b'\n"resnet50,224'])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)

    with pytest.raises(InputDataError, match=r"x\.csv"):
        read_benchmark_table(path)


def test_no_file_a_folder_and_no_rows(tmp_path: Path) -> None:
    with pytest.raises(InputDataError, match="no such file"):
        read_benchmark_table(tmp_path / "none.csv")
    with pytest.raises(InputDataError, match="cannot be read"):
        read_benchmark_table(tmp_path)
    with pytest.raises(InputDataError, match="no usable rows"):
        read_benchmark_table(write(tmp_path))


@given(
    throughput=st.integers(1, 10**9).map(lambda number: number / 100),
    batch=st.sampled_from([1, 7, 256, 1024]),
)
def test_the_time_is_within_what_the_throughput_allows(
    tmp_path_factory: pytest.TempPathFactory, throughput: float, batch: int
) -> None:
    step = batch / throughput * 1e3
    row = f'a,224,"{throughput:,.2f}",{step:.3f},{batch},1,1,1'
    if float(f"{step:.3f}") == 0:
        return
    (read,) = read_benchmark_table(write(tmp_path_factory.mktemp("table"), row)).rows

    assert batch / read.seconds == pytest.approx(throughput, abs=0.0051, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("amp-nchw-pt240-cu124-rtx3090", 1443),
        ("amp-nhwc-pt240-cu124-rtx3090", 1430),
        ("amp-nchw-pt240-cu124-rtx4090", 1444),
        ("amp-nchw-pt240-cu124-rtx4090-dynamo", 1443),
        ("fp32-nchw-pt240-cpu-i9_10940x-dynamo", 1435),
    ],
)
def test_the_published_tables_are_read_whole(shared_dir: Path, name: str, rows: int) -> None:
    path = shared_dir / "data" / "timm" / f"benchmark-infer-{name}.csv"
    table: BenchmarkTable = read_benchmark_table(path)

    assert (len(table.rows), table.skipped) == (rows, ())


def test_a_table_of_training_times_is_refused(shared_dir: Path) -> None:
    with pytest.raises(InputDataError, match="lacks the columns infer_img_size"):
        read_benchmark_table(shared_dir / "data/timm/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv")
