"""Multi-label classification: any number of K classes for each image, none too."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from visto.data.augment import AUGMENTATIONS, augment
from visto.errors import DataError, ModelError, UsageError
from visto.metrics import (
    MultiLabelAccuracy,
    MultiLabelCalibration,
    MultiLabelPrecisionRecall,
    MultiLabelRanking,
)
from visto.ops.picture import captioned
from visto.tasks.calibration import fit_sigmoid_temperature, fit_thresholds
from visto.tasks.likeness import largest_difference
from visto.tasks.reorder import reordered
from visto.types import Alike, Answer, Batch, Labels, Loss, Metric, Needs, Target, View


class Sigmoid(nn.Module):
    """Logits N×K to scores N×K in 0–1, each class for itself, softened by a temperature (Guo et al. 2017)."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"scores": (tensors["logits"].float() / self.temperature).sigmoid()}


class MultiLabel:
    """``classes`` names the K ≥ 1 classes. An image has those whose score reaches the class's own threshold.

    ``temperature`` and ``thresholds`` (K of them in 0–1; empty: 0.5 each) are fitted on validation images after
    training. Raises DataError without a class, ModelError for thresholds that do not suit the classes.
    """

    # at a threshold of a half: those of the classes are fitted after training
    monitor: tuple[str, Literal["max", "min"]] = ("micro_f1", "max")
    decisive = "exact_match"
    blend: Literal["softmax", "sigmoid"] = "sigmoid"
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
        thresholds: Sequence[float] = (),
        label_smoothing: float = 0.0,
    ) -> None:
        if not classes:
            raise DataError("no class", expected="at least 1 class to look for")
        self.classes = tuple(classes)
        self.thresholds = tuple(thresholds) or (0.5,) * len(self.classes)
        if len(self.thresholds) != len(self.classes) or not all(0 <= t <= 1 for t in self.thresholds):
            raise ModelError(
                f"{len(self.thresholds)} thresholds for {len(self.classes)} classes, from {min(self.thresholds):g} "
                f"to {max(self.thresholds):g}",
                expected="one in 0–1 for each class",
            )
        self.label_smoothing = label_smoothing
        self.head: nn.Module = Sigmoid(temperature)

    def collate(self, targets: Sequence[Target], views: Sequence[View] = ()) -> Tensor:
        """Soft labels N×K: a one for each class of an image (mixup blends them later)."""
        members = torch.zeros(len(targets), len(self.classes))
        for row, target in zip(members, targets, strict=True):
            row[list(target.classes)] = 1
        return members

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
        """The mean binary cross-entropy over the classes; ``label_smoothing`` draws the labels towards a half."""
        if batch.targets is None:
            raise DataError("a batch without labels cannot be learnt from")
        logits = model(batch.inputs["images"])["logits"].float()
        targets = batch.targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(1)
        total = (each if batch.weights is None else each * batch.weights).mean()
        return Loss(total=total, parts={"binary_cross_entropy": total.detach()}, each=each.detach())

    def look(self, tensors: Mapping[str, Tensor], targets: Tensor) -> Mapping[str, float]:
        """Plain binary cross-entropy and micro-F1 at a threshold of a half, from logits N×K and labels N×K."""
        logits, truth = tensors["logits"], targets > 0.5
        said = logits > 0
        return {
            "loss": float(F.binary_cross_entropy_with_logits(logits, targets)),
            "micro_f1": 2 * int((said & truth).sum()) / max(1, int(said.sum()) + int(truth.sum())),
        }

    def answers(self, tensors: Mapping[str, Tensor], views: Sequence[View]) -> Sequence[Answer[Labels]]:
        """The classes of each image whose scores reach their thresholds, with the scores of all."""
        scores = tensors["scores"]
        chosen = (scores >= scores.new_tensor(self.thresholds)).tolist()
        return [
            Answer(value=Labels(classes=tuple(k for k, yes in enumerate(said) if yes), scores=row))
            for said, row in zip(chosen, scores, strict=True)
        ]

    def metrics(self) -> Sequence[Metric[Labels]]:
        return [
            MultiLabelAccuracy(self.classes),
            MultiLabelPrecisionRecall(self.classes),
            MultiLabelRanking(self.classes),
            MultiLabelCalibration(self.classes),
        ]

    def details(self, answers: Sequence[Answer[Labels]], targets: Sequence[Target]) -> Mapping[str, Any]:
        """``decisions``: the four counts of each class; ``together``: K×K, how many images truly have both classes."""
        said = self.collate([answer.value for answer in answers]).double()
        truth = self.collate(targets).double()
        counts = {"tp": said * truth, "fp": said * (1 - truth), "fn": (1 - said) * truth}
        found = {name: column.sum(0).int().tolist() for name, column in counts.items()}
        found["tn"] = [len(targets) - sum(parts) for parts in zip(*found.values(), strict=True)]
        return {"decisions": found, "together": (truth.T @ truth).int().tolist()}

    def calibrated(
        self, tensors: Mapping[str, Tensor], targets: Sequence[Target], views: Sequence[View] = ()
    ) -> "MultiLabel":
        """This task with temperature and thresholds fitted to the logits N×K of held-out images.

        F1 on those images is then a little too good, since the thresholds were chosen for it.
        """
        logits, truth = tensors["logits"], self.collate(targets)
        temperature = fit_sigmoid_temperature(logits, truth)
        return MultiLabel(
            classes=self.classes,
            temperature=temperature,
            thresholds=fit_thresholds((logits / temperature).sigmoid(), truth),
            label_smoothing=self.label_smoothing,
        )

    def doubt(self, answer: Answer[Labels], *, threshold: float | None, confidence: float | None) -> Answer[Labels]:
        """The labels that score ``threshold`` too; it abstains where that leaves none of some, and then shows them all.

        To have none of the classes from the start is an answer. Raises UsageError for ``confidence``: a promise that
        would hold for all labels of an image at once is not made.
        """
        if confidence is not None:
            raise UsageError(
                "no confidence can be asked of a model that gives several labels an image",
                hint="leave --confidence out; --threshold leaves out labels that score less",
            )
        value = answer.value
        if not threshold or value.scores is None or not value.classes:
            return answer
        sure = tuple(k for k in value.classes if float(value.scores[k]) >= threshold)
        if not sure:
            return replace(answer, abstain=f"no label scores {threshold:g} or more")
        return replace(answer, value=replace(value, classes=sure))

    def relabel(self, target: Target, places: Mapping[int, int]) -> Labels:
        """The target with other class indices; one class out of K (of a folder of its own) is a set of one."""
        return Labels(classes=tuple(sorted(places[k] for k in target.classes)))

    def alike(
        self, ours: Answer[Labels], theirs: Answer[Labels], *, overlap: float, within: float, least: float
    ) -> Alike:
        """The same classes, with the same scores."""
        score = largest_difference(ours.value.scores, theirs.value.scores)
        return Alike(same=int(ours.value.classes == theirs.value.classes and score <= within), of=1, score=score)

    def reorder(self, answer: Answer[Labels], places: Mapping[int, int]) -> Answer[Labels]:
        scores = reordered(answer.value.scores, places)
        return replace(answer, value=replace(self.relabel(answer.value, places), scores=scores))

    def arguments(self) -> dict[str, Any]:
        """What a bundle stores of the head, beside the classes."""
        head = self.head
        assert isinstance(head, Sigmoid)  # noqa: S101  (set above; tells mypy)
        return {"temperature": head.temperature, "thresholds": list(self.thresholds)}

    def draw(self, image: Tensor, answer: Answer[Labels]) -> bytes:
        """The picture with its labels and their scores below, as PNG."""
        order, scores = self._ranked(answer.value), answer.value.scores
        shown = order[: max(1, len(answer.value.classes))] if scores is not None else list(answer.value.classes)
        named = [self.classes[k] + (f" {float(scores[k]):.2f}" if scores is not None else "") for k in shown]
        words = ", ".join(named)
        if not answer.value.classes:
            words = f"none (best: {words})" if words else "none"
        return captioned(image, words if answer.abstain is None else f"{words} (abstains)")

    def to_json(self, answer: Answer[Labels]) -> Mapping[str, object]:
        """``labels`` names the classes it gives, ``answers`` those first and then all others, best first."""
        order, scores = self._ranked(answer.value), answer.value.scores
        content: dict[str, object] = {
            "labels": [self.classes[k] for k in order[: len(answer.value.classes)]],
            "answers": [
                {"label": self.classes[k], "score": round(float(scores[k]), 6) if scores is not None else None}
                for k in order
            ],
            "abstain": answer.abstain is not None,
        }
        if answer.abstain is not None:
            content["reason"] = answer.abstain
        return content

    def _ranked(self, value: Labels) -> list[int]:
        """Its classes, then all others, each best first; without scores only its classes."""
        if value.scores is None:
            return list(value.classes)
        scores = value.scores.tolist()
        return sorted(range(len(scores)), key=lambda k: (k not in value.classes, -scores[k], k))
