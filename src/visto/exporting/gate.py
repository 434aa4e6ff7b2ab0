"""The gate: what was written must answer as the bundle does, on images that the bundle has not learnt from.

Both get the same decoded images. The bundle answers through torch; the file is run whole, from those pixels on. Three
things are asked: the pixels that its graph makes of each image, the answers image by image, and the deciding figure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor

from visto.bundle import FITTED, IMAGES
from visto.data.content import read_content
from visto.data.dataset import Item, PixelRow, content_digest
from visto.data.decode import decode
from visto.errors import DataError, GateError, ModelError
from visto.evaluation.judge import judge
from visto.prediction import TorchRecogniser
from visto.prediction.runtime import session
from visto.preprocess import Fit
from visto.types import Answer, Figure, Size, Task, Voice

_TOGETHER = 16  # images of one size
_HELD_PIXELS = 1 << 23  # of one batch
_LEVELS = 1  # by which a fitted pixel may differ: the same sums in another order, rounded
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What is asked of an export. ``agreement`` is the share of answers that must be the same, in 0–1.

    Boxes are the same at an overlap (IoU) of ``overlap`` or more; scores are where they differ by ``within`` at most.
    ``drift`` is by how many points (hundredths) the deciding figure may differ. Boxes count from the score ``least``,
    or from the model's own threshold where that is lower.
    """

    agreement: float
    overlap: float
    within: float
    drift: float
    least: float


def exact(drift: float) -> Bar:
    """The bar of a graph that does the same sums."""
    return Bar(agreement=0.999, overlap=0.98, within=0.01, drift=drift, least=0.05)


