"""Classic models answer as scikit-learn's own do, on 10,000 images: fitted in their process, stored, built again."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import visto
from visto.data.dataset import Dataset
from visto.data.loader import gather
from visto.models import build_model
from visto.preprocess import PREPROCESS
from visto.training.prepare import prepare
from visto.types import Silent

Array = NDArray[Any]
N = 10_000


def few_classes(dataset: Dataset, classes: int) -> Dataset:
    kept = tuple(item for item in dataset.items if item.target is not None and item.target.classes[0] < classes)
    return replace(dataset, items=kept, classes=dataset.classes[:classes])


def pairs(model: Any, x: Array) -> Array:
    return np.asarray(model.decision_function(x))


CASES: dict[str, tuple[str, dict[str, Any], Callable[[], Any], str, Callable[[Any, Array], Array]]] = {
    "logistic": (
        "logistic",
        {},
        lambda: LogisticRegression(C=1.0, max_iter=1000),
        "softmax",
        lambda m, x: np.asarray(m.predict_proba(x)),
    ),
    "svm": ("svm", {}, lambda: SVC(C=10, decision_function_shape="ovo"), "decision", pairs),
    "svm on axes": ("svm", {"components": 20}, lambda: SVC(C=10, decision_function_shape="ovo"), "decision", pairs),
    "linear svm": (
        "svm",
        {"kernel": "linear"},
        lambda: LinearSVC(C=10, random_state=0, max_iter=5000),
        "logits",
        pairs,
    ),
    "knn": (
        "knn",
        {"neighbours": 5},
        lambda: KNeighborsClassifier(5, weights="distance", algorithm="brute"),
        "proba",
        lambda m, x: np.asarray(m.predict_proba(x)),
    ),
    "tree": (
        "tree",
        {},
        lambda: DecisionTreeClassifier(min_samples_leaf=3, random_state=0),
        "proba",
        lambda m, x: np.asarray(m.predict_proba(x)),
    ),
    "forest": (
        "forest",
        {"trees": 20},
        lambda: RandomForestClassifier(20, random_state=0),
        "proba",
        lambda m, x: np.asarray(m.predict_proba(x)),
    ),
}


@pytest.mark.parametrize("classes", [10, 2])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:Liblinear failed to converge")
def test_the_same_answers(case: str, classes: int, tmp_path: Path) -> None:
    name, arguments, estimator, output, reference = CASES[case]
    if classes == 2 and case in ("svm on axes", "forest"):
        pytest.skip("covered by the others")
    dataset = few_classes(visto.read("digits"), classes)
    out = tmp_path / "model.visto"
    model = visto.train(dataset, out, model=name, features=["raw"], arguments=arguments, samples=False, threads=1)
    manifest = model.bundle.manifest
    module = build_model(manifest.model).eval()
    module.load_state_dict(dict(model.bundle.weights))
    preprocess = manifest.preprocess.build(PREPROCESS)
    train = prepare(dataset, preprocess.fit, threads=1, voice=Silent()).train
    labels = np.array([item.target.classes[0] for item in train.items if item.target is not None])
    with torch.inference_mode():
        described: Any = module.described
        x = described(preprocess.normalise(gather(train, torch.arange(len(train)))))
        images = noisy(gather(train, torch.arange(len(train))))
        unseen = described(preprocess.normalise(images))
        found = module(preprocess.normalise(images))
    expected = reference(estimator().fit(x.numpy(), labels), unseen.numpy())
    answer = found["logits"].softmax(1) if output == "softmax" else found[output]
    if classes == 2 and case in ("svm", "linear svm"):
        expected = -expected[:, None] if case == "svm" else np.stack([-expected, expected], 1)
    assert answer.shape == expected.shape
    assert np.abs(answer.numpy() - expected).max() < 1e-5
    assert len(images) == N


def noisy(images: torch.Tensor) -> torch.Tensor:
    """10,000 pictures like the training images, but none of them."""
    random = torch.Generator().manual_seed(0)
    rows = torch.randint(len(images), (N,), generator=random)
    noise = torch.randint(-40, 41, (N, *images.shape[1:]), generator=random)
    return (images[rows].int() + noise).clamp(0, 255).to(torch.uint8)
