"""Predictions made elsewhere, through the store and the product's own analysis."""

import re
from pathlib import Path

import numpy as np
import pytest

from explorer.analysis.advice.advise import advise
from explorer.analysis.pool import load_pool
from explorer.analysis.result import Verdict
from explorer.analysis.scoring.score import evaluate
from explorer.analysis.search.exact import search
from explorer.analysis.search.plan import Space
from explorer.analysis.statistics.compare import compare
from explorer.convention import Basis, CostAxis
from explorer.data.predictions import Asked
from explorer.errors import InputDataError, UsageError
from explorer.question import Budget
from explorer.report import report_html
from explorer.run.imported_splits import halves
from explorer.run.importing import ImportAsked, import_predictions, prepare_import
from explorer.spec import CandidateKind, Member, parse_design
from explorer.store import Store
from explorer.store.imported import predicted_datasets
from explorer.ui.queries import axes_of
from tests.plain_scoring import check_reported

RNG = np.random.default_rng(8)
LABELS = RNG.integers(0, 3, 60)
PROBS = RNG.dirichlet(np.ones(3), (2, 60))
PROBS[:, np.arange(60), LABELS] += 0.6
PROBS /= PROBS.sum(axis=2, keepdims=True)
PRICE = CostAxis.parse("price")


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def make_file(tmp_path: Path):
    def make(name: str = "a.npz", **arrays: object) -> Path:
        np.savez(tmp_path / name, **{"probs": PROBS, "labels": LABELS, **arrays})
        return tmp_path / name

    return make


def asked(path: Path, **changes: object) -> ImportAsked:
    values = {"path": path, "dataset": "toy", "names": ("big", "small"), "prices": (15.0, 5.0), "per": 1e4}
    return ImportAsked(**{**values, **changes})


def test_arrays_come_back_by_halves(store, make_file) -> None:
    done = import_predictions(store, asked(make_file()))
    assignment, digest = halves("toy", LABELS)

    assert done.split_digest == digest
    assert not done.joined
    assert sorted([*assignment.select, *assignment.report]) == list(range(60))
    for split, rows in (("select", assignment.select), ("report", assignment.report)):
        assert len(rows) == 30
        assert store.labels("toy", split, digest).tolist() == LABELS[rows].tolist()
        for place, record in enumerate(store.predictions("toy", split)):
            assert str(record.member) == f"{('big', 'small')[place]}~imported#0"
            np.testing.assert_array_equal(store.probabilities(record), PROBS[place, rows].astype(np.float16))
    assert store.check().passed
    assert store.members() == ()
    assert predicted_datasets(store) == ("toy",)
    assert axes_of(store, "toy") == ("price",)


def test_prices_are_stored_for_a_million_calls(store, make_file) -> None:
    import_predictions(store, asked(make_file()))
    pool, _ = load_pool(store, "toy", PRICE)

    assert [str(m) for m in pool.members] == ["big#0", "small#0"]
    assert pool.costs.tolist() == [1500.0, 500.0]
    assert pool.basis is Basis.PUBLISHED


def test_a_second_file_joins_the_same_examples_and_stands_on_the_same_front(store, make_file) -> None:
    import_predictions(store, asked(make_file()))
    second = import_predictions(
        store, asked(make_file("b.npz", probs=PROBS[:1]), names=("third",), prices=(1.0,))
    )
    pool, notes = load_pool(store, "toy", PRICE)

    assert second.joined
    assert [str(m) for m in pool.members] == ["big#0", "small#0", "third#0"]
    assert notes == ()


def test_the_same_again_adds_nothing_and_another_answer_replaces(store, make_file) -> None:
    first = import_predictions(store, asked(make_file()))
    before = store.info().counts, store.info().superseded
    again = import_predictions(store, asked(make_file()))
    assert (store.info().counts, store.info().superseded) == before
    assert not any(one.replaced for one in (*first.members, *again.members))

    other = import_predictions(store, asked(make_file("b.npz", probs=PROBS[::-1])))
    assert all(one.replaced for one in other.members)
    assert any("these replace them" in note for note in other.notes)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.roll(LABELS, 1), "probs": np.roll(PROBS, 1, axis=1)}, "labels differ, first in row"),
        ({"labels": LABELS[:50], "probs": PROBS[:, :50]}, "50 labels against 60"),
        ({"ids": [f"x{i}" for i in range(60)]}, "the ids of the examples do not"),
    ],
)
def test_other_examples_or_another_order_are_refused(store, make_file, arrays, message) -> None:
    import_predictions(store, asked(make_file()))
    stamp = store.stamp()

    with pytest.raises(InputDataError, match=re.escape(message)) as caught:
        import_predictions(store, asked(make_file("b.npz", **arrays)))
    assert "split hash" in str(caught.value)
    assert store.stamp() == stamp


