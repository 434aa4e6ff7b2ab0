"""The published weights of YOLOX, read from its ONNX files without the ``onnx`` package, and fitted to a net of ours.

An ONNX file is a protocol buffer (https://protobuf.dev/programming-guides/encoding): only the few fields that hold
nodes and weights are looked at (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from visto.errors import ModelError
from visto.models.yolo import SCALES, Step, yolo

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5  # of ModelProto, GraphProto, GraphProto
_INPUT, _OPERATION = 1, 4  # of NodeProto
_DIMS, _TYPE, _FLOATS, _NAME, _RAW, _PLACE = 1, 2, 4, 8, 9, 14  # of TensorProto
_FLOAT = 1  # the data type
_EPS = 1e-3  # of yolo's batch norms


def _varint(data: memoryview, start: int) -> tuple[int, int]:
    """A number in base 128, least first, and where the next field begins."""
    value = 0
    for index in range(start, min(start + 10, len(data))):
        value |= (data[index] & 127) << 7 * (index - start)
        if data[index] < 128:
            return value, index + 1
    raise ValueError("a number without end")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message: their numbers, and a whole number or the bytes of each."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == 2:
            length, place = _varint(data, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if length > len(data) - place:
            raise ValueError("a field that is longer than the file")
        yield key >> 3, data[place : place + length]
        place += length


def _messages(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(data):
        if number == wanted:
            if isinstance(value, int):
                raise ValueError("a number where a message is expected")
            yield value


@dataclass(slots=True)
class _Weights:
    name: str = ""
    kind: int = 0
    dims: list[int] = field(default_factory=list)
    content: bytes = b""

    def tensor(self) -> Tensor:
        if len(self.content) != 4 * math.prod(self.dims):
            raise ValueError(f"{self.name!r} of shape {self.dims} in {len(self.content)} bytes")
        # a bytearray, for torch wants memory that may be written
        return torch.frombuffer(bytearray(self.content), dtype=torch.float32).view(self.dims)


def _weights(data: memoryview) -> _Weights:
    out = _Weights()
    for number, value in _fields(data):
        if number == _DIMS and isinstance(value, int):
            out.dims.append(value)
        elif number == _DIMS and isinstance(value, memoryview):
            place = 0
            while place < len(value):
                dim, place = _varint(value, place)
                out.dims.append(dim)
        elif number == _TYPE and isinstance(value, int):
            out.kind = value
        elif number == _NAME and isinstance(value, memoryview):
            out.name = bytes(value).decode()
        elif number in (_FLOATS, _RAW) and isinstance(value, memoryview):
            out.content += bytes(value)
        elif number == _PLACE and value:
            raise ValueError("weights in another file")
    return out


def _convolutions(content: bytes) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution of an ONNX file, in the order of its graph. Raises ValueError."""
    known: dict[str, _Weights] = {}
    inputs: list[list[str]] = []
    for graph in _messages(memoryview(content), _GRAPH):
        for message in _messages(graph, _INITIALIZER):
            weights = _weights(message)
            if weights.kind == _FLOAT and weights.dims:
                known[weights.name] = weights
        for node in _messages(graph, _NODE):
            if [bytes(name) for name in _messages(node, _OPERATION)] == [b"Conv"]:
                inputs.append([bytes(name).decode() for name in _messages(node, _INPUT)])
    found = []
    for names in inputs:
        if len(names) != 3 or names[1] not in known or names[2] not in known:
            raise ValueError("a convolution without stored weights and bias")
        found.append((known[names[1]].tensor(), known[names[2]].tensor()))
    return found


