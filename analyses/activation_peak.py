"""How much memory do activations take: an ideal executor, eager mode as modelled, and as measured?

Question  Is `eager_peak_bytes`, worked out from a trace on meta tensors, what a pass really allocates?
          And how far above the liveness bound (`activation_peak_bytes`) is that?
Method    For each model one example at its default resolution, float32, one thread: the peak of torch's
          allocator events over the second pass, against both figures. The last column says what the
          allocation at the peak is made of, so that a gap to the bound has its cause beside it.
Inputs    timm names; by default 25 of different families, convolutional and transformer.
Outputs   A line a model, then median and worst error of both figures.

    python analyses/activation_peak.py
    python analyses/activation_peak.py resnet50 hrnet_w18
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from explorer.accounting.memory import activation_peak_bytes, eager_live_bytes
from explorer.accounting.workspace import workspace_bytes
from explorer.measure.allocator import allocated_peak_bytes
from explorer.measure.trace import trace_model
from explorer.report.terminal import table
from zoo import build, default_resolution

MODELS = (
    *("resnet18", "resnet50", "resnext50_32x4d", "res2net50_26w_4s", "densenet121", "repvgg_a0"),
    *("efficientnet_b0", "mobilenetv3_large_100", "ghostnet_100", "regnety_032", "hrnet_w18", "inception_v3"),
    *("convnext_tiny", "nfnet_f0", "vit_small_patch16_224", "swin_tiny_patch4_window7_224", "gmlp_s16_224"),
    *("mixer_s32_224", "pvt_v2_b0", "maxvit_nano_rw_256", "levit_128s", "poolformer_s12", "mobilevit_s"),
    *("cait_xxs24_224", "coat_lite_mini"),
)
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The three figures of one model, in bytes, and where eager mode's peak is."""

    model: str
    measured: int
    eager: int
    ideal: int
    operator: str
    module: str
    workspace: int
    """Part of ``eager`` that the kernel at the peak takes for itself."""

    @property
    def eager_error(self) -> float:
        """Relative error of the modelled eager peak."""
        return self.eager / self.measured - 1

    @property
    def ideal_gap(self) -> float:
        """How far the liveness bound is from the measured peak, relative."""
        return self.ideal / self.measured - 1

    @property
    def cause(self) -> str:
        """What the peak is made of."""
        share = self.workspace / self.eager
        held = "kernel workspace" if share > 0.5 else "tensors held" if share < 0.1 else "both"
        return f"{held} ({share:.0%} workspace) at {self.operator} in {self.module or 'the model'}"


def measure(name: str) -> Peak:
    """Build a timm model with random weights, trace it and run it."""
    model_name = f"timm:{name}"
    side = default_resolution(model_name, 224)
    model = build(model_name, in_channels=3, num_classes=1000, resolution=side).eval()
    trace = trace_model(model, (1, 3, side, side))
    live = eager_live_bytes(trace)
    at = live.index(max(live))
    return Peak(
        model=name,
        measured=allocated_peak_bytes(model, torch.randn(1, 3, side, side)),
        eager=live[at],
        ideal=activation_peak_bytes(trace),
        operator=trace.ops[at].op,
        module=trace.ops[at].module,
        workspace=workspace_bytes(trace.ops[at]),
    )


def main(names: Sequence[str]) -> tuple[Peak, ...]:
    """Measure every model on one thread."""
    torch.set_num_threads(1)
    return tuple(map(measure, names))


def show(peaks: Sequence[Peak]) -> str:
    """Write the table, and the errors in a sentence each."""
    rows = [
        (
            peak.model,
            f"{peak.measured / MIB:.2f}",
            f"{peak.eager / MIB:.2f}",
            f"{peak.eager_error:+.1%}",
            f"{peak.ideal / MIB:.2f}",
            f"{peak.ideal_gap:+.1%}",
            peak.cause,
        )
        for peak in peaks
    ]
    header = ("model", "measured, MiB", "eager", "error", "ideal", "gap", "the eager peak")
    worst = max(peaks, key=lambda peak: abs(peak.eager_error))
    furthest = max(peaks, key=lambda peak: abs(peak.ideal_gap))
    return (
        f"{table(header, rows)}\n\n"
        f"Eager: median error {statistics.median(abs(p.eager_error) for p in peaks):.2%}, worst "
        f"{worst.eager_error:+.2%} ({worst.model}: {worst.cause}).\n"
        f"Ideal: median gap {statistics.median(abs(p.ideal_gap) for p in peaks):.1%}, largest "
        f"{furthest.ideal_gap:+.1%} ({furthest.model}: {furthest.cause})."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="NAME", help="timm names")
    print(show(main(parser.parse_args().models)))
