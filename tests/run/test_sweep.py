"""Sweeps: what is derived equals what would have been traced; the run over timm survives a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from explorer.errors import InputDataError, UsageError
from explorer.measure.meta_speed import KernelsOnce, blank_weights
from explorer.measure.trace import count_model, trace_model
from explorer.run.sweep import count_all_timm, read_counts, sweep_model
from explorer.spec import ModelSpec
from zoo import build, default_resolution

SMALL = ("resnet18", "vit_tiny_patch16_224", "test_byobnet", "test_resnet", "test_efficientnet")


@pytest.mark.parametrize("name", ["wrn10-0.5", "timm:test_vit", "timm:test_byobnet"])
def test_derived_batches_equal_counting(name: str) -> None:
    sides = [32] if name.startswith("wrn") else [default_resolution(name, 32)]
    batches = (1, 2, 5, 17, 64)

    rows = sweep_model(ModelSpec(name), sides, batches, classes=11)

    assert [(row.resolution, row.batch) for row in rows] == [(s, b) for s in sides for b in batches]
    assert rows[2].basis == "affine in batch"
    with torch.device("meta"):
        model = build(name, in_channels=3, num_classes=11, resolution=sides[0])
    for row in rows:
        cost = count_model(model, (row.batch, 3, row.resolution, row.resolution))
        assert (row.macs, row.elementwise_ops) == (cost.macs, cost.elementwise_ops)
        assert row.activation_peak_bytes == cost.activation_peak_bytes
        assert (row.parameters, row.buffer_bytes) == (cost.parameters, cost.buffer_bytes)


def test_resolutions_are_traced_not_scaled() -> None:
    rows = sweep_model(ModelSpec("timm:test_resnet"), [32, 33, 47])

    with torch.device("meta"):
        model = build("timm:test_resnet", in_channels=3, num_classes=1000)
    assert [row.macs for row in rows] == [count_model(model, (1, 3, s, s)).macs for s in (32, 33, 47)]


def test_a_resolution_that_does_not_fit_has_a_row_that_says_so() -> None:
    rows = sweep_model(ModelSpec("timm:vit_tiny_patch16_224"), [224, 15], [1, 3])

    assert [bool(row.error) for row in rows] == [False, False, True, True]
    assert rows[2].macs is None


def test_nothing_that_works_is_refused() -> None:
    with pytest.raises(UsageError):
        sweep_model(ModelSpec("timm:vit_tiny_patch16_224"), [7])
    with pytest.raises(UsageError, match="positive whole numbers"):
        sweep_model(ModelSpec("wrn10-1"), [32], [0])


@pytest.mark.parametrize(
    "name", ["resnet18", "convnext_atto", "swin_tiny_patch4_window7_224", "mobilevitv2_050"]
)
def test_the_fast_way_records_the_same(name: str) -> None:
    """Skipped initialisers and remembered kernels change neither the model's tensors nor the trace."""
    name = f"timm:{name}"
    side = default_resolution(name, 32)
    with torch.device("meta"):
        plain = build(name, in_channels=3, num_classes=1000)
    with blank_weights():
        blank = build(name, in_channels=3, num_classes=1000)
    kernels = KernelsOnce()

    expected = trace_model(plain, (1, 3, side, side))
    with kernels:
        first = trace_model(blank, (1, 3, side, side))
    with kernels:
        second = trace_model(blank, (1, 3, side, side))

    assert first == expected
    assert second == expected
    tensors = [{k: (v.shape, v.dtype, v.device) for k, v in m.state_dict().items()} for m in (plain, blank)]
    assert tensors[0] == tensors[1]
    assert torch.empty(1).device.type == "cpu"


def test_kernels_that_raise_or_share_memory_are_not_remembered() -> None:
    kernels = KernelsOnce()
    with kernels:
        x = torch.empty(2, 3, device="meta")
        view = x.t()
        assert view.untyped_storage()._cdata == x.untyped_storage()._cdata
        for _ in range(2):
            with pytest.raises(RuntimeError):
                x @ x
            total = (x + 1).relu_()
            assert total.shape == (2, 3)
            assert (x + 1.0).dtype == torch.float32
            assert torch.empty(2, dtype=torch.int64, device="meta").add(1.0).dtype == torch.float32
            assert torch.empty(2, dtype=torch.int64, device="meta").add(1).dtype == torch.int64


def test_counts_go_to_a_file_once(tmp_path: Path) -> None:
    out = tmp_path / "counts.parquet"
    shares: list[float] = []

    rows = count_all_timm(out, workers=1, names=SMALL[:2], update=lambda share, _: shares.append(share))

    assert [row.model for row in rows] == ["timm:resnet18", "timm:vit_tiny_patch16_224"]
    assert rows[0].macs == 1_814_073_344
    assert rows[0].parameters == 11_689_512
    assert all(row.uncounted == "{}" and not row.error for row in rows)
    assert shares[-1] == 1.0
    assert read_counts(out) == rows
    assert os.listdir(tmp_path) == ["counts.parquet"]

    texts: list[str] = []
    more = count_all_timm(out, workers=1, names=SMALL[:3], update=lambda _, text: texts.append(text))
    assert len(texts) == 1
    assert "test_byobnet" in texts[0]
    assert more[:1] == rows[:1]  # to the second that it took


def test_an_unknown_name_is_a_row_and_is_tried_again(tmp_path: Path) -> None:
    told: list[str] = []
    for _ in range(2):
        rows = count_all_timm(
            tmp_path / "x.parquet", workers=1, names=["resnet81"], update=lambda _, text: told.append(text)
        )

    assert [row.model for row in rows] == ["timm:resnet81"]
    assert "unknown timm model" in rows[0].error
    assert rows[0].macs is None
    assert len(told) == 2


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    text, other, stamped = (tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet"))
    text.write_text("model,macs\n")
    pq.write_table(pa.table({"model": ["resnet18"]}), other)
    Path(f"{stamped}.journal").write_text(json.dumps({"convention": "flops-v0"}) + "\n")

    with pytest.raises(InputDataError, match="not a Parquet file"):
        count_all_timm(text)
    with pytest.raises(InputDataError, match="has columns"):
        count_all_timm(other)
    with pytest.raises(UsageError, match="flops-v0"):
        count_all_timm(stamped)


PROGRAM = """
import sys
from pathlib import Path
from explorer.run.sweep import count_all_timm
if __name__ == "__main__":
    count_all_timm(Path(sys.argv[1]), workers=1, names=sys.argv[2].split(","))
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    out, journal = tmp_path / "counts.parquet", tmp_path / "counts.parquet.journal"
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    child = subprocess.Popen(
        [sys.executable, str(program), str(out), ",".join([*SMALL, "regnety_320", "hrnet_w48"])],
        env=environment,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not journal.exists() or journal.read_bytes().count(b"\n") < 3):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not out.exists()
    kept = journal.read_bytes()
    assert kept.count(b"\n") >= 3
    journal.write_bytes(kept + b'{"model": "timm:res')  # as if cut short within a line

    told: list[str] = []
    rows = count_all_timm(out, workers=1, names=SMALL, update=lambda _, text: told.append(text))

    there = {json.loads(line)["model"] for line in kept.splitlines()[1:] if line.endswith(b"}")}
    assert {f"timm:{name}" for name in SMALL} <= {row.model for row in rows}
    assert len(told) == len({f"timm:{name}" for name in SMALL} - there)
    assert not journal.exists()
