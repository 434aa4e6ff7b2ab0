"""onnxruntime and onnx are an extra: where they are not installed, that is said before anything is run."""

from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from visto.errors import ModelError, UsageError

if TYPE_CHECKING:
    from onnx import ModelProto

    Session = Any  # onnxruntime has no types

_DOMAINS = ("", "ai.onnx")


def runtime() -> ModuleType:
    """onnxruntime. Raises UsageError where it, or onnx, is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("onnx", "onnxruntime"):
            raise
        raise UsageError(
            f"exported files need {error.name}, which is not installed", hint="install it: pip install 'visto[export]'"
        ) from error
    onnxruntime.set_default_logger_severity(3)  # errors only: it prints warnings on graphs that are as they should be
    ort: ModuleType = onnxruntime
    return ort


def session(graph: "bytes | ModelProto", threads: int = 0) -> "Session":
    """A session on the processor for a graph. ``threads``: 0 for as many as torch uses. Raises ModelError."""
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    # its threads would spin on the cores that torch decodes and fits the next images on
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = graph if isinstance(graph, bytes) else graph.SerializeToString()
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each of its errors has a class of its own, some have none
        raise ModelError(f"onnxruntime refuses the graph: {error}", hint="export it again") from error


def parsed(content: bytes) -> "ModelProto":
    """The graph in the bytes of a file, which must be whole in itself. Raises ModelError."""
    runtime()
    import onnx
    from google.protobuf.message import DecodeError

    try:
        graph = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ModelError("the file holds no ONNX graph", hint="export it again") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.graph.initializer):
        raise ModelError("the graph asks for weights in other files", expected="one file", hint="export it again")
    if odd := sorted({node.domain for node in graph.graph.node} - set(_DOMAINS)):
        raise ModelError(f"the graph has operators of {', '.join(odd)}", expected="plain ONNX", hint="export it again")
    return graph


def between(graph: "ModelProto", begin: str, ends: list[str]) -> "ModelProto":
    """The part of a graph from the tensor ``begin`` to the tensors ``ends``. Raises ModelError where there is none."""
    from onnx import utils

    known = {value.name: value for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output)}
    if missing := [name for name in (begin, *ends) if name not in known]:
        raise ModelError(f"the graph has no tensor {missing[0]!r}", hint="export it again")
    part: ModelProto = utils.Extractor(graph).extract_model([begin], ends)
    return part
