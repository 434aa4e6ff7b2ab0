"""A recipe: all that decides what a training run computes, as plain data that a run stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from torch import nn

from visto.data.augment import check_names
from visto.data.augment_boxes import BOX_AUGMENTATIONS
from visto.data.augment_steps import STEP_AUGMENTATIONS
from visto.errors import UsageError
from visto.learn.balance import BALANCES
from visto.learn.optimiser import OPTIMISERS
from visto.learn.schedule import SCHEDULES
from visto.preprocess import Standard
from visto.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """``lr`` is the highest learning rate, or 0: find it by a range test. ``weight_decay`` is L2, ``l1`` its L1 sister.

    ``ema`` is the decay of the moving average of the weights (0: none), which is what is judged and kept.
    ``patience`` stops after that many epochs without a better validation figure (0: never) and keeps the best
    epoch. ``budget`` (seconds, 0: none) lets the clock choose the number of epochs at the start. ``augmentation``
    names functions of ``visto.data.augment``, or of ``visto.data.augment_boxes`` where boxes are learnt, of
    ``visto.data.augment_steps`` too where sequences are.
    ``precision`` is auto, fp32 or bf16, ``device`` cpu or cuda.

    ``pretrained`` begins with the published weights of the model (``visto.models.weights``), ``frozen`` of its first
    stages stay as they are. The learner ``transfer`` runs these once over ``views`` augmented views of each image;
    where its classifier alone errs on fewer than ``least_errors`` images, no stage is tuned. ``lr_decay`` is what each
    stage further down takes of the learning rate above it. ``balance`` treats classes of unequal size
    (``visto.learn.balance``). With ``repeats`` above 1 a batch holds each image so many times, augmented each time anew
    (Hoffer et al. 2020). ``second_look`` is the share of validation images that the finished model should look at again
    (``visto.models.second_look``), where that lowers their loss.
    """

    model: Spec[nn.Module]
    preprocess: Spec[Standard]
    task: str = "classification"
    learner: str = "gradient"
    epochs: float = 12
    batch_size: int = 256
    optimiser: str = "adamw"
    lr: float = 3e-3
    schedule: str = "one_cycle"
    weight_decay: float = 0.05
    l1: float = 0.0
    ema: float = 0.99
    label_smoothing: float = 0.0
    mixup: float = 0.0
    augmentation: Sequence[str] = ()
    patience: int = 0
    budget: float = 0.0
    precision: str = "auto"
    device: str = "cpu"
    second_look: float = 0.0
    seed: int = 0
    pretrained: bool = False
    frozen: int = 0
    views: int = 0
    least_errors: int = 0
    lr_decay: float = 1.0
    balance: str = "none"
    repeats: int = 1

    def __post_init__(self) -> None:
        elsewhere = (*BOX_AUGMENTATIONS, *STEP_AUGMENTATIONS)
        check_names([name for name in self.augmentation if name not in elsewhere])
        _within("epochs", self.epochs, 0, 100_000, open_low=True)
        _within("batch size", self.batch_size, 1, 65_536)
        _within("learning rate", self.lr, 0, 1e6)
        _within("weight decay", self.weight_decay, 0, 100)
        _within("l1", self.l1, 0, 100)
        _within("ema", self.ema, 0, 0.99999)
        _within("label smoothing", self.label_smoothing, 0, 0.9)
        _within("mixup", self.mixup, 0, 2)
        _within("patience", self.patience, 0, 100_000)
        _within("seed", self.seed, 0, 2**53)
        _within("frozen stages", self.frozen, 0, 1000)
        _within("views", self.views, 0, 1000)
        _within("least errors", self.least_errors, 0, 1e9)
        _within("lr decay", self.lr_decay, 0, 1, open_low=True)
        _within("second look", self.second_look, 0, 1)
        _within("repeats", self.repeats, 1, self.batch_size)
        for kind, name, table in (
            ("balance", self.balance, BALANCES),
            ("optimiser", self.optimiser, OPTIMISERS),
            ("schedule", self.schedule, SCHEDULES),
        ):
            if name not in table:
                raise UsageError(f"no {kind} {name!r}", expected=f"one of {', '.join(table)}")

    def to_json(self) -> dict[str, Any]:
        content = {f.name: getattr(self, f.name) for f in fields(self)}
        content |= {"model": self.model.to_json(), "preprocess": self.preprocess.to_json()}
        content["augmentation"] = list(self.augmentation)
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Recipe":
        arguments = dict(content)
        arguments |= {"model": Spec.from_json(content["model"]), "preprocess": Spec.from_json(content["preprocess"])}
        arguments["augmentation"] = tuple(content["augmentation"])
        return cls(**arguments)


def _within(what: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    if not (low <= value <= high) or (open_low and value == low):
        raise UsageError(f"{what} {value}", expected=f"{'more than' if open_low else 'from'} {low} to {high}")
