"""Say by which rules other counters depart from the MACs, one small function a rule.

Every rule was read in the counter's source, which its section names; `explorer.accounting.other_counters`
puts them together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from explorer.accounting.formulas.shapes import elements, output_elements
from explorer.record import OpRecord, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a rule may need to know of the whole trace."""

    recurrent: Mapping[str, str] = field(default_factory=dict)
    """Kind (``lstm``, ``gru``, ``rnn``) of the modules that are recurrent layers, by path."""
    head: OpRecord | None = None
    """The last operator, if it is a linear layer: the classifier."""


Term = tuple[str, int]
"""Reason, and what it adds to the figure (negative: what is left out)."""
Rule = Callable[[OpRecord, int, Setting], Term | None]
"""From an operator, its macs, and the trace's setting."""

_CONVOLUTIONS = frozenset(
    ("convolution", "_convolution", "convolution_overrideable", "conv1d", "conv2d", "conv3d")
)
_BATCH_NORMS = frozenset(
    (
        *("native_batch_norm", "batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"),
        *("_native_batch_norm_legit_no_training", "batch_norm_inference"),
    )
)
_OWN_STATISTICS = frozenset(("native_layer_norm", "layer_norm", "native_group_norm", "group_norm"))
_ADAPTIVE_POOLS = frozenset(("_adaptive_avg_pool2d", "adaptive_avg_pool2d"))
_POOLS = frozenset(
    (
        *("max_pool2d_with_indices", "max_pool1d", "max_pool2d", "max_pool3d", "max_pool3d_with_indices"),
        *("avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_max_pool2d"),
    )
)
_INTERPOLATIONS = {"upsample_nearest2d": 1, "upsample_bilinear2d": 4, "grid_sampler_2d": 4}
_RECTIFIERS = frozenset(("relu", "hardtanh", "relu6", "leaky_relu", "elu", "prelu", "_prelu_kernel"))
_RECURRENT_KERNELS = frozenset(("lstm", "gru", "rnn_tanh", "rnn_relu", "mkldnn_rnn_layer"))
_PRODUCTS = frozenset(("mm", "bmm", "addmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "vdot", "matmul"))
_SPATIAL_AXES = ((2, 3), (-2, -1), (-1, -2))


def plain_name(op: OpRecord) -> str:
    """Return the operator's name without the underscore of its in-place form."""
    return op.op.rstrip("_")


def _is_attention(op: OpRecord) -> bool:
    return op.op.startswith(("scaled_dot_product", "_scaled_dot_product"))


def _is_linear(op: OpRecord) -> bool:
    return plain_name(op) in ("addmm", "linear") or (
        plain_name(op) == "mm" and any(factor.persistent for factor in op.inputs)
    )


def _has_weight(op: OpRecord) -> bool:
    """Tell whether a norm has a learned scale: without one, the trace names it as an empty attribute."""
    return "weight" not in op.attributes


def _pools_to_one(op: OpRecord) -> bool:
    """Tell whether this mean is how torch runs adaptive average pooling to 1 x 1.

    ATen writes the axes (-1, -2) and keeps them; a mean in a model's own code that spells it the very
    same way is not told apart.
    """
    return op.op == "mean" and op.attributes.get("dim") == (-1, -2) and bool(op.attributes.get("keepdim"))


def _spatial_mean(op: OpRecord) -> bool:
    return op.op == "mean" and len(op.inputs[0].shape) == 4 and op.attributes.get("dim") in _SPATIAL_AXES


# ---- the setting ----------------------------------------------------------------------------------------

_CELLS: Mapping[str, frozenset[str]] = {
    "lstm": frozenset(("sigmoid_", "tanh_", "tanh", "unsafe_split", "stack")),
    "gru": frozenset(("sigmoid_", "tanh_", "sub", "unsafe_split", "stack")),
    "rnn": frozenset(("add_", "unbind", "stack")),
}
"""What a recurrent layer without a kernel of its own is taken apart into, at every step."""
_CELL_PARTS = frozenset(
    (
        *("sigmoid_", "tanh_", "tanh", "relu", "relu_", "mul", "mul_", "add", "add_", "sub", "addmm", "mm"),
        *("unsafe_split", "stack", "unbind", "zeros", "transpose", "transpose_", "t", "cat", "flip"),
        *("view", "_unsafe_view", "clone", "slice", "select", "squeeze", "unsqueeze", "expand", "copy_"),
    )
)
"""All that a taken-apart recurrent layer consists of: a module that does more is none."""


def setting(trace: Trace) -> Setting:
    """Return what the rules need to know of the whole trace."""
    seen: dict[str, set[str]] = {}
    for op in trace.ops:
        seen.setdefault(op.module, set()).add(op.op)
    kinds: dict[str, str] = {}
    for path, ops in seen.items():
        if ops <= _CELL_PARTS and ops & {"addmm", "mm"}:
            kind = next((name for name, parts in _CELLS.items() if parts <= ops), None)
            if kind is not None:
                kinds[path] = kind
    last = trace.ops[-1] if trace.ops else None
    return Setting(recurrent=kinds, head=last if last is not None and _is_linear(last) else None)


# ---- papers ---------------------------------------------------------------------------------------------


def doubled(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add the MACs once more."""
    return ("one multiply and one add are two operations", macs) if macs else None


# ---- pycls: pycls/models/blocks.py --------------------------------------------------------------------


def pycls_bias(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add biases: ``conv2d_cx`` adds ``w_out`` whatever the positions, ``linear_cx`` once an output."""
    if plain_name(op) in _CONVOLUTIONS and len(op.inputs) > 2:
        images, channels = op.outputs[0].shape[:2]
        return "bias of a convolution: 1 per output channel, whatever the positions", images * channels
    if _is_linear(op) and len(op.inputs) > 2 and op.attributes.get("beta", 1) != 0:
        return "bias of a linear layer: 1 per output", output_elements(op)
    return None


# ---- fvcore: fvcore/nn/flop_count.py, jit_handles.py --------------------------------------------------


def fvcore_norm(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add norms (``batchnorm_flop_jit``, ``norm_flop_counter``)."""
    name = plain_name(op)
    if name in _BATCH_NORMS and not op.attributes.get("training", False):
        amount = elements(op.inputs[0]) * (2 if _has_weight(op) else 1)
        return "batch norm: 2 per element, 1 without scale", amount
    if name in _BATCH_NORMS | _OWN_STATISTICS:
        amount = elements(op.inputs[0]) * (5 if _has_weight(op) else 4)
        if name in _OWN_STATISTICS:
            return "layer and group norm: 5 per element, 4 without scale", amount
        return "standardised weights and instance norm: 5 per element, 4 without scale", amount
    return None


def fvcore_pool(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add adaptive average pooling (``elementwise_flop_counter(1, 0)``); a plain mean is not counted."""
    if plain_name(op) in _ADAPTIVE_POOLS or _pools_to_one(op):
        return "adaptive average pooling: 1 per input element", elements(op.inputs[0])
    return None


def fvcore_interpolation(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add interpolation (``elementwise_flop_counter(0, 1)`` and ``(0, 4)``)."""
    each = _INTERPOLATIONS.get(plain_name(op))
    if each is None:
        return None
    return "interpolation: 1 (nearest) or 4 (bilinear) per output element", each * output_elements(op)


def fvcore_misses(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Leave out what has no handle: recurrent layers, and products that add in the same call."""
    if macs and (op.module in setting.recurrent or plain_name(op) in _RECURRENT_KERNELS):
        return "recurrent layers have no rule there: left out", -macs
    if macs and plain_name(op) in ("baddbmm", "addbmm", "addmv"):
        return "a product with addition has no rule there: left out", -macs
    return None


def attention_missed(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Leave out fused attention: ``aten::scaled_dot_product_attention`` has no handle."""
    return ("fused attention has no rule there: left out", -macs) if _is_attention(op) else None


# ---- torch: torch/utils/flop_counter.py -----------------------------------------------------------------


def torch_attention_missed(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Leave out attention that the CPU runs as one kernel, for which there is no formula.

    The conditions are those of ``use_flash_attention_cpp`` (ATen, sdp_utils_cpp.cpp): four axes, the same
    heads and head size in query, key and value, and no mask that needs a gradient. A mask is taken to be
    learned (relative position bias), as it is in all but a few networks.
    """
    if not _is_attention(op) or len(op.inputs) > 3:
        return None
    query, key, value = (tensor.shape for tensor in op.inputs[:3])
    same = query[:2] == key[:2] == value[:2] and query[-1] == key[-1] == value[-1]
    if len(query) != 4 or not same:
        return None
    return "the CPU's fused attention has no rule there: left out, doubled", -2 * macs


def torch_lstm_missed(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Leave out LSTMs, which have a CPU kernel (oneDNN); other recurrent layers are taken apart."""
    if macs and (
        setting.recurrent.get(op.module) == "lstm" or plain_name(op) in ("lstm", "mkldnn_rnn_layer")
    ):
        return "the CPU's LSTM kernel has no rule there: left out, doubled", -2 * macs
    return None


# ---- mmpretrain -----------------------------------------------------------------------------------------


def head_missed(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Leave out the classifier: tools/analysis_tools/get_flops.py runs ``extract_feat`` only."""
    return ("the classifier is not run: left out", -macs) if op is setting.head else None


def mmcv_norm(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add norm layers (``norm_flops_counter_hook``)."""
    if plain_name(op) in _BATCH_NORMS | _OWN_STATISTICS:
        each = 2 if _has_weight(op) else 1
        return "norm layers: 2 per element, 1 without scale", each * elements(op.inputs[0])
    return None


def mmcv_rectifier(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add rectifiers (``relu_flops_counter_hook``); GELU, SiLU and their like have no hook."""
    if plain_name(op) in _RECTIFIERS:
        return "rectifiers (ReLU and its like; not GELU, SiLU): 1 per element", output_elements(op)
    return None


def mmcv_pool(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add pooling (``pool_flops_counter_hook``); a mean over the image is a pooling layer there."""
    if _spatial_mean(op) or plain_name(op) in _ADAPTIVE_POOLS | _POOLS:
        return "pooling: 1 per input element", elements(op.inputs[0])
    return None


def mmcv_bias(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add the bias of convolutions (``conv_flops_counter_hook``); a linear layer's is left out."""
    if plain_name(op) in _CONVOLUTIONS and len(op.inputs) > 2:
        return "bias of a convolution: 1 per output element", output_elements(op)
    return None


def unhooked_missed(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Leave out products of two activations, which no module's hook sees."""
    loose = plain_name(op) in _PRODUCTS and not any(factor.persistent for factor in op.inputs[-2:])
    if macs and (loose or _is_attention(op)):
        return "products of two activations are no module: left out", -macs
    return None


def training_norm(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add norms as fvcore does for a model in training mode: 5 per element for batch norm, too."""
    if plain_name(op) in _BATCH_NORMS | _OWN_STATISTICS:
        each = 5 if _has_weight(op) else 4
        return "norms, in training mode: 5 per element, 4 without scale", each * elements(op.inputs[0])
    return None


def module_pool(op: OpRecord, macs: int, setting: Setting) -> Term | None:
    """Add adaptive average pooling; a mean over the image is such a layer there."""
    if _spatial_mean(op) or plain_name(op) in _ADAPTIVE_POOLS:
        return "adaptive average pooling: 1 per input element", elements(op.inputs[0])
    return None
