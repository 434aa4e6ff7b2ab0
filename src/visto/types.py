"""The nouns: small frozen values that check themselves. The whole contract between the floors, in one file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Generator, Tensor, nn

from visto.errors import DataError

X = TypeVar("X")
T = TypeVar("T")
P = TypeVar("P", contravariant=True)
C = TypeVar("C")

Needs = Literal["logits", "boxes", "forecast"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Height and width in pixels, both at least 1."""

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise DataError(f"an image of {self.width}×{self.height} pixels", expected="at least 1×1")


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How an input to the model came from the original image.

    ``size`` is the original's. ``to_original`` (2×3 float) takes a point (x, y, 1) of the model's input, in pixels,
    to the original: it undoes resize, crop and letterbox.
    """

    size: Size
    to_original: Tensor

    def __post_init__(self) -> None:
        if tuple(self.to_original.shape) != (2, 3):
            raise ValueError(f"to_original is {tuple(self.to_original.shape)}, expected (2, 3)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One class out of K: its index, and (for answers) a score for each class, K floats that sum to 1."""

    index: int
    scores: Tensor | None = None

    def __post_init__(self) -> None:
        if self.index < 0:
            raise ValueError(f"class index {self.index}, expected 0 or more")

    @property
    def classes(self) -> tuple[int, ...]:
        return (self.index,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Any number of classes out of K, none too: their indices, ascending, and (for answers) K scores in 0–1.

    The scores are independent of each other: they need not sum to 1.
    """

    classes: tuple[int, ...]
    scores: Tensor | None = None

    def __post_init__(self) -> None:
        if list(self.classes) != sorted(set(self.classes)) or (self.classes and self.classes[0] < 0):
            raise ValueError(f"class indices {self.classes}, expected distinct ones from 0, ascending")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boxes:
    """M boxes in one image, none too: ``xyxy`` M×4 float32, ``labels`` M int64, and (for answers) M ``scores`` in 0–1.

    Coordinates are pixels of the original image, upright, as edges: a box over a whole image of 640×480 is
    [0, 0, 640, 480]. Of a target, ``ignored`` (M bool; None: none) marks boxes that are neither asked for nor an error
    to find, ``crowd`` those of them that stand for many things at once and may be found many times (COCO's
    ``iscrowd``). ``areas`` (M, square pixels; None: those of the boxes) decide what is small and large.
    """

    xyxy: Tensor
    labels: Tensor
    scores: Tensor | None = None
    ignored: Tensor | None = None
    crowd: Tensor | None = None
    areas: Tensor | None = None

    def __post_init__(self) -> None:
        m = len(self.labels)
        if tuple(self.xyxy.shape) != (m, 4):
            raise ValueError(f"boxes of shape {tuple(self.xyxy.shape)} for {m} labels, expected ({m}, 4)")
        if not bool(torch.isfinite(self.xyxy).all()) or bool((self.xyxy[:, 2:] < self.xyxy[:, :2]).any()):
            raise ValueError("boxes must be finite, with x0 ≤ x1 and y0 ≤ y1")
        for name in ("scores", "ignored", "crowd", "areas"):
            column = getattr(self, name)
            if column is not None and tuple(column.shape) != (m,):
                raise ValueError(f"{name} of shape {tuple(column.shape)} for {m} boxes")

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes that are asked for, each once, ascending: those of boxes that are not ignored."""
        labels = self.labels if self.ignored is None else self.labels[~self.ignored]
        return tuple(sorted(set(labels.tolist())))

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Boxes):
            return NotImplemented
        return same_fields(self, other)

    __hash__ = None  # type: ignore[assignment]  # tensors are not hashed by what they hold


def same_fields(one: Any, other: Any) -> bool:
    """Whether two values of one dataclass have equal fields, tensors among them."""

    def same(a: object, b: object) -> bool:
        return torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a is b or a == b

    return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Future:
    """What comes next in a series: ``values`` h×F float32, the h steps after a window, of F columns.

    Of an answer, ``linear`` and ``naive`` (h×F) are what two plain ways say: a linear one, and the last value again.
    The truth lies within ``low`` … ``high`` (h×F) as often as ``confidence`` says; None where that is not known.
    """

    values: Tensor
    linear: Tensor | None = None
    naive: Tensor | None = None
    low: Tensor | None = None
    high: Tensor | None = None
    confidence: float | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not len(self.values):
            raise ValueError(f"a future of shape {tuple(self.values.shape)}, expected steps × columns")
        for name in ("linear", "naive", "low", "high"):
            other = getattr(self, name)
            if other is not None and other.shape != self.values.shape:
                raise ValueError(f"{name} of shape {tuple(other.shape)} for {tuple(self.values.shape)} values")

    @property
    def classes(self) -> tuple[int, ...]:
        """None: what comes next is no class."""
        return ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Future):
            return NotImplemented
        return same_fields(self, other)

    __hash__ = None  # type: ignore[assignment]


