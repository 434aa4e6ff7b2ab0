"""What a learner is fed where sequences are learnt: batches of unequal lengths, NaN after the last step of each."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visto.data.augment import AUGMENTATIONS, augment
from visto.data.augment_steps import augment_steps
from visto.data.cache import Pixels
from visto.data.loader import gather, padded
from visto.data.pixels import offsets_of
from visto.errors import ResourceError, UsageError
from visto.files import Growing
from visto.learn.engine import Engine
from visto.learn.feed import Beginning, Rows, collated, evaluation_batch, started_model
from visto.learn.randomness import generator
from visto.learn.recipe import Recipe
from visto.models.cnn_lstm import CnnLstm
from visto.models.folded import folded
from visto.preprocess import PREPROCESS
from visto.types import Batch, Task, Voice

_TOGETHER = 128  # frames that go through a frozen encoder at once


class SequenceFeed:
    """Clips or series, augmented anew at each step; the whole model learns, from ``initial`` weights if any."""

    def __init__(
        self,
        recipe: Recipe,
        task: Task[Any, Any],
        train: Pixels,
        validation: Pixels,
        initial: Mapping[str, Tensor] | None,
    ) -> None:
        self.recipe = recipe
        self.train = train
        self.validation = validation
        self.validation_images = len(validation)
        self.initial = initial
        standard = recipe.preprocess.build(PREPROCESS)
        self.normalise = standard.normalise
        self.targets, self.validation_targets = (collated(task, p, standard.fit) for p in (train, validation))
        self.rows = Rows(recipe, self.targets)
        self.order, self.balance = self.rows.order, self.rows.balance

    def prepare(self, engine: Engine, voice: Voice) -> None:
        pass

    def module(self) -> nn.Module:
        return started_model(self.recipe, self.initial)

    def batch(self, step: int, done: float = 0.0) -> Batch[Any]:
        """Drawn, augmented and normalised as (seed, step) say."""
        rows = self.rows.of(step)
        random = generator(self.recipe.seed, "augment", step)
        names = self.recipe.augmentation
        places = [augment_steps(length, names, random) for length in self.train.lengths[rows].tolist()]
        steps, lengths = padded(self.train, rows, places)
        if steps.ndim == 5:
            steps = _changed(steps, names, random, self.rows.flipped(rows, step))
        inputs = masked(self.normalise(steps), lengths)
        return Batch(
            inputs={"images": inputs}, targets=self.targets[rows], rows=rows, weights=self.balance.weights_of(rows)
        )

    def held_out(self) -> Iterator[Tensor]:
        together = evaluation_batch(self.validation)
        for rows in torch.split(torch.arange(len(self.validation)), together):
            steps, lengths = padded(self.validation, rows)
            yield masked(self.normalise(steps), lengths)

    def trial(self) -> tuple[nn.Module, Tensor]:
        return self.module(), self.batch(0).inputs["images"][:32]

    def begin(self, module: nn.Module, engine: Engine) -> Beginning:
        return Beginning()

    def whole(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(weights)


class FrameFeed:
    """What a frozen encoder gives for the frames of clips, kept in the file ``path``; what reads them in order learns.

    View 0 is a clip as it is, which is learnt from too; the others are augmented, all its frames alike. A killed run
    goes on after the last clip.
    """

    def __init__(
        self,
        recipe: Recipe,
        task: Task[Any, Any],
        train: Pixels,
        validation: Pixels,
        initial: Mapping[str, Tensor] | None,
        path: Path,
    ) -> None:
        self.recipe = recipe
        self.train = train
        self.validation = validation
        self.validation_images = len(validation)
        self.path = path
        model = started_model(recipe, initial)
        if not isinstance(model, CnnLstm):
            raise UsageError(f"the model {recipe.model.name} has no encoder that could be frozen")
        self.model = model.eval()
        standard = recipe.preprocess.build(PREPROCESS)
        self.normalise = standard.normalise
        self.targets, self.validation_targets = (collated(task, p, standard.fit) for p in (train, validation))
        self.rows = Rows(recipe, self.targets)
        self.order, self.balance = self.rows.order, self.rows.balance
        self.kept: list[Tensor] = []
        self.kept_validation = torch.empty(0)

    def prepare(self, engine: Engine, voice: Voice) -> None:
        """Run the encoder over every view of every clip that is not kept yet."""
        kind = torch.bfloat16 if engine.precision == "bf16" else torch.float32
        frozen = deepcopy(self.model)
        frozen.encoder = engine.module(folded(frozen.encoder).to(kind))
        views = [(self.train, view) for view in range(1 + self.recipe.views)] + [(self.validation, 0)]
        clips = [(pixels, view, row) for pixels, view in views for row in range(len(pixels))]
        with torch.inference_mode():
            width = self._described(frozen, engine, self.train, 0, 0).shape[1]
            steps = [int(pixels.lengths.sum()) for pixels, _ in views]
            room = sum(steps) * width * kind.itemsize
            voice.say(
                f"the encoder stays as it is: run once over {len(views) - 1} views of each clip, "
                f"{room / 1e6:,.0f} MB on disk until the end"
            )
            store = Growing(self.path, key=self._key(engine, width))
            if room * (1 - store.blocks / len(clips)) > (free := shutil.disk_usage(self.path.parent).free):
                raise ResourceError(
                    f"what the encoder gives needs {room / 1e9:.1f} GB, {free / 1e9:.1f} GB are free there",
                    hint="make room, or take fewer --views",
                )
            left = clips[store.blocks :]
            for pixels, view, row in voice.progress(left, total=len(left), words="frozen encoder"):
                features = self._described(frozen, engine, pixels, view, row)
                store.append(features.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        store.note()
        every = torch.from_file(str(store.path), shared=False, size=sum(steps) * width, dtype=kind)
        each = torch.split(every.view(-1, width), steps)
        self.kept, self.kept_validation = list(each[:-1]), each[-1]

    def _described(self, frozen: CnnLstm, engine: Engine, pixels: Pixels, view: int, row: int) -> Tensor:
        """What the encoder makes of the frames of one clip: T×D."""
        clip = gather(pixels, torch.tensor([row]))
        if view:
            random = generator(self.recipe.seed, f"view {view}", row)
            clip = _changed(clip, self.recipe.augmentation, random, None)
        kind = next(frozen.encoder.parameters()).dtype
        ready = self.normalise(clip).to(device=engine.device, dtype=kind)
        out: Tensor = frozen.describe(ready)[0]
        return out.cpu()

    def _key(self, engine: Engine, width: int) -> str:
        """Everything that the kept features depend on."""
        digest = hashlib.sha256()
        for name, value in self.model.encoder.state_dict().items():
            digest.update(name.encode() + value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        for pixels in (self.train, self.validation):
            digest.update(pixels.digests.contiguous().numpy().tobytes())
        recipe = self.recipe
        parts = [recipe.preprocess.to_json(), list(recipe.augmentation), recipe.views, self.model.motion, recipe.seed]
        how = [engine.precision, engine.layout, engine.device]
        return json.dumps([digest.hexdigest(), *how, width, torch.get_num_threads(), *parts])

    def module(self) -> nn.Module:
        return deepcopy(self.model.upper)

    def batch(self, step: int, done: float = 0.0) -> Batch[Any]:
        """The kept features of the step's clips, each of a view and a choice of steps drawn by (seed, step)."""
        rows = self.rows.of(step)
        random = generator(self.recipe.seed, "augment", step)
        views = torch.randint(1 + self.recipe.views, (len(rows),), generator=random)
        starts, lengths = _spans(self.train)
        sequences = [
            self.kept[view][starts[row] + augment_steps(lengths[row], self.recipe.augmentation, random)].float()
            for view, row in zip(views.tolist(), rows.tolist(), strict=True)
        ]
        return Batch(
            inputs={"images": stacked(sequences)},
            targets=self.targets[rows],
            rows=rows,
            weights=self.balance.weights_of(rows),
        )

    def held_out(self) -> Iterator[Tensor]:
        starts, lengths = _spans(self.validation)
        for rows in torch.split(torch.arange(len(self.validation)), _TOGETHER):
            parts = [self.kept_validation[starts[row] : starts[row] + lengths[row]].float() for row in rows.tolist()]
            yield stacked(parts)

    def trial(self) -> tuple[nn.Module, Tensor]:
        clip = self.normalise(gather(self.train, torch.tensor([0]))[:, :8])
        return deepcopy(self.model), clip

    def begin(self, module: nn.Module, engine: Engine) -> Beginning:
        return Beginning()

    def whole(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The frozen encoder with what learnt above it."""
        kept = {name: value for name, value in self.model.state_dict().items() if not name.startswith("upper.")}
        return {**kept, **{f"upper.{name}": value for name, value in weights.items()}}


def masked(steps: Tensor, lengths: Tensor) -> Tensor:
    """Float sequences N×T×… with NaN in place of what lies beyond their lengths."""
    beyond = torch.arange(steps.shape[1]) >= lengths[:, None]
    if bool(beyond.any()):
        steps[beyond] = torch.nan
    return steps


def stacked(sequences: list[Tensor]) -> Tensor:
    """Sequences T×D of unequal lengths as N×T×D, NaN after the last step of each."""
    return nn.utils.rnn.pad_sequence(sequences, batch_first=True, padding_value=torch.nan)


def _spans(pixels: Pixels) -> tuple[list[int], list[int]]:
    """Where each sequence begins among the steps of all, one after the other, and how long it is."""
    lengths = pixels.lengths.tolist()
    return offsets_of(lengths)[:-1].tolist(), lengths


def _changed(clips: Tensor, names: Any, random: torch.Generator, flipped: Tensor | None) -> Tensor:
    """Clips uint8 N×T×C×H×W whose frames are all changed alike, as those of ``names`` that are of images say."""
    n, t, c, h, w = clips.shape
    strip = augment(clips.reshape(n, t * c, h, w), [name for name in names if name in AUGMENTATIONS], random, flipped)
    return strip.reshape(n, t, c, h, w)
