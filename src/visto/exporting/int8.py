"""A network in 8 bits that answers as before, within what is allowed.

Calibration images tell which values flow through the graph; a graph with all its layers in 8 bits is judged on images
held out; where it loses too much, the layers that spoil the output most go back to float, until it does not.
Measured with ONNX Runtime 1.31 on one thread (AVX-512 VNNI): EfficientNet-Lite0 2.1 times as fast as in fp32, 2.4 times
in batches; YOLOX-nano 1.2 times: of its time in 8 bits a third goes into SiLU and a fifth into what stays float.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from visto.errors import GateError
from visto.exporting.qdq import CLIPPING, Grid, Range, cut, in_eight_bits, tensors_of, weighted
from visto.types import Voice

# Of the values of one image, the share beyond either end of a grid. With none YOLOX-nano loses 3 points where it loses
# 0.6 with a thousandth; EfficientNet-Lite0 is the same with either. A hundredth costs them 2 to 7 points.
_BEYOND = 0.001
_JUDGED = 4  # images on which the error of one layer is measured

Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A layer left in float: its node, its weight, and the error of the network's raw output with it alone in 8 bits.

    The error is a mean square, as a share of the output's variance.
    """

    node: str
    weight: str
    error: float

    def to_json(self) -> dict[str, object]:
        return {"node": self.node, "weight": self.weight, "error": self.error}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """``model`` in QDQ form. ``layers`` hold weights, ``kept`` of them are in float (the worst first).

    ``drift`` is what it loses, in points; ``drift_of_all`` what it would lose with none kept.
    """

    model: onnx.ModelProto
    layers: int
    kept: tuple[Kept, ...]
    drift: float
    drift_of_all: float

    def to_json(self) -> dict[str, object]:
        return {
            "layers": self.layers,
            "kept_in_float": [kept.to_json() for kept in self.kept],
            "drift": self.drift,
            "drift_of_all": self.drift_of_all,
        }


