"""Small networks and a clock that only moves when told."""

from collections.abc import Callable, Iterator

import pytest
import torch

from explorer.record import Conditions


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class FakeClock:
    """A clock that stands still; calls made by `call` move it on by the next of their durations."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def call(self, *durations_s: float, name: str = "call") -> Callable[[], None]:
        """Return a call that takes these durations in turn, then again from the first."""
        taken = 0

        def run() -> None:
            nonlocal taken
            self.now += durations_s[taken % len(durations_s)]
            self.log.append(name)
            taken += 1

        return run


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def conditions() -> Conditions:
    return Conditions(
        device="cpu",
        device_name="a processor",
        dtype="float32",
        batch=1,
        threads=1,
        backend="torch-eager",
        versions={"torch": "2"},
    )
