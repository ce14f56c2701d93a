"""What was published of the wide ResNets for small images."""

import zoo
from tests.zoo.network_checks import counted
from zoo.families.wide_resnet import PUBLISHED, VARIANTS


def test_wide_resnets_of_the_table_have_its_parameters() -> None:
    rows = [row for row in PUBLISHED if row.macs]
    assert len(rows) == 6
    for row in rows:
        parameters, macs = counted(row.model, row.resolution, classes=row.classes)
        assert parameters == row.parameters
        assert row.macs is not None
        # That table adds half an operation for each norm and activation.
        assert macs < row.macs < 1.002 * macs


def test_variants_carry_their_canonical_names() -> None:
    family = zoo.registered_families()["wide_resnet"]
    assert {row.model for row in PUBLISHED} <= set(VARIANTS)
    for name, config in VARIANTS.items():
        assert family.format(config) == name
        assert family.parse(name) == config


def test_width_1_is_the_pre_activation_resnet_of_two_convolutions_a_block() -> None:
    # PreResNet-20 and -110 of pytorchcv 0.0.74: parameters and multiply-adds.
    assert counted("wrn22-1", 32, classes=10) == (272_282, 40_813_184)
    assert counted("wrn112-1", 32, classes=10) == (1_730_522, 253_149_824)