Target = Label | Labels | Boxes | Future


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Generic[X, T]):
    """One decoded example: the input (an image is a uint8 tensor C×H×W), what is known of it, and who it is."""

    input: X
    target: T | None
    id: str
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Generic[C]):
    """What a model sees at once: named tensors (``images`` N×C×H×W), collated targets, and the rows they came from.

    ``weights`` (N floats, mean 1 over all images; None: all 1) is how much each image counts in the loss.
    """

    inputs: Mapping[str, Tensor]
    targets: C | None
    rows: Tensor
    views: Sequence[View] = ()
    weights: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[T]):
    """A target with scores, wrapped in what is known about the doubt.

    ``label_set`` holds the classes that cannot be ruled out at the asked confidence, ``abstain`` the reason for not
    answering (None: it answers). ``stranger`` is how unlike the training data the input looks, 0 to 1.
    """

    value: T
    label_set: frozenset[int] | None = None
    stranger: float | None = None
    abstain: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Of two answers to one image: ``same`` of ``of`` things that they say; ``score`` is the largest difference."""

    same: int
    of: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """``total`` is the scalar to descend, ``parts`` its named terms (detached), ``each`` the loss of each image (N)."""

    total: Tensor
    parts: Mapping[str, Tensor]
    each: Tensor | None = None


class Metric(Protocol[P]):
    """Collects answers and targets, then computes figures for any weighting of the images.

    ``compute(None)`` weighs every image 1. Weights are N floats ≥ 0; one function so gives every bootstrap interval
    and every paired comparison.
    """

    def update(self, rows: Tensor, predictions: Sequence[P], targets: Sequence[P]) -> None: ...

    def compute(self, weights: Tensor | None = None) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value with its 95 % interval; the bounds are None where the data cannot give one."""

    value: float
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4f}"
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


class Progress(Protocol):
    """Wraps a long loop to show how far it is."""

    def __call__(self, items: Iterable[X], *, total: int, words: str) -> Iterator[X]: ...


class Voice(Protocol):
    """How a long piece of work speaks to whoever waits: ``say`` a line, or wrap a loop in ``progress``."""

    def say(self, words: str) -> None: ...

    def progress(self, items: Iterable[X], *, total: int, words: str) -> Iterator[X]: ...


class Silent:
    """A Voice that says nothing."""

    def say(self, words: str) -> None:
        pass

    def progress(self, items: Iterable[X], *, total: int, words: str) -> Iterator[X]:
        yield from items


silent: Progress = Silent().progress


class Task(Protocol[T, C]):
    """What is learnt: the head and loss that stand on a model, and how answers are packed, judged and shown."""

    monitor: tuple[str, Literal["max", "min"]]
    decisive: str  # the figure by which one recogniser is better than another
    blend: Literal["softmax", "sigmoid"]  # what makes scores of logits, so that those of several models can be averaged
    needs: Needs  # what it learns from a model
    sequences: bool  # whether its inputs are clips or series, not images
    unsuited: frozenset[str]  # options of training (as in recipes.Request) that have no meaning for it
    augmentations: Sequence[str]  # names that ``augment`` knows
    looked_at: int  # how many held-out images a look while training judges (0: all)
    head: nn.Module

    def collate(self, targets: Sequence[T], views: Sequence[View] = ()) -> C:
        """Targets as columns, for the loss; where places matter, as the model's input ``views`` them."""

    def augment(
        self, images: Tensor, targets: C, names: Sequence[str], random: Generator, flipped: Tensor | None, done: float
    ) -> tuple[Tensor, C]:
        """A batch (uint8 N×C×H×W) and its targets, changed as ``names`` say.

        ``flipped`` (N, bool) says which to flip, else chance does; ``done`` is the share of training that is behind.
        """

    def keep(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What of a batch's raw tensors is needed later, where they are kept for all held-out images: no more."""

    def loss(self, model: nn.Module, batch: Batch[C]) -> Loss:
        """Takes the model, so that mixup, denoising or distillation need no flag in its forward."""

    def look(self, tensors: Mapping[str, Tensor], targets: C) -> Mapping[str, float]:
        """A quick look at what was kept of held-out images while training: the monitored figure, ``loss`` if known."""

    def answers(self, tensors: Mapping[str, Tensor], views: Sequence[View]) -> Sequence[Answer[T]]:
        """The head's tensors, packed."""

    def metrics(self) -> Sequence[Metric[T]]:
        """New metrics, all of them."""

    def details(self, answers: Sequence[Answer[T]], targets: Sequence[T]) -> Mapping[str, Any]:
        """What the figures alone do not show (a confusion matrix), as JSON values."""

    def calibrated(
        self, tensors: Mapping[str, Tensor], targets: Sequence[T], views: Sequence[View] = ()
    ) -> "Task[T, C]":
        """This task with its head fitted to what was kept of the model's outputs for held-out images."""

    def doubt(self, answer: Answer[T], *, threshold: float | None, confidence: float | None) -> Answer[T]:
        """The answer, abstaining where its score or certainty is below what was asked (None: what the task keeps)."""

    def alike(self, ours: Answer[T], theirs: Answer[T], *, overlap: float, within: float, least: float) -> Alike:
        """How far two answers to one image say the same.

        Scores do where they differ by ``within`` at most, boxes where they overlap (IoU) by ``overlap`` at least;
        those count that score ``least``, or the model's own threshold where that is lower.
        """

    def reorder(self, answer: Answer[T], places: Mapping[int, int]) -> Answer[T]:
        """The answer with other class indices, its scores too."""

    def relabel(self, target: T, places: Mapping[int, int]) -> T:
        """The target with other class indices."""

    def arguments(self) -> Mapping[str, Any]:
        """What a bundle stores of the task, beside the classes: builds it again."""

    def draw(self, image: Tensor, answer: Answer[T]) -> bytes:
        """The picture (uint8 C×H×W) with its answer, as PNG."""

    def to_json(self, answer: Answer[T]) -> Mapping[str, object]:
        """The answer as ``predict --json`` prints it."""
