"""A whole design as one ONNX graph: members averaged, stages chained, thresholds as inputs.

Inputs: ``images`` float32 ``[n, channel, height, width]`` in [0, 1]; for a cascade also
``threshold_1``, ``threshold_2``, ... (float32 scalars, one an exit), which may be left out: their
defaults are the design's. Outputs: ``prob`` float32 ``[n, class]``, ``label`` int64 ``[n]``, ``stage``
int64 ``[n]`` (which stage answered, from 0) and ``confidence`` float32 ``[n]`` (largest of ``prob``).

A cascade compacts its batch: the examples that did not leave are gathered, the next stage runs on them
alone and its answers are scattered back; when none is left the stage is not run. The later stage's
weights live inside the ``If`` branch: outside, run-times prepare them at a worse place (1.25 to 1.6
times slower with onnxruntime). A member that two stages share is therefore stored twice, and runs twice,
also where ``+`` joins the stages. What a joined stage goes on from are sums over the members that ran
before (`explorer.build.exits`), gathered for the examples that reach it: the average is that of all
members at once, not an average of averages.

The averaging rules follow `explorer.analysis.scoring.combine`, by which the design was scored:

========= ====================================================================================
mean      sum of softmax / members
vote      sum of one-hot top classes / members; the lowest class index wins a tie
geometric softmax of the mean of log-softmax, each at least log 2^-25
logit     the same graph: a logit is a log-softmax up to a shift that the last softmax cancels, and the
          floor is part of how a design is scored
========= ====================================================================================

A member that occurs k times in a stage runs once and is added k times. ``confidence`` is the largest of
``prob`` whatever the exits look at.
"""

import itertools
import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, compose, helper

from explorer import __version__
from explorer.build import onnx_export
from explorer.build.exits import TOTAL, VOTES, Plan, exit_part, plans_of
from explorer.build.nodes import AXIS_0, AXIS_1, ZERO, Part, constant, names_read, node, shared_constants
from explorer.errors import UsageError
from explorer.spec import Averaging, Candidate, Cascade, Member, Signal, Stage, averaging_of, design_id

PRODUCER = "scale-or-ensemble"
OUTPUTS = ("prob", "label", "stage", "confidence")
LOG_FLOOR = -25 * math.log(2)
"""Log of what a probability too small for float16 counts as."""
MAX_FILE_BYTES = 2**31 - 1
"""A protocol buffer message cannot be larger."""


def stages_of(design: Candidate) -> tuple[Stage, ...]:
    """Return the stages of any candidate: one, unless it is a cascade."""
    return design.stages if isinstance(design, Cascade) else (design,)


def thresholds_of(design: Candidate) -> dict[str, float]:
    """Return the name and value of every exit threshold, in order of the stages."""
    exits = design.exits if isinstance(design, Cascade) else ()
    return {f"threshold_{number}": leave.threshold for number, leave in enumerate(exits, start=1)}