def test_classes_in_another_order_are_refused(store, make_file) -> None:
    import_predictions(store, asked(make_file(classes=["cat", "dog", "eel"])))
    import_predictions(store, asked(make_file("b.npz")))
    assert store.class_names("toy") == ("cat", "dog", "eel")

    with pytest.raises(InputDataError, match="class 0 is 'dog' here and 'cat' in the store"):
        import_predictions(store, asked(make_file("c.npz", classes=["dog", "cat", "eel"])))


def test_a_known_split_is_joined_where_labels_agree_in_order(store, make_file) -> None:
    store.put_labels("cifar10", "report", "5" * 64, LABELS, ["a", "b", "c"])
    done = import_predictions(store, asked(make_file(), dataset="cifar10", split="report"))

    assert (done.split_digest, done.joined, dict(done.examples)) == ("5" * 64, True, {"report": 60})
    assert any("report only" in note for note in done.notes)
    with pytest.raises(UsageError, match="no select labels of cifar10"):
        import_predictions(store, asked(make_file(), dataset="cifar10", split="select"))
    with pytest.raises(UsageError, match="cifar10 has splits of its own"):
        import_predictions(store, asked(make_file(), dataset="cifar10"))
    turned = make_file("b.npz", labels=LABELS[::-1].copy())
    with pytest.raises(InputDataError, match=r"is not of the report examples of cifar10: .* first in row"):
        import_predictions(store, asked(turned, dataset="cifar10", split="report"))


def test_a_data_set_that_was_split_elsewhere_is_not_halved(store, make_file) -> None:
    store.put_labels("faces", "report", "5" * 64, LABELS, ["a", "b", "c"])

    with pytest.raises(InputDataError, match="split elsewhere; say --split"):
        import_predictions(store, asked(make_file(), dataset="faces"))


def test_a_folder_of_images_has_splits_of_its_own(store, make_file) -> None:
    with pytest.raises(UsageError, match=r"folder:x has splits of its own.*--dataset x-imported"):
        import_predictions(store, asked(make_file(), dataset="folder:x"))
    assert predicted_datasets(store) == ()


def test_a_front_with_recipes_mixed_where_there_is_but_one(store, make_file) -> None:
    import_predictions(store, asked(make_file()))

    pool, _ = load_pool(store, "toy", PRICE, mix_recipes=True)

    assert pool.summary.members == ("big~imported#0", "small~imported#0")
    assert pool.rows(parse_design("mean(big#0, small~imported#0)").members[1:]) == [1]
    assert search(pool, PRICE).points[0].design == parse_design("small~imported#0")
    plain, _ = load_pool(store, "toy", PRICE)
    assert plain.rows(parse_design("small~imported#0").members) == plain.rows(parse_design("small#0").members)


def test_costs_stay_with_their_data_set(store, make_file) -> None:
    import_predictions(store, asked(make_file()))
    import_predictions(store, asked(make_file(), dataset="other", prices=(1.0, 2.0)))

    assert load_pool(store, "toy", PRICE)[0].costs.tolist() == [1500.0, 500.0]
    assert load_pool(store, "other", PRICE)[0].costs.tolist() == [100.0, 200.0]


def test_costs_of_any_kind(store, make_file) -> None:
    costs = (
        (CostAxis.parse("macs"), ("650k", "1.2G")),
        (CostAxis.parse("latency@cpu"), ("2ms",)),
    )
    done = import_predictions(store, asked(make_file(), prices=(), per=0.0, costs=costs))

    assert done.members[1].costs == {"macs": 1.2e9, "latency@cpu": 0.002}
    assert load_pool(store, "toy", CostAxis.parse("flops"))[0].costs.tolist() == [1.3e6, 2.4e9]


