"""What runs a graph: onnxruntime (an extra, with onnx), or OpenVINO where it is installed. What is missing is said."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from visto.bundle import FITTED
from visto.errors import ModelError, UsageError

if TYPE_CHECKING:
    from onnx import ModelProto

    Session = Any  # onnxruntime has no types

Run = Callable[[Tensor], Mapping[str, Tensor]]

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
    # spinning, its threads and torch's would fight for the cores: an image alone then takes twice as long
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


def between(graph: "ModelProto", begins: list[str], ends: list[str]) -> "ModelProto":
    """The part of a graph from the tensors ``begins`` to ``ends``. Raises ModelError where there is none."""
    from onnx import utils

    known = {value.name: value for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output)}
    if missing := [name for name in (*begins, *ends) if name not in known]:
        raise ModelError(f"the graph has no tensor {missing[0]!r}", hint="export it again")
    part: ModelProto = utils.Extractor(graph).extract_model(begins, ends)
    return part


def by_onnxruntime(body: bytes) -> Run:
    """Fitted images, uint8 N×C×H×W, to the tensors of a body. Raises ModelError, UsageError."""
    run = session(body)
    names = [value.name for value in run.get_outputs()]

    def tensors(images_nchw: Tensor) -> Mapping[str, Tensor]:
        found = run.run(names, {FITTED: _packed(images_nchw)})
        return dict(zip(names, map(torch.from_numpy, found), strict=True))

    return tensors


def by_openvino(body: bytes) -> Run:
    """The same by OpenVINO, in fp32: left alone it takes bf16 where the processor has it. Raises as that does."""
    if not has_openvino():
        raise UsageError("OpenVINO is not installed", hint="install it: pip install openvino")
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    try:
        model = core.compile_model(core.read_model(body), "CPU", settings)
    except RuntimeError as error:
        raise ModelError(f"OpenVINO refuses the graph: {error}", hint="use another runtime") from error
    names = [port.get_any_name() for port in model.outputs]

    def tensors(images_nchw: Tensor) -> Mapping[str, Tensor]:
        found = model({FITTED: _packed(images_nchw)})
        return {name: torch.from_numpy(found[name].copy()) for name in names}

    return tensors


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return find_spec("openvino") is not None


RUNNERS: dict[str, Callable[[bytes], Run]] = {"onnxruntime": by_onnxruntime, "openvino": by_openvino}


def _packed(images_nchw: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """In the order of their axes. Not by torch: its threads, woken for so little, spin on while the runtime's work."""
    return np.ascontiguousarray(images_nchw.numpy())
