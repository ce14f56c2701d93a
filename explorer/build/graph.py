"""A whole design as one ONNX graph: members averaged, stages chained, thresholds as inputs.

Inputs: ``images`` float32 ``[n, channel, height, width]`` in [0, 1]; for a cascade also
``threshold_1``, ``threshold_2``, ... (float32 scalars, one an exit), which may be left out: their
defaults are the design's. Outputs: ``prob`` float32 ``[n, class]``, ``label`` int64 ``[n]``, ``stage``
int64 ``[n]`` (which stage answered, from 0) and ``confidence`` float32 ``[n]`` (largest of ``prob``).

A cascade compacts its batch: the examples that did not leave are gathered, the next stage runs on them
alone and its answers are scattered back; when none is left the stage is not run. The later stage's
weights live inside the ``If`` branch: outside, run-times prepare them at a worse place (1.25 to 1.6
times slower with onnxruntime). A member that two stages share is therefore stored twice.

The averaging rules follow `explorer.analysis.scoring.combine`, by which the design was scored:

========= ====================================================================================
mean      sum of softmax / members
vote      sum of one-hot top classes / members; the lowest class index wins a tie
geometric softmax of the mean of log-softmax, each at least log 2^-25
logit     the same graph: a logit is a log-softmax up to a shift that the last softmax cancels, and the
          floor is part of how a design is scored
========= ====================================================================================

A member that occurs k times in a stage runs once and is added k times.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from explorer import __version__
from explorer.build import onnx_export
from explorer.errors import UsageError
from explorer.spec import Averaging, Candidate, Cascade, Ensemble, Member, Stage, design_id

PRODUCER = "scale-or-ensemble"
OUTPUTS = ("prob", "label", "stage", "confidence")
LOG_FLOOR = -25 * math.log(2)
"""Log of what a probability too small for float16 counts as."""
MAX_FILE_BYTES = 2**31 - 1
"""A protocol buffer message cannot be larger."""

_AXIS_0, _AXIS_1, _ZERO = "axis_0", "axis_1", "zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of graph: nodes in order, the constants they need, and the tensor they end in."""

    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[onnx.TensorProto, ...]
    output: str


def stages_of(design: Candidate) -> tuple[Stage, ...]:
    """Return the stages of any candidate: one, unless it is a cascade."""
    return design.stages if isinstance(design, Cascade) else (design,)


def thresholds_of(design: Candidate) -> dict[str, float]:
    """Return the name and value of every exit threshold, in order of the stages."""
    exits = design.exits if isinstance(design, Cascade) else ()
    return {f"threshold_{number}": leave.threshold for number, leave in enumerate(exits, start=1)}


def averaging_of(stage: Stage) -> Averaging:
    """Return a stage's averaging rule; a single member's is the mean of one."""
    return stage.averaging if isinstance(stage, Ensemble) else Averaging.MEAN


def compose_design(
    design: Candidate,
    members: Mapping[Member, onnx.ModelProto],
    *,
    dataset: str,
    class_names: Sequence[str],
    image_shape: tuple[int, int, int],
) -> onnx.ModelProto:
    """Join exported members into the graph of ``design``; see the module for inputs and outputs.

    Args:
        design: what to build.
        members: every member of the design, from `explorer.build.onnx_export.export_member`.
        dataset: written into the metadata.
        class_names: in the order of the logits.
        image_shape: channel, height, width of one image.

    Raises:
        UsageError: a member is missing, does not fit, or the file would exceed ONNX's 2 GiB.
    """
    classes = len(class_names)
    for member in design.members:
        _check_member(member, members, classes, image_shape)
    body = _body(design, members, classes)
    thresholds = thresholds_of(design)
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", *image_shape])]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in thresholds]
    constants = [
        numpy_helper.from_array(np.array([0], np.int64), _AXIS_0),
        numpy_helper.from_array(np.array([1], np.int64), _AXIS_1),
        numpy_helper.from_array(np.array(0, np.int64), _ZERO),
        *(numpy_helper.from_array(np.array(value, np.float32), name) for name, value in thresholds.items()),
        *body.constants,
    ]
    outputs = [
        helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["n", classes]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("stage", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["n"]),
    ]
    used = {name for node in body.nodes for name in _names_read(node)}
    constants = [tensor for tensor in constants if tensor.name in used]
    graph = helper.make_graph(list(body.nodes), "design", inputs, outputs, constants)
    size = graph.ByteSize()
    if size > MAX_FILE_BYTES:
        raise UsageError(
            f"{design} needs {size / 2**30:.1f} GiB, and one ONNX file holds at most 2: "
            "choose fewer or smaller members"
        )
    return _model(graph, design, members, dataset=dataset, class_names=class_names)


