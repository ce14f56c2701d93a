"""Stitchable networks (arXiv 2302.06586): blocks of a DeiT, a linear layer, blocks of a larger.

Three anchors (DeiT tiny, small, base) of twelve blocks; a stitch leaves an anchor after block ``j`` and
enters the next larger one at block ``k``, at most one block away. 3 anchors and 2 x 34 stitches.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from zoo.published import Published
from zoo.supernets.encoder import EncoderBlock, PatchTokens, TokenHead
from zoo.supernets.rows import Row, RowSpace, part
from zoo.supernets.space import Choice, Piece

ANCHORS = ((192, 3), (384, 6), (768, 12))
"""Features and heads of DeiT tiny, small and base."""
DEPTH, _HEAD_FEATURES, _PATCH = 12, 64, 16


def _configurations() -> tuple[tuple[int, ...], ...]:
    """Return ``(anchor,)`` or ``(smaller anchor, last block, first block after)``, in the authors' order."""
    pairs: list[tuple[int, int]] = []
    for start in range(DEPTH):
        window = range(start, min(start + 2, DEPTH))
        pairs += [(j, k) for j in window for k in window if (j, k) not in pairs]
    stitches = [(front, j, k) for front in range(len(ANCHORS) - 1) for j, k in pairs]
    return (*((anchor,) for anchor in range(len(ANCHORS))), *stitches)


CONFIGURATIONS = _configurations()
_WEIGHTS = tuple(features**2 for features, _ in ANCHORS)


def _order(configuration: tuple[int, ...]) -> int:
    """Return what sorts configurations by cost: the squared features of the blocks that run, and stitches."""
    if len(configuration) == 1:
        return DEPTH * _WEIGHTS[configuration[0]] * 12
    front, leave, enter = configuration
    stitch = ANCHORS[front][0] * ANCHORS[front + 1][0]
    return 12 * ((leave + 1) * _WEIGHTS[front] + (DEPTH - enter) * _WEIGHTS[front + 1]) + stitch


@dataclass(frozen=True, kw_only=True)
class StitchedDeiT(RowSpace):
    """One decision: which of the 71 networks."""

    name: str = "sn_net_deit"
    summary: str = "stitchable network of DeiT tiny, small and base: 71 networks (arXiv 2302.06586)"
    source: str = "arXiv 2302.06586; github.com/ziplab/SN-Net stitching_deit"
    systems: tuple[str, ...] = ("sn-net",)
    side: int = 224

    @property
    def published(self) -> Mapping[str, Choice]:
        """All of them, by the authors' number."""
        return {f"{self.name}.c{index}": ((one,),) for index, one in enumerate(CONFIGURATIONS)}

    @property
    def figures(self) -> tuple[Published, ...]:
        """The authors' results of every network."""
        return tuple(
            Published(
                model=f"{self.name}.c{index}", resolution=224, macs=macs, parameters=parameters,
                top1=round(percent / 100, 5),
                source="github.com/ziplab/SN-Net stitching_deit/results/stitches_res.txt",
                note="counted with fvcore; of stitches the class token and positions are not counted there",
            )
            for index, (macs, parameters, percent) in enumerate(_RESULTS)
        )  # fmt: skip

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """The 71 networks, from the cheapest."""
        return (Row("net", (tuple(sorted(CONFIGURATIONS, key=_order)),)),)

    def resolution(self, choice: Choice) -> int:
        """Return 224: positions are learnt for it."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Patches of the first anchor, blocks, the stitch, blocks, head of the last anchor."""
        configuration = choice[0][0]
        first = configuration[0]
        features, heads = ANCHORS[first]
        tokens = 1 + (self.side // _PATCH) ** 2
        image = (in_channels, self.side, self.side)
        pieces = [part(PatchTokens, in_channels, features, self.side, _PATCH, shape=image)]
        runs = DEPTH if len(configuration) == 1 else configuration[1] + 1
        pieces += [_block(features, heads, tokens)] * runs
        if len(configuration) == 3:
            wider, heads = ANCHORS[first + 1]
            pieces.append(part(nn.Linear, features, wider, shape=(tokens, features)))
            features = wider
            pieces += [_block(features, heads, tokens)] * (DEPTH - configuration[2])
        return (*pieces, part(TokenHead, features, num_classes, False, shape=(tokens, features)))


def _block(features: int, heads: int, tokens: int) -> Piece:
    return part(EncoderBlock, features, heads, _HEAD_FEATURES, 4 * features, shape=(tokens, features))


_RESULTS = (
    (1258411200, 5717416, 70.564), (4608338304, 22050664, 79.464), (17582740224, 86567656, 81.934),
    (4696010496, 22345960, 79.018), (4316862720, 20571496, 79.052), (4798437888, 22790824, 79.106),
    (4419290112, 21016360, 79.142), (4040142336, 19241896, 78.37), (4521717504, 21461224, 78.876),
    (4142569728, 19686760, 78.84), (3763421952, 17912296, 78.2), (4244997120, 20131624, 78.606),
    (3865849344, 18357160, 78.432), (3486701568, 16582696, 77.88), (3968276736, 18802024, 78.458),
    (3589128960, 17027560, 78.23), (3209981184, 15253096, 77.488), (3691556352, 17472424, 78.056),
    (3312408576, 15697960, 77.648), (2933260800, 13923496, 76.48), (3414835968, 16142824, 77.26),
    (3035688192, 14368360, 76.798), (2656540416, 12593896, 74.84), (3138115584, 14813224, 76.488),
    (2758967808, 13038760, 75.628), (2379820032, 11264296, 73.424), (2861395200, 13483624, 75.17),
    (2482247424, 11709160, 74.066), (2103099648, 9934696, 72.6), (2584674816, 12154024, 73.756),
    (2205527040, 10379560, 73.042), (1826379264, 8605096, 71.776), (2307954432, 10824424, 72.946),
    (1928806656, 9049960, 72.19), (1549658880, 7275496, 71.094), (2031234048, 9494824, 72.142),
    (1652086272, 7720360, 71.362), (17961426432, 88190440, 81.918), (16505958912, 81102568, 81.904),
    (18340574208, 89964904, 82.042), (16885106688, 82877032, 81.998), (15429639168, 75789160, 81.984),
    (17264254464, 84651496, 81.976), (15808786944, 77563624, 82.034), (14353319424, 70475752, 81.962),
    (16187934720, 79338088, 81.978), (14732467200, 72250216, 82.032), (13276999680, 65162344, 81.864),
    (15111614976, 74024680, 81.97), (13656147456, 66936808, 81.912), (12200679936, 59848936, 81.616),
    (14035295232, 68711272, 81.786), (12579827712, 61623400, 81.65), (11124360192, 54535528, 81.502),
    (12958975488, 63397864, 81.672), (11503507968, 56309992, 81.492), (10048040448, 49222120, 81.25),
    (11882655744, 58084456, 81.346), (10427188224, 50996584, 81.184), (8971720704, 43908712, 80.674),
    (10806336000, 52771048, 81.124), (9350868480, 45683176, 80.81), (7895400960, 38595304, 79.96),
    (9730016256, 47457640, 80.532), (8274548736, 40369768, 79.97), (6819081216, 33281896, 79.058),
    (8653696512, 42144232, 79.994), (7198228992, 35056360, 79.302), (5742761472, 27968488, 78.958),
    (7577376768, 36830824, 79.216), (6121909248, 29742952, 79.098),
)  # fmt: skip

SPACES = (StitchedDeiT(),)
