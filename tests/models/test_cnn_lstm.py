"""Nets that look at frames and read them in order: alone and padded, a frame at a time, with an eye for change."""

from functools import partial
from typing import Any

import pytest
import torch

from visto import testing
from visto.errors import UsageError
from visto.models.cnn_lstm import cnn_lstm

FRAMES = ("frames",)


@pytest.mark.parametrize(
    "arguments",
    [
        {"motion": True, "cell": "gru", "pool": "mean"},
        {"motion": True, "layers": 2},
        {"cell": "attention"},
        {"cell": "mean"},
        {"bidirectional": True},
    ],
)
def test_conforms(arguments: dict[str, Any]) -> None:
    testing.check_sequence_model(partial(cnn_lstm, depth=1, width=4, hidden=8, **arguments), FRAMES)


def test_the_mean_of_frames_is_blind_to_order() -> None:
    torch.manual_seed(0)
    clips = torch.randn(2, 6, 1, 8, 8)
    blind, reading = (
        cnn_lstm(classes=2, channels=1, size=[8, 8], width=4, hidden=8, cell=cell).eval() for cell in ("mean", "lstm")
    )
    with torch.no_grad():
        torch.testing.assert_close(blind(clips.flip(1))["logits"], blind(clips)["logits"])
        assert not torch.allclose(reading(clips.flip(1))["logits"], reading(clips)["logits"])


def test_only_what_moves_changes_the_view_of_motion() -> None:
    """A clip that stands still looks the same to the eye for change at every frame."""
    torch.manual_seed(0)
    model = cnn_lstm(classes=2, channels=1, size=[8, 8], width=4, motion=True).eval()
    with torch.no_grad():
        still = model.describe(torch.randn(1, 1, 1, 8, 8).expand(1, 4, -1, -1, -1))
    assert torch.equal(still[0, 0], still[0, 3])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"over": "rows"}, "lstm reads rows"),
        ({"encoder": "resnet50"}, "cnn, efficientnet_lite0"),
        ({"cell": "x"}, "rnn"),
    ],
)
def test_bad_arguments(arguments: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        cnn_lstm(classes=2, channels=1, size=[8, 8], **arguments)  # type: ignore[arg-type]
    assert words in f"{raised.value.expected} {raised.value.hint}"
