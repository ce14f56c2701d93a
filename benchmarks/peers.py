"""Every counter behind one shape: run it as its documentation does, then read what it found.

``run`` is the timed part and contains the counter's public call alone; ``read`` turns what that left
behind into a `Reading`. All run without gradients, in evaluation mode, at batch 1.
"""

import contextlib
import io
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.reading import Part, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One counter."""

    name: str
    device: str
    """``cpu``: needs a model with weights and computes the pass; ``meta``: shapes alone."""
    run: Callable[[nn.Module, Tensor], Any]
    read: Callable[[Any, nn.Module], Reading]


# ---- this project ---------------------------------------------------------------------------------


def _run_explorer(model: nn.Module, images: Tensor) -> Any:
    from explorer.measure.trace import count_model

    return count_model(model, tuple(images.shape))


def _read_explorer(cost: Any, model: nn.Module) -> Reading:
    parts = tuple(Part(path=path, operator="", macs=macs) for path, macs in cost.macs_by_module.items())
    return Reading(macs=cost.macs, parts=parts, skipped=dict(cost.uncounted))


# ---- torch.utils.flop_counter ---------------------------------------------------------------------


def _run_torch(model: nn.Module, images: Tensor) -> Any:
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(images)
    return counter, counter.get_total_flops()


def _read_torch(found: Any, model: nn.Module) -> Reading:
    counter, flops = found
    counts = counter.get_flop_counts().get("Global", {})
    return Reading(macs=flops // 2, parts=_operators({str(op): n // 2 for op, n in counts.items()}))


# ---- fvcore ---------------------------------------------------------------------------------------


def _run_fvcore(model: nn.Module, images: Tensor) -> Any:
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad():
        analysis = FlopCountAnalysis(model, images)
        return analysis, analysis.total()


def _read_fvcore(found: Any, model: nn.Module) -> Reading:
    analysis, macs = found
    skipped = {op.removeprefix("aten::"): n for op, n in analysis.unsupported_ops().items()}
    return Reading(macs=int(macs), parts=_operators(analysis.by_operator()), skipped=skipped)


# ---- ptflops --------------------------------------------------------------------------------------


def _run_ptflops(model: nn.Module, images: Tensor, backend: str) -> Any:
    from ptflops import get_model_complexity_info

    said, log = io.StringIO(), io.StringIO()
    heard = contextlib.redirect_stdout(log), contextlib.redirect_stderr(log)
    with _ptflops_recorded() as (modules, functions), torch.no_grad(), heard[0], heard[1]:
        macs, _ = get_model_complexity_info(
            model,
            tuple(images.shape[1:]),
            as_strings=False,
            print_per_layer_stat=False,
            verbose=True,
            ost=said,
            backend=backend,
        )
    if macs is None:  # it prints its exception and returns None
        lines = [line for line in log.getvalue().splitlines() if line.strip()]
        raise RuntimeError(lines[-1] if lines else "ptflops returned None")
    return macs, said.getvalue(), modules, functions


def _run_ptflops_pytorch(model: nn.Module, images: Tensor) -> Any:
    return _run_ptflops(model, images, "pytorch")


def _run_ptflops_aten(model: nn.Module, images: Tensor) -> Any:
    return _run_ptflops(model, images, "aten")


@contextlib.contextmanager
def _ptflops_recorded() -> Iterator[tuple[dict[int, int], Counter[str]]]:
    """Keep what ptflops counts a module and function; it deletes both before it returns.

    Adds a dictionary entry a module and a function call to its work, which is below the clock's noise.
    """
    from ptflops import aten_engine, pytorch_engine

    modules: dict[int, int] = {}
    functions: Counter[str] = Counter()
    wrapper: Any = pytorch_engine.torch_function_wrapper
    remove = pytorch_engine.remove_flops_counter_variables
    leave = aten_engine.FlopCounterMode.__exit__

    class Wrapper(wrapper):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            before = len(self.collector)
            result = super().__call__(*args, **kwargs)
            functions[getattr(self.op, "__name__", str(self.op))] += int(self.collector[before])
            return result

    def noted_remove(module: nn.Module) -> None:
        # A shared module is visited again, with its count gone by then.
        if pytorch_engine.is_supported_instance(module) and id(module) not in modules:
            modules[id(module)] = int(getattr(module, "__flops__", 0))
        remove(module)

    def noted_leave(mode: Any, *args: Any) -> None:
        functions.update({str(op): int(n) for op, n in mode.flop_counts["Global"].items()})
        leave(mode, *args)

    pytorch_engine.torch_function_wrapper = Wrapper
    pytorch_engine.remove_flops_counter_variables = noted_remove
    aten_engine.FlopCounterMode.__exit__ = noted_leave
    try:
        yield modules, functions
    finally:
        pytorch_engine.torch_function_wrapper = wrapper
        pytorch_engine.remove_flops_counter_variables = remove
        aten_engine.FlopCounterMode.__exit__ = leave


_ZERO_OP = re.compile(r"Warning: (?:module )?(?P<what>\S+) (?:operation )?is treated as a zero-op")


def _read_ptflops(found: Any, model: nn.Module) -> Reading:
    macs, said, by_id, functions = found
    skipped = Counter(match["what"].removeprefix("aten.") for match in _ZERO_OP.finditer(said))
    found = dict(_ptflops_counted(model, "", by_id))
    parts = [Part(path=path, operator="", macs=by_id[id(module)]) for path, module in found.items()]
    replaced = {path for path, module in found.items() if any(True for _ in module.children())}
    parts += _operators(functions)
    return Reading(
        macs=int(macs),
        parts=tuple(parts),
        skipped=dict(skipped),
        replaced=frozenset(replaced),
        biases=not by_id,  # the aten backend: addmm_flop and conv_flop_count in ptflops/aten_ops.py
    )


def _ptflops_counted(module: nn.Module, path: str, by_id: dict[int, int]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules whose counts ptflops adds up, as its accumulate_flops walks: none inside another."""
    if id(module) in by_id:
        yield path, module
        return
    for name, child in module.named_children():
        yield from _ptflops_counted(child, f"{path}.{name}" if path else name, by_id)


