"""The network against torch, against known rates, and against itself."""

import numpy as np
import pytest
import torch

from explorer.accounting.kernels import KIND, KINDS
from explorer.prediction.features import describe, work
from explorer.prediction.network import Kernels, Network, fit_network
from explorer.prediction.predictor import Scaling, pack, select


@pytest.fixture(scope="module")
def rows(made) -> list:
    return made.timed(made.rates)


def seconds_of(samples) -> np.ndarray:
    return np.array([sample.seconds / sample.batch for sample in samples])


def random_network(seed: int, inputs: int) -> Network:
    generator = np.random.default_rng(seed)
    shapes = [(16, inputs), (16,), (16, 16), (16,), (1, 16), (1,)]
    return Network(
        rates=generator.normal(-25, 1, (3, len(KINDS))),
        weights=tuple((generator.normal(0, 0.3, shape)).astype(np.float32) for shape in shapes),
    )


def test_numpy_and_torch_agree(rows) -> None:
    kernels = pack(rows, Scaling())
    network = random_network(3, kernels.seen.shape[1])
    layers = torch.nn.Sequential(
        torch.nn.Linear(kernels.seen.shape[1], 16),
        torch.nn.SiLU(),
        torch.nn.Linear(16, 16),
        torch.nn.SiLU(),
        torch.nn.Linear(16, 1),
    ).double()
    for parameter, value in zip(layers.parameters(), network.weights, strict=True):
        parameter.data = torch.tensor(value, dtype=torch.float64)

    with torch.no_grad():
        correction = layers(torch.tensor(kernels.seen, dtype=torch.float64))[:, 0].exp().numpy()
    expected = [
        sum(
            count * (fix * (np.exp(rate[0]) * macs + np.exp(rate[1]) * moved) + np.exp(rate[2]) * launches)
            for (macs, moved, launches), count, fix, rate in zip(
                kernels.work[part],
                kernels.count[part],
                correction[part],
                network.rates[:, kernels.kind[part]].T,
                strict=True,
            )
        )
        for part in (slice(a, b) for a, b in zip(kernels.first, kernels.first[1:], strict=False))
    ]

    np.testing.assert_allclose(network.model_seconds(kernels), expected, rtol=1e-4)


def test_a_model_is_predicted_alone_as_among_others(rows) -> None:
    kernels = pack(rows, Scaling())
    network = random_network(5, kernels.seen.shape[1])
    whole = network.model_seconds(kernels)

    alone = [network.model_seconds(pack([sample], Scaling()))[0] for sample in rows[:9]]
    np.testing.assert_allclose(alone, whole[:9], rtol=1e-5)
    order = np.array([7, 3, 3, 60])
    np.testing.assert_allclose(network.model_seconds(select(kernels, order)), whole[order], rtol=1e-5)


def test_totals_are_sums_over_each_models_kernels() -> None:
    kernels = Kernels(
        seen=np.zeros((5, 1), np.float32),
        work=np.zeros((5, 3)),
        kind=np.zeros(5, int),
        count=np.array([1.0, 2, 3, 5, 7]),
        first=np.array([0, 2, 2, 5]),
    )

    assert kernels.models == 3
    assert kernels.owner.tolist() == [0, 0, 2, 2, 2]
    assert kernels.totals(np.array([1.0, 10, 100, 1000, 10000])).tolist() == [21, 0, 75300]


def test_held_out_models_of_known_rates_are_within_a_few_percent(made, rows) -> None:
    network = fit_network(pack(rows, Scaling()), seconds_of(rows))
    unseen = made.timed(made.rates, seed=11, families=10)

    off = network.model_seconds(pack(unseen, Scaling())) / seconds_of(unseen) - 1

    assert np.median(np.abs(off)) < 0.03
    assert np.mean(np.abs(off)) < 0.05


def test_a_fit_learns_what_the_rates_cannot_know(made) -> None:
    """Strided copies three times as slow: the same bytes, only the description tells."""

    def rates(table: np.ndarray, batch: int) -> np.ndarray:
        slow = np.where(table["strided"], 3.0, 1.0)
        return work(table, batch)[:, 1] * slow * 1e-12

    def striding(samples):
        generator = np.random.default_rng(1)
        for sample in samples:
            table = sample.kernels.operators
            table["strided"] = generator.random(len(table)) < 0.5
            seconds = float(rates(table, sample.batch) @ table["count"]) * sample.batch
            yield type(sample)(
                **{n: getattr(sample, n) for n in sample.__slots__ if n != "seconds"}, seconds=seconds
            )

    known = list(striding(made.timed(rates, kinds=("copy",), families=30)))
    unseen = list(striding(made.timed(rates, kinds=("copy",), families=10, seed=5)))

    network = fit_network(pack(known, Scaling()), seconds_of(known))

    off = np.abs(network.model_seconds(pack(unseen, Scaling())) / seconds_of(unseen) - 1)
    assert np.mean(off) < 0.06
    pair = [made.kernel("copy", read=1e6, written=1e6, rows=1e5, strided=strided) for strided in (0, 1)]
    plain, slow = (
        network.seconds(
            Kernels(
                seen=describe(one, 16),
                work=work(one, 16),
                kind=one["kind"].astype(int),
                count=np.ones(1),
                first=np.array([0, 1]),
            )
        )[0]
        for one in pair
    )
    assert slow / plain == pytest.approx(3, rel=0.25)


def test_the_same_seed_gives_the_same_bits_and_another_other_ones(rows) -> None:
    kernels, seconds = pack(rows[:40], Scaling()), seconds_of(rows[:40])
    state, threads = torch.get_rng_state(), torch.get_num_threads()

    first, second = (fit_network(kernels, seconds, seed=3, epochs=2) for _ in range(2))
    other = fit_network(kernels, seconds, seed=4, epochs=2)

    assert (first.rates == second.rates).all()
    assert all((a == b).all() for a, b in zip(first.weights, second.weights, strict=True))
    assert not (first.rates == other.rates).all()
    assert (torch.get_rng_state() == state).all()
    assert torch.get_num_threads() == threads


def test_threads_come_back_when_a_fit_fails(rows) -> None:
    threads = torch.get_num_threads()
    kernels = pack(rows[:40], Scaling())
    with pytest.raises(Exception, match=r".+"):
        fit_network(kernels, seconds_of(rows[:39]), epochs=1)

    assert torch.get_num_threads() == threads


def test_fewer_models_than_parts_are_fitted(rows) -> None:
    network = fit_network(pack(rows[:3], Scaling()), seconds_of(rows[:3]), epochs=2)

    assert np.isfinite(network.model_seconds(pack(rows[:3], Scaling()))).all()


def test_kinds_never_seen_in_a_fit_still_take_time(made, rows) -> None:
    network = fit_network(pack(rows[:40], Scaling()), seconds_of(rows[:40]), epochs=2)
    one = made.kernel("recurrent", macs=1e6, read=1e4, written=1e4)
    kernels = Kernels(
        seen=describe(one, 1),
        work=work(one, 1),
        kind=np.array([KIND["recurrent"]]),
        count=np.ones(1),
        first=np.array([0, 1]),
    )

    assert 0 < network.model_seconds(kernels)[0] < 1
