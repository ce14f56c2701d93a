from dataclasses import replace

import pytest

from explorer.data.prices import Price, Purchase, make_price
from explorer.errors import StoreError
from explorer.store import Store, migrate
from explorer.store.prices import put_price, read_prices


def price(usd: float = 0.34, **changes) -> Price:
    made = make_price("rtx4090", usd, date_text="2026-03-05", source="a seller")
    return replace(made, **changes)


def test_a_price_comes_back_as_it_was_put(store):
    put_price(store, price(0.34, region="mars", purchase=Purchase.SPOT))
    assert read_prices(store) == (price(0.34, region="mars", purchase=Purchase.SPOT),)
    assert read_prices(store, "t4") == ()
    assert not read_prices(store, "rtx4090")[0].shipped


def test_the_same_price_twice_is_one_and_a_correction_supersedes(store):
    put_price(store, price(3))
    put_price(store, price(3))
    assert store.info().superseded == 0
    put_price(store, price(5))
    assert [p.usd_per_hour for p in read_prices(store)] == [5]
    assert store.info().superseded == 1
    assert store.info().counts["prices"] == 1


def test_another_day_source_region_or_terms_stands_beside(store):
    put_price(store, price(2))
    put_price(store, price(3, source="another seller"))
    put_price(store, price(5, region="mars"))
    put_price(store, price(7, purchase=Purchase.SPOT))
    put_price(store, make_price("rtx4090", 11, date_text="2026-03-06", source="a seller"))
    put_price(store, make_price("t4", 13, date_text="2026-03-05", source="a seller"))
    assert [p.usd_per_hour for p in read_prices(store)] == [2, 3, 5, 7, 11, 13]
    assert [p.usd_per_hour for p in read_prices(store, "t4")] == [13]


def test_prices_survive_closing_and_the_check_is_clean(store):
    before = store.stamp()
    put_price(store, price())
    assert store.stamp() != before
    store.close()
    with Store.open(store.root, create=False) as again:
        assert read_prices(again) == (price(),)
        assert again.check().problems == ()


def test_a_store_of_the_first_format_gets_the_table(tmp_path, monkeypatch):
    with monkeypatch.context() as old:
        old.setattr(migrate, "REVISIONS", ("0001",))
        old.setattr(migrate, "HEAD", "0001")
        Store.open(tmp_path / "store").close()
    with Store.open(tmp_path / "store", create=False) as store:
        assert store.info().revision == migrate.HEAD
        put_price(store, price())
        assert read_prices(store) == (price(),)


def test_a_damaged_ledger_is_said_to_be(store):
    put_price(store, price())
    store.close()
    ledger = store.root / "ledger.sqlite"
    ledger.write_bytes(b"not a database, " * 512)
    with pytest.raises(StoreError, match="damaged"), Store.open(store.root, create=False) as again:
        read_prices(again)
