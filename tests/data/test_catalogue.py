import pytest

from explorer.data.catalogue import CatalogueRow, short_source


@pytest.mark.parametrize(
    ("source", "short"),
    [
        ("osmr/imgclsmob:pytorch/README.md", "osmr/imgclsmob"),
        ("README of github.com/yuhuixu1993/PC-DARTS, table of ImageNet", "yuhuixu1993/PC-DARTS"),
        ("mit-han-lab/proxylessnas logs/imagenet_gpu_log.txt", "mit-han-lab/proxylessnas"),
        ("arXiv 1707.07012, Table 2", "arXiv 1707.07012"),
    ],
)
def test_a_source_in_short(source: str, short: str) -> None:
    assert short_source(source) == short


def test_a_row_reads_as_a_row_of_accuracies() -> None:
    row = CatalogueRow(
        model="darts.v2",
        family="darts",
        subnetwork=True,
        resolution=32,
        top1=0.9,
        macs=7_000_003,
        parameters=3_350_000,
        published_macs=None,
        published_parameters=None,
        source="timm, results/results-imagenet.csv",
        status="seen",
    )
    assert (row.architecture, row.tag, row.top5, row.params) == ("darts.v2", "", None, 3.35)
    assert row.key == ("darts.v2", 32, 0.9)
    assert row.of_timm
