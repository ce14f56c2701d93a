import csv
import math
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.data import devices as module
from explorer.data.devices import (
    FIGURES,
    PEAKS,
    Status,
    devices,
    find_device_entry,
    per_program_device,
    read_devices,
)
from explorer.errors import InputDataError, UsageError
from explorer.workload import Precision, Workload

LANES = {"p100-sxm2": 64, "v100-sxm2": 64, "t4": 64}
"""float32 units of one SM; 64 in the A100 too, 128 elsewhere (vendors' architecture papers)."""
HEADER = (
    "key,name,vendor,kind,unit,compute_units,cores_per_device,clock_ghz,fp32_tflops,tf32_tflops,fp16_tflops,"
    "bf16_tflops,int8_tops,memory_gib,bandwidth_gbs,onchip_mib,tdp_w,aliases,sources,note"
)


def one_row(**cells: str) -> str:
    row = dict.fromkeys(HEADER.split(","), "")
    row |= {"key": "x1", "name": "X One", "vendor": "X", "kind": "gpu", "unit": "SM", **cells}
    return f"{HEADER}\n{','.join(row.values())}\n"


def test_the_usual_devices_exist_and_are_devices_of_a_workload():
    keys = {device.key for device in devices()}
    wanted = """
        rtx3090 rtx4090 rtx5090 h100-sxm h100-pcie h200-sxm b200 a100-sxm-80gb a10 l4 l40s t4 v100-sxm2
        tpu-v2 tpu-v3 tpu-v4 tpu-v5e tpu-v5p tpu-v6e tpu7x i9-10940x"""
    assert keys >= set(wanted.split())
    for key in keys:
        assert Workload.parse(f"{key}/b64/bf16").device == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("RTX 4090", "rtx4090"),
        ("geforce rtx4090", "rtx4090"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),
        ("NVIDIA H100 PCIe", "h100-pcie"),
        ("NVIDIA H200", "h200-sxm"),
        ("NVIDIA A100-SXM4-80GB", "a100-sxm-80gb"),
        ("NVIDIA A100 80GB PCIe", "a100-pcie-80gb"),
        ("Tesla V100-SXM2-16GB", "v100-sxm2"),
        ("Tesla T4", "t4"),
        ("TPU v5 lite", "tpu-v5e"),
        ("TPU v5", "tpu-v5p"),
        ("TPU v6 lite", "tpu-v6e"),
        ("Intel(R) Core(TM) i9-10940X CPU @ 3.30GHz", "i9-10940x"),
        ("i9_10940x", "i9-10940x"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "rtx-pro-6000-max-q"),
        ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000"),
    ],
)
def test_devices_are_found_by_what_they_call_themselves(name, key):
    assert find_device_entry(name).key == key


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA H200 NVL",
        "NVIDIA A10G",
        "Tesla V100-SXM2-32GB",
        "h100",
        "a100",
        "",
        "nvidia",
    ],
)
def test_a_similar_card_is_another_card(name):
    with pytest.raises(UsageError, match="unknown device"):
        find_device_entry(name)


def test_an_unknown_device_names_near_ones_and_all_that_exist():
    with pytest.raises(UsageError) as caught:
        find_device_entry("a100")
    message = str(caught.value)
    assert "did you mean a100-pcie-80gb, a100-sxm-40gb, a100-sxm-80gb?" in message
    assert all(device.key in message for device in devices())
    assert "did you mean rtx4090" in str(module.unknown_device("rtx4091"))
    assert "did you mean" not in str(module.unknown_device("abacus"))


@given(st.sampled_from([(d.key, n) for d in devices() for n in (d.key, d.name, *d.aliases)]), st.data())
def test_case_and_separators_do_not_matter(pair, data):
    key, name = pair
    changed = "".join(
        data.draw(st.sampled_from([c.upper(), c.lower()])) if c.isalpha() else
        data.draw(st.sampled_from(["-", " ", "_"])) if c in "- _" else c
        for c in name
    )  # fmt: skip
    assert find_device_entry(changed).key == key


def test_every_figure_is_seen_derived_or_marked():
    for device in devices():
        values = {
            "compute_units": device.compute_units,
            "clock": device.clock_ghz,
            "memory": device.memory_bytes,
            "bandwidth": device.bandwidth,
            "onchip": device.onchip_bytes,
            "tdp": device.tdp_w,
            **{str(p): device.peaks.get(p) for p in PEAKS},
        }
        assert set(values) == set(FIGURES)
        known = {name for name, value in values.items() if value is not None}
        assert set(device.status) == known
        assert set(device.sources) == known - set(device.recalled)
        for name, source in device.sources.items():
            assert len(source) > 8, (device.key, name)
            assert (device.status[name] is Status.DERIVED) == source.startswith("derived:")


def test_few_figures_are_recalled_and_these_are_they():
    assert {d.key: d.recalled for d in devices() if d.recalled} == {
        "i9-10940x": ("bandwidth", "tdp"),
        "tpu-v6e": ("clock",),
        "tpu7x": ("clock",),
    }


def test_peaks_agree_with_units_and_clock():
    """Peak float32 = SMs x units x 2 x clock: two sources of one number, within 2 % of each other."""
    for device in devices():
        if device.kind != "gpu":
            continue
        lanes = 64 if device.key.startswith("a100") else LANES.get(device.key, 128)
        assert device.compute_units is not None
        assert device.clock_ghz is not None
        reckoned = device.compute_units * lanes * 2 * device.clock_ghz * 1e9
        assert device.peaks[Precision.FP32] == pytest.approx(reckoned, rel=0.02), device.key