def quantised(
    graph: onnx.ModelProto,
    calibration: Sequence[Images],
    *,
    drift: Callable[[onnx.ModelProto], float],
    allowed: float,
    voice: Voice,
) -> Quantised:
    """A fp32 graph (one input, uint8 N×C×H×W) in 8 bits, with as few layers in float as ``allowed`` asks for.

    ``calibration`` are batches of training images as the graph takes them. ``drift`` says how many points a model
    loses. Raises GateError where the graph has no layer to quantise, or where with half of them in float it still
    loses more.
    """
    layers = weighted(graph.graph)
    if not layers:
        raise GateError(
            "a model without layers of weights for int8",
            expected="convolutions or linear layers",
            hint="nothing was written; leave --int8 out",
        )
    ranges, exact = _ranges(graph, tensors_of(graph, layers), calibration, voice), _input_grid(graph, layers[0])

    def made(floats: Sequence[str]) -> onnx.ModelProto:
        return in_eight_bits(graph, [layer for layer in layers if layer not in floats], ranges, exact)

    def tried(count: int) -> tuple[onnx.ModelProto, float]:
        model = made(worst[:count])
        lost = drift(model)
        kept = f", {count} of {len(layers)} layers in float" if count else ""
        voice.say(f"in 8 bits{kept}: {lost:.2f} points lost, {allowed:g} allowed")
        return model, lost

    worst: list[str] = []
    errors: Mapping[str, float] = {}
    count, (model, lost) = 0, tried(0)
    all_lost = lost
    if lost > allowed:
        errors = _errors(graph, layers, ranges, exact, np.concatenate(list(calibration))[-_JUDGED:], voice)
        worst = sorted(layers, key=lambda layer: -errors[layer])
        count, model, lost = _fewest(tried, len(layers) // 2, allowed, all_lost)
    nodes = {node.output[0]: node for node in graph.graph.node}
    kept = tuple(Kept(node=nodes[k].name, weight=nodes[k].input[1], error=errors[k]) for k in worst[:count])
    return Quantised(model=model, layers=len(layers), kept=kept, drift=lost, drift_of_all=all_lost)


def _fewest(
    tried: Callable[[int], tuple[onnx.ModelProto, float]], most: int, allowed: float, least: float
) -> tuple[int, onnx.ModelProto, float]:
    """How many layers must be kept, by doubling and then halving. Raises GateError where ``most`` are too few."""
    failed, count, found = 0, 1, None
    while found is None and failed < most:
        count = min(count, most)
        model, lost = tried(count)
        least = min(least, lost)
        if lost <= allowed:
            found = (count, model, lost)
        else:
            failed, count = count, 2 * count
    if found is None:
        raise GateError(
            f"in 8 bits the model loses {least:.2f} points"
            + (f", even with its {most} most sensitive layers in float" if most else ""),
            expected=f"at most {allowed:g} points",
            hint="allow more, or export it in fp32",
        )
    while found[0] - failed > 1:
        count = (found[0] + failed) // 2
        model, lost = tried(count)
        if lost <= allowed:
            found = (count, model, lost)
        else:
            failed = count
    return found


def _ranges(
    graph: onnx.ModelProto, tensors: Sequence[str], calibration: Sequence[Images], voice: Voice
) -> dict[str, Range]:
    """The range of each tensor: no image has more than a share ``_BEYOND`` of its values below it, nor above."""
    run = _runner(cut(graph, tensors))
    images = np.concatenate(list(calibration))
    low, high = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    for image in voice.progress(images, total=len(images), words="calibrating"):
        for k, values in enumerate(run(image[None])):
            beyond = int(values.size * _BEYOND)
            ends = np.partition(values.ravel(), [beyond, values.size - 1 - beyond])
            low[k], high[k] = min(low[k], ends[beyond]), max(high[k], ends[values.size - 1 - beyond])
    return {name: (float(low[k]), float(high[k])) for k, name in enumerate(tensors)}


def _input_grid(graph: onnx.ModelProto, layer: str) -> dict[str, Grid]:
    """The grid through which the first layer sees the pixels, if it sees nothing but them: (pixel - zero) × scale.

    Found by looking at what it is given for an image of noise. Channels with different means or deviations have none.
    """
    name = next(node.input[0] for node in graph.graph.node if layer in node.output)
    shape = [dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim[1:]]
    pixels = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
    if name == graph.graph.input[0].name:
        return {}
    (floats,) = _runner(cut(graph, [name]))(pixels)
    if floats.shape != pixels.shape or np.ptp(floats) <= 0 or np.ptp(pixels) == 0:
        return {}
    scale = float(np.ptp(floats)) / float(np.ptp(pixels))
    zero = round(float(pixels.min() - floats.min() / scale))
    misfit = np.abs(floats / scale - (pixels.astype(np.float64) - zero)).max()
    # a thousandth of a step: what rounding of the means leaves
    return {name: Grid(scale=scale, zero=zero)} if 0 <= zero <= 255 and misfit < 1e-3 else {}


def _errors(
    graph: onnx.ModelProto,
    layers: Sequence[str],
    ranges: Mapping[str, Range],
    exact: Mapping[str, Grid],
    images: Images,
    voice: Voice,
) -> dict[str, float]:
    """What each layer alone in 8 bits does to what the last layers give: see ``Kept``."""
    ends = _ends(graph, layers)
    true = _runner(cut(graph, ends))(images)
    found = {}
    for layer in voice.progress(layers, total=len(layers), words="measuring layers"):
        model = in_eight_bits(graph, [layer], ranges, exact)
        made = {name for node in model.graph.node for name in node.output}
        given = _runner(cut(model, [f"{k}_seen" if f"{k}_seen" in made else k for k in ends]))(images)
        shares = [np.square(a - b).mean() / max(a.var(), 1e-12) for a, b in zip(true, given, strict=True)]
        found[layer] = float(np.mean(shares))
    return found


def _ends(graph: onnx.ModelProto, layers: Sequence[str]) -> list[str]:
    """What the layers give that no other layer reads, near or far, after its Relu or Clip if it has one."""
    leads: set[str] = set()
    for node in reversed(graph.graph.node):
        if node.output[0] in layers:
            leads.add(node.input[0])
        if any(name in leads for name in node.output):
            leads.update(node.input)
    ends = [layer for layer in layers if layer not in leads]
    clipped = {node.input[0]: node.output[0] for node in graph.graph.node if node.op_type in CLIPPING}
    return [clipped.get(end, end) for end in ends]


def _runner(model: onnx.ModelProto) -> Callable[[Images], list[NDArray[np.float32]]]:
    """The model in one thread, so that sums are added up in the same order everywhere."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: list(session.run(None, {name: images}))
