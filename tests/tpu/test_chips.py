"""The compiler's devices and the device table's chips are the same thing, halved where a device is a core."""

import pytest

from explorer.data.devices import devices, find_device_entry
from explorer.errors import UsageError
from explorer.tpu.chips import KEYS, VALIDATED, find_chip


@pytest.mark.parametrize("key", KEYS)
def test_every_chip_is_in_the_device_table_whole(key: str) -> None:
    chip = find_chip(key)

    assert find_device_entry(chip.kind).key == key
    assert chip.bandwidth * chip.devices_per_chip == pytest.approx(chip.chip.bandwidth)
    assert chip.memory_bytes * chip.devices_per_chip == chip.chip.memory_bytes
    assert 0.5e9 < chip.clock_hz < 3e9


def test_no_tpu_of_the_table_is_left_out() -> None:
    assert {device.key for device in devices() if device.kind == "tpu"} == set(KEYS)


def test_where_a_program_sees_one_core_of_two() -> None:
    assert {key for key in KEYS if find_chip(key).devices_per_chip == 2} == {
        "tpu-v2",
        "tpu-v3",
        "tpu-v4",
        "tpu7x",
    }
    assert {key for key in KEYS if find_chip(key).validated} == set(VALIDATED) == {"tpu-v2", "tpu-v3"}


def test_an_alias_will_do_and_what_is_no_tpu_will_not() -> None:
    assert find_chip("TPU v5 lite").key == "tpu-v5e"
    with pytest.raises(UsageError, match=r"unknown TPU 'rtx4090'.*tpu-v3"):
        find_chip("rtx4090")
