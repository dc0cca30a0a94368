"""From a graph of PyTorch to the bytes of an ONNX model."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ...errors import ConfigError, RunError, one_line
from ...system.extras import require
from .decompositions import Decomposed, decompositions
from .graphs import BATCH, LENGTH, Graph, example_of

OPSET = 20
"""The version of the operators of ONNX; ONNX Runtime has it from 1.17 on (February 2024)."""

TRACED_BATCH = 3
"""A graph is traced with so many examples; 0 and 1 would be taken for numbers that never change."""

TRACED_LENGTH = 5
"""A graph is traced with lists of so many items."""

LARGEST = 2**31 - 2**20
"""An ONNX file with more bytes than this cannot be read: a message of protobuf ends at 2 GiB."""


def import_onnx() -> Any:
    """Imports onnx, where all libraries are there that write and run ONNX files.

    Raises:
        ConfigError: one is not installed, or PyTorch is too old.
    """
    require("`lowerbound export`", "export", "onnx", "onnxscript", "onnxruntime")
    if not hasattr(torch.compiler, "is_exporting"):
        raise ConfigError(
            f"`lowerbound export` needs PyTorch 2.7 or later, got {torch.__version__}; "
            "pip install --upgrade torch"
        )
    import onnx

    return onnx


@contextmanager
def _quietly() -> Iterator[None]:
    """Keeps what PyTorch tells of its own exporter from the user of this one."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def to_onnx(graph: Graph, what: str) -> Any:
    """Writes a graph down as an ONNX model, for any number of examples.

    Args:
        graph: the graph, in evaluation mode.
        what: its name, for messages.

    Raises:
        ConfigError: a library is absent.
        RunError: the graph has a part that ONNX has not, or fixes the number of examples.
    """
    onnx = import_onnx()
    _refuse_large(graph)
    try:
        with _quietly(), torch.no_grad():
            model = _translate(_trace(graph), graph).model_proto
    # PyTorch and its exporter raise errors of many kinds for what they cannot write down.
    except Exception as error:
        raise RunError(
            f"--what {what} of this model has no form in ONNX: {one_line(_cause(error), 240)}"
        ) from error
    _forget_sources(model)
    _refuse_fixed_batch(model)
    onnx.checker.check_model(model)
    return model


def _cause(error: BaseException) -> BaseException:
    """Returns the error that another one came from, in the end."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _refuse_large(graph: Graph) -> None:
    """Refuses a graph that no ONNX file holds.

    Raises:
        RunError: its weights take too many bytes.
    """
    tensors = {id(tensor): tensor for tensor in (*graph.parameters(), *graph.buffers())}
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size > LARGEST:
        raise RunError(
            f"the weights take {size / 2**30:.1f} GiB, and an ONNX file holds at most 2 GiB; fit a "
            "smaller model"
        )


def _trace(graph: Graph) -> Any:
    """Traces a graph; it fails where the graph would hold for one number of examples alone."""
    dims = {BATCH: torch.export.Dim(BATCH), LENGTH: torch.export.Dim(LENGTH)}
    shapes = tuple(port.dynamic(dims) for port in graph.takes)
    inputs = example_of(graph.takes, TRACED_BATCH, TRACED_LENGTH)
    # `forward` takes any number of inputs, which are one argument to the exporter.
    with Decomposed():
        program = torch.export.export(graph, inputs, dynamic_shapes=(shapes,), strict=False)
    table = decompositions()
    if any(node.target in table for node in program.graph.nodes):
        program = program.run_decompositions(table)
    return program


def _translate(program: Any, graph: Graph) -> Any:
    """Translates a traced graph to ONNX."""
    return torch.onnx.export(
        program,
        input_names=[port.name for port in graph.takes],
        output_names=[port.name for port in graph.gives],
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )


def _forget_sources(model: Any) -> None:
    """Removes what the exporter notes of each part, such as the paths of source files."""
    graph = model.graph
    parts = (*graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info, graph)
    for part in parts:
        del part.metadata_props[:]
    del model.metadata_props[:]


def _refuse_fixed_batch(model: Any) -> None:
    """Refuses a model whose inputs or outputs have a fixed number of examples.

    Raises:
        RunError: they have.
    """
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        if first.WhichOneof("value") != "dim_param":
            raise RunError(f"the graph holds for {first.dim_value} examples alone, by {value.name}")
