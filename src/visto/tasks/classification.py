"""Classification: one class out of K for each image."""

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from visto.data.augment import AUGMENTATIONS, augment
from visto.errors import DataError
from visto.metrics import (
    Accuracy,
    CalibrationError,
    Kappa,
    LogLoss,
    PrecisionRecall,
    Ranking,
    confusion_matrix,
    row_rates,
)
from visto.ops.picture import captioned
from visto.tasks.calibration import best_temperature
from visto.tasks.likeness import largest_difference
from visto.tasks.reorder import reordered
from visto.types import Alike, Answer, Batch, Label, Loss, Metric, Needs, Target, View


class Softmax(nn.Module):
    """Logits N×K to scores N×K that sum to 1, softened by a temperature (Guo et al. 2017)."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"scores": (tensors["logits"].float() / self.temperature).softmax(1)}


class Classification:
    """``classes`` names the K classes. ``temperature`` is fitted on validation images after training.

    ``quantiles`` are ``conformal_quantiles`` of the validation images; they make ``--confidence`` possible: split
    conformal prediction (Vovk et al. 2005; Sadinle et al. 2019). Empty: unknown.
    """

    monitor: tuple[str, Literal["max", "min"]] = ("accuracy", "max")
    decisive = "accuracy"
    blend: Literal["softmax", "sigmoid"] = "softmax"
    needs: Needs = "logits"
    sequences = False
    unsuited: frozenset[str] = frozenset()
    augmentations: Sequence[str] = tuple(AUGMENTATIONS)
    looked_at = 0

    def __init__(
        self,
        *,
        classes: Sequence[str],
        temperature: float = 1.0,
        quantiles: Sequence[float] = (),
        label_smoothing: float = 0.0,
    ) -> None:
        if len(classes) < 2:
            raise DataError(f"{len(classes)} class", expected="at least 2 classes to tell apart")
        self.classes = tuple(classes)
        self.quantiles = tuple(quantiles)
        self.label_smoothing = label_smoothing
        self.head: nn.Module = Softmax(temperature)

    def collate(self, targets: Sequence[Label], views: Sequence[View] = ()) -> Tensor:
        """Soft labels N×K: a one for the class (mixup blends them later)."""
        return F.one_hot(torch.tensor([t.index for t in targets]), len(self.classes)).float()

    def augment(
        self,
        images: Tensor,
        targets: Tensor,
        names: Sequence[str],
        random: Generator,
        flipped: Tensor | None,
        done: float,
    ) -> tuple[Tensor, Tensor]:
        """The images changed; their labels stay."""
        return augment(images, names, random, flipped), targets

    def keep(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"logits": tensors["logits"].float()}

    def loss(self, model: nn.Module, batch: Batch[Tensor]) -> Loss:
        """Cross-entropy with the soft labels, smoothed by ``label_smoothing`` (Szegedy et al. 2016)."""
        if batch.targets is None:
            raise DataError("a batch without labels cannot be learnt from")
        logits = model(batch.inputs["images"])["logits"].float()
        targets = batch.targets * (1 - self.label_smoothing) + self.label_smoothing / len(self.classes)
        each = -(targets * logits.log_softmax(1)).sum(1)
        total = (each if batch.weights is None else each * batch.weights).mean()
        return Loss(total=total, parts={"cross_entropy": total.detach()}, each=each.detach())

    def look(self, tensors: Mapping[str, Tensor], targets: Tensor) -> Mapping[str, float]:
        """Plain cross-entropy and accuracy, from logits N×K and soft labels N×K."""
        logits, truth = tensors["logits"], targets.argmax(1)
        return {
            "loss": float(F.cross_entropy(logits, truth)),
            "accuracy": float((logits.argmax(1) == truth).float().mean()),
        }

    def answers(self, tensors: Mapping[str, Tensor], views: Sequence[View]) -> Sequence[Answer[Label]]:
        """The best class of each image, with the scores of all."""
        scores = tensors["scores"]
        best = scores.argmax(1).tolist()
        return [Answer(value=Label(index=k, scores=row)) for k, row in zip(best, scores, strict=True)]

    def metrics(self) -> Sequence[Metric[Label]]:
        return [
            Accuracy(self.classes),
            PrecisionRecall(self.classes),
            Kappa(self.classes),
            Ranking(self.classes),
            LogLoss(self.classes),
            CalibrationError(self.classes),
        ]

    def details(self, answers: Sequence[Answer[Label]], targets: Sequence[Label]) -> Mapping[str, Any]:
        """The confusion matrix (row: truth, column: answer): counts, and shares of the row with their intervals."""
        counts = confusion_matrix([a.value for a in answers], targets, classes=len(self.classes))
        rates, low, high = row_rates(counts)
        return {
            "confusion": {
                "counts": counts.int().tolist(),
                "share": _rounded(rates),
                "low": _rounded(low),
                "high": _rounded(high),
            }
        }

    def calibrated(
        self, tensors: Mapping[str, Tensor], targets: Sequence[Label], views: Sequence[View] = ()
    ) -> "Classification":
        """This task with temperature and quantiles fitted to the logits N×K of held-out images."""
        logits, truth = tensors["logits"], torch.tensor([t.index for t in targets])
        temperature = fit_temperature(logits, truth)
        scores = (logits / temperature).softmax(1)
        misfit = 1 - scores[torch.arange(len(truth)), truth]
        task = copy(self)
        task.head, task.quantiles = Softmax(temperature), tuple(conformal_quantiles(misfit))
        return task

    def label_set(self, answer: Answer[Label], confidence: float) -> frozenset[int]:
        """The classes that cannot be ruled out at ``confidence`` (0–1). Raises DataError without quantiles."""
        if not self.quantiles or answer.value.scores is None:
            raise DataError("this model was made without held-out images: it cannot say how sure it is")
        level = min(100, int(-(-confidence * 100 // 1)))
        allowed = self.quantiles[level] + 1e-6
        kept = (1 - answer.value.scores <= allowed).nonzero().flatten().tolist()
        return frozenset(kept)

    def doubt(self, answer: Answer[Label], *, threshold: float | None, confidence: float | None) -> Answer[Label]:
        """Abstain where the best score is below ``threshold``, or not just one class is left at ``confidence``."""
        if confidence is not None:
            label_set = self.label_set(answer, confidence)
            answer = replace(answer, label_set=label_set)
            if len(label_set) != 1:
                return replace(answer, abstain=f"{len(label_set)} classes are possible at {confidence:g} confidence")
        if threshold and answer.value.scores is not None and float(answer.value.scores.max()) < threshold:
            return replace(answer, abstain=f"best score below {threshold:g}")
        return answer

    def relabel(self, target: Target, places: Mapping[int, int]) -> Label:
        """The target with another class index. Raises DataError for a target of several labels."""
        if not isinstance(target, Label):
            raise DataError(
                "the data gives an image several labels, the model gives it one class",
                expected="one label an image",
                hint="train a model for several labels on such a list, and judge that",
            )
        return Label(index=places[target.index])

    def alike(
        self, ours: Answer[Label], theirs: Answer[Label], *, overlap: float, within: float, least: float
    ) -> Alike:
        """The same class, with the same scores."""
        score = largest_difference(ours.value.scores, theirs.value.scores)
        return Alike(same=int(ours.value.index == theirs.value.index and score <= within), of=1, score=score)

    def reorder(self, answer: Answer[Label], places: Mapping[int, int]) -> Answer[Label]:
        scores = reordered(answer.value.scores, places)
        return replace(answer, value=replace(self.relabel(answer.value, places), scores=scores))

    def arguments(self) -> dict[str, Any]:
        """What a bundle stores of the head, beside the classes."""
        head = self.head
        assert isinstance(head, Softmax)  # noqa: S101  (set above; tells mypy)
        return {"temperature": head.temperature, "quantiles": list(self.quantiles)}

    def draw(self, image: Tensor, answer: Answer[Label]) -> bytes:
        """The picture with the best class and its score below, as PNG."""
        scores = answer.value.scores
        words = self.classes[answer.value.index]
        words += f" {float(scores[answer.value.index]):.2f}" if scores is not None else ""
        return captioned(image, words if answer.abstain is None else f"{words} (abstains)")

    def to_json(self, answer: Answer[Label]) -> Mapping[str, object]:
        """The answer with its classes by name, best first."""
        scores = answer.value.scores
        if scores is None:
            ranked: list[dict[str, object]] = [{"label": self.classes[answer.value.index], "score": None}]
        else:
            order = scores.argsort(descending=True, stable=True).tolist()
            ranked = [{"label": self.classes[k], "score": round(float(scores[k]), 6)} for k in order]
        out: dict[str, object] = {"answers": ranked, "abstain": answer.abstain is not None}
        if answer.abstain is not None:
            out["reason"] = answer.abstain
        if answer.label_set is not None:
            out["label_set"] = [self.classes[k] for k in sorted(answer.label_set)]
        return out


def _rounded(table: Tensor) -> list[list[float | None]]:
    return [[None if value != value else round(value, 6) for value in row] for row in table.tolist()]


def conformal_quantiles(misfit: Tensor) -> list[float]:
    """For each confidence of 0, 1, …, 100 %, the misfit (1 - score of the true class) that a true class stays below.

    Of N misfits it is the ⌈(N + 1) · confidence⌉-th smallest, which keeps the promise for the next image too; 1, which
    rules no class out, where N is too small for such confidence.

    >>> conformal_quantiles(torch.arange(1, 10) / 10)[::10][-3:]
    [0.8, 0.9, 1.0]
    """
    ordered, n = misfit.double().sort().values.tolist(), len(misfit)
    ranks = [max(1, -(-(n + 1) * percent // 100)) for percent in range(101)]
    return [round(ordered[rank - 1], 7) if rank <= n else 1.0 for rank in ranks]


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The temperature in 0.05–20 with the least log-loss on logits N×K and class indices N, by golden-section search.

    Log-loss is convex in 1 / temperature, so the search finds its only minimum. Each label is smoothed by 1 / (N + 2),
    as if one image more had been wrong: where all are right, the scores would otherwise be driven to 0 and 1. With
    under 20 images there is too little to fit: 1.
    """
    if len(targets) < 20:
        return 1.0
    logits = logits.double()

    def cost(inverse: float) -> float:
        return float(F.cross_entropy(logits * inverse, targets, label_smoothing=1 / (len(targets) + 2)))

    return best_temperature(cost)
