"""R-CNN, stage after stage: regions, a CNN that describes them, a machine for each class, and where boxes move.

Each stage is kept in the folder of the run until the end, so that a run that was stopped goes on with the stage that it
was at; what each cost and what came of it is told and stored.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from visto.data.cache import Pixels
from visto.data.loader import gather
from visto.errors import UsageError
from visto.files import Growing, write_bytes
from visto.learn import GradientLearner, Recipe
from visto.learn.feed import started_model
from visto.learn.machines import LENGTH, Machine, fit_machine, fit_offsets
from visto.learn.regions import HOLDS, RegionFeed, Regions, covered, regions_of
from visto.models.folded import folded
from visto.models.rcnn import FEATURES, RCNN
from visto.tasks.classification import Classification
from visto.training.folder import RunFolder
from visto.training.learning import learn, stoppable
from visto.types import Voice

_MEASURED = 20  # images whose regions say how long a description is
_GO_ON = "go on with the same command and --resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """The tensors of the model, what was decided by measurement while its CNN learnt, and the stages.

    Of each stage its name, its seconds in this process, and what came of it.
    """

    weights: Mapping[str, Tensor]
    decisions: Mapping[str, Any]
    stages: list[dict[str, Any]]


@dataclass(slots=True, kw_only=True)
class _Work:
    """What all stages work with and on."""

    folder: RunFolder
    recipe: Recipe
    model: RCNN
    voice: Voice
    classes: Sequence[str]
    told: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def tell(self, name: str, words: str, **figures: float) -> None:
        """Say and note what became of a stage, and begin the next."""
        now = time.perf_counter()
        seconds, self.began = round(now - self.began, 1), now
        self.told.append({"stage": name, "seconds": seconds, **figures})
        self.voice.say(f"{name}: {words} ({seconds:.1f} s)")


def learn_in_stages(
    folder: RunFolder,
    recipe: Recipe,
    train: tuple[Pixels, Tensor],
    validation: tuple[Pixels, Tensor],
    initial: Mapping[str, Tensor] | None,
    classes: Sequence[str],
    clock: Callable[[], float],
    voice: Voice,
) -> Staged:
    """All stages; those that are done already are taken from the folder. Raises Interrupted with the state kept.

    ``train`` and ``validation`` are images and their targets N×M×6, as the task collates them.
    """
    model = started_model(recipe, initial)
    if not isinstance(model, RCNN):
        raise UsageError(f"the model {recipe.model.name} does not learn in stages")
    work = _Work(folder=folder, recipe=recipe, model=model, voice=voice, classes=classes)
    regions, held = (_regions(work, name, *side) for name, side in (("train", train), ("validation", validation)))
    share, things = covered(held), int(held.true.sum())
    work.tell(
        "regions",
        f"{len(regions) / len(train[0]):,.0f} an image; on validation they cover {share:.1%} of {things:,} things "
        f"(overlap {HOLDS:g})",
        recall=round(share, 4),
    )
    decisions = _fine_tune(work, RegionFeed(recipe, model, (train[0], regions), (validation[0], held)), clock)
    described = _describe(work, train[0], regions)
    _fit_machines(work, described, regions)
    _fit_offsets(work, described, regions)
    return Staged(weights=model.state_dict(), decisions=decisions, stages=work.told)


def _regions(work: _Work, name: str, pixels: Pixels, targets_nm6: Tensor) -> Regions:
    """What selective search proposes for every image, and what is true; found again where an earlier run got to."""
    model = work.model
    key = ["regions", model.proposals, pixels.digests.numpy().tobytes().hex(), work.recipe.preprocess.to_json()]
    store = Growing(work.folder.stage(f"regions-{name}"), key=json.dumps(key))
    left = range(store.blocks, len(pixels))
    with stoppable() as stopped:
        for row in work.voice.progress(left, total=len(left), words=f"regions of {name} images"):
            boxes, scores = model.proposed(gather(pixels, torch.tensor([row])).float() / 255)
            count = (scores > 0).sum(1, keepdim=True).float()
            store.append(torch.cat([count, boxes.flatten(1)], 1).numpy().tobytes())
            if stopped:
                store.note()
                raise stopped[0](f"stopped at image {row + 1:,} of {len(pixels):,}; its regions are kept", hint=_GO_ON)
    store.note()
    width = 1 + 4 * model.proposals
    every = torch.from_file(str(store.path), shared=False, size=len(pixels) * width).view(len(pixels), width)
    proposed = [row[1:].view(-1, 4)[: int(row[0])] for row in every]
    return regions_of(proposed, targets_nm6, model.machines.out_features)


def _fine_tune(work: _Work, feed: RegionFeed, clock: Callable[[], float]) -> Mapping[str, Any]:
    """The CNN learns to tell what regions hold; its state is kept as that of any net. Gives what was decided."""
    task = Classification(classes=[str(k) for k in range(1 + feed.classes)])  # nothing, and each class
    learner = GradientLearner(replace(work.recipe, learner="gradient"), task, feed)
    state = learn(learner, work.folder, clock, work.voice)
    work.model.load_state_dict({**work.model.state_dict(), **feed.whole(state.weights())})
    right = state.history[-1]["validation_accuracy"] if state.history else 0.0
    words = f"right about {right:.1%} of {feed.validation_images:,} validation regions, a quarter of them on things"
    work.tell("CNN", words, accuracy=round(right, 4))
    work.folder.write_history([])  # of regions: not what the model is judged by
    return state.decisions


def _describe(work: _Work, pixels: Pixels, regions: Regions) -> Tensor:
    """What the CNN says of every region, G×1280, of one mean length; found again where an earlier run got to."""
    quick = folded(work.model)

    def described(image: int) -> Tensor:
        boxes = regions.box[regions.rows_of(image)]
        if not len(boxes):  # all that it shows is to be ignored
            return torch.zeros(0, FEATURES)
        return quick.described(gather(pixels, torch.tensor([image])).float() / 255, boxes[None])[0]

    work.voice.say(f"descriptions of regions: {len(regions) * FEATURES * 4 / 1e6:,.0f} MB on disk until the end")
    with stoppable() as stopped, torch.inference_mode():
        quick.scale.fill_(1.0)
        some = torch.cat([described(image) for image in range(0, len(pixels), -(-len(pixels) // _MEASURED))])
        quick.scale.fill_(LENGTH / float(some.norm(dim=1).mean().clamp_min(1e-6)))
        sums = [float(value.double().sum()) for value in quick.state_dict().values()]
        store = Growing(work.folder.stage("descriptions"), key=json.dumps(["descriptions", len(regions), sums]))
        left = range(store.blocks, len(pixels))
        for image in work.voice.progress(left, total=len(left), words="descriptions"):
            store.append(described(image).numpy().tobytes())
            if stopped:
                store.note()
                words = f"stopped at image {image + 1:,} of {len(pixels):,}; the descriptions are kept"
                raise stopped[0](words, hint=_GO_ON)
    store.note()
    work.model.scale.copy_(quick.scale)
    work.tell("descriptions", f"{len(regions):,} regions")
    return torch.from_file(str(store.path), shared=False, size=len(regions) * FEATURES).view(-1, FEATURES)


def _fit_machines(work: _Work, described_gd: Tensor, regions: Regions) -> None:
    """One a class."""
    others = 0
    for label, machine in enumerate(_machines(work, described_gd, regions)):
        with torch.no_grad():
            work.model.machines.weight[label] = machine.weight
            work.model.machines.bias[label] = machine.bias
        others += machine.others
        work.voice.say(
            f"machine of {work.classes[label]!r}: {machine.things:,} things against {machine.others:,} other regions, "
            f"{machine.rounds} rounds"
        )
    work.tell("machines", f"{others:,} other regions, the hard ones among them", others=others)


def _machines(work: _Work, described_gd: Tensor, regions: Regions) -> Iterator[Machine]:
    """The machine of each class; those that an earlier run had fitted are read."""
    for label, name in enumerate(work.classes):
        path = work.folder.stage(f"machine-{label}")
        made: Machine | None = None
        if path.exists():
            kept = load(path.read_bytes())
            things, others, rounds = (int(value) for value in kept["counts"])
            bias = float(kept["bias"])
            yield Machine(weight=kept["weight"], bias=bias, things=things, others=others, rounds=rounds)
            continue
        seed, threads = work.recipe.seed, torch.get_num_threads()
        fit = fit_machine(described_gd, regions, label, seed=seed, threads=threads, folder=work.folder.stage("fit"))
        with stoppable() as stopped:
            for found in fit:
                made = found
                if stopped:
                    fit.close()
                    words = f"stopped at the machine of {name!r}; those before it are kept"
                    raise stopped[0](words, hint=_GO_ON)
        assert made is not None  # noqa: S101  (the last thing that the fit yields)
        counts = torch.tensor([made.things, made.others, made.rounds])
        write_bytes(path, save({"weight": made.weight, "bias": torch.tensor(made.bias), "counts": counts}))
        yield made


def _fit_offsets(work: _Work, described_gd: Tensor, regions: Regions) -> None:
    """Where the regions near things of each class should move."""
    near = 0
    for label in range(len(work.classes)):
        weight, bias, taught = fit_offsets(described_gd, regions, label)
        near += taught
        for k, move in enumerate(work.model.moves):
            with torch.no_grad():
                move.weight[label], move.bias[label] = weight[k], bias[k]
    work.tell("boxes", f"moved as {near:,} regions near things should be", regions=near)
