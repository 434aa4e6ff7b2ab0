"""A graph with some of its layers in 8 bits, written as ONNX writes it: pairs of QuantizeLinear and DequantizeLinear.

Weights are int8, symmetric, with one scale for each output channel; what flows between is uint8, with one scale and one
zero for each tensor. Every operator stays what it was, so that any ONNX runtime can run the file; one that knows the
pattern puts a kernel of whole numbers in its place.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

WEIGHTED = ("Conv", "Gemm", "MatMul")
CLIPPING = ("Relu", "Clip")
# in 8 bits wherever all that flows in is
_CARRIED = ("Add", "Mul", "Concat", "MaxPool", "Resize")
# of those, what hands on values as they are: one grid for all that goes in and comes out spares translation
_UNCHANGED = ("Concat", "MaxPool", "Resize")
# below this, x times its sigmoid is within 0.003 of 0: such values need not be told apart
_SILU_ZERO = -8.0

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The 256 values that a tensor can take: ``scale`` times (0 to 255 minus ``zero``)."""

    scale: float
    zero: int


def grid_of(low: float, high: float) -> Grid:
    """The finest grid from ``low`` to ``high`` with 0 on it, so that zeros of padding stay exact.

    >>> grid_of(-1.0, 1.55).zero, grid_of(2.0, 255.0)
    (100, Grid(scale=1.0, zero=0))
    """
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-6) / 255
    return Grid(scale=scale, zero=round(-low / scale))


def weighted(graph: onnx.GraphProto) -> list[str]:
    """The layers that can run in 8 bits, each named by the tensor that it makes: products with learnt weights.

    Weights that are all 0 or 1 were not learnt: they pick or sum, as in non-maximum suppression, and stay float.
    """
    values = {tensor.name: tensor for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.op_type in WEIGHTED and node.input[1] in values:
            weight = numpy_helper.to_array(values[node.input[1]])
            if weight.dtype == np.float32 and not np.isin(weight, (0, 1)).all():
                found.append(node.output[0])
    return found


def cut(model: onnx.ModelProto, tensors: Collection[str]) -> onnx.ModelProto:
    """A copy whose outputs are these float tensors, without what they do not need."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.output[:]
    out.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors)
    _prune(out.graph)
    return out


def tensors_of(model: onnx.ModelProto, layers: Collection[str]) -> list[str]:
    """The tensors that come to be held in 8 bits, in the order in which the graph makes them."""
    rewriting = _Rewriting(model.graph, layers, {}, {})
    return [name for node in model.graph.node for name in node.output if name in rewriting.held | rewriting.read]


def in_eight_bits(
    model: onnx.ModelProto, layers: Collection[str], ranges: Mapping[str, Range], exact: Mapping[str, Grid]
) -> onnx.ModelProto:
    """A copy in which the ``layers`` and, as far as they reach, what stands between them run in 8 bits.

    ``ranges`` has the least and the largest value of each of ``tensors_of``. ``exact`` names tensors that are the
    model's uint8 input seen through a grid: that is what is read, and what made floats of it falls away. A tensor t in
    8 bits is to be had in floats under the name t_seen.
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    _Rewriting(out.graph, layers, ranges, exact).write()
    return out


class _Rewriting:
    """A graph on its way to 8 bits. ``held``: what is made in 8 bits; ``read``: floats that layers read in 8 bits.

    ``dropped``: the Relu or Clip (by what it makes) that a grid does the work of, and what went into it.
    """

    def __init__(
        self,
        graph: onnx.GraphProto,
        layers: Collection[str],
        ranges: Mapping[str, Range],
        exact: Mapping[str, Grid],
    ) -> None:
        self.graph, self.layers, self.exact = graph, frozenset(layers), exact
        self.values = {tensor.name: tensor for tensor in graph.initializer}
        self.made = {name: node for node in graph.node for name in node.output}
        self.uses = Counter(name for node in graph.node for name in node.input)
        self.uses.update(output.name for output in graph.output)
        self.held: set[str] = set()
        self.dropped: dict[str, str] = {}
        for node in graph.node:
            self._plan(node)
        self.read = {self.made[layer].input[0] for layer in self.layers} - self.held
        self.ranges = _shared(graph, ranges, self.held) if ranges else {}

    def _plan(self, node: onnx.NodeProto) -> None:
        """Decide whether what ``node`` makes is held in 8 bits, knowing that of all before it."""
        out, first = node.output[0], next(iter(node.input), "")
        if out in self.layers:
            if node.op_type == "Conv":  # the others have kernels that give floats
                self.held.add(out)
        elif node.op_type in CLIPPING and first in self.held and self.uses[first] == 1 and self._around_zero(node):
            # a grid that ends where they cut does the same: no operator, no second pass over the values
            self.held.discard(first)
            self.held.add(out)
            self.dropped[out] = first
        elif (node.op_type == "Sigmoid" and first in self.held) or (
            node.op_type in _CARRIED and all(name in self.held for name in _flowing(node))
        ):
            self.held.add(out)

    def _around_zero(self, node: onnx.NodeProto) -> bool:
        bounds = [float(numpy_helper.to_array(self.values[name])) for name in node.input[1:] if name in self.values]
        return node.op_type == "Relu" or (len(bounds) == 2 and bounds[0] <= 0 <= bounds[1])

    def write(self) -> None:
        nodes: list[onnx.NodeProto] = []
        seen: set[str] = set()
        for out, first in self.dropped.items():
            self.made[first].output[0] = out
        for node in self.graph.node:
            out = node.output[0]
            if out in self.dropped and node.op_type in CLIPPING:
                continue
            if node.op_type in WEIGHTED and self.dropped.get(out, out) in self.layers:
                name = node.input[0]
                if name not in seen:
                    nodes += self._pair(name)
                    seen.add(name)
                node.input[0] = f"{name}_seen"
                nodes += self._whole_weights(node, self._grid(name))
            for place, name in enumerate(node.input):
                if name in self.held:
                    node.input[place] = f"{name}_seen"
            nodes.append(node)
            if out in self.held:
                nodes += self._pair(out)
                seen.add(out)
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        _prune(self.graph)

    def _grid(self, name: str) -> Grid:
        if name in self.exact:
            return self.exact[name]
        if name in self.made and self.made[name].op_type == "Sigmoid":
            return Grid(scale=1 / 256, zero=0)
        return grid_of(*self.ranges[name])

    def _pair(self, name: str) -> list[onnx.NodeProto]:
        grid = self._grid(name)
        settings = [f"{name}_scale", f"{name}_zero"]
        self._constant(settings[0], np.float32(grid.scale))
        self._constant(settings[1], np.uint8(grid.zero))
        eight = self.graph.input[0].name if name in self.exact else f"{name}_eight"
        back = helper.make_node("DequantizeLinear", [eight, *settings], [f"{name}_seen"], name=f"{name}_dequantize")
        if name in self.exact:
            return [back]
        return [helper.make_node("QuantizeLinear", [name, *settings], [eight], name=f"{name}_quantize"), back]

    def _whole_weights(self, node: onnx.NodeProto, grid: Grid) -> list[onnx.NodeProto]:
        """Give a layer int8 weights and an int32 bias, in place; the nodes that make floats of them."""
        weight = numpy_helper.to_array(self.values[node.input[1]])
        bias = numpy_helper.to_array(self.values[node.input[2]]) if len(node.input) > 2 and node.input[2] else None
        axis = _channel_axis(node, weight.ndim)
        rest = tuple(k for k in range(weight.ndim) if k != axis)
        scales = np.maximum(np.abs(weight).max(rest), 1e-8) / 127
        if bias is not None:  # it is counted in steps of both scales, and must fit into 32 bits
            scales = np.maximum(scales, np.abs(bias) / (grid.scale * 2**30))
        scales = scales.astype(np.float32)
        whole = np.rint(weight / np.expand_dims(scales, rest)).clip(-127, 127).astype(np.int8)
        name = node.output[0]
        nodes = [self._channels(f"{name}_weight", whole, scales, axis)]
        node.input[1] = nodes[0].output[0]
        if bias is not None:
            steps = (np.float32(grid.scale) * scales).astype(np.float32)
            nodes.append(self._channels(f"{name}_bias", np.rint(bias / steps).astype(np.int32), steps, 0))
            node.input[2] = nodes[1].output[0]
        return nodes

    def _channels(self, name: str, whole: NDArray[Any], scales: NDArray[np.float32], axis: int) -> onnx.NodeProto:
        inputs = [f"{name}_eight", f"{name}_scale", f"{name}_zero"]
        for key, value in zip(inputs, (whole, scales, np.zeros(len(scales), whole.dtype)), strict=True):
            self._constant(key, value)
        return helper.make_node("DequantizeLinear", inputs, [f"{name}_seen"], name=f"{name}_dequantize", axis=axis)

    def _constant(self, name: str, value: Any) -> None:
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))


