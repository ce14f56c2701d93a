"""Networks that predict clicks, as NASRec searches them: blocks of a dense and a sparse operator.

Images are rows of features: ``[example, 1, row, 39]``, of which the first row is read, 13 numbers and then
26 category numbers (Criteo's). Numbers are the dense input, ``[example, feature]``; categories become
embeddings, the sparse input, ``[example, feature, 16]``. Every block reads any earlier outputs of each kind,
side by side. Outputs that reach neither output of the last block are not built.
"""

import functools
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zoo.registry import ZooError
from zoo.supernets.encoder import Attention
from zoo.supernets.rows import Row, RowSpace, part, same
from zoo.supernets.space import Choice, Piece

NUMBERS, CATEGORIES, EMBEDDING = 13, 26, 16
DENSE = ("sum", "fully_connected", "gate", "dot_product")
SPARSE = ("fully_connected", "attention")
Part = tuple[str, int]
"""A word (``tables``, ``dense``, ``sparse``, ``merge``, ``inject``) and the number of its block."""


class Tables(nn.Module):
    """Embeddings of all categories, one table after the other."""

    def __init__(self, entries: int) -> None:
        super().__init__()
        self.entries = entries
        self.table = nn.Parameter(torch.randn(CATEGORIES * entries, EMBEDDING) * 0.05)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Map category numbers ``[example, feature]``, modulo the entries, to embeddings."""
        places = numbers.round().long().remainder(self.entries)
        starts = torch.arange(CATEGORIES, device=numbers.device) * self.entries
        return F.embedding(places + starts, self.table)


class Dense(nn.Module):
    """A dense operator of ``[example, feature]``."""

    def __init__(self, kind: str, inputs: int, outputs: int) -> None:
        super().__init__()
        self.kind, self.linear, self.norm = kind, nn.Linear(inputs, outputs), nn.LayerNorm(outputs)
        self.gate = nn.Linear(inputs, outputs) if kind == "gate" else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map to ``[example, output]``: projected inputs summed; with ReLU; or gated by a sigmoid."""
        answers = self.linear(features)
        if self.gate is not None:
            answers = answers * torch.sigmoid(self.gate(features))
        answers = self.norm(answers)
        return F.relu(answers) if self.kind == "fully_connected" else answers


