"""The compiling process is held to its limits and always ended; scripts stand in for the compiler."""

import os
import sys
import time
from pathlib import Path

import pytest

from explorer.errors import EnvironmentMissingError, UsageError
from explorer.tpu import compiling
from explorer.tpu.compiling import CompileError, Limits, compile_in_process, run_worker

LIMITS = Limits(minutes=1, memory_gb=4)


def run(
    script: str, tmp_path: Path, limits: Limits = LIMITS, progress: compiling.Progress | None = None
) -> dict:
    command = [sys.executable, "-c", script]
    return run_worker(command, limits=limits, progress=progress, messages=tmp_path / "messages.txt")


def test_facts_come_back_through_noise_and_stages_are_told(tmp_path: Path) -> None:
    told = []
    found = run(
        'print("warning"); print("{ not json"); print("{}")\n'
        'print(\'{"stage": "compiling"}\'); print(\'{"facts": {"cycles": 7}}\')',
        tmp_path,
        progress=lambda stage, seconds: told.append((stage, seconds)),
    )

    assert found == {"cycles": 7}
    assert told[-1][0] == "compiling"
    assert all(seconds >= 0 for _, seconds in told)


@pytest.mark.parametrize(
    ("error", "kind"), [("usage", UsageError), ("memory", CompileError), ("compiler", CompileError)]
)
def test_refusals_keep_their_kind(tmp_path: Path, error: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match="because"):
        run(f'print(\'{{"error": {{"kind": "{error}", "reason": "because"}}}}\')', tmp_path)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("import sys; sys.exit('libtpu is\\nbroken')", "ended with code 1: broken"),
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
        ("", "ended with code 0"),
    ],
)
def test_a_process_that_ends_without_a_word_is_a_reason(tmp_path: Path, script: str, words: str) -> None:
    with pytest.raises(CompileError, match=words) as caught:
        run(script, tmp_path)

    assert caught.value.kind == "compiler"


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_beyond_its_time_the_process_and_its_children_are_ended(tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    script = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(noted)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        'print(\'{"stage": "compiling"}\', flush=True); time.sleep(60)'
    )
    started = time.monotonic()
    with pytest.raises(
        CompileError, match=r"not compiled within 0.05 minutes \(it was compiling\)"
    ) as caught:
        run(script, tmp_path, Limits(minutes=0.05))

    assert caught.value.kind == "time"
    assert time.monotonic() - started < 30
    pids = [int(pid) for pid in noted.read_text().split()]
    assert len(pids) == 2
    while any(map(alive, pids)) and time.monotonic() - started < 30:
        time.sleep(0.05)  # a child without parent is cleared away by the system, in its own time
    assert not any(map(alive, pids))


def test_beyond_its_memory_the_process_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"more than 0.1 GB") as caught:
        run("import time; held = b'x' * 300_000_000; time.sleep(60)", tmp_path, Limits(memory_gb=0.1))

    assert caught.value.kind == "host memory"


def test_resident_memory_is_read() -> None:
    assert 0.01 < compiling.resident_gb(os.getpid()) < 100
    assert compiling.resident_gb(2**22 + 1) == 0


def test_without_the_extra_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compiling, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentMissingError) as caught:
        compile_in_process({}, work=tmp_path / "work", limits=LIMITS)

    assert "scale-or-ensemble[tpu]" in str(caught.value)
    assert "licence" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "work").exists()
