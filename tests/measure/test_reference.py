import time
from statistics import median

import torch

from explorer.measure.reference import REFERENCE, reference_call


def test_it_is_the_same_work_every_time() -> None:
    state = torch.get_rng_state()
    first, again = reference_call(), reference_call("cpu")

    assert torch.equal(first(), again())
    assert torch.equal(first(), first())
    assert torch.equal(torch.get_rng_state(), state)


def test_it_takes_milliseconds() -> None:
    """5 to 10 ms on a quiet current core; the limits leave room for a busy or an old one."""
    call = reference_call()
    times = []
    with torch.inference_mode():
        for _ in range(15):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)

    assert 1e-3 < median(times) < 0.1


def test_its_name_changes_with_its_work() -> None:
    """If this fails you changed the workload: stored measurements name it, so give it another name."""
    with torch.inference_mode():
        found = reference_call()()

    assert REFERENCE == "reference-1"
    assert tuple(found.shape) == (1, 64, 56, 56)
    assert abs(float(found.mean()) - 141.0) < 2.0  # 576 products of two uniform numbers, less the border
