"""What reads step by step, with the arguments that the conformance checks leave as they are."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from visto import testing
from visto.errors import UsageError
from visto.models import MODELS
from visto.models.attention import attention
from visto.models.reader import Reader, Reading, unpadded
from visto.models.recurrence import Layer
from visto.models.recurrent import gru, lstm

RECURRENT = ("rnn", "lstm", "gru")


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("arguments", [{"layers": 2, "pool": "mean"}, {"bidirectional": True, "layers": 2}])
def test_deep_averaged_and_both_ways(name: str, arguments: dict[str, object]) -> None:
    testing.check_sequence_model(partial(MODELS[name], hidden=8, **arguments))


def test_both_ways_averaged() -> None:
    testing.check_sequence_model(partial(MODELS["lstm"], hidden=8, bidirectional=True, pool="mean"))


@pytest.mark.parametrize("arguments", [{"pool": "mean"}, {"window": 2}, {"window": 1, "layers": 1}])
def test_attention_averaged_and_narrow(arguments: dict[str, object]) -> None:
    testing.check_sequence_model(partial(MODELS["attention"], hidden=8, **arguments))


@pytest.mark.parametrize("cell", RECURRENT)
def test_a_layer_computes_what_torch_computes(cell: str) -> None:
    torch.manual_seed(0)
    layer, inputs = Layer(cell, 5, 7), torch.randn(3, 9, 5)
    theirs: nn.RNNBase = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell](5, 7, batch_first=True)
    with torch.no_grad():
        layer.bias.uniform_(-1, 1)
        back = torch.zeros_like(layer.bias)
        if cell == "gru":
            back[-7:] = layer.bias_new.uniform_(-1, 1)
        for parameter, value in zip(
            theirs.parameters(), (layer.weight_in, layer.weight_back, layer.bias, back), strict=True
        ):
            parameter.copy_(value)
    for found in (layer(inputs), layer.unrolled(inputs)):
        torch.testing.assert_close(found, theirs(inputs)[0], atol=1e-5, rtol=1e-5)


def test_what_is_carried_over_begins_orthogonal_and_remembering() -> None:
    layer = Layer("lstm", 5, 8)
    for back in layer.weight_back.chunk(4):
        torch.testing.assert_close(back @ back.T, torch.eye(8))
    assert layer.bias.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16


def test_both_ways_there_is_no_streaming() -> None:
    model = gru(classes=2, channels=3, size=[], over="steps", bidirectional=True)
    assert not model.causal
    with pytest.raises(UsageError, match="both ways"):
        model.start(1)


@pytest.mark.parametrize("builder", [lstm, attention])
def test_an_image_is_read_row_by_row(builder: Callable[..., Reading]) -> None:
    torch.manual_seed(0)
    model = builder(classes=3, channels=2, size=[5, 4]).eval()
    image, state = torch.randn(1, 2, 5, 4), model.start(1)
    with torch.no_grad():
        for row in image.unbind(2):
            out, state = model.step(row, state)
        assert torch.allclose(out["logits"], model(image)["logits"], atol=1e-5)


def test_what_attention_keeps_does_not_grow_and_old_steps_are_forgotten() -> None:
    torch.manual_seed(0)
    reader = Reader(3, 2, cell="attention", hidden=8, layers=2, heads=2, window=4).eval()
    steps = torch.randn(1, 40, 3)
    with torch.no_grad():
        changed = steps.clone()
        changed[:, :33] += 1  # two layers that look 4 steps back each: the last sees 7
        assert torch.allclose(reader(steps), reader(changed), atol=1e-5)
        changed[:, 33] += 1
        assert not torch.allclose(reader(steps), reader(changed), atol=1e-5)
        state = reader.start(1)
        for step in steps.unbind(1):
            logits, state = reader.step(step, state)
        assert [tuple(value.shape) for value in state] == [(1, 4, 8), (1, 4, 8), (1, 4)] * 2
        assert torch.allclose(logits, reader(steps), atol=1e-5)


@pytest.mark.parametrize("cell", [*RECURRENT, "attention"])
@pytest.mark.filterwarnings("ignore")
def test_a_step_has_an_onnx_form(cell: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")

    class Stepping(nn.Module):
        def __init__(self, reader: Reader) -> None:
            super().__init__()
            self.reader = reader

        def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            logits, after = self.reader.step(x, state)
            return (logits, *after)

    reader = Reader(3, 2, cell=cell, hidden=8, layers=2, pool="mean", window=4).eval()
    given = (torch.randn(2, 3), *(torch.rand_like(value) for value in reader.start(2)))
    names = [f"in{k}" for k in range(len(given))]
    outside = [f"out{k}" for k in range(len(given))]
    torch.onnx.export(
        Stepping(reader),
        given,
        tmp_path / "step.onnx",
        dynamo=True,
        opset_version=20,
        input_names=names,
        output_names=outside,
        verbose=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx")
    found = session.run(None, {name: value.numpy() for name, value in zip(names, given, strict=True)})
    with torch.no_grad():
        for theirs, ours in zip(found, Stepping(reader)(*given), strict=True):
            torch.testing.assert_close(torch.from_numpy(theirs), ours, atol=1e-5, rtol=1e-5)


def test_sequences_without_padding_are_left_as_they_are() -> None:
    frames = torch.randn(2, 3, 1, 4, 4)
    same, lengths = unpadded(frames)
    assert torch.equal(same, frames) and lengths.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lstm", {"pool": "first"}),
        ("lstm", {"hidden": 0}),
        ("gru", {"layers": 0}),
        ("rnn", {"over": "columns"}),
        ("attention", {"heads": 3}),
        ("attention", {"window": 0}),
    ],
)
def test_what_cannot_be_is_refused(name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        MODELS[name](classes=2, channels=1, size=[8, 8], **arguments)