def signals_of(design: Candidate) -> tuple[Signal, ...]:
    """Return the signal of every exit, in order of the stages."""
    return tuple(leave.signal for leave in design.exits) if isinstance(design, Cascade) else ()


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
    if classes < 2 and Signal.MARGIN in signals_of(design):
        raise UsageError(f"the margin of {design} needs at least 2 classes, got {classes}")
    for member in design.members:
        _check_member(member, members, classes, image_shape)
    body = _body(design, members, classes)
    thresholds = thresholds_of(design)
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", *image_shape])]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in thresholds]
    constants = [
        *shared_constants(),
        *(constant(name, value, np.float32) for name, value in thresholds.items()),
        *body.constants,
    ]
    outputs = [
        helper.make_tensor_value_info("prob", TensorProto.FLOAT, ["n", classes]),
        helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("stage", TensorProto.INT64, ["n"]),
        helper.make_tensor_value_info("confidence", TensorProto.FLOAT, ["n"]),
    ]
    used = {name for entry in body.nodes for name in names_read(entry)}
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
    plans = plans_of(design)
    part = _stage(plans[0], members, images="images", before={}, classes=classes)
    nodes, constants, prob, sums = list(part.nodes), list(part.constants), part.output, part.sums
    running = stage = ""
    for before, plan in itertools.pairwise(plans):
        at = f"exit{plan.number}"
        unsure = exit_part(before, prob, sums.get(VOTES), threshold=f"threshold_{plan.number}")
        nodes += unsure.nodes
        constants += unsure.constants
        if running:  # only an example that reached this stage can go on from it
            nodes.append(node("And", [running, unsure.output], f"{at}_running"))
        running = f"{at}_running" if running else unsure.output
        nodes += [
            node("NonZero", [running], f"{at}_rows"),
            node("Squeeze", [f"{at}_rows", AXIS_0], f"{at}_index"),
            node("Size", [f"{at}_index"], f"{at}_left"),
            node("Greater", [f"{at}_left", ZERO], f"{at}_any"),
            _next_stage(plan, members, prob=prob, sums=sums, classes=classes),
            node("Cast", [running], f"{at}_reached", to=TensorProto.INT64),
        ]
        prob, sums = f"{plan.prefix}_prob", {kind: f"{plan.prefix}_{kind}_all" for kind in plan.carried}
        if stage:
            nodes.append(node("Add", [stage, f"{at}_reached"], f"{at}_stage"))
        stage = f"{at}_stage" if stage else f"{at}_reached"
    nodes += [
        node("Identity", [prob], "prob"),
        node("ArgMax", ["prob"], "label", axis=1, keepdims=0, select_last_index=0),
        node("Identity", [stage], "stage") if stage else node("Sub", ["label", "label"], "stage"),
        node("ReduceMax", ["prob", AXIS_1], "confidence", keepdims=0),
    ]
    return Part(nodes=tuple(nodes), constants=tuple(constants), output="prob")


def _next_stage(
    plan: Plan,
    members: Mapping[Member, onnx.ModelProto],
    *,
    prob: str,
    sums: Mapping[str, str],
    classes: int,
) -> onnx.NodeProto:
    """Return the `If` that runs a later stage on the examples still running and merges its answers.

    Sums are merged into ``prob`` too, for its shape: rows that the stage does not write are never read.
    """
    prefix, index = plan.prefix, f"exit{plan.number}_index"
    wanted = (TOTAL, VOTES) if VOTES in plan.carried else (TOTAL,)
    before = {kind: f"{prefix}_{kind}_before" for kind in wanted} if plan.joined else {}
    part = _stage(plan, members, images=f"{prefix}_images", before=before, classes=classes)
    merged = {f"{prefix}_prob": part.output}
    merged |= {f"{prefix}_{kind}_all": part.sums[kind] for kind in plan.carried}
    shape: list[str | int | None] = ["n", classes]
    then_branch = helper.make_graph(
        [
            node("Gather", ["images", index], f"{prefix}_images", axis=0),
            *(node("Gather", [sums[kind], index], name, axis=0) for kind, name in before.items()),
            *part.nodes,
            node("Unsqueeze", [index, AXIS_1], f"{prefix}_rows"),
            *(
                node("ScatterND", [prob, f"{prefix}_rows", new], f"{name}_merged")
                for name, new in merged.items()
            ),
        ],
        f"{prefix}_run",
        [],
        [helper.make_tensor_value_info(f"{name}_merged", TensorProto.FLOAT, shape) for name in merged],
        list(part.constants),
    )
    else_branch = helper.make_graph(
        [node("Identity", [prob], f"{name}_kept") for name in merged],
        f"{prefix}_skip",
        [],
        [helper.make_tensor_value_info(f"{name}_kept", TensorProto.FLOAT, shape) for name in merged],
    )
    return helper.make_node(
        "If",
        [f"exit{plan.number}_any"],
        list(merged),
        name=f"{prefix}_prob",
        then_branch=then_branch,
        else_branch=else_branch,
    )


