"""Models that foretell series, against scikit-learn and by hand."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge

from visto import testing
from visto.errors import UsageError
from visto.models import MODELS
from visto.models.forecaster import READERS, Forecaster, Linear, forecaster, linear, naive, ridge


@pytest.mark.parametrize("name", ["naive", "linear", *READERS])
def test_conformance(name: str) -> None:
    """Three tensors N×h×F, saving, batching, gradients, and a step at a time."""
    builder = partial(MODELS["forecaster"], reader=name) if name in READERS else MODELS[name]
    for channels, horizon in ((1, 1), (3, 4)):
        arguments = {"channels": channels, "size": [], "window": 6, "horizon": horizon}
        torch.manual_seed(0)
        model, inputs = builder(classes=channels, **arguments), torch.randn(4, 6, channels)
        model.fit_to(torch.randn(50, 6, channels), torch.randn(50, horizon, channels))  # type: ignore[operator]
        with torch.no_grad():
            found = model.eval()(inputs)
        assert set(found) == {"forecast", "linear", "naive"}, f"it gives {', '.join(found)}"
        for name, value in found.items():
            assert tuple(value.shape) == (4, horizon, channels), f"{name} is {tuple(value.shape)}, not N×h×F"
        testing._check_alone(model, inputs)
        testing._check_saving(builder, model, inputs, channels, arguments)
        testing._check_gradients(model, inputs)
        for steps in (inputs, inputs[:, :2], torch.randn(4, 20, channels)):
            testing._check_streaming(model, steps, steps.unbind(1))


def windows(values: torch.Tensor, window: int, horizon: int) -> tuple[torch.Tensor, torch.Tensor]:
    starts = range(len(values) - window - horizon + 1)
    seen = torch.stack([values[s : s + window] for s in starts])
    return seen, torch.stack([values[s + window : s + window + horizon] for s in starts])


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_ridge_is_that_of_scikit_learn(penalty: float) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(80, 6)), random.normal(size=(80, 3))
    weight, bias = ridge(torch.tensor(x), torch.tensor(y), penalty)
    theirs = Ridge(alpha=penalty * 80).fit(x, y)
    np.testing.assert_allclose(weight.T, theirs.coef_, atol=1e-10)
    np.testing.assert_allclose(bias, theirs.intercept_, atol=1e-10)


def test_without_penalty_it_is_plain_least_squares() -> None:
    random = np.random.default_rng(1)
    x, y = random.normal(size=(50, 4)), random.normal(size=(50, 2))
    weight, bias = ridge(torch.tensor(x), torch.tensor(y), 0.0)
    theirs = LinearRegression().fit(x, y)
    np.testing.assert_allclose(weight.T, theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(bias, theirs.intercept_, atol=1e-8)


def test_the_linear_way_finds_a_straight_line_and_a_wave() -> None:
    steps = torch.arange(200.0)
    line = torch.stack([0.5 * steps - 3, torch.sin(steps / 5)], 1)
    seen, future = windows(line, 12, 3)
    way = Linear(2, 12, 3)
    assert way.fit_to(seen, future) == 1e-4
    assert float((way(seen) - future).abs().max()) < 0.05


def test_what_is_added_to_a_series_is_added_to_its_linear_forecast() -> None:
    torch.manual_seed(0)
    model = linear(classes=1, channels=1, size=[], window=8, horizon=2)
    model.fit_to(torch.randn(60, 8, 1), torch.randn(60, 2, 1))
    x = torch.randn(5, 8, 1)
    torch.testing.assert_close(model(x + 7)["forecast"], model(x)["forecast"] + 7, atol=1e-5, rtol=0)


def test_the_naive_way_is_the_last_value_again() -> None:
    found = naive(classes=2, channels=2, size=[], window=4, horizon=3)(torch.arange(16.0).view(2, 4, 2))
    assert found["forecast"].tolist() == [[[6.0, 7.0]] * 3, [[14.0, 15.0]] * 3]
    assert torch.equal(found["forecast"], found["naive"])


@pytest.mark.parametrize("reader", READERS)
def test_before_it_has_learnt_a_reader_adds_nothing(reader: str) -> None:
    torch.manual_seed(0)
    model = forecaster(classes=1, channels=1, size=[], window=8, horizon=2, reader=reader).eval()
    model.fit_to(torch.randn(60, 8, 1), torch.randn(60, 2, 1))
    found = model(torch.randn(3, 8, 1))
    assert torch.equal(found["forecast"], found["linear"])


def taught(reader: str = "lstm") -> Forecaster:
    torch.manual_seed(0)
    model = forecaster(classes=1, channels=1, size=[], window=5, horizon=2, reader=reader, hidden=8).eval()
    model.fit_to(torch.randn(60, 5, 1), torch.randn(60, 2, 1))
    assert model.reader is not None
    torch.nn.init.normal_(model.reader.classifier.weight)
    return model


@pytest.mark.parametrize("steps", [1, 3, 5, 12])
def test_a_stream_ends_where_the_whole_does(steps: int) -> None:
    model, x = taught(), torch.randn(3, steps, 1)
    state = model.start(3)
    for one in x.unbind(1):
        found, state = model.step(one, state)
    for name, value in model(x).items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0)


def test_where_steps_are_missing_the_first_is_repeated() -> None:
    model = linear(classes=1, channels=1, size=[], window=5, horizon=2)
    model.fit_to(torch.randn(60, 5, 1), torch.randn(60, 2, 1))
    short = torch.tensor([[[2.0], [3.0]]])
    whole = torch.tensor([[[2.0], [2.0], [2.0], [2.0], [3.0]]])
    assert torch.equal(model(short)["linear"], model(whole)["linear"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"reader": "prophet"}, "no reader"), ({"window": 0}, "a window of 0"), ({"size": [8, 8]}, "images")],
)
def test_what_cannot_be_built_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        forecaster(**{"classes": 1, "channels": 1, "size": [], **arguments})  # type: ignore[arg-type]
