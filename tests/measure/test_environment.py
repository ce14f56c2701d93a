import platform

import pytest
import torch

from explorer.errors import EnvironmentMissingError, UsageError
from explorer.measure import environment
from explorer.measure.environment import conditions, find_device


def test_conditions_of_this_machine() -> None:
    here = conditions("cpu", "float32", batch=3, threads=2, backend="torch-eager")

    assert (here.device, here.dtype, here.batch, here.threads, here.backend) == (
        "cpu",
        "float32",
        3,
        2,
        "torch-eager",
    )
    assert here.versions == {"python": platform.python_version(), "torch": torch.__version__}
    assert here.device_name.endswith(f"({torch.backends.cpu.get_cpu_capability()})")
    assert here == conditions("cpu", batch=3, threads=2)


def test_a_backend_brings_its_own_version() -> None:
    import onnxruntime

    assert conditions("cpu", backend="onnxruntime").versions["onnxruntime"] == onnxruntime.__version__


def test_the_governor_is_read_where_the_system_tells(tmp_path, monkeypatch) -> None:
    governor = tmp_path / "scaling_governor"
    monkeypatch.setattr(environment, "_GOVERNOR", governor)
    assert conditions("cpu").power_state == "unknown"

    governor.write_text("powersave\n")

    assert conditions("cpu").power_state == "powersave"


def test_the_processor_has_a_name_even_where_the_system_does_not_tell(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(environment, "_CPU_INFO", tmp_path / "absent")

    assert len(environment.cpu_name()) > 3


def test_the_first_model_name_is_taken(tmp_path, monkeypatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Chip: Nine 5\nmodel name\t: Other\n")
    monkeypatch.setattr(environment, "_CPU_INFO", info)

    assert environment.cpu_name().startswith("Chip: Nine 5 (")


@pytest.mark.parametrize("name", ["gpu", "", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "CPU", "tpu"])
def test_unknown_devices_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"unknown device .*; known: cpu, cuda, cuda:N"):
        find_device(name)


def test_a_device_number_that_is_not_here(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    assert find_device("cuda") == torch.device("cuda", 0)
    assert find_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(EnvironmentMissingError, match=r"'cuda:2' is not here .*sees cuda:0 to cuda:1"):
        find_device("cuda:2")


def test_a_backend_that_is_not_installed() -> None:
    with pytest.raises(EnvironmentMissingError, match="'no-such-backend' is not installed; try: pip install"):
        conditions("cpu", backend="no-such-backend")


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"threads": 0}])
def test_impossible_conditions_are_refused(wrong: dict) -> None:
    with pytest.raises(UsageError, match="batch and threads must be 1 or more"):
        conditions("cpu", **wrong)
