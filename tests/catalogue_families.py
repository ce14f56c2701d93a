"""A small zoo with published figures, made up: real networks, that can be counted, invented accuracies."""

from types import SimpleNamespace

from zoo.published import Published, Status

MLP_MACS = 192 * 64 + 64 * 64 + 64 * 1000
MLP_PARAMETERS = MLP_MACS + 2 * 64 + 2 * 64 + 1000
"""Closed form of mlp64x2 for 8 x 8 images of three channels and 1,000 classes: norms instead of biases."""
SUPERNETS = {"elastic": ("elastic-nas",)}


def row(model: str, top1: float | None, source: str = "arXiv 1, Table 1", **more) -> Published:
    return Published(**{"model": model, "resolution": 8, "source": source, "top1": top1, **more})


ROWS = (
    row("mlp64x2", 0.7613, macs=MLP_MACS * 1.02, parameters=MLP_PARAMETERS * 1.5, departs="with a teacher"),
    row("mlp64x2", 0.7613, "some/where:README.md", note="of a fork"),
    row("mlp64x2", 0.7801, "else/where:README.md", status=Status.DERIVED),
    row("mlp128x2", 0.8101, parameters=None),
    row("mlp128x3", None),
    row("mlp128x2", 0.91, dataset="cifar10", classes=10),
    row("mlp32x2", 0.99, dataset="voxceleb1"),
)
SUBNETWORKS = (row("mlp32x2", 0.7011), row("mlp48x2", 0.7802))


def families(rows=ROWS, subnetworks=SUBNETWORKS):
    """Two families and a supernet's; what the import reads of a `zoo.registry.Family`."""
    return {
        "mlp": SimpleNamespace(published=tuple(rows), systems=()),
        "elastic": SimpleNamespace(published=tuple(subnetworks), systems=("elastic-nas",)),
        "elastic_best": SimpleNamespace(published=(row("mlp96x2", 0.8001),), systems=("elastic-nas",)),
    }