def _one_convolution(weight_oc33: Tensor) -> Tensor:
    """The first 3×3 convolution over blocks of 2×2 pixels in BGR 0–255, as one of 6×6 over pixels in RGB 0–1.

    Blocks come as top left, bottom left, top right, bottom right, each with its colours.
    """
    outputs, inputs = weight_oc33.shape[:2]
    blocks = weight_oc33.view(outputs, 2, 2, inputs // 4, 3, 3)  # o, right, below, colour, y, x
    pixels = blocks.permute(0, 3, 4, 2, 5, 1).reshape(outputs, inputs // 4, 6, 6)
    return pixels.flip(1) * 255


def yolox_weights(content: bytes) -> dict[str, Tensor]:
    """The weights in a published YOLOX ONNX file (its bytes), as a state dict of ``yolo(classes=K, channels=3, …)``.

    Its batch norms are folded into its convolutions: ours get mean 0 and variance 1 - eps, which do nothing in eval
    mode; ``unfold_batch_norm`` makes them fit for training. Scale and K are read from the shapes. Raises ModelError.
    """
    try:
        found = _convolutions(content)
        name = next((name for name, scale in SCALES.items() if found and len(found[0][0]) == scale.width), None)
        # the last are: class logits, a box branch of two or, split, four, offsets, objectness
        last = -7 if name is not None and SCALES[name].depthwise else -5
        if name is None or len(found) < -last:
            raise ValueError(f"{len(found)} convolutions of another net")
        with torch.device("meta"):
            model = yolo(classes=len(found[last][0]), channels=3, size=[32, 32], scale=name)
        return _state(model, found)
    except (ValueError, RuntimeError, OverflowError) as error:
        raise ModelError(
            f"no weights of YOLOX: {error}", expected="an ONNX file as published with YOLOX", hint="get it again"
        ) from error


def _state(model: nn.Module, found: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """The net's layers are registered in the order in which the published graph has them."""
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)]
    if len(layers) != len(found):
        raise ValueError(f"{len(found)} convolutions, not {len(layers)}")
    state: dict[str, Tensor] = {}
    for (name, layer), (weight, bias) in zip(layers, found, strict=True):
        if name == "stem.convolution" and weight.shape[1:] == (12, 3, 3):
            weight = _one_convolution(weight)
        if weight.shape != layer.weight.shape or len(bias) != len(weight):
            raise ValueError(f"{name} of shape {list(weight.shape)}, not {list(layer.weight.shape)}")
        state[f"{name}.weight"] = weight
        if layer.bias is not None:
            state[f"{name}.bias"] = bias
            continue
        norm = name.removesuffix("convolution") + "norm"
        one = torch.ones(len(bias))
        state |= {f"{norm}.weight": one, f"{norm}.bias": bias, f"{norm}.running_mean": torch.zeros(len(bias))}
        state |= {f"{norm}.running_var": one - _EPS, f"{norm}.num_batches_tracked": torch.tensor(0)}
    return state


@torch.no_grad()
def unfold_batch_norm(model: nn.Module, images_nchw: Tensor) -> None:
    """Let each batch norm hold the statistics of what it meets, without changing what the net answers in eval mode.

    Needed where norms were folded into the convolutions: training normalises by the statistics of each batch, so that
    the net would at once be another. Some 64 ``images`` (as the model takes them) are enough. Filters are also brought
    to length 1, for the folding has left them from 0.05 to 113 long, and the long ones learn slowly: after 30 steps on
    blood cells the loss on others is 2.80 instead of 2.90 (AdamW, 3e-3), at 1e-3 2.95 instead of 3.06.
    """
    sums: dict[nn.BatchNorm2d, list[Tensor]] = {}

    def collect(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101  (tells mypy)
        x = inputs[0].double()
        count = torch.tensor(float(x.numel() // x.shape[1]), dtype=torch.double)
        met = [count, x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]
        sums[norm] = [a + b for a, b in zip(sums[norm], met, strict=True)] if norm in sums else met

    hooks = [m.register_forward_pre_hook(collect) for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    training = model.training
    model.eval()
    try:
        for batch in torch.split(images_nchw, 8):
            model(batch)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    for step in model.modules():
        if isinstance(step, Step) and step.norm in sums:
            count, total, squares = sums[step.norm]
            mean = total / count
            _restate(step, mean, (squares / count - mean.square()).clamp_min(0))


def _restate(step: Step, mean: Tensor, variance: Tensor) -> None:
    """Filters of length 1 and the measured statistics (float64, of the unscaled filters), the function unchanged."""
    norm, filters = step.norm, step.convolution.weight
    if norm.running_mean is None or norm.running_var is None:
        raise ModelError("a batch norm without statistics")
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    length = filters.double().flatten(1).norm(dim=1).clamp_min(1e-6)
    filters.copy_(filters / length[:, None, None, None])
    norm.running_mean.copy_(mean / length)
    norm.running_var.copy_(variance / length.square())
    # after rounding to float32, so that the same numbers come out
    norm.weight.copy_(scale * length * (norm.running_var.double() + norm.eps).sqrt())
    norm.bias.copy_(shift + norm.running_mean.double() * norm.weight / (norm.running_var.double() + norm.eps).sqrt())