def rounded(drift: float) -> Bar:
    """The bar of a graph in whole numbers: scores move, and what stood between two classes may fall either way."""
    return Bar(agreement=0.95, overlap=0.75, within=0.25, drift=drift, least=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One held-out image, decoded: uint8 C×H×W, C 1 or 3."""

    item: Item
    pixels: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What the gate found on ``n`` images. ``same`` of ``of`` answers (of boxes: boxes) were the same.

    ``drift`` is in ``unit``, above 0 where the file is worse; ``theirs`` are the file's figures, ``ours`` the bundle's.
    ``worst`` are words on the images that disagree most.
    """

    n: int
    same: int
    of: int
    score: float
    figure: str
    drift: float
    unit: str
    ours: Mapping[str, Figure]
    theirs: Mapping[str, Figure]
    worst: tuple[str, ...]

    @property
    def agreement(self) -> float:
        return self.same / self.of if self.of else 1.0

    def to_json(self) -> dict[str, Any]:
        return {
            "images": self.n,
            "agreement": self.agreement,
            "largest_score_difference": self.score,
            "figure": self.figure,
            "drift": self.drift,
            "worst": list(self.worst),
        }


def decoded(items: Iterable[Item], learnt_from: frozenset[bytes]) -> Iterator[Held]:
    """The images that a bundle has not learnt from, one after another; what cannot be read is passed over.

    ``learnt_from`` are content digests.
    """
    for item in items:
        try:
            if isinstance(item.source, PixelRow):
                pixels = torch.from_numpy(item.source.pixels.copy()).permute(2, 0, 1)
                digest = content_digest(item.source.pixels)
            elif isinstance(item.source, Path):
                content = read_content(item.source)
                digest, pixels = content_digest(content), decode(content).pixels
            else:
                raise TypeError(f"{item.id} is no image")
        except DataError:
            continue
        if digest not in learnt_from:
            yield Held(item=item, pixels=pixels)


def parity(recogniser: TorchRecogniser, graph: ModelProto, items: Sequence[Item], bar: Bar, voice: Voice) -> Parity:
    """Run both over the images that the bundle has not learnt from, and compare; what a step refuses is left out.

    Raises GateError where the file's pixels or numbers are wrong, DataError where no image is left to compare on.
    """
    run, kept, ours, theirs = _whole(graph), list[Item](), list[Answer[Any]](), list[Answer[Any]]()
    fit = recogniser.fit
    check_made_up(fit, run)
    learnt_from = frozenset(bytes(row) for row in recogniser.seen["train"].numpy())
    for batch in _batches(decoded(voice.progress(items, total=len(items), words="comparing"), learnt_from)):
        for some in [batch] if _fits(fit, batch) else [[one] for one in batch if _fits(fit, [one])]:
            images = torch.stack([one.pixels for one in some])
            tensors = run(images)
            fitted = fit(_channels_last(images))
            check_pixels(fitted, tensors.pop(FITTED), [one.item.id for one in some])
            check_whole(tensors)
            view = fit.view(Size(height=images.shape[2], width=images.shape[3]))
            ours += recogniser.answers(fitted, [view] * len(some))
            theirs += recogniser.task.answers(tensors, ())
            kept += [one.item for one in some]
    if not kept:
        raise DataError(
            f"no image to compare on: {len(items)} were given, none of them readable and new to the model",
            expected="images that the model has not learnt from",
            hint="name others with --data",
        )
    return compared(recogniser.task, ours, theirs, kept, bar)


def _whole(graph: ModelProto) -> Callable[[Tensor], dict[str, Tensor]]:
    """The graph as a function of decoded images, uint8 N×C×H×W; with its outputs it gives the fitted pixels."""
    probe = ModelProto()
    probe.CopyFrom(graph)
    probe.graph.output.extend(value for value in graph.graph.value_info if value.name == FITTED)
    names = [value.name for value in probe.graph.output]
    if FITTED not in names:
        raise ModelError(f"the graph has no tensor {FITTED!r}", hint="export it again")
    run = session(probe)

    def tensors(images: Tensor) -> dict[str, Tensor]:
        colour = images if images.shape[1] == 3 else images.expand(-1, 3, -1, -1)
        found = run.run(names, {IMAGES: colour.permute(0, 2, 3, 1).contiguous().numpy()})
        return dict(zip(names, map(torch.from_numpy, found), strict=True))

    return tensors


def check_made_up(fit: Fit, run: Callable[[Tensor], dict[str, Tensor]], together: int = 2) -> None:
    """Pixels of coloured noise of many shapes: grey images of the model's own size show neither colours nor a resize.

    Raises GateError where the graph makes others of them.
    """
    random = torch.Generator().manual_seed(0)
    height, width = fit.size.height, fit.size.width
    larger, smaller = (2 * height + 3, 3 * width + 1), (height // 2 + 1, width // 3 + 1)
    for tall, wide in (larger, smaller, (height, 2 * width), (2 * height, width // 2 + 1), (height, width)):
        images = torch.randint(0, 256, (together, 3, tall, wide), generator=random, dtype=torch.uint8)
        fitted = fit(_channels_last(images))
        check_pixels(fitted, run(images)[FITTED], [f"noise of {wide}×{tall} pixels"] * together)


def _fits(fit: Fit, batch: Sequence[Held]) -> bool:
    """Whether no step refuses one of the images."""
    try:
        fit(_channels_last(torch.stack([one.pixels for one in batch])))
    except DataError:
        return False
    return True


def compared(
    task: Task[Any, Any], ours: Sequence[Answer[Any]], theirs: Sequence[Answer[Any]], items: Sequence[Item], bar: Bar
) -> Parity:
    """The parity of the bundle's answers and the file's to the same images."""
    asked = {"overlap": bar.overlap, "within": bar.within, "least": bar.least}
    each = [task.alike(a, b, **asked) for a, b in zip(ours, theirs, strict=True)]
    targets, groups = [item.target for item in items], [item.group for item in items]
    figures = [judge(task, answers, targets, groups) for answers in (ours, theirs)]
    known = task.decisive in figures[0] and task.decisive in figures[1]
    less = task.monitor == (task.decisive, "min")
    ours_is, theirs_is = (one[task.decisive].value if known else 0.0 for one in figures)
    order = sorted(range(len(each)), key=lambda k: (each[k].same - each[k].of, -each[k].score))
    worst = tuple(
        f"{items[k].id}: {_words(task, ours[k])} became {_words(task, theirs[k])}"
        for k in order[:_SHOWN]
        if each[k].same < each[k].of
    )
    return Parity(
        n=len(items),
        same=sum(one.same for one in each),
        of=sum(one.of for one in each),
        score=max((one.score for one in each), default=0.0),
        figure=task.decisive,
        drift=_drift(ours_is, theirs_is, less),
        unit="per cent" if less else "points",
        ours=figures[0],
        theirs=figures[1],
        worst=worst,
    )


def _drift(ours: float, theirs: float, less: bool) -> float:
    """Of a share in points; of an error, where ``less`` is better, in per cent of ours: its unit is its own."""
    return 100 * (theirs - ours) / max(ours, 1e-12) if less else 100 * (ours - theirs)


def check(found: Parity, bar: Bar) -> None:
    """Raises GateError where the answers differ by more than the bar allows."""
    if not found.of:
        raise GateError(
            f"nothing to compare: on {found.n:,} images neither finds a box",
            expected="images on which the model finds something",
            hint="nothing was written; name others with --data",
        )
    if found.agreement < bar.agreement:
        raise GateError(
            f"the exported file answers otherwise: {found.same:,} of {found.of:,} answers are the same "
            f"({100 * found.agreement:.2f} %), {found.figure} differs by {found.drift:+.2f} {found.unit}; "
            + "; ".join(found.worst),
            expected=f"{100 * bar.agreement:g} % the same",
            hint="nothing was written; use the bundle itself, or say what happened in an issue",
        )
    if abs(found.drift) > bar.drift:
        raise GateError(
            f"the exported file answers otherwise: {found.figure} differs by {found.drift:+.2f} {found.unit} on "
            f"{found.n:,} images; " + "; ".join(found.worst),
            expected=f"{bar.drift:g} {found.unit} at most (--max-drift)",
            hint="nothing was written; allow more with --max-drift, or leave --int8 out",
        )


def _words(task: Task[Any, Any], answer: Answer[Any]) -> str:
    """An answer in a few words: its best three."""
    content: Any = task.to_json(answer)
    best = content["answers"][:3]
    if any("value" in one for one in best):
        return ", ".join(f"{one['column']} {one['value']:.6g}" for one in best)
    return ", ".join(f"{one['label']} {one['score']:.3f}" for one in best) or "nothing"


def check_pixels(fitted: Tensor, theirs: Tensor, names: Sequence[str]) -> None:
    """Raises GateError where the pixels that the graph makes are others."""
    if theirs.shape != fitted.shape:
        raise GateError(f"the exported file fits images to {tuple(theirs.shape[1:])}, not {tuple(fitted.shape[1:])}")
    apart = (fitted.int() - theirs.int()).abs().flatten(1).amax(1)
    if bool((apart > _LEVELS).any()):
        k = int(apart.argmax())
        raise GateError(
            f"the exported file prepares images otherwise: of {names[k]} a pixel differs by {int(apart[k])}",
            expected=f"{_LEVELS} level of 255 at most",
            hint="nothing was written",
        )


def check_whole(tensors: Mapping[str, Tensor]) -> None:
    """Raises GateError where a number is none."""
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise GateError(f"the exported file gives {name} that are no numbers", hint="nothing was written")


def _batches(held: Iterable[Held]) -> Iterator[list[Held]]:
    """Neighbours of one size together."""
    batch: list[Held] = []
    for one in held:
        pixels = one.pixels.shape[1] * one.pixels.shape[2]
        full = len(batch) == _TOGETHER or (len(batch) + 1) * pixels > _HELD_PIXELS
        if batch and (full or one.pixels.shape != batch[0].pixels.shape):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _channels_last(images: Tensor) -> Tensor:
    """As decoded images come, so that torch resizes them the same way (see ``Decoded.batch``)."""
    return images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
