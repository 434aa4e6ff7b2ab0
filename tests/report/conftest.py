"""Reports on made-up models: answers and truths are given, the rest is as a run would leave it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from visto.bundle import Bundle, Manifest
from visto.data.cache import Pixels
from visto.data.dataset import Clip, Item, Steps
from visto.data.ledger import Entry
from visto.evaluation import Evaluation
from visto.evaluation.run import judged_as
from visto.models import build_model
from visto.report import write_report
from visto.spec import Spec
from visto.tasks import TASKS
from visto.types import Answer, Boxes, Figure, Label, Labels, Target

HISTORY: list[Mapping[str, Any]] = [
    {"epoch": 1, "loss": 1.5, "validation_loss": 1.2, "validation_accuracy": 0.5, "lr": 0.001},
    {"epoch": 2, "loss": 0.9, "validation_loss": 0.8, "validation_accuracy": 0.75, "lr": 0.001},
    {"epoch": 3, "loss": 0.7, "validation_loss": 0.9, "validation_accuracy": 0.7, "lr": 0.0},
]
_VOID = {"meta", "img", "br", "link", "input", "hr"}


def one_hot(index: int, classes: int, sure: float) -> Tensor:
    scores = torch.full((classes,), (1 - sure) / max(1, classes - 1))
    scores[index] = sure
    return scores


def bundle_of(classes: Sequence[str], path: Path = Path("cats.visto"), task: str = "classification") -> Bundle:
    manifest = Manifest(
        task=task,
        classes=tuple(classes),
        model=Spec(name="cnn", arguments={"classes": len(classes)}),
        preprocess=Spec(name="standard", arguments={"size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.2]}),
        head={},
        recipe={"epochs": 3, "lr": 0.0, "decisions": {"lr": 0.004, "range_test": {}, "precision": "fp32"}, "seed": 7},
        data={"name": "photos", "format": "class-folders", "fingerprint": "f" * 64, "train": 10, "validation": 4},
        metrics={"accuracy": Figure(value=0.5)},
        holds_training_data=False,
        versions={"visto": "0.1.0"},
        created="2026-01-31T12:34:56+00:00",
    )
    none = torch.zeros(0, 16, dtype=torch.uint8)
    return Bundle(path=path, manifest=manifest, weights={}, seen={"train": none, "validation": none}, digest="d" * 64)


def classic_of(
    name: str, classes: Sequence[str], held: Mapping[str, Tensor], *, balance: str = "none", **arguments: Any
) -> Bundle:
    """A classic model on 8×8 colour images whose buffers are ``held``, the rest as freshly built."""
    plain = bundle_of(classes)
    spec: Spec[Any] = Spec(name=name, arguments={"classes": len(classes), "channels": 3, "size": [8, 8], **arguments})
    module = build_model(spec)
    weights = {**module.state_dict(), **held}
    manifest = replace(
        plain.manifest,
        model=spec,
        preprocess=Spec(
            name="standard", arguments={"size": [8, 8], "channels": 3, "mean": [0.0] * 3, "std": [1.0] * 3}
        ),
        recipe={
            "learner": "classic",
            "decisions": {},
            "ended": "",
            "seconds": 1.5,
            "epochs": 60,
            "lr": 0.003,
            "optimiser": "adamw",
            "balance": balance,
            "seed": 7,
            "model": spec.to_json(),
        },
        holds_training_data=getattr(module, "holds_training_data", False),
    )
    return replace(plain, manifest=manifest, weights=weights)


def sequence_bundle_of(name: str, classes: Sequence[str], **arguments: Any) -> Bundle:
    """A model of grey clips of 8×8 pixels, or (``over`` steps) of series of two numbers, freshly built."""
    plain = bundle_of(classes, task="sequence")
    numbers = arguments.get("over") == "steps"
    shape: dict[str, Any] = {"channels": 2, "size": []} if numbers else {"channels": 1, "size": [8, 8]}
    spec: Spec[Any] = Spec(name=name, arguments={"classes": len(classes), **shape, "hidden": 8, **arguments})
    torch.manual_seed(0)
    scale = {"mean": [100.0, 100.0], "std": [50.0, 50.0]} if numbers else {"mean": [0.5], "std": [0.2], "every": 2}
    preprocess: Spec[Any] = Spec(name="series" if numbers else "standard", arguments={**shape, **scale})
    manifest = replace(plain.manifest, model=spec, preprocess=preprocess)
    return replace(plain, manifest=manifest, weights=build_model(spec).state_dict())


def evaluation_of(
    classes: Sequence[str],
    rows: Sequence[tuple[int, int, float]],
    *,
    ids: Sequence[str] = (),
    entries: Sequence[Entry] = (),
    groups: Sequence[str] = (),
    side: int = 8,
) -> Evaluation:
    """Judged images of (truth, answer, score of the answer)."""
    answers = [Answer(value=Label(index=a, scores=one_hot(a, len(classes), sure))) for _, a, sure in rows]
    targets = [Label(index=t) for t, _, _ in rows]
    pixels = pixels_of(targets, ids=ids, entries=entries, groups=groups, side=side)
    task = TASKS["classification"](classes=tuple(classes))
    return judged_as(task, answers, pixels, name="classification", split="test", classes=tuple(classes))


def sequences_of(
    classes: Sequence[str],
    rows: Sequence[tuple[int, int, float]],
    *,
    steps: int = 9,
    numbers: int = 0,
) -> Evaluation:
    """Judged clips of so many frames of 8×8 pixels, or series of so many ``numbers`` a step."""
    plain = evaluation_of(classes, rows)
    n, random = len(rows), torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (steps * n, 1, 8, 8), dtype=torch.uint8, generator=random)
    series = torch.randn(steps * n, max(1, numbers), generator=random) * 50 + 100
    source = Steps(series.numpy(), 0, steps) if numbers else Clip(files=(Path("1.png"), Path("2.png")))
    items = tuple(replace(item, source=source) for item in plain.pixels.items)
    pixels = replace(
        plain.pixels,
        storage=series if numbers else frames,
        rows=torch.arange(steps * n),
        items=items,
        offsets=torch.arange(n + 1) * steps,
    )
    return replace(plain, task="sequence", pixels=pixels)


def several_of(classes: Sequence[str], rows: Sequence[tuple[Sequence[int], Sequence[float]]]) -> Evaluation:
    """Images with several labels: (true classes, score of each class); an answer is what scores 0.5."""
    answers = [
        Answer(value=Labels(classes=tuple(k for k, s in enumerate(scores) if s >= 0.5), scores=torch.tensor(scores)))
        for _, scores in rows
    ]
    pixels = pixels_of([Labels(classes=tuple(truth)) for truth, _ in rows])
    task = TASKS["multilabel"](classes=tuple(classes))
    return judged_as(task, answers, pixels, name="multilabel", split="test", classes=tuple(classes))


Drawn = Sequence[tuple[int, Sequence[float]]]
Said = Sequence[tuple[int, Sequence[float], float]]


def boxes_of(
    classes: Sequence[str], rows: Sequence[tuple[Drawn, Said]], *, threshold: float = 0.5, side: int = 8
) -> Evaluation:
    """Images with boxes: (label, corners) of the true ones, (label, corners, score) of the others, best first."""
    found = [_boxes([(k, corners) for k, corners, _ in said], [score for _, _, score in said]) for _, said in rows]
    pixels = pixels_of([_boxes(true, None) for true, _ in rows], side=side)
    task = TASKS["detection"](classes=tuple(classes), threshold=threshold)
    answers = [Answer(value=value) for value in found]
    return judged_as(task, answers, pixels, name="detection", split="test", classes=tuple(classes))


def _boxes(drawn: Drawn, scores: Sequence[float] | None) -> Boxes:
    return Boxes(
        xyxy=torch.tensor([list(corners) for _, corners in drawn], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([k for k, _ in drawn], dtype=torch.int64),
        scores=None if scores is None else torch.tensor(scores, dtype=torch.float32),
    )


def pixels_of(
    targets: Sequence[Target],
    *,
    ids: Sequence[str] = (),
    entries: Sequence[Entry] = (),
    groups: Sequence[str] = (),
    side: int = 8,
) -> Pixels:
    n = len(targets)
    generator = torch.Generator().manual_seed(0)
    names = list(ids) + [f"{k}.png" for k in range(len(ids), n)]
    group = list(groups) + [None] * (n - len(groups))
    items = [Item(id=names[k], source=Path(names[k]), target=targets[k], group=group[k]) for k in range(n)]
    digests = torch.zeros(n, 16, dtype=torch.uint8)
    digests[:, 0], digests[:, 1], digests[:, 2] = (torch.arange(n) // 256**place % 256 for place in (0, 1, 2))
    images = min(n, 64)
    return Pixels(
        storage=torch.randint(0, 256, (images, 3, side, side), dtype=torch.uint8, generator=generator),
        rows=torch.arange(n) % images,
        items=tuple(items),
        digests=digests,
        sizes=torch.full((n, 2), side),
        entries=tuple(entries) or tuple(Entry(id=item.id, status="kept") for item in items),
    )


@dataclass
class Read(HTMLParser):
    """A page taken apart; every element must be closed where it should be."""

    text: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).replace("\xa0", " ").split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Read]:
    """Write a report and read it again."""

    def written(
        evaluation: Evaluation,
        *,
        history: Sequence[Mapping[str, Any]] = HISTORY,
        ledger: Sequence[Entry] = (),
        samples: bool = True,
        learning_curve: Mapping[str, Any] | None = None,
        tuning: Mapping[str, Any] | None = None,
        listed: Mapping[str, Mapping[str, int]] | None = None,
        bundle: Bundle | None = None,
        trained_on: Sequence[Item] = (),
    ) -> Read:
        path = write_report(
            tmp_path / "out.html",
            bundle=bundle or bundle_of(evaluation.classes, task=evaluation.task),
            evaluation=evaluation,
            history=history,
            ledger=ledger,
            samples=samples,
            learning_curve=learning_curve,
            tuning=tuning,
            listed=listed,
            trained_on=trained_on,
        )
        assert path.stat().st_size < 5_000_000
        return Read(path.read_text(encoding="utf-8"))

    return written
