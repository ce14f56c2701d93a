"""A small folder in the form of timm's results, made up: three architectures, several weights and sizes."""

from pathlib import Path

RESULTS_HEADER = "model,img_size,top1,top1_err,top5,top5_err,param_count,crop_pct,interpolation"
BENCHMARK_HEADER = (
    "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count,infer_gmacs,"
    "infer_macts"
)
# model, image size, top-1 on ImageNet in percent, 1e6 parameters
MODELS = (
    ("larch50.tv_in1k", 224, 76.13, "25.56"),
    ("larch50.a1_in1k", 224, 80.21, "25.56"),
    ("larch50.a1_in1k", 288, 81.21, "25.56"),
    ("larch50.fb_dist_in1k", 224, 82.01, "25.56"),
    ("larch50.ig1b_ft_in1k", 224, 83.51, "25.56"),
    ("oak_big.in22k_ft_in1k", 224, 86.01, '"1,014.45"'),
    ("elm_tiny.in1k", 160, 60.01, "2.04"),
    ("fir_head.in1k", 224, 70.01, "5.39"),
    ("yew_new.in1k", 224, 79.01, "7.01"),
)
# architecture, image size, batch, milliseconds a call, 1e6 parameters, 1e9 MACs
TIMES = (
    ("larch50", 224, 1024, 256.0, "25.56", 4.11),
    ("oak_big", 224, 64, 640.0, '"1,014.45"', 300.07),
    ("elm_tiny", 160, 1024, 16.384, "2.04", 0.04),
    ("fir_head", 224, 1024, 64.0, "12.08", 1.30),
)
EAGER = "benchmark-infer-amp-nchw-pt240-cu124-rtx4090"
COMPILED = f"{EAGER}-dynamo"
CPU = "benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo"


def results_rows(models=MODELS, less: float = 0.0) -> list[str]:
    """Lines of a table; accuracies so many points lower."""
    return [
        f"{model},{size},{top1 - less:.3f},{100 - top1 + less:.3f},95.000,5.000,{params},0.875,bicubic"
        for model, size, top1, params in models
    ]


def benchmark_rows(times=TIMES, faster: float = 1.0, batch: int = 0) -> list[str]:
    lines = []
    for model, size, own_batch, step_ms, params, gmacs in times:
        calls, ms = batch or own_batch, step_ms / faster / (own_batch / (batch or own_batch))
        rate = f"{1e3 * calls / ms:.2f}"
        lines.append(f"{model},{size},{rate},{ms:.3f},{calls},{params},{gmacs},3.00")
    return lines


def write_table(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def write_timm(folder: Path) -> Path:
    """Write two test sets, one of them of fewer models, two GPU tables, one of a CPU, one of training."""
    folder.mkdir(exist_ok=True)
    write_table(folder / "results-imagenet.csv", RESULTS_HEADER, results_rows())
    write_table(folder / "results-imagenet-a.csv", RESULTS_HEADER, results_rows(MODELS[1:6], less=60.01))
    write_table(folder / f"{EAGER}.csv", BENCHMARK_HEADER, benchmark_rows())
    write_table(folder / f"{COMPILED}.csv", BENCHMARK_HEADER, benchmark_rows(faster=2))
    write_table(folder / f"{CPU}.csv", BENCHMARK_HEADER, benchmark_rows(TIMES[2:3], faster=0.01, batch=1))
    write_table(folder / "benchmark-train-amp-nhwc-rtx3090.csv", "model,train_samples_per_sec", ["larch50,9"])
    return folder