# ---- thop -----------------------------------------------------------------------------------------

_NO_RULE = re.compile(r"Cannot find rule for <class '(?P<type>[^']+)'>")


def _run_thop(model: nn.Module, images: Tensor) -> Any:
    from thop import profile

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        macs, _, tree = profile(model, inputs=(images,), ret_layer_info=True, report_missing=True)
    return macs, tree, said.getvalue()


def _read_thop(found: Any, model: nn.Module) -> Reading:
    macs, tree, said = found
    leaves = {
        f"{type(m).__module__}.{type(m).__qualname__}"
        for m in model.modules()
        if not any(True for _ in m.children())
    }
    skipped = {
        match["type"].rpartition(".")[2]: 1 for match in _NO_RULE.finditer(said) if match["type"] in leaves
    }
    parts = tuple(Part(path=path, operator="", macs=n) for path, n in _thop_leaves(tree, ""))
    return Reading(macs=int(macs), parts=parts, skipped=skipped)


def _thop_leaves(tree: dict[str, Any], prefix: str) -> Iterator[tuple[str, int]]:
    for name, (macs, _, inside) in tree.items():
        if inside:
            yield from _thop_leaves(inside, f"{prefix}{name}.")
        elif macs:
            yield prefix + name, int(macs)


# ---- torchinfo ------------------------------------------------------------------------------------


def _run_torchinfo(model: nn.Module, images: Tensor) -> Any:
    from torchinfo import summary

    return summary(model, input_size=tuple(images.shape), device="cpu", verbose=0)


def _read_torchinfo(found: Any, model: nn.Module) -> Reading:
    paths = {id(module): path for path, module in model.named_modules()}
    counted: Counter[str] = Counter()
    for layer in found.summary_list:
        if layer.is_leaf_layer and layer.macs:
            counted[paths[id(layer.module)]] += int(layer.macs)
    parts = tuple(Part(path=path, operator="", macs=n) for path, n in counted.items())
    return Reading(macs=int(found.total_mult_adds), parts=parts)


# ---- DeepSpeed ------------------------------------------------------------------------------------


def _run_deepspeed(model: nn.Module, images: Tensor) -> Any:
    from deepspeed.profiling.flops_profiler import FlopsProfiler

    profiler = FlopsProfiler(model)
    profiler.start_profile()
    with torch.no_grad():
        model(images)
    macs = profiler.get_total_macs()
    counted = {id(module): int(vars(module)["__macs__"]) for module in model.modules()}
    profiler.end_profile()
    return macs, counted


def _read_deepspeed(found: Any, model: nn.Module) -> Reading:
    macs, counted = found
    parts = tuple(
        Part(path=path, operator="", macs=counted[id(module)])
        for path, module in model.named_modules()
        if counted[id(module)]
    )
    return Reading(macs=int(macs), parts=parts)


# ---- all ------------------------------------------------------------------------------------------


def _operators(counts: Any) -> tuple[Part, ...]:
    return tuple(Part(path="", operator=str(op), macs=int(n)) for op, n in counts.items() if n)


OURS = Peer(name="explorer", device="meta", run=_run_explorer, read=_read_explorer)
PEERS = (
    OURS,
    Peer(name="torch-meta", device="meta", run=_run_torch, read=_read_torch),
    Peer(name="torch-cpu", device="cpu", run=_run_torch, read=_read_torch),
    Peer(name="fvcore", device="cpu", run=_run_fvcore, read=_read_fvcore),
    Peer(name="ptflops-pytorch", device="cpu", run=_run_ptflops_pytorch, read=_read_ptflops),
    Peer(name="ptflops-aten", device="cpu", run=_run_ptflops_aten, read=_read_ptflops),
    Peer(name="thop", device="cpu", run=_run_thop, read=_read_thop),
    Peer(name="torchinfo", device="cpu", run=_run_torchinfo, read=_read_torchinfo),
    Peer(name="deepspeed", device="cpu", run=_run_deepspeed, read=_read_deepspeed),
)
"""ptflops has two backends with different rules; torch's counter is run where it is documented to be
(real tensors) and, as its best case, on meta tensors like this project's."""
