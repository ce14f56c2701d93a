from datetime import UTC, date, datetime, timedelta

import pytest

from explorer.data.devices import devices
from explorer.data.prices import UNITS, Price, Purchase, choose_price, make_price, shipped_prices
from explorer.errors import UsageError

DAY = date(2026, 3, 5)


def price(
    usd: float, *, day: date = DAY, source: str = "a seller", shipped: bool = False, **changes
) -> Price:
    values = {"device": "rtx4090", "unit": "gpu", **changes}
    return Price(usd_per_hour=usd, date=day, source=source, shipped=shipped, **values)


def test_a_price_as_a_person_writes_it():
    made = make_price("NVIDIA GeForce RTX 4090", 0.34, date_text=" 2026-03-05 ", source=" me ")
    assert made == price(0.34, source="me")
    assert make_price("tpu-v5e", 1.2, date_text="2026-03-05", source="s").unit == "chip"
    assert make_price("i9-10940x", 1.2, date_text="2026-03-05", source="s").unit == "vcpu"
    assert make_price("cpu", 0.05, date_text="2026-03-05", source="s").device == "cpu"
    assert make_price("CUDA", 2, date_text="2026-03-05", source="s", unit="vcpu").unit == "vcpu"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"date_text": None}, "a price needs the date it was looked up"),
        ({"date_text": "  "}, "a price needs the date it was looked up"),
        ({"date_text": "yesterday"}, "not a date: 'yesterday'; wanted e.g. 20"),
        ({"date_text": "2026-02-30"}, "not a date"),
        ({"source": " "}, "a price needs a source"),
        ({"usd_per_hour": 0}, "above 0, got 0"),
        ({"usd_per_hour": -1}, "above 0"),
        ({"usd_per_hour": float("nan")}, "above 0"),
        ({"usd_per_hour": float("inf")}, "above 0"),
        ({"device": "rtx4091"}, "unknown device 'rtx4091'; did you mean rtx4090"),
        ({"purchase": "stolen"}, "unknown purchase 'stolen'; known: on-demand, spot"),
        ({"unit": "kg"}, "unknown unit 'kg'; known: gpu, chip, vcpu"),
    ],
)
def test_what_cannot_be_a_price_is_refused(changes, message):
    values = {"device": "rtx4090", "usd_per_hour": 0.34, "date_text": "2026-03-05", "source": "me", **changes}
    with pytest.raises(UsageError, match=message):
        make_price(values.pop("device"), values.pop("usd_per_hour"), **values)


def test_a_price_from_the_future_is_refused_but_time_zones_are_forgiven():
    today = datetime.now(UTC).date()
    make_price("t4", 1, date_text=(today + timedelta(days=1)).isoformat(), source="s")
    with pytest.raises(UsageError, match="in the future"):
        make_price("t4", 1, date_text=(today + timedelta(days=2)).isoformat(), source="s")


def test_age_is_counted_in_days_and_old_is_more_than_a_year():
    one = price(1)
    assert one.age_days(DAY) == 0
    assert one.age_days(DAY - timedelta(days=1)) == 0
    assert one.age_days(DAY + timedelta(days=31)) == 31
    assert not one.is_old(DAY + timedelta(days=365))
    assert one.is_old(DAY + timedelta(days=366))


def test_those_that_ship_are_dated_sourced_and_of_the_table():
    keys = {device.key for device in devices()}
    for one in shipped_prices():
        assert one.shipped
        assert one.device in keys
        assert 0.01 < one.usd_per_hour < 100
        assert one.unit in UNITS
        assert date(2026, 1, 1) <= one.date <= date(2026, 11, 21)
        assert len(one.source) > 10
    assert len(set(shipped_prices())) == len(shipped_prices())


def test_the_users_own_price_goes_before_those_that_shipped_however_old():
    known = (price(0.7, day=DAY + timedelta(days=400), shipped=True), price(0.3))
    choice = choose_price(known, "rtx4090")
    assert choice is not None
    assert (choice.price.usd_per_hour, choice.alternatives) == (0.3, 1)


def test_of_the_users_own_the_newest_counts():
    known = (price(0.3), price(0.5, day=DAY + timedelta(days=1)), price(0.4, day=DAY - timedelta(days=1)))
    choice = choose_price(known, "RTX 4090")
    assert choice is not None
    assert choice.price.usd_per_hour == 0.5


def test_of_several_sellers_the_middle_counts_and_the_spread_is_said():
    known = [price(usd, source=f"seller {usd}", shipped=True) for usd in (7, 2, 3, 5)]
    choice = choose_price(known, "rtx4090")
    assert choice is not None
    assert (choice.price.usd_per_hour, choice.low, choice.high, choice.alternatives) == (3, 2, 7, 4)
    assert choose_price(known[:3], "rtx4090").price.usd_per_hour == 3


def test_terms_region_and_device_are_not_mixed():
    known = (price(2), price(1, purchase=Purchase.SPOT), price(3, region="mars"), price(5, device="t4"))
    assert choose_price(known, "rtx4090", purchase=Purchase.SPOT).price.usd_per_hour == 1
    assert choose_price(known, "rtx4090", region="mars").price.usd_per_hour == 3
    assert choose_price(known, "rtx4090", region="").price.usd_per_hour == 2
    assert choose_price(known, "t4").price.usd_per_hour == 5
    assert choose_price(known, "l4") is None
    with pytest.raises(UsageError, match="unknown device"):
        choose_price(known, "abacus")
