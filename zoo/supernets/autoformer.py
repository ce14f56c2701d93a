"""Vision transformers of AutoFormer (arXiv 2107.00651), which PreNAS (arXiv 2304.14636) searches too.

Depth and embedding hold for the whole network; every block has its own number of heads (of 64 features) and
its own expansion. Queries, keys and values meet learnt embeddings of rows and columns between tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.published import Published, Status
from zoo.supernets.encoder import EncoderBlock, PatchTokens, TokenHead, split_heads
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

HEAD_FEATURES = 64
_FURTHEST = 14
"""Rows and columns further apart than this are as far apart as this."""


class RelativePositions(nn.Module):
    """Embeddings of how many rows and columns lie between tokens; index 0 is the class token's."""

    def __init__(self, grid: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.randn(2 * _FURTHEST + 2, HEAD_FEATURES) * 0.02)
        self.columns = nn.Parameter(torch.randn(2 * _FURTHEST + 2, HEAD_FEATURES) * 0.02)
        place = torch.arange(grid * grid)
        for name, at in (("row_index", place // grid), ("column_index", place % grid)):
            apart = (at[None, :] - at[:, None]).clamp(-_FURTHEST, _FURTHEST) + _FURTHEST + 1
            self.register_buffer(name, nn.functional.pad(apart, (1, 0, 1, 0)), persistent=False)

    def forward(self) -> torch.Tensor:
        """Return ``[token, other token, feature]``."""
        return self.rows[self.get_buffer("row_index")] + self.columns[self.get_buffer("column_index")]


class RelativeAttention(nn.Module):
    """Self-attention with relative positions at the keys and at the values."""

    def __init__(self, embed: int, heads: int, grid: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(embed, 3 * heads * HEAD_FEATURES)
        self.project = nn.Linear(heads * HEAD_FEATURES, embed)
        self.keys, self.values = RelativePositions(grid), RelativePositions(grid)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map ``[example, token, feature]`` to the same shape."""
        query, key, value = split_heads(self.qkv(tokens), self.heads, HEAD_FEATURES)
        weights = query @ key.transpose(-2, -1)
        weights = weights + _by_token(query, self.keys().transpose(1, 2))
        weights = (weights * HEAD_FEATURES**-0.5).softmax(dim=-1)
        mixed = weights @ value + _by_token(weights, self.values())
        return self.project(mixed.transpose(1, 2).flatten(2))


def _by_token(heads: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Multiply ``[example, head, token, a]`` by each token's own matrix ``[token, a, b]``."""
    examples, count, tokens, features = heads.shape
    rows = heads.permute(2, 0, 1, 3).reshape(tokens, examples * count, features)
    return torch.bmm(rows, matrices).view(tokens, examples, count, -1).permute(1, 2, 0, 3)


def block(embed: int, heads: int, hidden: int, grid: int) -> EncoderBlock:
    """Return a transformer block with relative positions on a ``grid`` x ``grid`` of tokens."""
    made = EncoderBlock(embed, 1, 1, hidden)
    made.attention = RelativeAttention(embed, heads, grid)
    return made


def _network(embed: int, heads: str, ratios: str) -> Choice:
    """Return a choice from heads as digits (0 for 10) and ratios as digits (6, 7, 8 halves)."""
    counts = tuple(int(digit) or 10 for digit in heads)
    return (len(counts), embed), counts, tuple(int(digit) / 2 for digit in ratios)


_RATIO = "the published AutoFormer-T has expansions of 3, which the paper's own space (3.5 and 4) lacks"
_PRENAS = "github.com/tinyvision/PreNAS interval_cands"
_TABLE = "arXiv 2107.00651, abstract (parameters, accuracy) and paperswithcode results (FLOPs)"
_DEPARTS = (
    "this genotype has 5.87M parameters, relative positions included; those positions count here as the two "
    "products they are, the reference's get_complexity charges 14 multiply-adds a pair of tokens"
)


@dataclass(frozen=True, kw_only=True)
class AutoFormer(RowSpace):
    """One of the three supernets: depths, embeddings, heads, expansions."""

    name: str
    summary: str
    embeds: tuple[int, ...]
    heads: tuple[int, ...]
    depths: tuple[int, ...]
    ratios: tuple[float, ...] = (3.0, 3.5, 4.0)
    found: tuple[tuple[str, Choice], ...] = ()
    costs: tuple[Published, ...] = ()
    source: str = "arXiv 2107.00651, ZeyuZhao-git/Autoformer_based_code experiments; tinyvision/PreNAS"
    systems: tuple[str, ...] = ("prenas",)
    side: int = 224
    patch: int = 16

    @property
    def published(self) -> Mapping[str, Choice]:
        """Networks that AutoFormer and PreNAS found."""
        return dict(self.found)

    @property
    def figures(self) -> tuple[Published, ...]:
        """What they were published to cost."""
        return self.costs

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """Depth and embedding; heads and expansion of each block."""
        first = Row("net", (self.depths, self.embeds))
        if lead is None:
            return (first,)
        return first, same("heads", self.heads, lead[0]), same("ratio", self.ratios, lead[0])

    def resolution(self, choice: Choice) -> int:
        """Return 224: positions are learnt for it."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Patches, blocks, head."""
        (_, embed), heads, ratios = choice
        grid = self.side // self.patch
        image, tokens = (in_channels, self.side, self.side), (1 + grid * grid, embed)
        blocks = tuple(
            part(block, embed, count, int(embed * ratio), grid, shape=tokens)
            for count, ratio in zip(heads, ratios, strict=True)
        )
        stem = part(PatchTokens, in_channels, embed, self.side, self.patch, shape=image)
        return stem, *blocks, part(TokenHead, embed, num_classes, True, shape=tokens)


def _prenas(model: str, parameters: float) -> Published:
    return Published(model=model, resolution=224, source=_PRENAS, parameters=parameters, status=Status.SEEN)


def _autoformer(model: str, parameters: float, macs: float, top1: float) -> Published:
    return Published(
        model=model, resolution=224, source=_TABLE, parameters=parameters, parameters_rounding=5e4,
        macs=macs, macs_rounding=5e7 if macs < 1e10 else 5e8, top1=top1,
        departs=_DEPARTS if "tiny" in model else "",
    )  # fmt: skip


SPACES = (
    AutoFormer(
        name="autoformer_tiny",
        summary=f"vision transformers of AutoFormer-T's supernet (arXiv 2107.00651); {_RATIO}",
        embeds=(192, 216, 240), heads=(3, 4), depths=(12, 13, 14),
        found=(
            ("autoformer_tiny.searched", _network(192, "3333333333433", "7767668878787")),
            ("autoformer_tiny.prenas6", _network(192, "444433333434", "888887788788")),
            ("autoformer_tiny.prenas8", _network(240, "333333333333", "878877788787")),
            ("autoformer_tiny.prenas11", _network(240, "4" * 14, "8" * 14)),
        ),
        costs=(
            _autoformer("autoformer_tiny.searched", 5.7e6, 1.3e9, 0.747),
            _prenas("autoformer_tiny.prenas6", 5.99476e6),
            _prenas("autoformer_tiny.prenas8", 7.996552e6),
            _prenas("autoformer_tiny.prenas11", 10.517272e6),
        ),
    ),
    AutoFormer(
        name="autoformer_small",
        summary="vision transformers of AutoFormer-S's supernet (arXiv 2107.00651)",
        embeds=(320, 384, 448), heads=(5, 6, 7), depths=(12, 13, 14),
        found=(
            ("autoformer_small.searched", _network(384, "6657555667767", "6767888888878")),
            ("autoformer_small.prenas23", _network(384, "7777577565565", "8878787788687")),
            ("autoformer_small.prenas18", _network(320, "7777777767565", "8878788788788")),
        ),
        costs=(
            _autoformer("autoformer_small.searched", 22.9e6, 5.1e9, 0.817),
            _prenas("autoformer_small.prenas23", 22.989928e6),
            _prenas("autoformer_small.prenas18", 17.9914e6),
        ),
    ),
    AutoFormer(
        name="autoformer_base",
        summary="vision transformers of AutoFormer-B's supernet (arXiv 2107.00651)",
        embeds=(528, 576, 624), heads=(8, 9, 10), depths=(14, 15, 16),
        found=(
            ("autoformer_base.searched", _network(576, "99999099090990", "77878776886867")),
            ("autoformer_base.prenas54", _network(576, "99099099999909", "78777877778678")),
            ("autoformer_base.prenas42", _network(528, "9" * 14, "66666666666676")),
        ),
        costs=(
            _autoformer("autoformer_base.searched", 53.7e6, 11e9, 0.824),
            _prenas("autoformer_base.prenas54", 53.876104e6),
            _prenas("autoformer_base.prenas42", 41.966944e6),
        ),
    ),
)  # fmt: skip
