"""Counts of more than one quantity, and costs by formula."""

from pathlib import Path

import pandas as pd
import pytest
from scipy.stats import spearmanr

from explorer.data.claims import read_claims
from explorer.run.claims.closed_forms import attention_drop, decoder_parameters, flexibert_mini, grown_saving
from explorer.run.claims.counted import Counts
from explorer.run.claims.special import SPECIAL, Found

LLAMA_7B = {"features": 4096, "inside": 11008, "heads": 32, "shared": 32, "layers": 32}
MLP = {name: f"mlp{width}x1@8" for name, width in (("small", 8), ("middle", 16), ("large", 32))}


def special(function: str, /, **arguments: object) -> Found:
    with Counts() as counts:
        return SPECIAL[function](counts, **arguments)


def parameters(name: str) -> float:
    with Counts() as counts:
        return counts.cost(MLP[name]).parameters


def test_growth() -> None:
    assert grown_saving(inference_saving=0.5, start=1.0, growing=0.0).value == 0.5
    assert grown_saving(inference_saving=0.5, start=0.0, growing=1.0).value == 0.75
    assert grown_saving(inference_saving=0.0, start=0.5, growing=0.5).value == 0.125


def test_a_language_model_has_its_published_parameters() -> None:
    assert decoder_parameters(vocabulary=32000, **LLAMA_7B).value == 6_738_415_616
    assert decoder_parameters(vocabulary=32000, times=3, **LLAMA_7B).value == 3 * 6_738_415_616


def test_dropping_attention_saves_attention() -> None:
    shape = LLAMA_7B | {"tokens": 0}
    assert attention_drop(dropped=0, **shape).value == 0
    # without tokens to see, attention is its projections: 4 d^2 of 4 d^2 + 3 d f
    share = 4 * 4096 / (4 * 4096 + 3 * 11008)
    assert attention_drop(dropped=32, **shape).value == pytest.approx(1 / (1 - share) - 1)


def test_flexibert_is_smaller_by_as_much_whatever_the_words() -> None:
    found = [flexibert_mini(vocabulary=words).parts for words in (100, 50_265)]
    saved = {parts["BERT-Mini"] - parts["FlexiBERT-Mini"] for parts in found}
    assert len(saved) == 1
    # four layers of 12 d^2 + 13 d, words, positions, segments, norm
    words = (50_265 + 514) * 256 + 512
    assert found[1]["BERT-Mini"] == words + 4 * (12 * 256**2 + 13 * 256)


def test_what_is_added() -> None:
    small, middle, large = (parameters(name) for name in ("small", "middle", "large"))
    names = {"model": MLP["large"], "against": MLP["middle"], "base": MLP["small"]}
    found = special("added", quantity="parameters", **names)
    assert found.value == (large - small) / (middle - small)
    over = special("added_over", amount=100.0, model=MLP["middle"], base=MLP["small"], name="layer")
    assert over.value == 100 / (middle - small)
    published = special("over_published", model=MLP["small"], quantity="parameters", amount=10.0, name="x")
    assert published.value == 10 / small


def test_ends_of_a_space() -> None:
    low, high = (special(f"{end}_of_space", space="attentivenas").value for end in ("smallest", "largest"))
    assert low == 203_389_568 < high
    assert special("architectures", space="ofa_mobilenetv3").value == float((9**2 + 9**3 + 9**4) ** 5)


def test_weights_files_hold_four_bytes_a_parameter() -> None:
    found = special("saved_megabytes", model="block:vdsr@16").value
    assert found == pytest.approx(664_704 * 4 / 1e6, abs=0.06)  # to one decimal


def test_intensity_grows_with_the_batch() -> None:
    one, many = (special("intensity", model="wrn10-1@32", batch=batch).value for batch in (1, 16))
    assert 0 < one < many
    assert special("intensity", model="wrn10-1@32", fused=True).value > one


def test_regions_of_a_detector_are_counted_each() -> None:
    names = {"trunk": MLP["small"], "region": MLP["middle"], "against": MLP["large"]}
    with Counts() as counts:
        macs = {name: counts.cost(model).macs for name, model in MLP.items()}
    found = special("region_work", regions=7, **names).value
    assert found == (macs["small"] + 7 * macs["middle"]) / macs["large"]


def test_figures_from_public_tables(shared_dir: Path) -> None:
    """What claims cite of timm's tables is what the tables say."""
    folder = shared_dir / "data" / "timm"
    gpu, cpu = (
        table[table["infer_img_size"] == 224].drop_duplicates("model").set_index("model")
        for table in (
            pd.read_csv(folder / f"benchmark-infer-{name}.csv", thousands=",")
            for name in ("amp-nchw-pt240-cu124-rtx4090", "fp32-nchw-pt240-cpu-i9_10940x-dynamo")
        )
    )
    both = gpu.index.intersection(cpu.index)
    claims = read_claims()
    for table, check in zip((gpu, cpu), claims["hardnet-traffic"].checks, strict=True):
        rows = table.loc[both]
        seconds = 1 / rows["infer_samples_per_sec"]
        found = [spearmanr(seconds, rows[column]).statistic for column in ("infer_macts", "infer_gmacs")]
        assert found == pytest.approx(check.amounts, abs=0.003)
    low, high = (gpu.loc[f"swin_{size}_patch4_window7_224", "infer_gmacs"] for size in ("tiny", "base"))
    between = gpu["infer_gmacs"].between(low, high).sum()
    assert between == pytest.approx(claims["sn-net-models"].checks[0].amounts[0], rel=0.02)


def test_speech_is_counted_by_frames() -> None:
    short, long = (
        special("speech_macs", space="efficienttdnn", name="efficienttdnn.small", frames=frames).value
        for frames in (100, 200)
    )
    assert short < long < 2.1 * short
