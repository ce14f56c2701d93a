import pytest
import torch
from torch import nn

from explorer.measure import memory_limits
from explorer.measure.memory_limits import available_bytes, is_out_of_memory, lacking_memory, out_of_memory
from explorer.measure.runtime import OutOfMemory, prepare
from explorer.workload import Workload


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Return what writes the files the system tells its memory in."""
    monkeypatch.setattr(memory_limits, "_MEMORY_INFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory_limits, "_CGROUP", tmp_path)

    def write(available_kb: int | None = None, **group: str) -> None:
        if available_kb is not None:
            (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:   {available_kb} kB\n")
        for name, text in group.items():
            (tmp_path / name.replace("_", ".")).write_text(text + "\n")

    return write


def test_unknown_where_the_system_does_not_tell(system) -> None:
    assert available_bytes() is None
    assert lacking_memory(nn.Flatten(), (10**6, 3, 10**3, 10**3)) == ""


def test_the_machines_and_the_groups_limits(system) -> None:
    system(1000)
    assert available_bytes() == 1000 * 1024

    system(memory_max="max", memory_current="1", memory_stat="file 5")
    assert available_bytes() == 1000 * 1024

    system(memory_max="7000", memory_current="6000", memory_stat="anon 1\nfile 500\nfile_mapped 9")
    assert available_bytes() == 7000 - 6000 + 500

    system(memory_max="7000", memory_current="9000", memory_stat="anon 1")
    assert available_bytes() == 0


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError("Unable to allocate 7. GiB for an array"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 7 bytes"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("memory format"), False),
    ],
)
def test_which_errors_are_a_lack_of_memory(error: Exception, is_one: bool) -> None:
    assert is_out_of_memory(error) is is_one
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped) is is_one


def test_an_endless_chain_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert not is_out_of_memory(first)


def test_the_reason_is_one_line() -> None:
    result = out_of_memory(Workload(device="cpu"), RuntimeError("can't allocate memory\nframe #0\nframe #1"))

    assert result.reason == "out of memory: can't allocate memory"


def test_a_batch_is_refused_by_its_counted_peak(system) -> None:
    """64 times more channels inside than in the images: they fit, what the layer makes of them does not."""
    net = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.Conv2d(64, 1, 3, padding=1))
    image = 4 * 17 * 17
    peak = 5 * image * 65  # images are the model's input, not an activation
    weights = 4 * (64 * 9 + 64 + 64 * 9 + 1)

    def lacking(available: int) -> str:
        system(memory_max=str(available), memory_current="0", memory_stat="file 0")
        return lacking_memory(net, (5, 1, 17, 17))

    assert lacking(5 * image + peak + weights) == ""
    assert "a batch of 5 needs 0.0 GiB" in lacking(5 * image + 5 * image * 64 + weights - 1)
    assert lacking(5 * image - 1) != ""


def test_what_cannot_be_counted_is_judged_by_its_images(system) -> None:
    class Branching(nn.Module):
        def forward(self, images):
            return images * 2 if images.sum() > 0 else images

    system(memory_max=str(4 * 7 * 9 + 1), memory_current="0", memory_stat="file 0")
    assert lacking_memory(Branching(), (7, 1, 3, 3)) == ""
    system(memory_max=str(4 * 7 * 9 - 1))
    assert lacking_memory(Branching(), (7, 1, 3, 3)) != ""


def test_prepare_does_not_try_what_cannot_fit(system) -> None:
    class Never(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, images):
            if not images.is_meta:
                raise AssertionError("was tried")
            return self.layer(images)

    system(memory_max="1000", memory_current="0", memory_stat="file 0")
    found = prepare(Never(), Workload.parse("cpu/eager/b64"), channels=3, resolution=3)

    assert isinstance(found, OutOfMemory)
    assert found.reason.startswith("out of memory: a batch of 64 needs")
