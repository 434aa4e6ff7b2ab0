"""Eight bits: what is written, what stays float, and when it is refused. Graphs are written by hand: no torch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from visto.errors import GateError
from visto.exporting.int8 import quantised
from visto.exporting.qdq import grid_of, in_eight_bits, weighted
from visto.types import Silent

SIDE, CLASSES = 12, 4


def graph_of(nodes: Sequence[onnx.NodeProto], values: dict[str, Any], axes: int) -> onnx.ModelProto:
    """A model from uint8 images N×3×12×12 named ``fitted`` to ``scores``, which have so many axes."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("fitted", TensorProto.UINT8, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None] * axes)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def network(*, spoilt: bool = False) -> onnx.ModelProto:
    """Normalise, four convolutions (ReLU6, SiLU, a residual), mean, classifier, softmax.

    ``spoilt``: one channel that goes into "third" is ten thousand times as large as the others, and weighs as little.
    """
    random = np.random.default_rng(0)

    def weight(*shape: int) -> NDArray[np.float32]:
        return random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)

    values: dict[str, Any] = {
        "mean": np.float32(127),
        "std": np.float32(64),
        "zero": np.float32(0),
        "six": np.float32(6),
        "w1": weight(8, 3, 3, 3),
        "w2": weight(8, 8, 1, 1),
        "w3": weight(8, 8, 3, 3),
        "w4": weight(8, 1, 3, 3),
        "w5": weight(CLASSES, 8),
        "axes": np.array([2, 3]),
    }
    values |= {f"b{k}": weight(len(values[f"w{k}"]), 1)[:, 0] for k in range(1, 6)}
    if spoilt:
        values["w2"][0] *= 1e4
        values["w3"][:, 0] /= 1e4
    same = [1, 1, 1, 1]
    nodes = [
        helper.make_node("Cast", ["fitted"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normalised"]),
        helper.make_node("Conv", ["normalised", "w1", "b1"], ["first"], name="first", pads=same),
        helper.make_node("Clip", ["first", "zero", "six"], ["first_clipped"]),
        helper.make_node("Conv", ["first_clipped", "w2", "b2"], ["second"], name="second"),
        helper.make_node("Sigmoid", ["second"], ["gate"]),
        helper.make_node("Mul", ["second", "gate"], ["second_active"]),
        helper.make_node("Conv", ["second_active", "w3", "b3"], ["third"], name="third", pads=same),
        helper.make_node("Add", ["first_clipped", "third"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["sum_active"]),
        helper.make_node("Conv", ["sum_active", "w4", "b4"], ["fourth"], name="fourth", group=8, pads=same),
        helper.make_node("ReduceMean", ["fourth", "axes"], ["pooled"], keepdims=0),
        helper.make_node("Gemm", ["pooled", "w5", "b5"], ["logits"], name="last", transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    return graph_of(nodes, values, 2)


def images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth noise, so that images differ from each other."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 3, SIDE // 4, SIDE // 4), dtype=np.uint8)
    return coarse.repeat(4, 2).repeat(4, 3)


def run(model: onnx.ModelProto, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"fitted": pixels})
    return np.asarray(scores)


def points_lost(true: onnx.ModelProto, model: onnx.ModelProto) -> float:
    """100 times the mean difference of a score."""
    held_out = images(16, seed=1)
    return float(100 * np.abs(run(true, held_out) - run(model, held_out)).mean())


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_every_layer_of_weights_is_int8_by_channel() -> None:
    true = network()
    found = quantised(
        true, [images(8), images(8, 2)], drift=lambda model: points_lost(true, model), allowed=2.0, voice=Silent()
    )
    onnx.checker.check_model(found.model, full_check=True)
    assert found.kept == () and found.layers == 5 and found.drift == found.drift_of_all <= 2.0
    values = {value.name: numpy_helper.to_array(value) for value in found.model.graph.initializer}
    makers = {node.output[0]: node for node in found.model.graph.node}
    for node in found.model.graph.node:
        if node.op_type in ("Conv", "Gemm"):
            whole, scales, zeros = (values[name] for name in makers[node.input[1]].input)
            assert whole.dtype == np.int8 and len(scales) == len(whole) and not zeros.any()
            bias, steps, _ = (values[name] for name in makers[node.input[2]].input)
            assert bias.dtype == np.int32 and len(steps) == len(whole)
    assert len(found.model.SerializeToString()) < len(true.SerializeToString()) * 2  # tiny weights, so mostly names
    assert not any(value.dtype == np.float32 and value.ndim > 1 for value in values.values())


def test_what_a_grid_does_has_no_operator_and_the_head_stays_float() -> None:
    true = network()
    found = quantised(true, [images(8)], drift=lambda _: 0.0, allowed=0.5, voice=Silent()).model
    (entry,) = found.graph.input
    assert entry.name == "fitted" and entry.type.tensor_type.elem_type == TensorProto.UINT8
    assert [output.name for output in found.graph.output] == ["scores"]
    # pixels are read as they come (mean 127, one deviation); ReLU6 and ReLU end where the grid ends
    assert not {"Cast", "Sub", "Div", "Clip", "Relu"} & set(kinds(found))
    assert kinds(found)[-1] == "Softmax"
    makers = {node.output[0]: node for node in found.graph.node}
    assert makers[makers["scores"].input[0]].op_type == "Gemm"  # whose floats go straight into the head


def test_the_runtime_puts_whole_number_kernels_in(tmp_path: Any) -> None:
    true = network()
    found = quantised(true, [images(8)], drift=lambda _: 0.0, allowed=0.5, voice=Silent()).model
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(found.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fast = kinds(onnx.load(options.optimized_model_filepath))
    assert fast.count("QLinearConv") == 4 and fast.count("QLinearAdd") == fast.count("QLinearMul") == 1
    assert "Conv" not in fast and "Gemm" not in fast


def test_a_sensitive_layer_stays_float() -> None:
    true = network(spoilt=True)
    said: list[str] = []

    class Voice(Silent):
        def say(self, words: str) -> None:
            said.append(words)

    found = quantised(true, [images(8)], drift=lambda model: points_lost(true, model), allowed=0.8, voice=Voice())
    assert found.drift <= 0.8 < found.drift_of_all
    # what makes the large channel and what reads it
    assert {kept.node for kept in found.kept} <= {"second", "third"} and found.kept
    assert [kept.error for kept in found.kept] == sorted((kept.error for kept in found.kept), reverse=True)
    assert found.to_json()["layers"] == 5 and len(said) >= 2 and "0.8 allowed" in said[0]


def test_a_hopeless_one_is_refused() -> None:
    true, calls = network(), []

    def drift(model: onnx.ModelProto) -> float:
        calls.append(model)
        return 40.0 - len(calls)

    with pytest.raises(GateError, match=r"loses 37.00 points, even with its 2 most sensitive layers in float"):
        quantised(true, [images(8)], drift=drift, allowed=1.0, voice=Silent())
    assert len(calls) == 3
    plain = graph_of([helper.make_node("Cast", ["fitted"], ["scores"], to=TensorProto.FLOAT)], {}, 4)
    with pytest.raises(GateError, match="without layers"):
        quantised(plain, [images(8)], drift=drift, allowed=1.0, voice=Silent())


def test_the_fewest_layers_are_kept() -> None:
    """Three of seven must be kept: one, two and four are tried, then three."""
    convolutions = [helper.make_node("Conv", [f"x{k}", f"w{k}"], [f"x{k + 1}"], name=f"layer{k}") for k in range(7)]
    nodes = [
        helper.make_node("Cast", ["fitted"], ["x0"], to=TensorProto.FLOAT),
        *convolutions,
        helper.make_node("Identity", ["x7"], ["scores"]),
    ]
    weight = np.random.default_rng(0).normal(0, 0.5, (3, 3, 1, 1)).astype(np.float32)
    true = graph_of(nodes, {f"w{k}": weight for k in range(7)}, 4)
    tried: list[int] = []

    def drift(model: onnx.ModelProto) -> float:
        tried.append(
            sum(value.data_type == TensorProto.FLOAT and len(value.dims) == 4 for value in model.graph.initializer)
        )
        return 0.0 if tried[-1] >= 3 else 5.0

    found = quantised(true, [images(8)], drift=drift, allowed=1.0, voice=Silent())
    assert tried == [0, 1, 2, 3] and len(found.kept) == 3


def test_the_result_is_deterministic() -> None:
    true = network(spoilt=True)
    first, second = (
        quantised(true, [images(8)], drift=lambda model: points_lost(true, model), allowed=0.8, voice=Silent())
        for _ in range(2)
    )
    assert first.to_json() == second.to_json()
    assert first.model.SerializeToString(deterministic=True) == second.model.SerializeToString(deterministic=True)


def test_different_means_are_still_subtracted() -> None:
    true = network()
    for value in true.graph.initializer:
        if value.name == "mean":
            value.CopyFrom(numpy_helper.from_array(np.array([120, 110, 100], np.float32).reshape(3, 1, 1), "mean"))
    found = quantised(true, [images(8)], drift=lambda model: points_lost(true, model), allowed=2.0, voice=Silent())
    assert {"Cast", "Sub", "Div"} <= set(kinds(found.model))


def test_a_product_with_zeros_and_ones_is_not_a_layer() -> None:
    nodes = [
        helper.make_node("Cast", ["fitted"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["pixels", "learnt"], ["mixed"]),
        helper.make_node("MatMul", ["mixed", "triangle"], ["scores"]),
    ]
    square = np.ones((SIDE, SIDE), np.float32)
    model = graph_of(nodes, {"learnt": square * 0.5, "triangle": np.triu(square)}, 4)
    assert weighted(model.graph) == ["mixed"]


def test_a_large_bias_fits_into_32_bits() -> None:
    nodes = [
        helper.make_node("Cast", ["fitted"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["pixels", "weight", "bias"], ["out"]),
        helper.make_node("Identity", ["out"], ["scores"]),
    ]
    values = {"weight": np.full((1, 3, 1, 1), 1e-12, np.float32), "bias": np.array([7], np.float32)}
    true = graph_of(nodes, values, 4)
    model = in_eight_bits(true, ["out"], {"pixels": (0.0, 255.0), "out": (0.0, 7.0)}, {})
    assert np.allclose(run(model, images(2)), 7, atol=0.01)


def test_a_grid_holds_zero() -> None:
    for low, high in ((-3.0, 5.0), (2.0, 3.0), (-4.0, -1.0), (0.0, 0.0)):
        grid = grid_of(low, high)
        assert 0 <= grid.zero <= 255 and grid.scale > 0
