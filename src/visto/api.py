"""The public functions, and the only place where verbs meet.

data = visto.read("photos/")
model = visto.train(data, budget="10m")
print(visto.evaluate(model, data.test))
model.predict("cat.jpg"); model.save("cats.visto")
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from visto.data import read, read_again
from visto.data.dataset import Dataset
from visto.errors import UsageError, VistoError
from visto.evaluation import Comparison, Evaluation
from visto.evaluation import compare as _compare
from visto.evaluation import evaluate as _evaluate
from visto.exporting import check_asked
from visto.exporting import export as _export
from visto.model import Model, load
from visto.quantities import seconds
from visto.recipes import Request
from visto.report import read_run, report_path, trained_from
from visto.report import write_report as _write_report
from visto.training import RunFolder, Trained
from visto.training import train as _train
from visto.training import tune as _tune
from visto.types import SPLITS, Silent, Split, Voice

__all__ = ["Model", "compare", "evaluate", "export", "load", "read", "train", "tune", "write_report"]


def train(
    data: Dataset | str | Path,
    out: str | Path | None = None,
    *,
    model: str | None = None,
    size: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    features: Sequence[str] | None = None,
    read_as: str | None = None,
    start_from: Model | str | Path | None = None,
    budget: str | float | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    optimiser: str | None = None,
    lr: float | str | None = None,
    schedule: str | None = None,
    weight_decay: float | None = None,
    l1: float | None = None,
    ema: float | None = None,
    label_smoothing: float | None = None,
    mixup: float | None = None,
    augmentation: Sequence[str] | None = None,
    patience: int | None = None,
    precision: str | None = None,
    device: str | None = None,
    second_look: float | None = None,
    prepare: Sequence[str] | None = None,
    scratch: bool = False,
    download: bool = False,
    unfreeze: int | None = None,
    views: int | None = None,
    lr_decay: float | None = None,
    balance: str | None = None,
    repeats: int | None = None,
    seed: int | None = None,
    split_seed: int | None = None,
    group_by: str | None = None,
    ensemble: int | None = None,
    learning_curve: bool = False,
    window: int | None = None,
    horizon: int | None = None,
    resume: bool = False,
    inexact: bool = False,
    samples: bool = True,
    threads: int = 0,
    voice: Voice | None = None,
    clock: Callable[[], float] | None = None,
) -> Model:
    """Train on ``data`` and give the model; its bundle is written to ``out`` (a temporary folder where None).

    A report on the validation images is written to ``report.html`` in ``X.run``; ``samples`` puts pictures into it.

    ``budget`` is seconds or words such as "10m"; ``lr`` may be "auto" (a range test). The rest is as in
    ``visto train --help``; None takes what suits the data. ``ensemble`` is how many models make one; ``group_by`` is,
    for a path, as in ``visto.read``; ``learning_curve`` finds out what more images would buy. Raises UsageError,
    DataError, ModelError, ResourceError.
    """
    dataset = data if isinstance(data, Dataset) else read(data, split_seed=split_seed or 0, group_by=group_by)
    parent = start_from if isinstance(start_from, Model) else load(start_from) if start_from is not None else None
    request = Request(
        model=model,
        size=size,
        arguments=arguments or None,
        features=tuple(features) if features is not None else None,
        read_as=read_as,
        start_from=parent.bundle.digest if parent else None,
        budget=seconds(budget) if budget is not None else None,
        epochs=epochs,
        batch_size=batch_size,
        optimiser=optimiser,
        lr=_rate(lr),
        schedule=schedule,
        weight_decay=weight_decay,
        l1=l1,
        ema=ema,
        label_smoothing=label_smoothing,
        mixup=mixup,
        augmentation=tuple(augmentation) if augmentation is not None else None,
        patience=patience,
        precision=precision,
        device=device,
        second_look=second_look,
        prepare=tuple(prepare) if prepare is not None else None,
        scratch=scratch or None,
        download=download or None,
        unfreeze=unfreeze,
        views=views,
        lr_decay=lr_decay,
        balance=balance,
        repeats=repeats,
        seed=seed,
        split_seed=split_seed,
        ensemble=ensemble,
        learning_curve=learning_curve or None,
        window=window,
        horizon=horizon,
    )
    temporary = tempfile.TemporaryDirectory(prefix="visto-") if out is None else None
    path = Path(temporary.name) / "model.visto" if temporary else Path(str(out))
    trained = _train(
        dataset,
        path,
        request,
        voice=voice or Silent(),
        parent=parent.bundle if parent else None,
        resume=resume,
        inexact=inexact,
        threads=threads,
        clock=clock,
    )
    result = Model(trained.bundle)
    result._temporary = temporary
    if temporary is None:
        _report(result, trained, dataset, learning_curve, samples, threads, voice or Silent())
    return result


def tune(
    data: Dataset | str | Path,
    out: str | Path | None = None,
    *,
    search: Sequence[str] | None = None,
    budget: str | float | None = None,
    trials: int | None = None,
    model: str | None = None,
    size: int | None = None,
    arguments: Mapping[str, Any] | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    augmentation: Sequence[str] | None = None,
    balance: str | None = None,
    prepare: Sequence[str] | None = None,
    scratch: bool = False,
    download: bool = False,
    device: str | None = None,
    seed: int | None = None,
    split_seed: int | None = None,
    group_by: str | None = None,
    resume: bool = False,
    inexact: bool = False,
    samples: bool = True,
    threads: int = 0,
    voice: Voice | None = None,
    clock: Callable[[], float] | None = None,
) -> Model:
    """Choose settings for ``data``, train with the best of them, and give the better of that model and the default one.

    ``search`` names what is chosen, such as "lr" or "kernel" (None: all that no other argument fixes).
    Trials are judged on a part held out of the training images; ``Model.tuning`` has them all. ``budget`` covers
    everything; without it there are ``trials`` (24), each with a third of the epochs. Needs Optuna. Raises UsageError,
    DataError, ModelError, ResourceError.
    """
    dataset = data if isinstance(data, Dataset) else read(data, split_seed=split_seed or 0, group_by=group_by)
    request = Request(
        tune=True,
        search=tuple(search) if search is not None else None,
        budget=seconds(budget) if budget is not None else None,
        trials=trials,
        model=model,
        size=size,
        arguments=arguments or None,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        augmentation=tuple(augmentation) if augmentation is not None else None,
        balance=balance,
        prepare=tuple(prepare) if prepare is not None else None,
        scratch=scratch or None,
        download=download or None,
        device=device,
        seed=seed,
        split_seed=split_seed,
    )
    temporary = tempfile.TemporaryDirectory(prefix="visto-") if out is None else None
    path = Path(temporary.name) / "model.visto" if temporary else Path(str(out))
    trained = _tune(
        dataset,
        path,
        request,
        voice=voice or Silent(),
        resume=resume,
        inexact=inexact,
        threads=threads,
        clock=clock,
    )
    result = Model(trained.bundle)
    result._temporary = temporary
    if temporary is None:
        _report(result, trained, dataset, False, samples, threads, voice or Silent())
    return result


def _report(
    model: Model, trained: Trained, dataset: Dataset, again: bool, samples: bool, threads: int, voice: Voice
) -> None:
    """Write the page of a run; one that was killed after its bundle was written, or asked for a curve, gets it too."""
    page = RunFolder(model.path).path / "report.html"
    if trained.judged is None and not again and page.exists():
        return
    try:
        judged = trained.judged or evaluate(model, dataset, split="validation", threads=threads)
        write_report(model, judged, page, data=dataset, samples=samples)
    except VistoError as error:  # the bundle stands all the same
        voice.say(f"no report was written: {error.message}")


def evaluate(
    model: Model | str | Path,
    data: Dataset | str | Path,
    *,
    split: Split | None = None,
    threads: int = 0,
    voice: Voice | None = None,
) -> Evaluation:
    """Judge the model on images that it has not seen. Raises ModelError, DataError."""
    model = model if isinstance(model, Model) else load(model)
    dataset = data if isinstance(data, Dataset) else read_again(data, model.source.manifest.data)
    if threads:
        torch.set_num_threads(threads)
    return _evaluate(
        model.recogniser,
        dataset,
        task=model.source.manifest.task,
        split=split,
        threads=torch.get_num_threads(),
        voice=voice or Silent(),
    )


def compare(
    a: Model | str | Path,
    b: Model | str | Path,
    data: Dataset | str | Path,
    split: Split | None = None,
    *,
    threads: int = 0,
    voice: Voice | None = None,
) -> Comparison:
    """Judge two models on the same images, which neither has seen, and say whether B is better than A.

    ``difference`` of the result is B minus A, figure by figure, each with its 95 % interval; ``verdict`` says it in
    words. ``split`` judges that split even on seen images. Flat data is split as it was for A. Raises UsageError
    where the two have not the same task and classes, ModelError, DataError.
    """
    first, second = (model if isinstance(model, Model) else load(model) for model in (a, b))
    dataset = data if isinstance(data, Dataset) else read_again(data, first.source.manifest.data)
    if threads:
        torch.set_num_threads(threads)
    return _compare(
        first.recogniser,
        second.recogniser,
        dataset,
        tasks=(first.source.manifest.task, second.source.manifest.task),
        split=split,
        threads=torch.get_num_threads(),
        voice=voice or Silent(),
    )


def export(
    model: Model | str | Path,
    out: str | Path,
    *,
    data: Dataset | str | Path | None = None,
    to: str = "onnx",
    int8: bool = False,
    max_drift: float | None = None,
    threads: int = 0,
    voice: Voice | None = None,
) -> Model:
    """Write the model as an ONNX file, and give that as a model; needs ``visto[export]``.

    It is compared with the bundle on held-out images of ``data`` (None: what it was trained from); where the answers
    differ, or the deciding figure by more than ``max_drift`` points (None: 0.5, with ``int8`` 1), nothing is written
    and GateError is raised. Raises UsageError, DataError, ModelError, ResourceError too.
    """
    model = model if isinstance(model, Model) else load(model)
    bundle = model.bundle
    check_asked(bundle, Path(out), to=to, int8=int8, max_drift=max_drift)
    if threads:
        torch.set_num_threads(threads)
    if data is None:
        path, format = trained_from(read_run(bundle.path).source, "data=...")
        data = read_again(path, bundle.manifest.data, format=format)
    elif not isinstance(data, Dataset):
        data = read_again(data, bundle.manifest.data)
    return Model(
        _export(bundle, Path(out), dataset=data, to=to, int8=int8, max_drift=max_drift, voice=voice or Silent())
    )


def write_report(
    model: Model | str | Path,
    evaluation: Evaluation,
    out: str | Path | None = None,
    *,
    data: Dataset | None = None,
    samples: bool = True,
) -> Path:
    """Write one HTML file on the model, as ``evaluation`` judged it, and give its path (``X.report.html`` where None).

    History and ledger are read from ``X.run``, where it lies beside the bundle. ``data`` is what the model was
    trained from, to count its images by class and split, and to show those that a model goes by. Without ``samples``
    the file holds no image. Raises UsageError, ModelError, ResourceError.
    """
    model = model if isinstance(model, Model) else load(model)
    path = report_path(model.path, out)
    run = read_run(model.path)
    parts = {split: [i for i in data.items if i.split == split] for split in SPLITS} if data is not None else {}
    counts = {split: dict(zip(data.classes, data.counts(part), strict=True)) for split, part in parts.items() if data}
    return _write_report(
        path,
        bundle=model.bundle,
        evaluation=evaluation,
        history=run.history,
        ledger=run.ledger,
        samples=samples,
        learning_curve=run.learning_curve,
        tuning=run.tuning,
        listed={split: per for split, per in counts.items() if any(per.values())},
        trained_on=parts.get("train", ()),
    )


def _rate(lr: float | str | None) -> float | None:
    if lr is None or isinstance(lr, float | int):
        return lr
    if lr == "auto":
        return 0.0
    try:
        return float(lr)
    except ValueError as error:
        raise UsageError(f"a learning rate of {lr!r}", expected="a number, or auto") from error
