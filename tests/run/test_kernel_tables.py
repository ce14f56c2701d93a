"""Kernel tables kept in files: made once, made anew when damaged, whole or not there at all."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from explorer.accounting.kernels import KERNEL, KernelTable
from explorer.errors import EnvironmentMissingError
from explorer.run import kernel_tables as module
from explorer.run.kernel_tables import Traced, kernel_tables, needs_autocast
from explorer.workload import Precision

SMALL = Traced(model="wrn10-0.25", resolution=8, channels=1, classes=10)


def refuse(*_: object) -> KernelTable:
    raise AssertionError("it was to be read, not traced")


def same(one: KernelTable | str, other: KernelTable | str) -> bool:
    assert isinstance(one, KernelTable)
    assert isinstance(other, KernelTable)
    return bool((one.operators == other.operators).all() and (one.fused == other.fused).all())


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> tuple[Path, KernelTable]:
    folder = tmp_path_factory.mktemp("kernels")
    table = kernel_tables([SMALL], cache=folder)[SMALL]
    assert isinstance(table, KernelTable)
    return folder, table


def test_the_second_time_nothing_is_traced(kept, monkeypatch) -> None:
    folder, table = kept
    monkeypatch.setattr(module, "trace_kernels", refuse)
    monkeypatch.setattr(module, "_in_parallel", refuse)

    assert same(kernel_tables([SMALL, SMALL], cache=folder)[SMALL], table)
    assert table.operators.dtype == table.fused.dtype == KERNEL
    assert 0 < len(table.fused) <= len(table.operators)


@pytest.mark.parametrize(
    "change",
    [{"resolution": 16}, {"channels": 3}, {"classes": 11}, {"autocast": True}, {"model": "wrn10-0.5"}],
)
def test_another_question_has_another_file(kept, tmp_path, change) -> None:
    folder, table = kept
    other = dataclasses.replace(SMALL, **change)
    before = files(folder)

    made = kernel_tables([other], cache=folder)[other]

    assert len(files(folder)) == len(before) + 1
    assert isinstance(made, KernelTable)
    assert len(made.operators) != len(table.operators) or not (made.operators == table.operators).all()
    assert same(kernel_tables([SMALL], cache=folder)[SMALL], table)


def test_names_that_look_the_same_in_a_file_name_stay_apart() -> None:
    names = {
        module._file_name(Traced(model=name, resolution=8)) for name in ("a:b", "a_b", "a/b", "a b", "../a")
    }

    assert len(names) == 5
    assert all(Path(name).name == name and name.endswith(".npz") for name in names)


def test_other_versions_have_another_folder(monkeypatch) -> None:
    before = module._stamp()
    monkeypatch.setattr(module, "_FORMAT", "another")
    assert module._stamp() != before
    monkeypatch.undo()
    monkeypatch.setattr(module.importlib.metadata, "version", lambda name: "9.9")
    assert module._stamp() != before


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"nonsense",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-30],
        lambda data: b"\0" * len(data),
        lambda data: b"PK\3\4" + b"\xff" * 100,
    ],
)
def test_a_damaged_file_is_made_anew(kept, tmp_path, damage) -> None:
    _, table = kept
    kernel_tables([SMALL], cache=tmp_path)
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))

    assert same(kernel_tables([SMALL], cache=tmp_path)[SMALL], table)
    assert same(module._read(path), table)  # type: ignore[arg-type]


def test_no_damaged_byte_raises_an_error_or_is_believed(kept, tmp_path) -> None:
    """Any byte: what the zip's checksum catches is made anew, the rest changes nothing."""
    folder, table = kept
    (path,) = [p for p in files(folder) if p.name == module._file_name(SMALL)]
    whole, broken = path.read_bytes(), tmp_path / "broken.npz"
    remade = 0
    for place in range(0, len(whole), 7):
        for value in (0xFF, 0x01, 0x80):
            data = bytearray(whole)
            data[place] ^= value
            broken.write_bytes(data)
            found = module._read(broken)
            remade += found is None
            assert found is None or same(found, table), (place, value)
    assert remade > len(whole) / 7  # most of the file is data


