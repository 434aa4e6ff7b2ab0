"""The whole graph of a recogniser as ONNX: any image in, the answer's tensors out.

It is put together from three parts that are exported each on its own: the entry (pixels of any size to ``fitted``),
the body (normalise ∘ model ∘ head, the part that is quantised), and for boxes the exit, back to pixels of the image.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import onnx
import torch
from onnx import ModelProto, compose, helper
from onnx_ir import Model
from onnx_ir.passes import common
from onnxscript import optimizer, rewriter
from onnxscript.rewriter.rules import common as rules
from torch import Tensor, nn
from torch.export import Dim

from visto.bundle import FITTED, FITTED_BOXES, IMAGES
from visto.errors import GateError, Interrupted
from visto.exporting.entry import Entry, Exit
from visto.exporting.suppression import suppression
from visto.prediction import TorchRecogniser
from visto.preprocess import Fit

OPSET = 20
_MOST = 1 << 24  # of a batch, and of a side in pixels: a bound that the exporter wants
_HINT = "use the bundle itself, or train another model; visto models lists them"
_EXACT_RULES = [
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.transpose_transpose_rule,
    rules.reshape_reshape_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.squeeze_reshape_1d_rule,
    rules.materialize_reshape_shape_rule,
    rules.one_reshape_matmul_reshape_rule,
    rules.two_reshapes_matmul_reshape_rule,
    rules.dropout_inference_rule,
    rules.fuse_pad_into_conv_rule,
    rules.min_max_rule,
    rules.max_min_rule,
    rules.successive_clip_rule,
    rules.successive_clip_relu_rule,
    rules.successive_relu_clip_rule,
    rules.successive_relu_rule,
]
_HINT_STEPS = "use the bundle itself, or train it with other steps"


class _Answering(nn.Module):
    """The parts in the order of the graph; boxes are still those of the fitted image."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, fitted: Tensor) -> dict[str, Tensor]:
        out: Any = fitted
        for part in self.parts:
            out = part(out)
        return {FITTED_BOXES if name == "boxes" else name: value for name, value in out.items()}


def entry(fit: Fit, *, single: bool = False) -> ModelProto:
    """From ``images`` (uint8 N×H×W×3; ``single``: 1×H×W×3) to ``fitted`` and ``place``.

    Raises GateError, which names the step at fault.
    """
    try:
        return _fitting(fit, single)
    except GateError:
        if len(fit.steps) > 1:  # what the exporter says does not tell which: the one that fails alone as well
            for step in fit.steps:
                _fitting(Fit(size=fit.size, channels=fit.channels, crop=fit.crop, prepare=[str(step)]), single)
        raise


def body(recogniser: TorchRecogniser, name: str) -> ModelProto:
    """From ``fitted`` (uint8 N×C×h×w) to the head's tensors. Raises GateError, which calls the model ``name``."""
    graph = _Answering(recogniser.normalise, recogniser.model, recogniser.task.head).eval()
    fitted = torch.randint(0, 256, (2, *recogniser.fit.shape), dtype=torch.uint8)
    with torch.no_grad():
        outputs = list(graph(fitted))
    return as_onnx(graph, {FITTED: fitted}, {FITTED: {0: "n"}}, outputs, f"the model {name!r}")


def whole(recogniser: TorchRecogniser, body: ModelProto, *, single: bool = False) -> ModelProto:
    """From ``images`` (uint8 N×H×W×3; ``single``: 1×H×W×3) to the answer's tensors, through ``body``.

    Raises GateError.
    """
    graph = compose.merge_models(
        compose.add_prefix(entry(recogniser.fit, single=single), "entry/", rename_inputs=False, rename_outputs=False),
        compose.add_prefix(body, "body/", rename_inputs=False, rename_outputs=False),
        io_map=[(FITTED, FITTED)],
    )
    outputs = [value.name for value in body.graph.output]
    if FITTED_BOXES in outputs:
        graph = compose.merge_models(
            graph,
            compose.add_prefix(_exit(recogniser), "exit/", rename_inputs=False, rename_outputs=False),
            io_map=[(FITTED_BOXES, FITTED_BOXES), ("place", "place")],
            outputs=["boxes", *(name for name in outputs if name != FITTED_BOXES)],
        )
    else:
        kept = [value for value in graph.graph.output if value.name != "place"]
        del graph.graph.output[:]
        graph.graph.output.extend(kept)
    graph.producer_name = "visto"
    graph.ir_version = body.ir_version
    onnx.checker.check_model(graph)
    return graph


