"""The process's switches: set for a measurement, and exactly as before after it."""

import doctest

import pytest
import torch

from explorer.errors import EnvironmentMissingError
from explorer.measure import precision
from explorer.measure.precision import measuring
from explorer.workload import Workload

CPU = Workload.parse("cpu/eager")


def switches() -> dict[str, object]:
    backends = torch.backends
    found: dict[str, object] = {
        "benchmark": backends.cudnn.benchmark,
        "threads": torch.get_num_threads(),
        "inference": torch.is_inference_mode_enabled(),
        "matmul": backends.cuda.matmul.fp32_precision,
        "mkldnn": backends.mkldnn.matmul.fp32_precision,
        "conv": backends.cudnn.conv.fp32_precision,
        "rnn": backends.cudnn.rnn.fp32_precision,
    }
    for name, read in {
        "old matmul": torch.get_float32_matmul_precision,
        "old flag": lambda: backends.cuda.matmul.allow_tf32,
        "old cudnn": lambda: backends.cudnn.allow_tf32,
    }.items():
        try:
            found[name] = read()
        except RuntimeError:
            found[name] = "raises: older and newer switches disagree"
    return found


def set_older(value: str) -> None:
    torch.set_float32_matmul_precision(value)
    torch.backends.cudnn.allow_tf32 = value != "highest"


def set_newer(value: str) -> None:
    torch.backends.cuda.matmul.fp32_precision = value
    torch.backends.cudnn.conv.fp32_precision = value


@pytest.fixture(autouse=True)
def _switches_come_back():
    before = switches()
    yield
    torch.set_float32_matmul_precision(before["old matmul"])
    torch.backends.cudnn.allow_tf32 = before["old cudnn"]
    torch.backends.cuda.matmul.fp32_precision = before["matmul"]
    torch.backends.mkldnn.matmul.fp32_precision = before["mkldnn"]
    torch.backends.cudnn.conv.fp32_precision = before["conv"]
    torch.backends.cudnn.rnn.fp32_precision = before["rnn"]
    torch.backends.cudnn.benchmark = before["benchmark"]
    assert switches() == before


CALLERS = {
    "as torch starts": lambda: None,
    "older: highest": lambda: set_older("highest"),
    "older: high": lambda: set_older("high"),
    "older: medium": lambda: set_older("medium"),
    "newer: tf32": lambda: set_newer("tf32"),
    "newer: ieee": lambda: set_newer("ieee"),
    "benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_everything_is_as_before(caller: str) -> None:
    CALLERS[caller]()
    before = switches()

    with measuring(Workload.parse("cpu/eager/t2")):
        inside = switches()
    with pytest.raises(ZeroDivisionError), measuring(CPU):
        raise ZeroDivisionError

    assert switches() == before
    assert (inside["threads"], inside["benchmark"], inside["inference"]) == (2, True, True)
    # float32 is float32: neither torch's older nor its newer switches allow TF32
    assert (inside["old matmul"], inside["old flag"], inside["old cudnn"]) == ("highest", False, False)
    assert "tf32" not in (inside["matmul"], inside["conv"], inside["rnn"])


def test_tf32_where_it_is_asked_for() -> None:
    with precision._float32_products("high"):
        inside = switches()

    assert (inside["old matmul"], inside["old flag"], inside["old cudnn"]) == ("high", True, True)
    assert (inside["matmul"], inside["conv"], inside["rnn"]) == ("tf32", "tf32", "tf32")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_a_device_that_is_not_here_changes_nothing() -> None:
    before = switches()

    with pytest.raises(EnvironmentMissingError), measuring(Workload.parse("cuda/t2")):
        pass

    assert switches() == before


def test_examples() -> None:
    results = doctest.testmod(precision)
    assert results.attempted >= 3
    assert not results.failed
