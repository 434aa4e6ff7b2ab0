"""Which moments an answer rests on, for hand-made models of which it is known; and what is watched of real ones."""

import pytest
import torch
from torch import Generator, Tensor

from tests.report.conftest import sequence_bundle_of
from visto.prediction import TorchRecogniser
from visto.report.in_time import Check, advantage, check, falls, passed_over, spans_of
from visto.report.watching import watching

STEPS = 12
FLASH = 7


def sees_the_flash(places_vt: Tensor) -> Tensor:
    """Class 1 where the flash is still there to be seen."""
    seen = (places_vt == FLASH).any(1).float()
    return torch.stack([1 - 0.8 * seen, 0.8 * seen], 1)


def test_the_one_step_that_matters_is_found() -> None:
    spans = spans_of(STEPS)
    found = falls(sees_the_flash, STEPS, spans, 1)
    assert found.argmax() == FLASH
    assert found[FLASH] == pytest.approx(0.8)
    assert found.abs().sum() == pytest.approx(0.8)
    assert falls(sees_the_flash, STEPS, spans, 0)[FLASH] == pytest.approx(-0.8)


def test_so_is_the_window_it_lies_in() -> None:
    spans = spans_of(100)
    assert len(spans) == 20
    found = falls(sees_the_flash, 100, spans, 1)
    start, stop = spans[int(found.argmax())]
    assert start <= FLASH < stop


def test_a_true_map_beats_chance_and_one_by_chance_does_not() -> None:
    spans = spans_of(STEPS)
    true = falls(sees_the_flash, STEPS, spans, 1)
    random = Generator().manual_seed(0)
    right = [check(sees_the_flash, STEPS, spans, true, 1, random) for _ in range(12)]
    assert all(one.important == pytest.approx(0.8) and one.random < 0.5 for one in right)
    better = advantage(right)
    assert better.low is not None and better.low > 0.4
    blind = [check(sees_the_flash, STEPS, spans, torch.rand(STEPS, generator=random), 1, random) for _ in range(12)]
    worse = advantage(blind)
    assert worse.low is not None and worse.high is not None and worse.low <= 0.1
    assert worse.value < 0.4


def test_of_few_there_is_no_interval() -> None:
    few = advantage([Check(important=0.5, random=0.1)] * 4)
    assert few.value == pytest.approx(0.4)
    assert few.low is None


def test_the_first_and_the_last_repeat_what_there_is() -> None:
    assert passed_over(3, [(0, 1)]).tolist() == [1, 1, 2]
    assert passed_over(3, [(2, 3)], later=True).tolist() == [0, 1, 1]
    assert passed_over(6, [(1, 2), (2, 3), (5, 6)], later=True).tolist() == [0, 3, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cnn_lstm", {"motion": True, "pool": "mean", "width": 4, "depth": 1}),
        ("cnn_lstm", {"width": 4, "depth": 1}),
        ("gru", {"over": "frames"}),
        ("lstm", {"over": "steps"}),
        ("attention", {"over": "steps"}),
    ],
)
def test_watched_is_what_the_model_says(name: str, arguments: dict[str, object]) -> None:
    bundle = sequence_bundle_of(name, ("a", "b", "c"), **arguments)
    recogniser = TorchRecogniser(bundle)
    shape = (9, 2) if arguments.get("over") == "steps" else (9, 1, 8, 8)
    random = Generator().manual_seed(1)
    steps = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
    steps = steps.float() if len(shape) == 2 else steps
    seen = watching(recogniser, steps)
    orders = torch.stack([torch.arange(9), passed_over(9, [(3, 5)]), passed_over(9, [(0, 2)], later=True)])
    told = torch.stack([recogniser.tensors(steps[order][None])["scores"][0] for order in orders])
    torch.testing.assert_close(seen.judge(orders), told, atol=1e-4, rtol=1e-4)
    along = seen.along()
    assert along is not None and along.shape == (9, 3)
    torch.testing.assert_close(along[-1], told[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(along[4], recogniser.tensors(steps[None, :5])["scores"][0], atol=1e-4, rtol=1e-4)


def test_what_reads_from_both_ends_says_nothing_on_the_way() -> None:
    recogniser = TorchRecogniser(sequence_bundle_of("gru", ("a", "b"), over="steps", bidirectional=True))
    assert watching(recogniser, torch.zeros(5, 2)).along() is None