def _body(design: Candidate, members: Mapping[Member, onnx.ModelProto], classes: int) -> Part:
    """Chain the stages and compute the four outputs."""
    first, *later = stages_of(design)
    part = _stage(first, members, images="images", prefix="stage0", classes=classes)
    nodes, prob = list(part.nodes), part.output
    running = stage = ""
    for number, following in enumerate(later, start=1):
        at = f"exit{number}"
        nodes += [
            _node("ReduceMax", [prob, _AXIS_1], f"{at}_confidence", keepdims=0),
            _node("Less", [f"{at}_confidence", f"threshold_{number}"], f"{at}_unsure"),
        ]
        if running:  # only an example that reached this stage can go on from it
            nodes.append(_node("And", [running, f"{at}_unsure"], f"{at}_running"))
        running = f"{at}_running" if running else f"{at}_unsure"
        nodes += [
            _node("NonZero", [running], f"{at}_rows"),
            _node("Squeeze", [f"{at}_rows", _AXIS_0], f"{at}_index"),
            _node("Size", [f"{at}_index"], f"{at}_left"),
            _node("Greater", [f"{at}_left", _ZERO], f"{at}_any"),
            _next_stage(following, members, number=number, prob=prob, classes=classes),
            _node("Cast", [running], f"{at}_reached", to=TensorProto.INT64),
        ]
        prob = f"stage{number}_prob"
        if stage:
            nodes.append(_node("Add", [stage, f"{at}_reached"], f"{at}_stage"))
        stage = f"{at}_stage" if stage else f"{at}_reached"
    nodes += [
        _node("Identity", [prob], "prob"),
        _node("ArgMax", ["prob"], "label", axis=1, keepdims=0, select_last_index=0),
        _node("Identity", [stage], "stage") if stage else _node("Sub", ["label", "label"], "stage"),
        _node("ReduceMax", ["prob", _AXIS_1], "confidence", keepdims=0),
    ]
    return Part(nodes=tuple(nodes), constants=part.constants, output="prob")


def _next_stage(
    stage: Stage, members: Mapping[Member, onnx.ModelProto], *, number: int, prob: str, classes: int
) -> onnx.NodeProto:
    """Return the `If` that runs a later stage on the examples still running and merges its answers."""
    prefix, at = f"stage{number}", f"exit{number}"
    part = _stage(stage, members, images=f"{prefix}_images", prefix=prefix, classes=classes)
    shape: list[str | int | None] = ["n", classes]
    then_branch = helper.make_graph(
        [
            _node("Gather", ["images", f"{at}_index"], f"{prefix}_images", axis=0),
            *part.nodes,
            _node("Unsqueeze", [f"{at}_index", _AXIS_1], f"{prefix}_rows"),
            _node("ScatterND", [prob, f"{prefix}_rows", part.output], f"{prefix}_merged"),
        ],
        f"{prefix}_run",
        [],
        [helper.make_tensor_value_info(f"{prefix}_merged", TensorProto.FLOAT, shape)],
        list(part.constants),
    )
    else_branch = helper.make_graph(
        [_node("Identity", [prob], f"{prefix}_kept")],
        f"{prefix}_skip",
        [],
        [helper.make_tensor_value_info(f"{prefix}_kept", TensorProto.FLOAT, shape)],
    )
    return _node("If", [f"{at}_any"], f"{prefix}_prob", then_branch=then_branch, else_branch=else_branch)


def _stage(
    stage: Stage, members: Mapping[Member, onnx.ModelProto], *, images: str, prefix: str, classes: int
) -> Part:
    """Run a stage's members on ``images`` and combine them into probabilities ``[example, class]``."""
    averaging = averaging_of(stage)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    values: dict[Member, str] = {}
    for member in stage.members:
        if member not in values:
            name = f"{prefix}_member{len(values)}"
            part = _renamed(members[member], prefix=f"{name}/", images=images)
            value = _value(averaging, part.output, name=name, classes=classes)
            nodes += [*part.nodes, *value.nodes]
            constants += [*part.constants, *value.constants]
            values[member] = value.output
    if len(stage.members) == 1:
        return Part(nodes=tuple(nodes), constants=tuple(constants), output=values[stage.members[0]])
    total, count, mean = f"{prefix}_total", f"{prefix}_count", f"{prefix}_mean"
    # A member that occurs k times is named k times in the sum: its weight.
    nodes += [
        _node("Sum", [values[member] for member in stage.members], total),
        _node("Div", [total, count], mean),
    ]
    constants.append(numpy_helper.from_array(np.array(len(stage.members), np.float32), count))
    if averaging in (Averaging.GEOMETRIC, Averaging.LOGIT):
        nodes.append(_node("Softmax", [mean], f"{prefix}_answer", axis=1))
        return Part(nodes=tuple(nodes), constants=tuple(constants), output=f"{prefix}_answer")
    return Part(nodes=tuple(nodes), constants=tuple(constants), output=mean)


