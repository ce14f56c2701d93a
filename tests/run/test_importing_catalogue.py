"""Importing the zoo's published accuracies: what is counted, merged, told apart and left out."""

import dataclasses

import pytest

import zoo
from explorer.run import importing_catalogue
from explorer.run.importing_catalogue import import_catalogue
from explorer.store import Store
from explorer.store.published import PutOutcome, published_tables
from tests.catalogue_families import MLP_MACS, MLP_PARAMETERS, ROWS, SUBNETWORKS, SUPERNETS, families, row
from zoo.supernets import spaces


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store") as opened:
        yield opened


def bring(store, own=None, **more):
    said = []
    done = import_catalogue(
        store,
        families() if own is None else own,
        supernets=more.pop("supernets", SUPERNETS),
        update=lambda share, text: said.append((share, text)),
        **more,
    )
    return done, said


def table_of(done, dataset: str):
    return next(one for one in done.tables if one.record.dataset == dataset)


def test_costs_are_counted_and_stand_beside_the_published_ones(store) -> None:
    done, _ = bring(store)
    table = table_of(done, "imagenet").table
    first = table.rows[0]
    assert (first.macs, first.parameters) == (MLP_MACS, MLP_PARAMETERS)
    assert (first.published_macs, first.published_parameters) == (MLP_MACS * 1.02, MLP_PARAMETERS * 1.5)
    assert (first.top1, table.examples, table.test_set) == (0.7613, 50_000, "imagenet")
    (cifar,) = table_of(done, "cifar10").table.rows
    assert cifar.macs == table.rows[2].macs - 128 * 990  # the head has 10 classes instead of 1,000
    assert table_of(done, "cifar10").table.examples == 10_000


def test_what_agrees_and_what_does_not_and_why(store) -> None:
    done, _ = bring(store)
    macs, parameters = table_of(done, "imagenet").agreements
    assert (macs.quantity, macs.published, macs.within, macs.beyond) == ("macs", 1, 1, ())
    assert (parameters.published, parameters.within) == (1, 0)
    assert parameters.beyond == (("mlp64x2@8", "with a teacher"),)


def test_rounding_is_no_disagreement(store) -> None:
    rounded = row("mlp64x2", 0.7, macs=MLP_MACS * 1.1, macs_rounding=MLP_MACS * 0.08)
    done, _ = bring(store, families((rounded,)))
    assert table_of(done, "imagenet").agreements[0].within == 1


def test_one_accuracy_from_two_sources_is_one_row_and_other_weights_are_told_apart(store) -> None:
    done, _ = bring(store)
    rows = [one for one in table_of(done, "imagenet").table.rows if one.model == "mlp64x2"]
    assert [(one.top1, one.told_apart, one.status) for one in rows] == [
        (0.7613, "arXiv 1", "seen"),
        (0.7801, "else/where", "derived"),
    ]
    assert rows[0].source == "arXiv 1, Table 1; some/where:README.md"
    assert rows[0].note == "of a fork"
    assert {one.told_apart for one in table_of(done, "imagenet").table.rows} == {"", "arXiv 1", "else/where"}


def test_families_and_subnetworks(store) -> None:
    done, _ = bring(store)
    found = {one.model: (one.family, one.subnetwork) for one in table_of(done, "imagenet").table.rows}
    assert found == {
        "mlp64x2": ("mlp", False),
        "mlp128x2": ("mlp", False),
        "mlp32x2": ("mlp32x2", True),
        "mlp48x2": ("mlp48x2", True),
        "mlp96x2": ("elastic_best", True),
    }


def test_a_data_set_of_unknown_size_and_a_network_that_does_not_build_are_left_out_and_said(store) -> None:
    done, _ = bring(store, families((*ROWS, row("mlp64", 0.5))))
    assert len(done.left_out) == 2
    assert done.left_out["how many test images voxceleb1 has is not known here"] == ("mlp32x2@8",)
    (why,) = [why for why in done.left_out if "voxceleb1" not in why]
    assert (done.left_out[why], "mlp64" in why) == (("mlp64@8",), True)


def test_again_changes_nothing_and_counts_nothing(store, monkeypatch) -> None:
    first, said = bring(store)
    assert (first.counted, len(said), said[0][0]) == (6, 6, 0.0)
    assert [share for share, _ in said] == sorted(share for share, _ in said)
    stamp = store.stamp()
    again, said = bring(store)
    assert (again.counted, said, store.stamp()) == (0, [], stamp)
    assert {one.outcome for one in again.tables} == {PutOutcome.THERE}
    assert bring(store, recount=True)[0].counted == 6
    assert store.stamp() == stamp
    monkeypatch.setattr(importing_catalogue, "COUNTED_BY", "another version")
    other, _ = bring(store)
    assert other.counted == 6
    assert {one.outcome for one in other.tables} == {PutOutcome.REPLACED}


def test_only_what_is_new_is_counted_and_a_changed_table_is_said(store) -> None:
    before, _ = bring(store)
    done, said = bring(store, families((*ROWS, row("mlp16x2", 0.6))))
    assert (done.counted, len(said)) == (1, 1)
    assert {one.record.dataset: one.outcome for one in done.tables} == {
        "imagenet": PutOutcome.REPLACED,
        "cifar10": PutOutcome.THERE,
    }
    digest = table_of(before, "imagenet").record.digest
    (note,) = done.notes
    assert note.startswith(f"catalogue of imagenet had other rows here before (sha256 {digest[:12]})")


def test_rows_come_back_as_they_were_put(store) -> None:
    done, _ = bring(store)
    assert published_tables(store) == tuple(
        sorted((one.record for one in done.tables), key=lambda one: one.dataset)
    )
    assert store.check().problems == ()


def test_the_digest_is_that_of_the_rows(store) -> None:
    first, _ = bring(store)
    other = (dataclasses.replace(SUBNETWORKS[0], top1=0.7012), SUBNETWORKS[1])
    changed, _ = bring(store, families(subnetworks=other))
    digests = {table_of(done, "imagenet").record.digest for done in (first, changed)}
    assert len(digests) == 2
    assert all(len(digest) == 64 for digest in digests)


def test_sub_networks_of_a_real_supernet_are_reproduced_by_cost(store) -> None:
    """AttentiveNAS and AlphaNet: the READMEs' MFLOPs, which are multiply-adds."""
    own = {"attentivenas": zoo.registered_families()["attentivenas"]}
    done, _ = bring(store, own, supernets={"attentivenas": spaces()["attentivenas"].systems})
    (one,) = done.tables
    assert {row.family for row in one.table.rows} == {"attentivenas", "alphanet"}
    assert all(row.subnetwork for row in one.table.rows)
    macs, _parameters = one.agreements
    assert (macs.published, macs.beyond) == (len(one.table.rows), ())
    assert next(row.macs for row in one.table.rows if row.model == "alphanet-a0") == pytest.approx(
        203e6, rel=3e-3
    )