class DotProduct(nn.Module):
    """Products of all pairs of embeddings, the dense input being one more; inputs come as one row."""

    def __init__(self, inputs: int, features: int, outputs: int) -> None:
        super().__init__()
        kept = math.isqrt(2 * outputs - 1) + 1  # so that there are about as many pairs as outputs
        self.inputs = inputs
        self.features = nn.Linear(features, kept)
        self.number = nn.Linear(inputs, EMBEDDING)
        self.register_buffer("pairs", torch.triu_indices(kept + 1, kept + 1, 1), persistent=False)
        self.linear, self.norm = nn.Linear(kept * (kept + 1) // 2, outputs), nn.LayerNorm(outputs)

    def forward(self, joined: torch.Tensor) -> torch.Tensor:
        """Map ``[example, dense + sparse x embedding]`` to ``[example, output]``."""
        dense, sparse = joined[:, : self.inputs], joined[:, self.inputs :].unflatten(1, (-1, EMBEDDING))
        kept = self.features(sparse.transpose(1, 2)).transpose(1, 2)
        all_of_them = torch.cat((kept, self.number(dense)[:, None]), dim=1)
        first, second = self.get_buffer("pairs")
        products = (all_of_them @ all_of_them.transpose(1, 2))[:, first, second]
        return self.norm(self.linear(products))


class Sparse(nn.Module):
    """A sparse operator of ``[example, feature, 16]``: linear over features, then attention if asked for."""

    def __init__(self, kind: str, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(inputs, outputs), nn.LayerNorm(EMBEDDING)
        self.attention = Attention(EMBEDDING, 1, EMBEDDING) if kind == "attention" else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map to ``[example, output, 16]``."""
        answers = self.linear(features.transpose(1, 2)).transpose(1, 2)
        if self.attention is not None:
            answers = answers + self.attention(answers)
        return self.norm(answers)


class Merge(nn.Module):
    """Factorization machine: sums of products of all pairs of embeddings, to be added to the dense output."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(EMBEDDING, outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map ``[example, feature, 16]`` to ``[example, output]``."""
        return self.linear((features.sum(dim=1) ** 2 - (features**2).sum(dim=1)) / 2)


class Network(nn.Module):
    """Parts by name, run block by block."""

    def __init__(self, blocks: tuple["Block", ...], parts: dict[Part, nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.blocks, self.head = blocks, head
        self.parts = nn.ModuleDict({f"{word}{number}": module for (word, number), module in parts.items()})

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map ``[example, 1, row, 39]`` to ``[example, class]``.

        Raises:
            ZooError: not one channel of 39 features.
        """
        if images.shape[1] != 1 or images.shape[3] != NUMBERS + CATEGORIES:
            wanted = f"[example, 1, row, {NUMBERS + CATEGORIES}]"
            raise ZooError(f"features are {wanted}, got {list(images.shape)}")
        row, parts = images[:, 0, 0], self.parts
        dense = {0: row[:, :NUMBERS]}
        sparse = {0: parts["tables0"](row[:, NUMBERS:])} if "tables0" in parts else {}
        for number, block in enumerate(self.blocks, start=1):
            own: dict[str, torch.Tensor] = {}
            if f"dense{number}" in parts:
                given = torch.cat([dense[source] for source in block.dense_from], dim=1)
                if block.dense == "dot_product":
                    read = torch.cat([sparse[source] for source in block.sparse_from], dim=1)
                    given = torch.cat((given, read.flatten(1)), dim=1)
                own["dense"] = parts[f"dense{number}"](given)
            if f"sparse{number}" in parts:
                read = torch.cat([sparse[source] for source in block.sparse_from], dim=1)
                own["sparse"] = parts[f"sparse{number}"](read)
            merged = f"merge{number}" in parts
            injected = f"inject{number}" in parts
            if "dense" in own:
                dense[number] = own["dense"] + (parts[f"merge{number}"](own["sparse"]) if merged else 0)
            if "sparse" in own:
                brought = parts[f"inject{number}"](own["dense"])[:, None] if injected else 0
                sparse[number] = own["sparse"] + brought
        last = len(self.blocks)
        return self.head(torch.cat((dense[last], sparse[last].flatten(1)), dim=1))


@dataclass(frozen=True, slots=True)
class Block:
    """What a choice decides of one block."""

    dense: str
    sparse: str
    width: int
    """Features of the dense output."""
    count: int
    """Embeddings of the sparse output."""
    merge: bool
    """Whether a factorization machine of the sparse operator's answer is added to the dense output."""
    inject: bool
    """Whether the dense operator's answer, projected, is added to each embedding of the sparse output."""
    dense_from: tuple[int, ...]
    """Blocks whose dense outputs are read; 0 is the input."""
    sparse_from: tuple[int, ...]


def live(blocks: tuple[Block, ...]) -> frozenset[Part]:
    """Return the parts that the last block's two outputs depend on."""
    found: set[Part] = set()

    def output(word: str, number: int) -> None:
        if number == 0:
            found.update({("tables", 0)} if word == "sparse" else ())
            return
        block = blocks[number - 1]
        operator(word, number)
        if word == "dense" and block.merge:
            found.add(("merge", number))
            operator("sparse", number)
        if word == "sparse" and block.inject:
            found.add(("inject", number))
            operator("dense", number)

    def operator(word: str, number: int) -> None:
        if (word, number) in found:
            return
        found.add((word, number))
        block = blocks[number - 1]
        if word == "dense":
            for source in block.dense_from:
                output("dense", source)
        if word == "sparse" or block.dense == "dot_product":
            for source in block.sparse_from:
                output("sparse", source)

    output("dense", len(blocks))
    output("sparse", len(blocks))
    return frozenset(found)


@functools.cache
def _subsets(count: int) -> tuple[tuple[int, ...], ...]:
    """Return all choices of one or more of the first ``count`` outputs, few first."""
    sizes = range(1, count + 1)
    return tuple(itertools.chain.from_iterable(itertools.combinations(range(count), n) for n in sizes))


@dataclass(frozen=True, kw_only=True)
class NasRec(RowSpace):
    """Of each block: operators, widths, interactions, and which earlier outputs it reads."""

    name: str = "nasrec"
    summary: str = "click prediction from 13 numbers and 26 categories, in blocks like NASRec's"
    source: str = (
        "github.com/facebookresearch/NasRec, ops_config_lib xlarge: seven blocks, dense widths 16 to 1024, "
        "16 to 64 embeddings; the widths between, the operators and the tables are this project's reading"
    )
    systems: tuple[str, ...] = ("nasrec",)
    classes: int = 2
    """Click or none; a softmax of two is the sigmoid of their difference."""
    channels: int = 1
    depth: int = 7
    widths: tuple[int, ...] = (16, 32, 64, 128, 256, 512, 768, 1024)
    counts: tuple[int, ...] = (16, 32, 48, 64)
    entries: int = 1000
    """Entries of each category's table: a matter of the data, and no work."""

    @property
    def published(self) -> Mapping[str, Choice]:
        """No network: none was read with its costs."""
        return {}

    @property
    def size(self) -> int:
        """All ways to decide, those with outputs that nothing reads included."""
        decided = len(DENSE) * len(SPARSE) * len(self.widths) * len(self.counts) * 2 * 2
        return math.prod(decided * (2**number - 1) ** 2 for number in range(1, self.depth + 1))

    @property
    def decisions(self) -> tuple[str, ...]:
        """What each block decides."""
        return (
            f"dense operator of each of {self.depth} blocks: {DENSE}",
            f"sparse operator of each block: {SPARSE}",
            f"features of each dense output: {self.widths}",
            f"embeddings of each sparse output: {self.counts}",
            "whether a factorization machine of the sparse answer is added to the dense output",
            "whether the dense answer is added to the sparse output",
            "which earlier dense, and which earlier sparse outputs each block reads: any, one at least",
        )

    def rows(self, lead: tuple[Any, ...] | None) -> tuple[Row, ...]:
        """One row of each decision, a value a block."""
        first = same("dense", DENSE, self.depth)
        if lead is None:
            return (first,)
        earlier = tuple(_subsets(number) for number in range(1, self.depth + 1))
        return (
            first,
            same("sparse", SPARSE, self.depth),
            same("width", self.widths, self.depth),
            same("count", self.counts, self.depth),
            same("merge", (False, True), self.depth),
            same("inject", (False, True), self.depth),
            Row("dfrom", earlier),
            Row("sfrom", earlier),
        )

    def resolution(self, choice: Choice) -> int:
        """Return 39: the features."""
        return NUMBERS + CATEGORIES

    def _modules(self, choice: Choice) -> tuple[tuple[Block, ...], dict[Part, tuple[Any, ...]]]:
        """Return the blocks, and of each live part its class, arguments and the shape of its input."""
        blocks = tuple(Block(*decided) for decided in zip(*choice, strict=True))
        needed, found = live(blocks), dict[Part, tuple[Any, ...]]()
        if ("tables", 0) in needed:
            found["tables", 0] = (Tables, (self.entries,), (CATEGORIES,))
        widths = (NUMBERS, *(block.width for block in blocks))
        counts = (CATEGORIES, *(block.count for block in blocks))
        for number, block in enumerate(blocks, start=1):
            inputs = sum(widths[source] for source in block.dense_from)
            given = sum(counts[source] for source in block.sparse_from)
            dense: tuple[Any, ...] = (Dense, (block.dense, inputs, block.width), (inputs,))
            if block.dense == "dot_product":
                dense = (DotProduct, (inputs, given, block.width), (inputs + given * EMBEDDING,))
            every: dict[str, tuple[Any, ...]] = {
                "dense": dense,
                "sparse": (Sparse, (block.sparse, given, block.count), (given, EMBEDDING)),
                "merge": (Merge, (block.width,), (block.count, EMBEDDING)),
                "inject": (nn.Linear, (block.width, EMBEDDING), (block.width,)),
            }
            found |= {(word, number): made for word, made in every.items() if (word, number) in needed}
        return blocks, found

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Tables, live parts of each block, head."""
        self._check_channels(in_channels)
        blocks, modules = self._modules(choice)
        last = blocks[-1].width + blocks[-1].count * EMBEDDING
        pieces = (part(make, *arguments, shape=shape) for make, arguments, shape in modules.values())
        return (*pieces, part(nn.Linear, last, num_classes, shape=(last,)))

    def _check_channels(self, in_channels: int) -> None:
        if in_channels != 1:
            raise ZooError(f"{self.name} reads one channel of features, got {in_channels} channels")

    def build(self, choice: Choice, *, in_channels: int = 1, num_classes: int | None = None) -> nn.Module:
        """Build a sub-network: ``[example, 1, row, 39]`` to logits of click and none."""
        self.check(choice)
        self._check_channels(in_channels)
        blocks, modules = self._modules(choice)
        last = blocks[-1].width + blocks[-1].count * EMBEDDING
        made = {name: _made(make, arguments) for name, (make, arguments, _) in modules.items()}
        return Network(blocks, made, nn.Linear(last, self.classes if num_classes is None else num_classes))


def _made(make: Callable[..., nn.Module], arguments: tuple[Any, ...]) -> nn.Module:
    return make(*arguments)


SPACES = (NasRec(),)
