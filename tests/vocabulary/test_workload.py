"""Workloads as text: round trips, one canonical form, and everything that is refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.data.devices import devices
from explorer.errors import UsageError
from explorer.workload import Precision, Runtime, Workload, default_runtime

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}(:[0-9]{1,2})?", fullmatch=True)
KNOWN = st.sampled_from(["cpu", "cuda", "cuda:1", "tpu-v5e", "tpu7x", *(one.key for one in devices())])
WORKLOADS = st.builds(
    Workload,
    device=KNOWN | NAMES,
    batch=st.integers(1, 999_999_999),
    precision=st.sampled_from(Precision),
    runtime=st.sampled_from(Runtime),
    channels_last=st.booleans(),
    threads=st.integers(1, 999_999_999),
)


@given(WORKLOADS)
def test_the_text_parses_back(workload):
    assert Workload.parse(str(workload)) == workload


@given(WORKLOADS, st.randoms(use_true_random=False), st.booleans())
def test_order_case_and_said_defaults_do_not_matter(workload, random, upper):
    parts = [f"b{workload.batch}", str(workload.precision), str(workload.runtime), f"t{workload.threads}"]
    parts += ["nhwc"] if workload.channels_last else []
    random.shuffle(parts)
    text = "/".join((workload.device, *parts))
    assert Workload.parse(f"  {text.upper() if upper else text}\n") == workload


@given(WORKLOADS, WORKLOADS)
def test_two_workloads_have_two_texts(first, second):
    assert (str(first) == str(second)) == (first == second)


@given(WORKLOADS)
def test_the_text_is_short_where_nothing_is_said(workload):
    plain = Workload(device=workload.device, runtime=default_runtime(workload.device))
    assert str(plain) == workload.device
    assert str(workload).count("/") <= 5


@pytest.mark.parametrize(
    ("text", "runtime"),
    [
        ("cpu", "onnxruntime"),
        ("cuda", "eager"),
        ("cuda:1", "eager"),
        ("tpu-v3", "xla"),
        ("tpu7x", "xla"),
        ("i9-10940x", "eager"),
        ("rtx4090", "eager"),
        ("coral-edge-tpu", "eager"),
    ],
)
def test_what_runs_a_model_unless_said_otherwise(text, runtime):
    assert Workload.parse(text) == Workload(device=text, runtime=Runtime(runtime))


def test_defaults():
    assert Workload.parse("cuda") == Workload(
        device="cuda", batch=1, precision=Precision.FP32, channels_last=False, threads=1
    )


@pytest.mark.parametrize(
    "text", ["", " ", "/", "/b4", ":1", "-x", ".x", "cuda:", "cuda:x", "a b", "a@b", "é"]
)
def test_what_is_no_device_is_refused(text):
    with pytest.raises(UsageError, match=r"not a device: .*; wanted e.g. cpu, cuda, rtx4090/b64/bf16"):
        Workload.parse(text)


PARTS = ["", "b0", "b-1", "b", "b01", "b1.5", "b1e3", "64", "t0", "t", "fp8", "float32", "nchw", "gpu"]
PARTS += ["b64 ", " b64", "b" + "9" * 10, "t" + "9" * 5000, "b٣", "onnx", "cuda"]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: repr(part[:12]))
def test_unknown_parts_are_refused_and_the_known_listed(part):
    with pytest.raises(UsageError) as caught:
        Workload.parse(f"cuda/{part}/nhwc")
    text = str(caught.value)
    assert text.startswith(f"unknown part {part!r} in workload")
    assert text.endswith(
        "known: bN, tN, fp32, tf32, fp16, bf16, amp, int8, "
        "onnxruntime, eager, deploy, compiled, graph, xla, nhwc"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cuda/b1/b2", "batch"),
        ("cuda/b2/b2", "batch"),
        ("cpu/t1/t2", "threads"),
        ("cuda/fp16/bf16", "precision"),
        ("cuda/eager/graph", "runtime"),
        ("cuda/nhwc/nhwc", "channels_last"),
    ],
)
def test_nothing_is_said_twice(text, name):
    with pytest.raises(UsageError, match=re.escape(f"{text!r} says its {name} twice")):
        Workload.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        found = Workload.parse(text)
    except UsageError:
        return
    assert Workload.parse(str(found)) == found
