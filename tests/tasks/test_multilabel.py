"""The multi-label task: loss, thresholds, calibration, leaving labels out, JSON."""

import io
import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Generator, Tensor, nn

from visto.data.augment import mixup
from visto.errors import DataError, ModelError, UsageError
from visto.tasks import TASKS
from visto.tasks.calibration import fit_sigmoid_temperature, fit_thresholds
from visto.tasks.classification import Classification
from visto.tasks.multilabel import MultiLabel
from visto.types import Answer, Batch, Label, Labels


class Given(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.logits}


def sets(members: Tensor) -> list[Labels]:
    return [Labels(classes=tuple(row.nonzero().flatten().tolist())) for row in members]


def answer(task: MultiLabel, *scores: float) -> Answer[Labels]:
    (found,) = task.answers({"scores": torch.tensor([scores])}, ())
    return found


def batch(task: MultiLabel, targets: list[Labels]) -> Batch[Tensor]:
    images = torch.zeros(len(targets), 1, 1, 1)
    return Batch(inputs={"images": images}, targets=task.collate(targets), rows=torch.arange(len(targets)))


ABC = MultiLabel(classes=("a", "b", "c"), thresholds=(0.5, 0.2, 0.8))


def test_the_loss_is_that_of_torch() -> None:
    logits = torch.randn(4, 3)
    targets = [Labels(classes=(0, 2)), Labels(classes=()), Labels(classes=(1,)), Labels(classes=(0, 1, 2))]
    truth = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    assert torch.equal(ABC.collate(targets), truth)
    loss = ABC.loss(Given(logits), batch(ABC, targets))
    assert torch.allclose(loss.total, F.binary_cross_entropy_with_logits(logits, truth))
    assert loss.each is not None
    assert loss.each.shape == (4,)
    smoothed = MultiLabel(classes="abc", label_smoothing=0.2).loss(Given(logits), batch(ABC, targets))
    assert torch.allclose(smoothed.total, F.binary_cross_entropy_with_logits(logits, truth * 0.8 + 0.1))
    weights = torch.tensor([2.0, 0, 1, 1])
    weighted = ABC.loss(Given(logits), replace(batch(ABC, targets), weights=weights))
    assert torch.allclose(weighted.total, (loss.each * weights).mean())
    with pytest.raises(DataError):
        ABC.loss(Given(logits), Batch(inputs={"images": torch.zeros(1)}, targets=None, rows=torch.arange(1)))


def test_blended_labels_are_learnt_from() -> None:
    targets = ABC.collate([Labels(classes=(0, 2)), Labels(classes=())])
    images, blended = mixup(torch.rand(2, 1, 2, 2), targets, 0.4, Generator().manual_seed(0))
    loss = ABC.loss(Given(torch.zeros(2, 3)), Batch(inputs={"images": images}, targets=blended, rows=torch.arange(2)))
    assert float(loss.total) == pytest.approx(0.693147, abs=1e-5)


def test_the_look_gives_what_is_monitored() -> None:
    logits = torch.tensor([[2.0, -1, 3], [-1, 1, -2]])
    found = ABC.look({"logits": logits}, torch.tensor([[1.0, 0, 0], [0, 1, 1]]))
    assert ABC.monitor[0] in found
    assert found["micro_f1"] == pytest.approx(2 * 2 / (3 + 3))
    assert ABC.look({"logits": -torch.ones(2, 3)}, torch.zeros(2, 3))["micro_f1"] == 0


def test_answers_are_the_classes_that_reach_their_thresholds() -> None:
    assert answer(ABC, 0.5, 0.1, 0.79).value.classes == (0,)
    assert answer(ABC, 0.4, 0.3, 0.9).value.classes == (1, 2)
    assert answer(ABC, 0.4, 0.1, 0.1).value.classes == ()
    assert answer(MultiLabel(classes=("only",)), 0.6).value.classes == (0,)


def test_the_head_gives_each_class_its_own_score() -> None:
    task = MultiLabel(classes="ab", temperature=2.0)
    scores = task.head({"logits": torch.tensor([[2.0, 2.0]])})["scores"]
    assert torch.allclose(scores, torch.sigmoid(torch.tensor([[1.0, 1.0]])))