def _flowing(node: onnx.NodeProto) -> list[str]:
    """What goes in besides settings. A resize that mixes values has none: it stays float."""
    if node.op_type == "Resize" and any(a.name == "mode" and a.s != b"nearest" for a in node.attribute):
        return [""]
    return list(node.input[:1] if node.op_type in ("MaxPool", "Resize") else node.input)


def _channel_axis(node: onnx.NodeProto, axes: int) -> int:
    """Where output channels lie in the weight of a layer."""
    if node.op_type == "Conv" or any(a.name == "transB" and a.i for a in node.attribute):
        return 0
    return axes - 1


def _shared(graph: onnx.GraphProto, ranges: Mapping[str, Range], held: Collection[str]) -> dict[str, Range]:
    """The ranges, cut where SiLU is 0, and the same for all that goes into and comes out of what changes no value."""
    out = dict(ranges)
    kinds: dict[str, set[str]] = {}
    for node in graph.node:
        for name in node.input:
            kinds.setdefault(name, set()).add(node.op_type)
    for name in out:
        if kinds.get(name) == {"Sigmoid", "Mul"}:
            out[name] = (max(out[name][0], _SILU_ZERO), out[name][1])
    for node in reversed(graph.node):
        if node.op_type in _UNCHANGED and node.output[0] in held:
            names = [node.output[0], *_flowing(node)]
            one = (min(out[name][0] for name in names), max(out[name][1] for name in names))
            out.update(dict.fromkeys(names, one))
    return out


def _prune(graph: onnx.GraphProto) -> None:
    """Take out what leads to no output."""
    alive = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if any(name in alive for name in node.output):
            kept.append(node)
            alive.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    values = [value for value in graph.initializer if value.name in alive]
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(values)
