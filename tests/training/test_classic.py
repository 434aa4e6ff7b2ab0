"""Classic models through the verbs: trained, judged, stored, stopped, refused."""

from pathlib import Path

import pytest
import torch

import visto
from visto.bundle import read_bundle
from visto.errors import ResourceError, UsageError
from visto.learn.solve import Job, Late, Solved, solve


@pytest.mark.parametrize("name", ["majority", "logistic", "svm", "knn", "tree", "forest"])
def test_every_verb(name: str, tmp_path: Path) -> None:
    out = tmp_path / "a.visto"
    model = visto.train("digits", out, model=name, threads=1)
    manifest = read_bundle(out).manifest
    assert manifest.model.name == name
    assert manifest.recipe["learner"] == "classic"
    assert manifest.holds_training_data == (name in ("svm", "knn"))
    accuracy = visto.evaluate(model, "digits", threads=1).figures["accuracy"].value
    assert accuracy > {"majority": 0.05, "tree": 0.75}.get(name, 0.93)
    assert (tmp_path / "a.run" / "report.html").exists()
    assert not (tmp_path / "a.run" / "fit").exists()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"model": "svm", "features": ["hog"]}, "hog on images of 8×8"),
        ({"model": "svm", "epochs": 3}, "--epochs with the model svm"),
        ({"model": "knn", "balance": "weights"}, "--balance weights with the model knn"),
        ({"model": "tree", "ensemble": 3}, "an ensemble with the model tree"),
        ({"model": "cnn", "features": ["raw"]}, "--features with the model cnn"),
        ({"model": "majority", "features": ["raw"]}, "--features with the model majority"),
        ({"model": "svm", "arguments": {"fitted": {"vectors": 3}}}, "the data decides it"),
    ],
)
def test_what_is_refused(asked: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        visto.train("digits", tmp_path / "a.visto", threads=1, **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "a.visto").exists()


def test_it_cannot_be_fine_tuned(tmp_path: Path) -> None:
    model = visto.train("digits", tmp_path / "a.visto", model="logistic", threads=1, samples=False)
    with pytest.raises(UsageError, match="cannot go on learning"):
        visto.train("digits", tmp_path / "b.visto", start_from=model, threads=1)


def clusters(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    y = torch.randint(3, (n,), generator=random)
    return torch.randn(n, 5, generator=random) + y[:, None], y


OPTIONS = {"kernel": "rbf", "C": 1.0, "gamma": 0.0, "class_weight": None, "seed": 0}


def test_a_fit_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    x, y = clusters(20_000)
    job = Job(model="svm", options=OPTIONS, seconds=2.5, threads=1)
    *_, last = solve(job, x, y, tmp_path / "fit")
    assert isinstance(last, Late)
    assert last.seconds >= 2.5
    assert not (tmp_path / "fit").exists()


def test_whoever_stops_asking_ends_it(tmp_path: Path) -> None:
    x, y = clusters(20_000)
    work = solve(Job(model="svm", options=OPTIONS, seconds=0.0, threads=1), x, y, tmp_path / "fit")
    assert next(work) is None
    work.close()
    assert not (tmp_path / "fit").exists()


def test_a_process_that_dies_says_why(tmp_path: Path) -> None:
    x, y = clusters(50)
    with pytest.raises(ResourceError, match="did not end well"):
        list(solve(Job(model="svm", options={**OPTIONS, "C": -1.0}, seconds=0.0, threads=1), x, y, tmp_path / "fit"))


def test_a_warning_is_passed_on(tmp_path: Path) -> None:
    x, y = clusters(300)
    options = {"C": 1e6, "class_weight": None}
    *_, last = solve(Job(model="logistic", options=options, seconds=0.0, threads=1), 1e4 * x, y, tmp_path / "fit")
    assert isinstance(last, Solved)