def test_temperature_finds_what_was_hidden() -> None:
    generator = Generator().manual_seed(0)
    logits = torch.randn(5_000, 4, generator=generator) * 2 - 1
    members = torch.bernoulli(logits.sigmoid(), generator=generator)
    assert fit_sigmoid_temperature(logits * 3, members) == pytest.approx(3, rel=0.05)
    assert fit_sigmoid_temperature(logits[:19], members[:19]) == 1.0


def test_all_right_does_not_drive_scores_to_one() -> None:
    logits = torch.tensor([[0.35, -0.35], [-0.35, 0.35]]).repeat(12, 1)
    temperature = fit_sigmoid_temperature(logits, (logits > 0).float())
    assert 0.9 < float(torch.tensor(0.35 / temperature).sigmoid()) < 0.995


def test_thresholds_find_the_gap() -> None:
    scores = torch.cat([torch.linspace(0.01, 0.2, 200), torch.linspace(0.3, 0.6, 50)])[:, None]
    (threshold,) = fit_thresholds(scores, (scores > 0.25).float())
    assert 0.2 < threshold < 0.3
    assert fit_thresholds(scores, (scores > 0.25).float()) == [threshold]


def test_thresholds_win_on_other_images() -> None:
    """Rare and hard: at a half nothing would be found."""
    generator = Generator().manual_seed(3)

    def draw(n: int) -> tuple[Tensor, Tensor]:
        members = torch.rand(n, generator=generator) < 0.1
        evidence = 1.5 * (torch.randn(n, generator=generator) + 1.5 * members) - 1.125 - 2.2
        return evidence.sigmoid()[:, None], members[:, None].float()

    def f1(scores: Tensor, members: Tensor, threshold: float) -> float:
        said = scores >= threshold
        return float(2 * (said * members).sum() / (said.sum() + members.sum()))

    (threshold,) = fit_thresholds(*draw(400))
    scores, members = draw(20_000)
    best = max(f1(scores, members, t / 100) for t in range(1, 100))
    assert f1(scores, members, threshold) > best - 0.03
    assert f1(scores, members, threshold) > f1(scores, members, 0.5) + 0.05


@pytest.mark.parametrize(("having", "images"), [(0, 50), (4, 50), (46, 50), (50, 50)])
def test_few_images_leave_the_threshold_at_a_half(having: int, images: int) -> None:
    members = (torch.arange(images) < having).float()[:, None]
    assert fit_thresholds(torch.rand(images, 1), members) == [0.5]


def test_of_equal_thresholds_the_nearest_to_a_half() -> None:
    members = (torch.arange(40) < 10).float()[:, None]
    assert fit_thresholds(members * 0.8 + 0.1, members) == [0.5]
    assert 0.6 < fit_thresholds(members * 0.2 + 0.6, members)[0] < 0.8


def test_thresholds_of_odd_scores() -> None:
    members = (torch.arange(20) < 10).float()[:, None]
    assert 0 < fit_thresholds(torch.full((20, 1), 0.3), members)[0] < 0.3
    assert 0 <= fit_thresholds(torch.zeros(20, 1), members)[0] <= 1
    assert fit_thresholds(torch.ones(20, 1), members) == [0.5]
    assert fit_thresholds(torch.zeros(0, 2), torch.zeros(0, 2)) == [0.5, 0.5]


def test_a_calibrated_task_is_built_again_from_its_arguments() -> None:
    generator = Generator().manual_seed(1)
    logits = torch.randn(300, 3, generator=generator) * 3
    targets = sets(torch.bernoulli((logits / 2).sigmoid(), generator=generator))
    task = MultiLabel(classes="abc").calibrated({"logits": logits}, targets)
    again = TASKS["multilabel"](classes="abc", **json.loads(json.dumps(task.arguments())))
    assert again.arguments() == task.arguments() != MultiLabel(classes="abc").arguments()
    first, second = (t.answers(t.head({"logits": logits}), ()) for t in (task, again))
    assert [a.value.classes for a in first] == [a.value.classes for a in second]