@pytest.mark.parametrize(
    "arrays",
    [
        {"operators": np.zeros(3, KERNEL)},
        {"operators": np.zeros(3, KERNEL), "fused": np.zeros(3)},
        {"operators": np.zeros(3, [("kind", "i2")]), "fused": np.zeros(3, [("kind", "i2")])},
    ],
)
def test_a_file_that_holds_something_else_is_made_anew(tmp_path, arrays) -> None:
    path = tmp_path / "table.npz"
    np.savez_compressed(path, **arrays)

    assert module._read(path) is None


@pytest.mark.parametrize("name", ["wrn11-1", "nonsense", "timm:resnet5o"])
def test_a_model_that_is_refused_gives_the_reason_and_no_file(tmp_path, name) -> None:
    wanted = Traced(model=name, resolution=8)

    reason = kernel_tables([wanted], cache=tmp_path)[wanted]

    assert isinstance(reason, str)
    assert reason
    assert "\n" not in reason
    assert files(tmp_path) == []


def test_a_model_that_does_not_run_at_a_resolution_gives_the_reason(tmp_path) -> None:
    wanted = Traced(model="timm:resnet18", resolution=8)  # more than 32 times smaller: runs
    small = Traced(model="timm:vit_tiny_patch16_224", resolution=8)  # less than one patch

    found = {one: kernel_tables([one], cache=tmp_path)[one] for one in (wanted, small)}

    assert isinstance(found[wanted], KernelTable)
    assert isinstance(found[small], str)
    assert "\n" not in found[small]


def test_a_killed_writer_leaves_whole_files_only(tmp_path) -> None:
    """End a process by kill -9 at random moments that writes one file again and again."""
    path = tmp_path / "table.npz"
    program = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from explorer.accounting.kernels import KERNEL, KernelTable\n"
        "from explorer.run.kernel_tables import _write\n"
        "table = np.zeros(2000, KERNEL); table['macs'] = np.random.default_rng(0).random(2000)\n"
        "while True: _write(Path(sys.argv[1]), KernelTable(operators=table, fused=table))\n"
    )
    for pause in (0.0, 0.013, 0.029):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)])
        end = time.monotonic() + 60
        while not path.exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        found = module._read(path)
        assert found is not None
        assert len(found.operators) == 2000
        path.unlink()


def test_an_interrupted_writer_leaves_nothing_to_be_read(kept, tmp_path, monkeypatch) -> None:
    _, table = kept

    def half(file, **arrays) -> None:
        file.write(b"PK\3\4 half of it")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module.np, "savez_compressed", half)
        with pytest.raises(KeyboardInterrupt):
            kernel_tables([SMALL], cache=tmp_path)
    assert not list(tmp_path.rglob("*.npz"))

    assert same(kernel_tables([SMALL], cache=tmp_path)[SMALL], table)


def test_several_at_once_are_the_same_as_one_by_one(kept, tmp_path) -> None:
    _, table = kept
    said: list[tuple[float, str]] = []
    refused = Traced(model="nonsense", resolution=8)
    other = Traced(model="mlp8x1", resolution=8, channels=1, classes=10)

    found = kernel_tables(
        [other, refused, SMALL, other],
        cache=tmp_path,
        workers=2,
        update=lambda share, text: said.append((share, text)),
    )

    assert list(found) == [other, refused, SMALL]
    assert same(found[SMALL], table)
    assert isinstance(found[refused], str)
    assert len(files(tmp_path)) == 2
    assert [share for share, _ in said] == sorted(share for share, _ in said)
    assert said[-1][0] == 1.0


def test_a_worker_that_dies_is_reported(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_start", sys.exit)  # the pool breaks when its initialiser ends a worker
    with pytest.raises(EnvironmentMissingError, match="tracing process died"):
        kernel_tables([SMALL, Traced(model="mlp8x1", resolution=8, channels=1)], cache=tmp_path, workers=1)


def test_only_automatic_mixed_precision_mixes() -> None:
    assert [precision for precision in Precision if needs_autocast(precision)] == [Precision.AMP]
