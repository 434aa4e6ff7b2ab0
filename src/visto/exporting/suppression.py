"""The ONNX form of non-maximum suppression: the runtimes' own operator, which is greedy and exact as ours is."""

from typing import Any

import onnxscript

op: Any = onnxscript.opset20  # its own types tell apart what the graph tells


def suppression(boxes_nk4: Any, labels_nk: Any, threshold: float, classes: int) -> Any:
    """What stands for ``visto::suppress`` in a graph: N×K bool.

    The operator looks at each class by itself: there a box of another one has a score that does not count. For it to
    take the boxes in the order in which they come, their scores are their places from the end.
    """
    shape = op.Shape(labels_nk)
    places = op.Range(op.Gather(shape, _whole(1)), _whole(0), _whole(-1))
    each = op.Reshape(op.Range(_whole(0), _whole(classes), _whole(1)), op.Constant(value_ints=[1, classes, 1]))
    its = op.Equal(op.Unsqueeze(labels_nk, op.Constant(value_ints=[1])), each)
    scores = op.Where(its, op.Cast(places, to=1), op.Constant(value_float=-1.0))  # N×classes×K
    most = op.Gather(shape, op.Constant(value_ints=[1]))
    found = op.NonMaxSuppression(
        boxes_nk4, scores, most, op.Constant(value_floats=[threshold]), op.Constant(value_floats=[0.0])
    )
    at = op.Gather(found, op.Constant(value_ints=[0, 2]), axis=1)  # of each that stays: image, place
    ones = op.Expand(op.Constant(value_float=1.0), op.Gather(op.Shape(at), op.Constant(value_ints=[0])))
    return op.Cast(op.ScatterND(op.ConstantOfShape(shape), at, ones), to=9)


def _whole(number: int) -> Any:
    return op.Constant(value_int=number)