def _value(averaging: Averaging, logits: str, *, name: str, classes: int) -> Part:
    """Turn a member's logits into what it adds to the ensemble's sum."""
    out = f"{name}_value"
    if averaging is Averaging.MEAN:
        return Part(nodes=(_node("Softmax", [logits], out, axis=1),), constants=(), output=out)
    if averaging is Averaging.VOTE:
        top, depth, off_on = f"{name}_top", f"{name}_depth", f"{name}_off_on"
        nodes = (
            _node("ArgMax", [logits], top, axis=1, keepdims=0, select_last_index=0),
            _node("OneHot", [top, depth, off_on], out, axis=1),
        )
        constants = (
            numpy_helper.from_array(np.array(classes, np.int64), depth),
            numpy_helper.from_array(np.array([0, 1], np.float32), off_on),
        )
        return Part(nodes=nodes, constants=constants, output=out)
    floor = f"{name}_floor"
    return Part(
        nodes=(
            _node("LogSoftmax", [logits], f"{name}_log", axis=1),
            _node("Max", [f"{name}_log", floor], out),
        ),
        constants=(numpy_helper.from_array(np.array(LOG_FLOOR, np.float32), floor),),
        output=out,
    )


def _renamed(member: onnx.ModelProto, *, prefix: str, images: str) -> Part:
    """Return a member's graph with all names prefixed, reading from ``images``."""
    graph = compose.add_prefix_graph(
        member.graph, prefix, rename_inputs=False, name_map={onnx_export.INPUT: images}
    )
    return Part(
        nodes=tuple(graph.node), constants=tuple(graph.initializer), output=prefix + onnx_export.OUTPUT
    )


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), [output], name=output, **attributes)


def _names_read(node: onnx.NodeProto) -> set[str]:
    """Return every tensor a node reads, also inside its branches."""
    branches = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return set(node.input).union(*(_names_read(inner) for branch in branches for inner in branch.node))


def _check_member(
    member: Member,
    members: Mapping[Member, onnx.ModelProto],
    classes: int,
    image_shape: tuple[int, int, int],
) -> None:
    """Refuse a member that was not given or whose graph has another shape."""
    if member not in members:
        known = ", ".join(map(str, members)) or "none"
        raise UsageError(f"member {member} of the design was not given; given: {known}")
    graph = members[member].graph
    shapes = [
        [d.dim_value for d in value.type.tensor_type.shape.dim][1:] for value in (*graph.input, *graph.output)
    ]
    if shapes != [list(image_shape), [classes]]:
        raise UsageError(
            f"{member} maps {shapes[0]} to {shapes[-1]}; the design wants {list(image_shape)} to [{classes}]"
        )


def _model(
    graph: onnx.GraphProto,
    design: Candidate,
    members: Mapping[Member, onnx.ModelProto],
    *,
    dataset: str,
    class_names: Sequence[str],
) -> onnx.ModelProto:
    """Wrap the graph with versions and metadata, and check it."""
    exported = [members[member] for member in design.members]
    versions: dict[str, int] = {}
    for member in exported:
        for opset in member.opset_import:
            if versions.setdefault(opset.domain, opset.version) != opset.version:
                raise UsageError(
                    f"members were exported with different opsets of {opset.domain or 'ai.onnx'!r}"
                )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in sorted(versions.items())],
        ir_version=max(member.ir_version for member in exported),
        producer_name=PRODUCER,
        producer_version=__version__,
    )
    helper.set_model_props(
        model,
        {
            "design": str(design),
            "design_id": design_id(design),
            "dataset": dataset,
            "classes": json.dumps(list(class_names), ensure_ascii=False),
            "averaging": json.dumps([averaging_of(stage).value for stage in stages_of(design)]),
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model