def _fitting(fit: Fit, single: bool) -> ModelProto:
    example = torch.randint(0, 256, (1 if single else 2, 37, 51, 3), dtype=torch.uint8)
    steps = ", ".join(repr(str(step)) for step in fit.steps)
    what = f"the chain of steps {steps}" if len(fit.steps) > 1 else f"the step {steps}" if steps else "the resize"
    sides = {IMAGES: {1: "height", 2: "width"} | ({} if single else {0: "n"})}
    hint = _HINT_STEPS if steps else _HINT
    return as_onnx(Entry(fit).eval(), {IMAGES: example}, sides, [FITTED, "place"], what, hint)


def _exit(recogniser: TorchRecogniser) -> ModelProto:
    boxes = torch.rand(2, 7, 4)
    inputs = {FITTED_BOXES: boxes, "place": torch.rand(6)}
    return as_onnx(Exit().eval(), inputs, {FITTED_BOXES: {0: "n", 1: "m"}, "place": {}}, ["boxes"], "the boxes")


def as_onnx(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    sides: Mapping[str, Mapping[int, str]],
    outputs: Sequence[str],
    what: str,
    hint: str = _HINT,
) -> ModelProto:
    """``module`` as ONNX; ``sides`` names those of its inputs that may differ from the example's (empty: none may)."""
    shapes = tuple({at: Dim(side, min=1, max=_MOST) for at, side in sides[name].items()} for name in inputs if sides)
    try:
        with _silence(), torch.no_grad():
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                opset_version=OPSET,
                dynamic_shapes=shapes or None,
                input_names=list(inputs),
                output_names=list(outputs),
                custom_translation_table={torch.ops.visto.suppress.default: suppression},
                verbose=False,
                optimize=False,  # see _simplify
            )
            assert program is not None  # noqa: S101  (with dynamo and no file it gives a program)
            _simplify(program.model)
            graph: ModelProto = program.model_proto
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError) as error:
        _raise_what_is_no_refusal(error)
        raise GateError(f"{what} has no ONNX form", hint=hint) from error
    dims = {value.name: value.type.tensor_type.shape.dim for value in graph.graph.input}
    if any(dims[name][at].dim_value for name, places in sides.items() for at in places):
        raise GateError(f"{what} has no ONNX form for more than one size", hint=hint)  # the exporter fixed it silently
    _produce_constants(graph)
    _forget_origins(graph)
    return graph


def _raise_what_is_no_refusal(error: BaseException) -> None:
    """The exporter wraps whatever stops it: Ctrl-C and want of memory say nothing about the model."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt | SystemExit | MemoryError | Interrupted):
            raise cause
        cause = cause.__cause__ or cause.__context__


def _simplify(model: Model) -> None:
    """Constants folded and needless nodes removed, in place: what the exporter does itself, but for the rules that err.

    Its own take x + c for x where |c| < 1e-8, and so lose the 1e-10 that keeps 0 / 0 away.
    """
    optimizer.inline(model)
    for _ in range(2):
        optimizer.fold_constants(model)
        rewriter.rewrite(model, pattern_rewrite_rules=_EXACT_RULES)
    common.RemoveUnusedNodesPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.DeduplicateInitializersPass()(model)
    common.CommonSubexpressionEliminationPass()(model)
    common.NameFixPass()(model)


def _produce_constants(graph: ModelProto) -> None:
    """An output that is a constant comes from a node like any other: a graph cannot be cut at it otherwise."""
    outputs = {value.name for value in graph.graph.output}
    known = [value for value in graph.graph.value_info if value.name not in outputs]  # else it is taken for one inside
    del graph.graph.value_info[:]
    graph.graph.value_info.extend(known)
    for tensor in graph.graph.initializer:
        if tensor.name in outputs:
            node = helper.make_node("Identity", [f"{tensor.name}_constant"], [tensor.name], name=f"{tensor.name}_node")
            tensor.name = node.input[0]
            graph.graph.node.append(node)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter prints its progress and, where it fails, pages of code; the error that is raised says enough."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.ExitStack() as quiet:
            quiet.enter_context(contextlib.redirect_stdout(io.StringIO()))
            quiet.enter_context(contextlib.redirect_stderr(io.StringIO()))
            quiet.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _forget_origins(graph: ModelProto) -> None:
    """Nodes come with the paths and lines of the code that made them: this machine's, and half of a small file."""
    del graph.metadata_props[:]
    for node in graph.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del graph.graph.metadata_props[:]
    for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        del value.metadata_props[:]
    for tensor in graph.graph.initializer:
        del tensor.metadata_props[:]
