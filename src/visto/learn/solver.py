"""Fits one classic model by scikit-learn, in a process of its own: started by ``visto.learn.solve``, not imported.

    python -P solver.py FOLDER

The folder holds ``job.json``, ``x.npy`` (N×D float32) and ``y.npy`` (N); the arrays that the model's buffers are to
hold are written to ``result.safetensors``, or, where the job has a limit of ``seconds`` that it would not keep, the
estimate to ``late.json``. Ends when its parent does.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

Array = NDArray[Any]
Arrays = dict[str, Array]

_PROBE = 16  # the part of the images that a trial fit is made of, where there is a limit
_FEWEST = 1000  # images of a trial fit


def logistic(x: Array, y: Array, options: dict[str, Any]) -> Arrays:
    """Weight and bias of a linear layer whose softmax is the model's ``predict_proba``."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    model = LogisticRegression(C=options["C"], class_weight=options["class_weight"], max_iter=1000)
    return _linear(model.fit(x, y), both=False)


def svm(x: Array, y: Array, options: dict[str, Any]) -> Arrays:
    """A linear layer (one machine a class), or support vectors with a weight for each pair of classes."""
    from sklearn.svm import SVC, LinearSVC  # noqa: PLC0415

    weights = options["class_weight"]
    if options["kernel"] == "linear":
        line = LinearSVC(C=options["C"], class_weight=weights, random_state=options["seed"], max_iter=5000)
        return _linear(line.fit(x, y), both=True)
    model = SVC(
        C=options["C"],
        gamma=options["gamma"] or "scale",
        class_weight=weights,
        cache_size=2000,
        decision_function_shape="ovo",
    ).fit(x, y)
    gamma = np.asarray(options["gamma"] or 1 / (x.shape[1] * x.astype(np.float64).var()), np.float64)
    ends = np.cumsum(model.n_support_)
    rows = [slice(end - count, end) for end, count in zip(ends, model.n_support_, strict=True)]
    classes = len(model.classes_)
    table = np.zeros((len(model.support_vectors_), classes * (classes - 1) // 2))
    for column, (i, j) in enumerate(combinations(range(classes), 2)):
        table[rows[i], column] = model.dual_coef_[j - 1, rows[i]]
        table[rows[j], column] = model.dual_coef_[i, rows[j]]
    sign = -1.0 if classes == 2 else 1.0  # with two classes, positive means the second one to scikit-learn
    return {
        "vectors": model.support_vectors_.astype(np.float32),
        "weights": sign * table,
        "bias": sign * model.intercept_,
        "gamma": gamma,
    }


def tree(x: Array, y: Array, options: dict[str, Any]) -> Arrays:
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415

    model = DecisionTreeClassifier(
        max_depth=options["depth"] or None,
        min_samples_leaf=options["leaf"],
        class_weight=options["class_weight"],
        random_state=options["seed"],
    )
    return _nodes([model.fit(x, y)])


def forest(x: Array, y: Array, options: dict[str, Any]) -> Arrays:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415

    model = RandomForestClassifier(
        n_estimators=options["trees"],
        max_depth=options["depth"] or None,
        min_samples_leaf=options["leaf"],
        class_weight=options["class_weight"],
        random_state=options["seed"],
        n_jobs=options["threads"],
    )
    return _nodes(model.fit(x, y).estimators_)


# how the time grows with the number of images, and the fit itself
SOLVERS: dict[str, tuple[float, Callable[[Array, Array, dict[str, Any]], Arrays]]] = {
    "logistic": (1.0, logistic),
    "svm": (1.9, svm),
    "tree": (1.15, tree),
    "forest": (1.15, forest),
}


def _linear(model: Any, *, both: bool) -> Arrays:
    """``both``: with two classes, one machine says as much for the second as against the first."""
    weight, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        weight, bias = np.concatenate([-weight if both else 0 * weight, weight]), np.append(-bias if both else 0, bias)
    return {"layer.weight": weight.astype(np.float32), "layer.bias": bias.astype(np.float32)}


def _nodes(trees: list[Any]) -> Arrays:
    """All trees in one table of nodes, as ``visto.models.trees`` has it."""
    parts: dict[str, list[Array]] = {name: [] for name in ("feature", "threshold", "left", "right", "row", "shares")}
    roots, nodes, leaves, depth = [], 0, 0, 0
    for each in (found.tree_ for found in trees):
        own = np.arange(each.node_count)
        is_leaf = each.children_left < 0
        roots.append(nodes)
        parts["feature"].append(np.where(is_leaf, 0, each.feature))
        parts["threshold"].append(np.where(is_leaf, 0.0, each.threshold))
        parts["left"].append(nodes + np.where(is_leaf, own, each.children_left))
        parts["right"].append(nodes + np.where(is_leaf, own, each.children_right))
        parts["row"].append(np.where(is_leaf, leaves + np.cumsum(is_leaf) - 1, 0))
        values = each.value[is_leaf, 0]
        parts["shares"].append(values / values.sum(1, keepdims=True))
        nodes, leaves, depth = nodes + each.node_count, leaves + int(is_leaf.sum()), max(depth, each.max_depth)
    joined = {name: np.concatenate(each) for name, each in parts.items()}
    whole = {name: joined[name].astype(np.int32) for name in ("feature", "left", "right", "row")}
    return {
        **whole,
        "threshold": joined["threshold"].astype(np.float64),
        "shares": joined["shares"].astype(np.float32),
        "roots": np.asarray(roots, np.int32),
        "depth": np.asarray(depth),
    }


def _late(x: Array, y: Array, job: dict[str, Any]) -> float:
    """The seconds that the whole fit would take, by a fit to a part; 0 where there is no need to know."""
    part = max(_FEWEST, len(x) // _PROBE)
    if not job["seconds"] or len(x) < 4 * part:
        return 0.0
    power, solve = SOLVERS[job["model"]]
    rows = np.random.default_rng(0).permutation(len(x))[:part]
    if len(np.unique(y[rows])) < len(np.unique(y)):
        return 0.0
    began = time.perf_counter()
    solve(x[rows], y[rows], job["options"])
    return float((time.perf_counter() - began) * (len(x) / part) ** power)


def _end_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(folder: Path) -> None:
    _end_with_parent()
    began = time.perf_counter()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    if job["intelex"]:
        from sklearnex import patch_sklearn  # noqa: PLC0415

        patch_sklearn(verbose=False)
    x, y = np.load(folder / "x.npy", allow_pickle=False), np.load(folder / "y.npy", allow_pickle=False)
    estimate = _late(x, y, job)
    if job["seconds"] and estimate > job["seconds"] - (time.perf_counter() - began):
        (folder / "late.json").write_text(json.dumps({"seconds": estimate}), encoding="utf-8")
        return
    found = SOLVERS[job["model"]][1](x, y, job["options"])
    part = folder / "result.part"
    part.write_bytes(save({name: np.ascontiguousarray(value) for name, value in found.items()}))
    part.rename(folder / "result.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