def test_without_a_cost_a_front_says_how_to_give_one(store, make_file) -> None:
    done = import_predictions(store, asked(make_file(), prices=(), per=0.0))

    assert any("no cost was given" in note for note in done.notes)
    with pytest.raises(UsageError, match="no member of toy has a cost for price; give one with"):
        load_pool(store, "toy", PRICE)


def test_a_member_at_chance_is_doubted(store, make_file) -> None:
    done = import_predictions(store, asked(make_file(labels=RNG.permutation(LABELS))))

    assert any("big~imported#0 is right on" in note for note in done.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("one",)}, "a.npz has 2 members, names are given for 1"),
        ({"names": ()}, "a.npz has 2 members, names are given for 0; say --names a,b,..."),
        ({"names": ("a", "a")}, "a member is named twice: a; tell runs of one model by NAME#SEED"),
        ({"names": ("GitHub(CNN)", "b")}, "'GitHub(CNN)' cannot be the name of a member: wanted NAME"),
        ({"names": ("a@0", "b")}, "'a@0' cannot be the name"),
        ({"names": ("a~x#0", "b")}, "'a~x#0' names a recipe"),
        ({"names": ("a#0", "a#1")}, "price of a is given twice, 1500 and 500"),
        ({"prices": (1.0, 2.0, 3.0)}, "3 prices for 2 members"),
        ({"prices": (-1.0,)}, "a price must be a number of dollars, 0 or more, got -1.0"),
        ({"prices": (float("nan"),)}, "a price must be a number of dollars"),
        ({"per": 0.0}, "for how many calls is the price?"),
        ({"prices": ()}, "--per says for how many calls a price is"),
        ({"costs": ((CostAxis.parse("macs"), ("1", "2", "3")),)}, "3 figures of macs for 2 members"),
        ({"costs": ((CostAxis.parse("flops"), ("1",)),)}, "flops is derived from macs"),
        ({"dataset": " "}, "not a name of a data set"),
        ({"split": "train"}, "unknown split 'train'"),
        ({"classes": 4}, "how many classes are there? the predictions: 3, --classes: 4"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(store, make_file, changes, message) -> None:
    stamp = store.stamp()

    with pytest.raises((UsageError, InputDataError), match=re.escape(message)) as caught:
        import_predictions(store, asked(make_file(), **changes))
    assert "\n" not in str(caught.value)
    assert store.stamp() == stamp
    assert store.info().files == 0


def test_a_file_is_checked_without_a_store(make_file) -> None:
    prepared = prepare_import(asked(make_file()), None)

    assert prepared.members[0] == Member("big", 0, 0, "imported")
    assert prepared.target.split_digest == halves("toy", LABELS)[1]


def test_a_service_that_costs_nothing(store, make_file) -> None:
    import_predictions(store, asked(make_file(), prices=(15.0, 0.0)))
    pool, notes = load_pool(store, "toy", PRICE)
    front = search(pool, PRICE, notes=notes)
    advice = advise(pool, front, Budget(PRICE, 1500.0))

    assert advice.best_of_kind[CandidateKind.SINGLE].cost.value in (0.0, 1500.0)
    assert "0 USD" in report_html(store, front, advice)


def test_what_the_store_would_refuse_is_refused_before_there_is_a_store(make_file) -> None:
    with pytest.raises(InputDataError, match="class names must be different texts"):
        prepare_import(asked(make_file(classes=["a", "a", "b"])), None)


def test_probabilities_are_checked_as_the_store_will(make_file, monkeypatch) -> None:
    """Nothing made here may fail once the store is open, whatever is done on the way there."""
    monkeypatch.setattr(
        "explorer.run.importing.as_probabilities",
        lambda found, classes, names: (np.full((*found.shape, classes), 0.2, dtype=np.float16), ()),
    )
    with pytest.raises(InputDataError, match="wanted 1 within"):
        prepare_import(asked(make_file()), None)


def test_the_price_key_that_was_recognised_is_said(store, make_file) -> None:
    path = make_file(cost_per_10k=[15.0, 5.0])
    plain = import_predictions(store, asked(path, prices=(), per=0.0))
    other = import_predictions(store, asked(path, dataset="b", prices=(), per=2e6))
    given = import_predictions(store, asked(path, dataset="c", prices=(1.0,)))

    assert "prices: cost_per_10k, for 10,000 calls" in plain.notes
    assert "prices: cost_per_10k, for 2,000,000 calls" in other.notes
    assert not any(note.startswith("prices:") for note in given.notes)
    assert given.members[0].costs == {"price": 100.0}


def test_prices_of_the_file_are_not_looked_at_beside_given_ones(store, make_file) -> None:
    done = import_predictions(store, asked(make_file(cost_per_10k=["dear", "cheap", "free"])))
    assert done.members[1].costs == {"price": 500.0}


@pytest.fixture
def make_table(tmp_path: Path):
    def make(name: str, answers: str, labels: str = "bdf" * 10) -> Path:
        rows = [f"{label},{answer},0.9" for label, answer in zip(labels, answers, strict=True)]
        (tmp_path / name).write_text("\n".join(["label,pred,conf", *rows]))
        return tmp_path / name

    return make


def service(path: Path, **changes: object) -> ImportAsked:
    return asked(path, **{"names": (path.stem,), "prices": (1.0,), **changes})


def test_a_second_service_is_numbered_as_the_first(store, make_table) -> None:
    first = import_predictions(store, service(make_table("one.csv", "bdfa" * 7 + "bd")))
    second = import_predictions(store, service(make_table("two.csv", "bdf" * 10)))

    assert (second.joined, second.split_digest, second.classes) == (True, first.split_digest, 4)
    assert store.class_names("toy") == ("b", "d", "f", "a")
    assert second.members[0].accuracy == 1.0


def test_an_answer_that_the_store_has_no_class_for_is_the_reason(store, make_table) -> None:
    import_predictions(store, service(make_table("one.csv", "bdf" * 10)))
    stamp, path = store.stamp(), make_table("two.csv", "abdf" * 7 + "bd")

    with pytest.raises(InputDataError, match=r"the answer 'a' is no class of this data set .* b,d,f,a$"):
        import_predictions(store, service(path))
    assert store.stamp() == stamp
    longer = Asked(class_names=("b", "d", "f", "a"))
    with pytest.raises(InputDataError, match=r"the class names: 4, the data set in the store: 3"):
        import_predictions(store, service(path, asked=longer))
    for file in (tmp := path.parent).glob("*.csv"):
        done = import_predictions(store, service(tmp / file.name, asked=longer, dataset="all"))
    assert done.joined


def test_names_in_another_order_are_the_reason_where_labels_are_texts(store, make_table, make_file) -> None:
    import_predictions(store, service(make_table("one.csv", "bdf" * 10)))
    texts = np.array(list("bdf" * 10))
    path = make_file("b.npz", probs=PROBS[:1, :30], labels=texts, classes=["f", "d", "b"])

    with pytest.raises(InputDataError, match=r"class 0 is 'f' here and 'b' in the store"):
        import_predictions(store, service(path))


def test_texts_join_a_split_that_is_known_here(store, make_table) -> None:
    store.put_labels("cifar10", "report", "5" * 64, np.array([2, 0, 1] * 10), ["d", "f", "b"])
    done = import_predictions(
        store, service(make_table("one.csv", "bdf" * 10), dataset="cifar10", split="report")
    )
    assert (done.joined, done.members[0].accuracy) == (True, 1.0)


# ---- real files -------------------------------------------------------------------------------


@pytest.fixture
def real(shared_dir: Path):
    def find(name: str) -> Path:
        path = shared_dir / "data" / "predictions" / name
        if not path.is_file():
            pytest.skip(f"no stored predictions at {path}")
        return path

    return find


def test_services_with_prices_make_a_cascade_that_beats_the_best_of_them(store, real) -> None:
    """FER+ (FrugalML, arXiv 2006.07512): chosen on one half, reported on the other."""
    names = ("google", "facepp", "microsoft", "github-cnn")
    wanted = ImportAsked(path=real("frugalml_ferplus.npz"), dataset="ferplus", names=names)
    done = import_predictions(store, wanted)
    assert [one.costs["price"] for one in done.members] == pytest.approx([1500, 500, 1000, 0.1])
    assert (done.classes, dict(done.examples)) == (7, {"select": 3179, "report": 3179})

    pool, notes = load_pool(store, "ferplus", PRICE)
    front = search(pool, PRICE, notes=notes)
    check_reported(pool, front)
    best_single = front.fronts_by_kind[CandidateKind.SINGLE][-1]
    assert str(best_single.design) == "microsoft#0"

    advice = advise(pool, front, Budget(PRICE, 1500.0))
    assert advice.answer is not None
    assert advice.answer.kind is CandidateKind.CASCADE
    against = compare(pool, advice.answer.design, best_single.design)
    assert against.verdict is Verdict.BETTER
    assert (round(against.difference.low, 2), round(against.difference.high, 2)) == (0.03, 0.05)
    assert advice.answer.cost.value / 100 == pytest.approx(12.4, abs=0.2)  # USD for 10,000

    cheaper = advise(pool, front, Budget(PRICE, 999.0)).answer
    assert cheaper is not None
    assert str(cheaper.design) == "github-cnn#0 -> [p>=0.9988] microsoft#0"
    assert cheaper.cost.value / 100 == pytest.approx(6.49, abs=0.01)
    assert compare(pool, cheaper.design, best_single.design).verdict is not Verdict.WORSE
    page = report_html(store, front, advice)
    assert "per million calls" in page
    assert "frugalml_ferplus.npz" in page
    assert "microsoft#0" in page[page.index('id="members"') :]


def test_a_weak_network_is_not_worth_averaging_in(store, real) -> None:
    """LeNet-5 and WRN-16-4: the mean loses, no cascade can be told from the network: the answer is "single".

    MACs: LeNet-5 with 3 channels, by hand (2 convolutions, 3 linear layers); WRN-16-4 as `explorer count`.
    """
    lenet = 28 * 28 * 6 * 75 + 10 * 10 * 16 * 150 + 400 * 120 + 120 * 84 + 84 * 10
    macs = CostAxis.parse("macs")
    wanted = ImportAsked(
        path=real("cifar10_netcal_2models.npz"),
        dataset="cifar10-test",
        costs=((macs, (str(lenet), "392612352")),),
    )
    done = import_predictions(store, wanted)
    assert [round(one.accuracy, 3) for one in done.members] == [0.531, 0.911]
    pool, notes = load_pool(store, "cifar10-test", macs)
    budget = Budget(macs, 1e9)

    plain = advise(pool, search(pool, macs, Space(cascades=False), notes=notes), budget)
    assert plain.answer is not None
    assert plain.answer.design == parse_design("wideresnet-16-4-cifar-10#0")
    assert plain.comparisons[0].verdict is Verdict.BETTER

    full = advise(pool, search(pool, macs, notes=notes), budget)
    assert full.answer is not None
    assert full.answer.kind is CandidateKind.SINGLE
    assert full.answer.design == plain.answer.design
    mean = evaluate(pool, parse_design("mean(lenet-5-cifar-10#0, wideresnet-16-4-cifar-10#0)"), macs)
    assert mean.accuracy.value < full.answer.accuracy.value


def test_thirteen_members_of_which_the_mean_is_the_published_one(store, real) -> None:
    path = real("cifar10_train_resnet50_cv_13members.npz")
    prepared = prepare_import(ImportAsked(path=path, dataset="cifar10-cv", asked=Asked()), store)
    rights = (prepared.probabilities.argmax(axis=2) == prepared.found.labels).mean(axis=1)

    assert (round(rights.min(), 3), round(rights.max(), 3)) == (0.334, 0.858)
    mean = prepared.probabilities.astype(np.float64).mean(axis=0).argmax(axis=1)
    assert round(float((mean == prepared.found.labels).mean()), 3) == 0.873
    assert any("divided by their sum" in note for note in prepared.notes)
    stored = prepared.probabilities
    with np.load(path) as held:
        same = (stored == held["probs"]).all(axis=2)
    assert (~same).sum() == 83
