"""The classification task: loss, calibration, abstaining, JSON."""

import io

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from visto.errors import DataError
from visto.tasks.classification import Classification, conformal_quantiles, fit_temperature
from visto.types import Answer, Batch, Label


class Given(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.logits}


def answer(*scores: float) -> Answer[Label]:
    values = torch.tensor(scores)
    return Answer(value=Label(index=int(values.argmax()), scores=values))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_that_of_torch(smoothing: float) -> None:
    task = Classification(classes=("a", "b", "c"), label_smoothing=smoothing)
    logits = torch.randn(5, 3)
    labels = torch.tensor([0, 1, 2, 1, 0])
    targets = task.collate([Label(index=int(k)) for k in labels])
    batch = Batch(inputs={"images": torch.zeros(5, 1, 1, 1)}, targets=targets, rows=torch.arange(5))
    loss = task.loss(Given(logits), batch)
    assert torch.allclose(loss.total, F.cross_entropy(logits, labels, label_smoothing=smoothing))
    assert loss.each is not None
    assert loss.each.shape == (5,)


def test_temperature_finds_what_was_hidden() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 4, generator=generator) * 2
    truth = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    assert fit_temperature(logits * 3, truth) == pytest.approx(3, rel=0.05)


def test_calibration_keeps_the_promised_coverage() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(8_000, 5, generator=generator) * 2
    truth = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    task = Classification(classes="abcde")
    fitted = task.calibrated({"logits": logits[:4_000]}, [Label(index=int(k)) for k in truth[:4_000]])
    answers = fitted.answers(fitted.head({"logits": logits[4_000:]}), ())
    sets = [fitted.doubt(a, threshold=0, confidence=0.9).label_set for a in answers]
    covered = sum(int(k) in (s or ()) for s, k in zip(sets, truth[4_000:], strict=True)) / 4_000
    assert 0.88 < covered < 0.93


def test_low_scores_abstain_and_still_answer() -> None:
    task = Classification(classes=("a", "b"))
    doubted = task.doubt(answer(0.6, 0.4), threshold=0.7, confidence=None)
    assert task.to_json(doubted)["abstain"] is True
    assert task.to_json(doubted)["answers"] == [{"label": "a", "score": 0.6}, {"label": "b", "score": 0.4}]
    assert task.doubt(answer(0.8, 0.2), threshold=0.7, confidence=None).abstain is None


def test_confidence_needs_held_out_images() -> None:
    with pytest.raises(DataError, match="held-out"):
        Classification(classes=("a", "b")).doubt(answer(0.6, 0.4), threshold=0, confidence=0.9)


def test_one_class_is_no_task() -> None:
    with pytest.raises(DataError):
        Classification(classes=("a",))


def test_the_drawing_is_a_png_with_room_for_words() -> None:
    task = Classification(classes=("a", "b"))
    picture = Image.open(io.BytesIO(task.draw(torch.zeros(1, 8, 8, dtype=torch.uint8), answer(0.6, 0.4))))
    assert picture.format == "PNG"
    assert picture.height > picture.width >= 224


def test_perfect_validation_does_not_drive_scores_to_one() -> None:
    logits = torch.tensor([[0.35, -0.35], [-0.35, 0.35]]).repeat(12, 1)
    temperature = fit_temperature(logits, torch.tensor([0, 1]).repeat(12))
    assert 0.9 < float((torch.tensor([0.35, -0.35]) / temperature).softmax(0)[0]) < 0.995


def test_too_few_images_rule_no_class_out() -> None:
    quantiles = conformal_quantiles(torch.rand(15))
    assert quantiles[95] == quantiles[100] == 1.0
    assert quantiles[50] < 1.0
    assert quantiles == sorted(quantiles)