def test_tpu_peaks_agree_with_matrix_units_and_clock():
    units = {"tpu-v2": 2, "tpu-v3": 4, "tpu-v4": 8, "tpu-v5e": 4, "tpu-v5p": 8}
    for key, count in units.items():
        device = find_device_entry(key)
        assert device.clock_ghz is not None
        assert device.peaks[Precision.BF16] == pytest.approx(
            count * 128 * 128 * 2 * device.clock_ghz * 1e9, rel=0.01
        )


def test_narrower_numbers_are_never_slower():
    for device in devices():
        ladder = [device.peaks[p] for p in PEAKS if p in device.peaks and p is not Precision.INT8]
        assert ladder == sorted(ladder), device.key
        if Precision.INT8 in device.peaks and ladder:
            assert device.peaks[Precision.INT8] >= ladder[-1]


def test_golden_figures():
    """Vendors' documents: NVIDIA A100 data sheet; Google Cloud TPU v5e page; openxla H100 target config."""
    a100 = find_device_entry("a100-sxm-80gb")
    assert a100.peaks == {
        Precision.FP32: 19.5e12,
        Precision.TF32: 156e12,
        Precision.FP16: 312e12,
        Precision.BF16: 312e12,
        Precision.INT8: 624e12,
    }
    assert (a100.compute_units, a100.bandwidth, a100.tdp_w, a100.onchip_bytes) == (
        108,
        2039e9,
        400,
        40 * 2**20,
    )
    v5e = find_device_entry("tpu-v5e")
    assert (v5e.peaks[Precision.BF16], v5e.bandwidth, v5e.memory_bytes) == (197e12, 819e9, 16 * 2**30)
    assert v5e.tdp_w is None
    h100 = find_device_entry("h100-sxm")
    assert h100.peaks[Precision.BF16] == pytest.approx(132 * 4 * 512 * 2 * 1.8295201e9, rel=1e-3)
    assert h100.bandwidth == pytest.approx(3352.32e9, rel=1e-3)


def test_peak_of_a_precision():
    card = find_device_entry("rtx4090")
    assert card.peak(Precision.AMP) == card.peak(Precision.FP16) == 165.2e12
    t4 = find_device_entry("t4")
    assert t4.peak(Precision.TF32) == t4.peak(Precision.FP32) == 8.1e12
    with pytest.raises(UsageError, match="no peak of T4 is known in bf16; known: fp32, fp16, int8"):
        t4.peak(Precision.BF16)
    with pytest.raises(UsageError, match=r"TPU v3.*fp32; known: bf16"):
        find_device_entry("tpu-v3").peak(Precision.FP32)
    with pytest.raises(UsageError, match="tf32"):
        find_device_entry("i9-10940x").peak(Precision.TF32)


def test_half_a_chip_is_what_a_program_sees_of_a_tpu_v3():
    chip = find_device_entry("tpu-v3")
    half = per_program_device(chip)
    assert (chip.devices_per_chip, half.devices_per_chip) == (2, 1)
    assert half.peaks[Precision.BF16] == 61.5e12
    assert half.bandwidth == 450e9
    assert half.memory_bytes == 16 * 2**30
    assert half.tdp_w == 131
    assert per_program_device(half) is half
    for key in ("tpu-v5e", "tpu-v5p", "tpu-v6e", "rtx4090", "i9-10940x"):
        device = find_device_entry(key)
        assert per_program_device(device) is device


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"tdp_w": "0"}, "tdp_w of x1 is '0'; wanted a number above 0"),
        ({"tdp_w": "-3"}, "above 0"),
        ({"bandwidth_gbs": "nan"}, "bandwidth_gbs of x1"),
        ({"bandwidth_gbs": "inf"}, "bandwidth_gbs of x1"),
        ({"memory_gib": "24 GB"}, "memory_gib of x1 is '24 GB'"),
        ({"sources": "tdp = somewhere"}, "x1 has a source for tdp but no figure"),
        ({"tdp_w": "3", "sources": "power = somewhere"}, "cannot read the sources of x1"),
        ({"tdp_w": "3", "sources": "tdp = a | tdp = b"}, "cannot read the sources of x1"),
        ({"tdp_w": "3", "sources": "tdp"}, "cannot read the sources of x1"),
    ],
)
def test_a_table_with_a_wrong_cell_is_refused(cells, message):
    with pytest.raises(InputDataError, match=message.replace("(", r"\(")):
        read_devices(one_row(**cells))


def test_a_name_that_stands_for_two_devices_is_refused():
    twice = one_row() + one_row(key="x2", aliases="NVIDIA X One").splitlines()[1]
    with pytest.raises(InputDataError, match="'xone' stands for x1 and x2"):
        read_devices(twice)


def test_an_empty_cell_is_unknown_and_not_nothing():
    (device,) = read_devices(one_row(fp32_tflops="2", sources="fp32 = derived: guess"))
    assert (device.tdp_w, device.bandwidth, device.memory_bytes, device.compute_units) == (None,) * 4
    assert device.status == {"fp32": Status.DERIVED}
    (device,) = read_devices(one_row(fp32_tflops="2"))
    assert device.recalled == ("fp32",)


def test_the_shipped_file_is_plain_and_sorted():
    text = files("explorer.data").joinpath("tables/devices.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["key"] for row in rows] == sorted(row["key"] for row in rows)
    assert all(None not in row and None not in row.values() for row in rows)
    for device in devices():
        assert device.key == device.key.lower()
        assert math.isfinite(sum(device.peaks.values()))