def test_a_threshold_leaves_labels_out() -> None:
    given = answer(ABC, 0.6, 0.3, 0.9)
    assert ABC.doubt(given, threshold=0, confidence=None) == given
    less = ABC.doubt(given, threshold=0.5, confidence=None)
    assert less.value.classes == (0, 2)
    assert less.abstain is None
    none = ABC.doubt(given, threshold=0.95, confidence=None)
    assert none.abstain == "no label scores 0.95 or more"
    assert none.value.classes == (0, 1, 2)
    nothing = ABC.doubt(answer(ABC, 0.1, 0.1, 0.1), threshold=0.95, confidence=None)
    assert nothing.abstain is None
    assert nothing.value.classes == ()


def test_confidence_is_refused() -> None:
    with pytest.raises(UsageError, match="several labels"):
        ABC.doubt(answer(ABC, 0.6, 0.3, 0.9), threshold=0, confidence=0.9)


def test_json_has_the_labels_first() -> None:
    assert ABC.to_json(answer(ABC, 0.7, 0.3, 0.75)) == {
        "labels": ["a", "b"],
        "answers": [
            {"label": "a", "score": 0.7},
            {"label": "b", "score": 0.3},
            {"label": "c", "score": 0.75},
        ],
        "abstain": False,
    }
    doubted = ABC.to_json(ABC.doubt(answer(ABC, 0.7, 0.1, 0.1), threshold=0.9, confidence=None))
    assert (doubted["labels"], doubted["abstain"]) == (["a"], True)
    assert doubted["reason"] == "no label scores 0.9 or more"
    assert ABC.to_json(Answer(value=Labels(classes=(1,))))["answers"] == [{"label": "b", "score": None}]


def test_details_count_decisions() -> None:
    answers = [answer(ABC, 0.9, 0.9, 0.1), answer(ABC, 0.9, 0.1, 0.1), answer(ABC, 0.1, 0.1, 0.1)]
    found = ABC.details(answers, [Labels(classes=(0, 2)), Labels(classes=(0,)), Labels(classes=())])
    assert found["decisions"] == {"tp": [2, 0, 0], "fp": [0, 1, 0], "fn": [0, 0, 1], "tn": [1, 2, 2]}
    assert found["together"] == [[2, 0, 1], [0, 0, 0], [1, 0, 1]]
    json.dumps(found)


def test_relabelled_from_other_classes() -> None:
    assert ABC.relabel(Labels(classes=(0, 3)), {0: 2, 3: 1}) == Labels(classes=(1, 2))
    assert ABC.relabel(Labels(classes=()), {}) == Labels(classes=())
    assert ABC.relabel(Label(index=1), {1: 0}) == Labels(classes=(0,))
    with pytest.raises(DataError, match="several labels"):
        Classification(classes="ab").relabel(Labels(classes=(0,)), {0: 0})


def test_what_is_no_task() -> None:
    with pytest.raises(DataError):
        MultiLabel(classes=())
    for thresholds in ((0.5,), (0.5, 1.5), (0.5, float("nan"))):
        with pytest.raises(ModelError, match="thresholds"):
            MultiLabel(classes="ab", thresholds=thresholds)


@pytest.mark.parametrize("scores", [(0.9, 0.9, 0.9), (0.1, 0.1, 0.1)])
def test_the_drawing_is_a_png(scores: tuple[float, ...]) -> None:
    picture = Image.open(io.BytesIO(ABC.draw(torch.zeros(1, 8, 8, dtype=torch.uint8), answer(ABC, *scores))))
    assert picture.format == "PNG"
    ABC.draw(torch.zeros(3, 8, 8, dtype=torch.uint8), Answer(value=Labels(classes=())))


def test_all_its_metrics_can_be_computed() -> None:
    generator = Generator().manual_seed(1)
    scores = torch.rand(60, 3, generator=generator)
    targets = sets(torch.bernoulli(scores, generator=generator))
    values = [a.value for a in ABC.answers({"scores": scores}, ())]
    for metric in ABC.metrics():
        metric.update(torch.arange(60), values, targets)
        assert all(0 <= value < 5 for value in metric.compute().values())
