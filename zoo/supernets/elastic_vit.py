"""ViT-B/16 made elastic while it is fine-tuned (InstaTune, arXiv 2308.15609): depth, heads, hidden features.

The embedding stays 768 and a head has 64 features, so that fewer heads are narrower queries, keys and values.
The largest sub-network is ViT-B/16 itself, whose weights the supernet starts from.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from zoo.published import Published, Status
from zoo.supernets.elastic_encoder import HEAD_FEATURES, ElasticEncoder
from zoo.supernets.encoder import EncoderBlock, PatchTokens, TokenHead
from zoo.supernets.rows import part
from zoo.supernets.space import Choice, Piece


@dataclass(frozen=True, kw_only=True)
class ElasticViT(ElasticEncoder):
    """Depth; of each block the heads and the hidden features of its two linear layers."""

    name: str = "instatune_vit_b16"
    summary: str = "sub-networks of a fine-tuned ViT-B/16: depth, heads, hidden features (InstaTune)"
    source: str = (
        "arXiv 2308.15609; its values from the authors' package dynast 1.6.0, supernetwork_registry, "
        "vit_base_imagenet (that package does not name the paper)"
    )
    systems: tuple[str, ...] = ("instatune",)
    depths: tuple[int, ...] = (10, 11, 12)
    side: int = 224
    patch: int = 16

    @property
    def published(self) -> Mapping[str, Choice]:
        """The network that the supernet is made from."""
        return {f"{self.name}.vit_b16": self.largest()}

    @property
    def figures(self) -> tuple[Published, ...]:
        """Costs and accuracy of ViT-B/16 where it comes from, before the supernet's fine-tuning."""
        return (
            Published(
                model=f"{self.name}.vit_b16", resolution=224, parameters=86.57e6, parameters_rounding=5e3,
                macs=17.58e9, macs_rounding=5e6, status=Status.SEEN,
                source="timm results/benchmark-infer-amp-nhwc-pt240-cu124-rtx4090.csv, vit_base_patch16_224",
            ),
        )  # fmt: skip

    def resolution(self, choice: Choice) -> int:
        """Return 224: positions are learnt for it."""
        return self.side

    def parts(self, choice: Choice, in_channels: int, num_classes: int) -> tuple[Piece, ...]:
        """Patches, blocks, head on the class token."""
        _, heads, hidden = choice
        tokens = (1 + (self.side // self.patch) ** 2, self.embed)
        blocks = tuple(
            part(EncoderBlock, self.embed, count, HEAD_FEATURES, features, shape=tokens)
            for count, features in zip(heads, hidden, strict=True)
        )
        image = (in_channels, self.side, self.side)
        stem = part(PatchTokens, in_channels, self.embed, self.side, self.patch, shape=image)
        return stem, *blocks, part(TokenHead, self.embed, num_classes, False, shape=tokens)


SPACES = (ElasticViT(),)
