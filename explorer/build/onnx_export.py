"""One trained member as an ONNX graph: ``images`` in, ``logits`` out, any number of examples.

Exporting traces the network, which takes about a second whatever its size; what differs between two
members of one architecture is only numbers. So an architecture is exported once, not optimised, which
keeps every parameter under its name in the state dict; each member then gets its own numbers by name
and is optimised after that (batch norms folded into convolutions, constants computed: 2 to 3 times
faster to run than the plain export).
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Hashable, Iterator

import onnx
import torch
from onnx import inliner, numpy_helper
from onnxscript import optimizer
from torch import nn

from explorer.errors import UsageError

INPUT = "images"
OUTPUT = "logits"
OPSET = 20
"""Fixed, so that graphs of one design can be joined and an artefact does not change with torch."""
_TRACED_EXAMPLES = 3
"""torch.export treats 0 and 1 as special and would bake them in."""
_LOUD = ("torch", "onnxscript", "onnx_ir")
"""Loggers that report on an export's progress."""
_MAX_TEMPLATES = 32

_templates: dict[Hashable, onnx.ModelProto] = {}


def export_member(
    model: nn.Module, image_shape: tuple[int, int, int], *, architecture: Hashable | None = None
) -> onnx.ModelProto:
    """Return ``model`` as ONNX: ``images`` ``[n, channel, height, width]`` to ``logits`` ``[n, class]``.

    Args:
        model: maps images to logits; it is switched to evaluation mode.
        image_shape: channel, height, width of one image.
        architecture: what identifies the network but for its numbers; models with an equal one are
            traced once in this process. None traces anew.

    Raises:
        UsageError: the network cannot be expressed, with the exporter's reason.
    """
    model.eval()
    key = None if architecture is None else (architecture, image_shape)
    if key is None or key not in _templates:
        template = _exported(model, image_shape)
        if key is not None:
            while len(_templates) >= _MAX_TEMPLATES:
                _templates.pop(next(iter(_templates)))
            _templates[key] = template
    else:
        template = _templates[key]
    member = onnx.ModelProto()
    member.CopyFrom(template)
    _set_numbers(member, model)
    return _cleaned(optimizer.optimize(member))


def _exported(model: nn.Module, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    images = torch.zeros(_TRACED_EXAMPLES, *image_shape)
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                model,
                (images,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                optimize=False,  # folding would merge numbers that differ from member to member
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            lines = str(error.__cause__ or error).strip().splitlines() or ["no reason given"]
            raise UsageError(f"{type(model).__name__} cannot be written as ONNX: {lines[0]}") from error
    assert program is not None
    return program.model_proto


def _set_numbers(member: onnx.ModelProto, model: nn.Module) -> None:
    """Give every named number of the graph the value it has in ``model``."""
    state = model.state_dict()
    for tensor in member.graph.initializer:
        value = state.get(tensor.name)
        if value is None:
            continue  # a constant of the architecture: not in the state dict, alike in every member
        array = value.detach().cpu().contiguous().numpy()
        if list(tensor.dims) != list(array.shape):
            raise UsageError(
                f"{tensor.name} has shape {list(array.shape)}, its architecture has {list(tensor.dims)}"
            )
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _cleaned(member: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what only helps to debug an export: source lines, paths, intermediate shapes."""
    if member.functions:
        member = inliner.inline_local_functions(member)
    del member.graph.value_info[:]
    del member.graph.metadata_props[:]
    del member.metadata_props[:]
    for node in member.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*member.graph.input, *member.graph.output, *member.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    return member


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress, warnings and logs to itself."""
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
