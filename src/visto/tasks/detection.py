"""Detection: any number of boxes for each image, each with one class out of K."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from visto.data.augment_boxes import BOX_AUGMENTATIONS, augment_boxes
from visto.errors import DataError, ModelError, UsageError
from visto.metrics import (
    AveragePrecision,
    BoxPrecisionRecall,
    best_threshold,
    box_confusion,
    fit_box_scores,
    recall_by_size,
)
from visto.models.faster_rcnn import FasterRCNN
from visto.models.yolo import places
from visto.ops.boxes import clip_boxes, move_boxes
from visto.ops.picture import boxed
from visto.tasks.box_head import BoxHead
from visto.tasks.box_loss import detection_loss
from visto.tasks.likeness import alike_boxes
from visto.tasks.two_stage_loss import two_stage_loss
from visto.types import Alike, Answer, Batch, Boxes, Loss, Metric, Needs, Target, View

_PLAIN = 0.15  # of training, at its end, that sees whole images: mosaics are not what it will be asked about


class Detection:
    """``classes`` names the K ≥ 1 classes. ``threshold`` (0–1) is the score from which a box is an answer.

    ``temperature`` and ``shift`` make of scores the chance to be right. All three are fitted on validation images after
    training; precision, recall and F1 are judged at the threshold, average precision on all boxes. There are no labels
    for ``label_smoothing`` to smooth: what is taught is how well a box fits. Raises DataError
    without a class, ModelError for a threshold out of range.
    """

    monitor: tuple[str, Literal["max", "min"]] = ("map", "max")
    decisive = "map"
    blend: Literal["softmax", "sigmoid"] = "sigmoid"
    needs: Needs = "boxes"
    sequences = False
    unsuited = frozenset(
        {
            "balance",
            "ensemble",
            "features",
            "label_smoothing",
            "learning_curve",
            "mixup",
            "repeats",
            "second_look",
            "tune",
            "unfreeze",
            "views",
        }
    )
    augmentations: Sequence[str] = tuple(BOX_AUGMENTATIONS)
    looked_at = 500

    def __init__(
        self,
        *,
        classes: Sequence[str],
        threshold: float = 0.5,
        temperature: float = 1.0,
        shift: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        if not classes:
            raise DataError("no class", expected="at least 1 class to look for")
        if not 0 <= threshold <= 1:
            raise ModelError(f"a threshold of {threshold:g}", expected="one in 0–1")
        self.classes = tuple(classes)
        self.threshold = threshold
        self._boxes = BoxHead(temperature=temperature, shift=shift)
        self.head: nn.Module = self._boxes

    def collate(self, targets: Sequence[Target], views: Sequence[View] = ()) -> Tensor:
        """N×M×6: label (-1: no box), x0, y0, x1, y1 in pixels of the model's input, 1 where ignored, 2 where crowd."""
        boxes = [target for target in targets if isinstance(target, Boxes)]
        if len(boxes) < len(targets):
            raise DataError("an image without boxes among images with them", expected="data with boxes, such as COCO's")
        out = torch.full((len(boxes), max((len(b) for b in boxes), default=0), 6), -1.0)
        for row, target, view in zip(out, boxes, views, strict=True):
            m = len(target)
            row[:m, 0] = target.labels.float()
            row[:m, 1:5] = move_boxes(target.xyxy, _inverse(view.to_original))
            row[:m, 5] = 0.0 if target.ignored is None else target.ignored.float()
            if target.crowd is not None:
                row[:m, 5] += target.crowd.float()
        return out

    def augment(
        self,
        images: Tensor,
        targets: Tensor,
        names: Sequence[str],
        random: Generator,
        flipped: Tensor | None,
        done: float,
    ) -> tuple[Tensor, Tensor]:
        """Images and boxes together; no mosaics in the last part of training."""
        chosen = [name for name in names if name != "mosaic" or done < 1 - _PLAIN]
        return augment_boxes(images, targets, chosen, random, flipped)

    def keep(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The boxes that are answered at all: what stands before them, thousands of places an image, is not needed."""
        return self._boxes.suppressed(tensors)

    def loss(self, model: nn.Module, batch: Batch[Tensor]) -> Loss:
        """See ``visto.tasks.box_loss``, and ``visto.tasks.two_stage_loss`` for a model that looks twice."""
        if batch.targets is None:
            raise DataError("a batch without boxes cannot be learnt from")
        images = batch.inputs["images"]
        if isinstance(model, FasterRCNN):
            return two_stage_loss(model, images, batch.targets, batch.weights)
        centres, strides = (tensor.to(images.device) for tensor in places(images.shape[2:]))
        return detection_loss(model(images), batch.targets, centres, strides, batch.weights)

    def look(self, tensors: Mapping[str, Tensor], targets: Tensor) -> Mapping[str, float]:
        """Average precision, in pixels of the model's input."""
        metric = AveragePrecision(self.classes)
        said = [answer.value for answer in self.answers(tensors, ())]
        metric.update(torch.arange(len(targets)), said, [_as_boxes(row) for row in targets])
        return {"map": metric.compute().get("map", 0.0)}

    def answers(self, tensors: Mapping[str, Tensor], views: Sequence[View]) -> Sequence[Answer[Boxes]]:
        """The boxes of each image, best first, in pixels of the original; without views in those of the input."""
        columns = [tensors[name].cpu() for name in ("boxes", "scores", "labels")]
        out = []
        for k, (boxes, scores, labels) in enumerate(zip(*columns, strict=True)):
            some = scores > 0
            xyxy = boxes[some].float()
            if views:
                size = views[k].size
                xyxy = clip_boxes(move_boxes(xyxy, views[k].to_original), size.height, size.width)
            here = (xyxy[:, 2:] > xyxy[:, :2]).all(1)  # not wholly in the border
            value = Boxes(xyxy=xyxy[here], labels=labels[some][here], scores=scores[some][here].float())
            out.append(Answer(value=value))
        return out

    def metrics(self) -> Sequence[Metric[Boxes]]:
        return [AveragePrecision(self.classes), BoxPrecisionRecall(self.classes, self.threshold)]

    def details(self, answers: Sequence[Answer[Boxes]], targets: Sequence[Boxes]) -> Mapping[str, Any]:
        """At the threshold: what is taken for what (the last row and column: nothing), and recall by object size."""
        said = [answer.value for answer in answers]
        return {
            "threshold": self.threshold,
            "boxes": {
                "said": sum(int((b.scores >= self.threshold).sum()) for b in said if b.scores is not None),
                "true": sum(len(b) for b in targets),
            },
            "box_confusion": box_confusion(said, targets, classes=len(self.classes), threshold=self.threshold).tolist(),
            "recall_by_size": recall_by_size(said, targets, threshold=self.threshold),
        }

    def calibrated(
        self, tensors: Mapping[str, Tensor], targets: Sequence[Boxes], views: Sequence[View] = ()
    ) -> "Detection":
        """This task with scores that are chances, and the threshold of the best F1, on held-out images.

        F1 on those images is then a little too good, since the threshold was chosen for it.
        """
        said = [answer.value for answer in self.answers(tensors, views)]
        temperature, shift = fit_box_scores(said, targets)
        made = Detection(classes=self.classes, temperature=temperature, shift=shift)
        again = [answer.value for answer in made.answers(made.head(tensors), views)]
        made.threshold = best_threshold(again, targets)
        return made

    def doubt(self, answer: Answer[Boxes], *, threshold: float | None, confidence: float | None) -> Answer[Boxes]:
        """The boxes that score ``threshold`` (None: the model's own) or more: none is an answer too.

        Raises UsageError for ``confidence``: a promise that would hold for all boxes of an image is not made.
        """
        if confidence is not None:
            raise UsageError(
                "no confidence can be asked of a model that finds boxes",
                hint="leave --confidence out; --threshold leaves out boxes that score less",
            )
        value = answer.value
        if value.scores is None:
            return answer
        some = value.scores >= (self.threshold if threshold is None else threshold)
        return replace(answer, value=Boxes(xyxy=value.xyxy[some], labels=value.labels[some], scores=value.scores[some]))

    def relabel(self, target: Target, places: Mapping[int, int]) -> Boxes:
        """The boxes with other class indices. Raises DataError for a target that has none."""
        if not isinstance(target, Boxes):
            raise DataError(
                "the data says what is in an image, the model says where", expected="data with boxes, such as COCO's"
            )
        some = torch.tensor([k in places for k in target.labels.tolist()], dtype=torch.bool)  # others are ignored ones
        labels = torch.tensor([places[k] for k in target.labels[some].tolist()], dtype=torch.int64)
        columns = {name: getattr(target, name) for name in ("scores", "ignored", "crowd", "areas")}
        kept = {name: None if column is None else column[some] for name, column in columns.items()}
        return Boxes(xyxy=target.xyxy[some], labels=labels, **kept)

    def alike(
        self, ours: Answer[Boxes], theirs: Answer[Boxes], *, overlap: float, within: float, least: float
    ) -> Alike:
        """Of the boxes that either stands by, those for which the other has one of the same class there, as sure."""
        return alike_boxes(ours.value, theirs.value, least=min(self.threshold, least), overlap=overlap, within=within)

    def reorder(self, answer: Answer[Boxes], places: Mapping[int, int]) -> Answer[Boxes]:
        return replace(answer, value=self.relabel(answer.value, places))

    def arguments(self) -> dict[str, Any]:
        """What a bundle stores of the head, beside the classes."""
        head = self._boxes
        return {"threshold": self.threshold, "temperature": head.temperature, "shift": head.shift}

    def draw(self, image: Tensor, answer: Answer[Boxes]) -> bytes:
        """The picture with its boxes, named and scored, as PNG."""
        value = answer.value
        scores = value.scores.tolist() if value.scores is not None else [None] * len(value)
        words = [
            self.classes[k] + (f" {s:.2f}" if s is not None else "")
            for k, s in zip(value.labels.tolist(), scores, strict=True)
        ]
        return boxed(image, value, words)

    def to_json(self, answer: Answer[Boxes]) -> Mapping[str, object]:
        """``answers`` has the boxes, best first: ``box`` is [x0, y0, x1, y1] in pixels of the original image."""
        value = answer.value
        scores = value.scores.tolist() if value.scores is not None else [None] * len(value)
        return {
            "answers": [
                {
                    "label": self.classes[k],
                    "score": None if score is None else round(score, 6),
                    "box": [round(side, 2) for side in box],
                }
                for k, score, box in zip(value.labels.tolist(), scores, value.xyxy.tolist(), strict=True)
            ],
            "abstain": answer.abstain is not None,
        }


def _inverse(to_original: Tensor) -> Tensor:
    """From the original to the model's input, of a change without a turn."""
    scale = torch.stack([to_original[0, 0], to_original[1, 1]])
    move = -to_original[:, 2] / scale
    return torch.stack(
        [
            torch.stack([1 / scale[0], scale.new_tensor(0.0), move[0]]),
            torch.stack([scale.new_tensor(0.0), 1 / scale[1], move[1]]),
        ]
    )


def _as_boxes(targets_m6: Tensor) -> Boxes:
    some = targets_m6[targets_m6[:, 0] >= 0]
    return Boxes(xyxy=some[:, 1:5], labels=some[:, 0].long(), ignored=some[:, 5] > 0, crowd=some[:, 5] > 1)