def _stage(
    plan: Plan,
    members: Mapping[Member, onnx.ModelProto],
    *,
    images: str,
    before: Mapping[str, str],
    classes: int,
) -> Part:
    """Run a stage's members on ``images`` and combine them into probabilities ``[example, class]``.

    Args:
        plan: of the stage.
        members: every member of the design.
        images: of the examples that reach the stage.
        before: sums over the members it is joined to, for the same examples; empty where it is not.
        classes: of the data set.
    """
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    added: dict[str, dict[Member, str]] = {TOTAL: {}, VOTES: {}}
    for member in dict.fromkeys(plan.stage.members):
        name = f"{plan.prefix}_member{len(added[TOTAL])}"
        part = _renamed(members[member], prefix=f"{name}/", images=images)
        found = {TOTAL: _value(plan.averaging, part.output, name=name, classes=classes)}
        if VOTES in plan.carried:
            found[VOTES] = _one_hot(part.output, f"{name}_vote", name=name, classes=classes)
        for kind, piece in (("", part), *found.items()):
            nodes += piece.nodes
            constants += piece.constants
            if kind:
                added[kind][member] = piece.output
    sums: dict[str, str] = {}
    for kind, values in added.items():
        # A member that occurs k times is named k times in the sum: its weight.
        terms = [before[kind]] if values and kind in before else []
        terms += [values[member] for member in plan.stage.members] if values else []
        if len(terms) > 1:
            nodes.append(node("Sum", terms, f"{plan.prefix}_{kind}"))
        if terms:
            sums[kind] = f"{plan.prefix}_{kind}" if len(terms) > 1 else terms[0]
    answer = _average(plan, sums[TOTAL])
    return Part(
        nodes=(*nodes, *answer.nodes),
        constants=(*constants, *answer.constants),
        output=answer.output,
        sums=sums,
    )


def _average(plan: Plan, total: str) -> Part:
    """Turn the sum over all members that are averaged into probabilities."""
    occurrences = len(plan.combined.members)
    if occurrences == 1:
        return Part(nodes=(), constants=(), output=total)
    count, mean, answer = (f"{plan.prefix}_{what}" for what in ("count", "mean", "answer"))
    nodes = [node("Div", [total, count], mean)]
    if plan.averaging in (Averaging.GEOMETRIC, Averaging.LOGIT):
        nodes.append(node("Softmax", [mean], answer, axis=1))
    constants = (constant(count, occurrences, np.float32),)
    return Part(nodes=tuple(nodes), constants=constants, output=nodes[-1].output[0])


def _value(averaging: Averaging, logits: str, *, name: str, classes: int) -> Part:
    """Turn a member's logits into what it adds to the ensemble's sum."""
    out = f"{name}_value"
    if averaging is Averaging.MEAN:
        return Part(nodes=(node("Softmax", [logits], out, axis=1),), constants=(), output=out)
    if averaging is Averaging.VOTE:
        return _one_hot(logits, out, name=name, classes=classes)
    floor = f"{name}_floor"
    return Part(
        nodes=(
            node("LogSoftmax", [logits], f"{name}_log", axis=1),
            node("Max", [f"{name}_log", floor], out),
        ),
        constants=(constant(floor, LOG_FLOOR, np.float32),),
        output=out,
    )


def _one_hot(logits: str, out: str, *, name: str, classes: int) -> Part:
    """Turn a member's logits into a vote for its own top class, the lowest of equal ones."""
    top, depth, off_on = f"{name}_top", f"{name}_depth", f"{name}_off_on"
    nodes = (
        node("ArgMax", [logits], top, axis=1, keepdims=0, select_last_index=0),
        node("OneHot", [top, depth, off_on], out, axis=1),
    )
    constants = (constant(depth, classes), constant(off_on, [0, 1], np.float32))
    return Part(nodes=nodes, constants=constants, output=out)


def _renamed(member: onnx.ModelProto, *, prefix: str, images: str) -> Part:
    """Return a member's graph with all names prefixed, reading from ``images``."""
    graph = compose.add_prefix_graph(
        member.graph, prefix, rename_inputs=False, name_map={onnx_export.INPUT: images}
    )
    return Part(
        nodes=tuple(graph.node), constants=tuple(graph.initializer), output=prefix + onnx_export.OUTPUT
    )


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
            "signals": json.dumps([signal.value for signal in signals_of(design)]),
            "joined": json.dumps([plan.joined for plan in plans_of(design)]),
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model
