"""Costs by formula, of what is no image network: language models, training schedules, added layers."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A figure, and what it was computed from."""

    value: float
    parts: Mapping[str, float] = field(default_factory=dict)


def grown_saving(*, inference_saving: float, start: float, growing: float) -> Found:
    """Return the share of training work saved by a network that grows, against the baseline from the start.

    Args:
        inference_saving: share of the baseline's work that the final network saves.
        start: work of the seed over that of the final network.
        growing: share of training in which it grows, evenly; then it stays.
    """
    final = 1 - inference_saving
    mean = final * (growing * (1 + start) / 2 + (1 - growing))
    return Found(value=1 - mean, parts={"final network": final, "mean over training": mean})


def decoder_layers(
    *, features: int, inside: int, heads: int, shared: int, tokens: int
) -> tuple[float, float]:
    """Return MACs a token of one attention layer and one gated feed-forward layer.

    Args:
        features: of the residual stream.
        inside: of the feed-forward layer.
        heads: of queries.
        shared: heads of keys and values.
        tokens: seen by each token, the mean over the text.
    """
    key = features // heads
    projections = 2 * features**2 + 2 * features * shared * key
    return projections + 2.0 * tokens * features, 3.0 * features * inside


def attention_drop(
    *, features: int, inside: int, heads: int, shared: int, layers: int, dropped: int, tokens: int
) -> Found:
    """Return work before over work after, less 1, when attention layers are dropped."""
    attention, feed = decoder_layers(
        features=features, inside=inside, heads=heads, shared=shared, tokens=tokens
    )
    before = layers * (attention + feed)
    after = before - dropped * attention
    return Found(value=before / after - 1, parts={"before": before, "after": after})


def decoder_parameters(
    *, features: int, inside: int, heads: int, shared: int, layers: int, vocabulary: int, times: int = 1
) -> Found:
    """Return the parameters of ``times`` decoders with gated layers and output words of their own."""
    attention = 2 * features**2 + 2 * features * shared * (features // heads)
    layer = attention + 3 * features * inside + 2 * features
    one = layers * layer + 2 * vocabulary * features + features
    return Found(value=float(times * one), parts={"one": float(one), "experts": float(times)})


def _encoder(features: Sequence[int], attends: Sequence[bool], inside: Sequence[Sequence[int]]) -> int:
    """Return an encoder's parameters: attention or a fixed transform, its projection, feed-forward layers."""
    total, before = 0, features[0]
    for width, attention, hidden in zip(features, attends, inside, strict=True):
        if width != before:
            total += before * width + width
        before = width
        total += (4 if attention else 1) * (width**2 + width) + 4 * width
        chain = (width, *hidden, width)
        total += sum(one * other + other for one, other in itertools.pairwise(chain))
    return total


def flexibert_mini(*, vocabulary: int) -> Found:
    """Return FlexiBERT-Mini's parameters over BERT-Mini's, less 1 (jha-lab/txf_design-space, README).

    Args:
        vocabulary: word pieces, the same for both; both have 512 positions and two segments.
    """
    words = (vocabulary + 512 + 2) * 256 + 2 * 256
    bert = words + _encoder((256,) * 4, (True,) * 4, ((1024,),) * 4)
    flexible = words + _encoder(
        (256, 256, 128, 128), (True, True, False, False), ((512, 512, 512),) * 2 + ((1024,),) * 2
    )
    return Found(value=flexible / bert - 1, parts={"FlexiBERT-Mini": flexible, "BERT-Mini": bert})


CLOSED_FORMS: Mapping[str, Callable[..., Found]] = {
    function.__name__: function
    for function in (grown_saving, attention_drop, decoder_parameters, flexibert_mini)
}
"""By name."""
