"""A series to foretell, from a file to forecasts: learnt, judged, compared, killed and gone on with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from tests.training.killing import VISTO, killed

import visto
from visto.__main__ import run
from visto.data.windows import for_judging, rows_needed
from visto.errors import DataError, GateError, UsageError
from visto.exporting import onnx_file, step_graph
from visto.types import Future

ROWS = 400


def write(path: Path, values: np.ndarray[Any, Any], *names: str) -> Path:
    lines = [",".join(["day", *names])] + [f"{k}," + ",".join(f"{v:.6f}" for v in row) for k, row in enumerate(values)]
    path.write_text("\n".join(lines) + "\n")
    return path


def wave(rows: int = ROWS, seed: int = 0) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(seed).normal(size=(rows, 1))
    return 5 + np.sin(np.arange(rows) * 2 * np.pi / 12)[:, None] + 0.1 * noise


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forecast")


@pytest.fixture(scope="module")
def sales(place: Path) -> Path:
    return write(place / "sales.csv", wave(), "sales")


@pytest.fixture(scope="module")
def linear(place: Path, sales: Path) -> visto.Model:
    return visto.train(sales, place / "linear.visto", model="linear", horizon=3, window=24, threads=1)


@pytest.fixture(scope="module")
def learnt(place: Path, sales: Path) -> visto.Model:
    return visto.train(
        sales, place / "gru.visto", model="gru", horizon=3, epochs=3, threads=1, arguments={"hidden": 8}, seed=1
    )


def test_judged_on_the_test_part_alone(linear: visto.Model, sales: Path) -> None:
    found = visto.evaluate(linear, sales, threads=1)
    assert (found.task, found.n, found.seen) == ("forecast", 60 - 2, 0)
    assert found.left_out == ROWS - 24 - 2 - found.n
    assert found.figures["mse"].value == pytest.approx(0.01, rel=0.5)
    gain = found.figures["gain_over_naive"]
    assert gain.low is not None
    assert gain.low > 0.5
    assert found.figures["gain_over_linear"].value == 0
    assert 0.8 < found.figures["coverage"].value <= 1
    assert [row["step"] for row in found.details["steps"]] == [1, 2, 3]
    assert found.ledger[0].id == "sales.csv:2"
    assert not found.groups


def test_of_another_file_everything_is_judged(linear: visto.Model, place: Path) -> None:
    other = write(place / "other.csv", wave(100, seed=7), "sales")
    found = visto.evaluate(linear, other, threads=1)
    assert (found.split, found.n, found.left_out) == ("all", 100 - 24 - 2, 0)


def test_of_a_file_that_has_grown_the_new_rows_are_judged(linear: visto.Model, place: Path) -> None:
    grown = write(place / "grown.csv", np.concatenate([wave(), wave(50, seed=3)]), "sales")
    found = visto.evaluate(linear, grown, threads=1)
    assert found.n == 60 + 50 - 2  # what was the test, and what came since


@pytest.mark.parametrize("horizon", [1, 3])
def test_a_series_that_repeats_itself_has_an_end_to_be_judged(place: Path, horizon: int) -> None:
    path = write(place / "exact.csv", np.tile(np.arange(12.0), 30)[:, None], "v")
    made = visto.train(path, place / f"exact{horizon}.visto", model="linear", horizon=horizon, threads=1)
    found = visto.evaluate(made, path, threads=1)
    assert found.n == 360 - 306 - horizon + 1
    assert all(item.split == "test" for item in found.pixels.items)
    assert visto.compare(made, made, path, threads=1).n == found.n


def test_compared_where_both_look_back(linear: visto.Model, learnt: visto.Model, sales: Path) -> None:
    assert learnt.source.manifest.head["window"] == 32
    found = visto.compare(learnt, linear, sales, threads=1)
    assert found.n == 60 - 2
    assert "mse" in found.difference
    assert found.groups >= 2
    assert "mse" in found.verdict
    assert visto.compare(linear, learnt, sales, threads=1).n == found.n
    same = visto.compare(linear, linear, sales, threads=1)
    assert same.verdict.startswith("no difference: A and B give the same answer")


def test_unlike_horizons_are_not_compared(linear: visto.Model, place: Path, sales: Path) -> None:
    one = visto.train(sales, place / "one.visto", model="naive", threads=1)
    with pytest.raises(UsageError, match="A foretells 3, B 1 steps"):
        visto.compare(linear, one, sales, threads=1)


def test_a_forecast_rests_on_the_rows_before_it_alone(learnt: visto.Model) -> None:
    """Whatever comes later, a window's forecast is the same."""
    values = wave().astype(np.float32)
    later = values.copy()
    later[200:] = 99
    answers = []
    for array in (values, later):
        data = visto.read(_saved(array))
        cut = for_judging(data, data.classes, 32, 3)
        source = next(item.source for item in cut.items if item.id == "row 201")
        answers.append(learnt.recogniser.answers(torch.from_numpy(source.values)[None])[0])  # type: ignore[union-attr]
    assert answers[0].value == answers[1].value


def _saved(array: np.ndarray[Any, Any]) -> Path:
    import tempfile

    path = Path(tempfile.mkdtemp()) / "a.npy"
    np.save(path, array)
    return path


def test_foretold_after_the_last_row(linear: visto.Model, place: Path, sales: Path) -> None:
    answer = linear.predict(sales, confidence=0.5)
    assert isinstance(answer.value, Future)
    truth = 5 + np.sin(np.arange(ROWS, ROWS + 3) * 2 * np.pi / 12)
    np.testing.assert_allclose(answer.value.values[:, 0], truth, atol=0.25)
    assert answer.value.confidence == 0.5
    tail = write(place / "tail.csv", wave()[-24:], "sales")
    assert torch.equal(linear.predict(tail).value.values, answer.value.values)
    wrong = write(place / "wrong.csv", wave(), "rain")
    with pytest.raises(DataError, match="no column 'sales'"):
        linear.predict(wrong)


def test_several_columns_each_in_its_unit(place: Path) -> None:
    both = np.concatenate([wave(), 1000 * wave(seed=5)], 1)
    path = write(place / "both.csv", both, "small", "large")
    made = visto.train(path, place / "both.visto", model="linear", threads=1)
    found = visto.evaluate(made, write(place / "turned.csv", both[:, ::-1], "large", "small"), threads=1)
    assert found.classes == ("small", "large")
    assert found.figures["mse"].value < 0.1  # in units of each column's deviation
    assert found.figures["mae/large"].value > 100 * found.figures["mae/small"].value


def test_too_short_a_series(place: Path) -> None:
    short = write(place / "short.csv", wave(40), "sales")
    with pytest.raises(DataError, match="40 rows are too few") as error:
        visto.train(short, place / "short.visto", window=24, threads=1)
    assert f"{rows_needed(24, 1)} rows" in error.value.expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 32}, "--size with forecast"),
        ({"augmentation": ["flip"]}, "--augment with forecast"),
        ({"ensemble": 3}, "--ensemble with forecast"),
        ({"model": "cnn"}, "the model cnn for forecast"),
        ({"model": "linear", "epochs": 3}, "--epochs with the model linear"),
        ({"model": "lstm", "arguments": {"window": 3}}, "--set window with forecast"),
        ({"model": "lstm", "arguments": {"bidirectional": True}}, "bidirectional"),
    ],
)
def test_what_has_no_meaning_is_refused(place: Path, sales: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        visto.train(sales, place / "refused.visto", threads=1, **options)


def test_where_nothing_is_gained_the_linear_forecast_is_kept(place: Path, sales: Path) -> None:
    """Nobody asked for a reader, and after a step it is no better."""
    made = visto.train(sales, place / "default.visto", epochs=0.1, threads=1)
    assert made.source.manifest.model.name == "linear"
    assert made.source.manifest.metrics["gain_over_linear"].value == 0
    plain = visto.train(sales, place / "plain.visto", model="linear", threads=1)
    assert made.predict(sales).value == plain.predict(sales).value


def test_what_is_no_linear_function_is_learnt(place: Path) -> None:
    """The next value is x' = 3.9 x (1 - x): chaos, and no line fits it."""
    x = [0.3]
    for _ in range(599):
        x.append(3.9 * x[-1] * (1 - x[-1]))
    path = write(place / "chaos.csv", np.array(x)[:, None], "x")
    made = visto.train(path, place / "chaos.visto", window=4, epochs=40, lr=0.01, threads=1)
    assert made.source.manifest.model.name == "forecaster"
    found = visto.evaluate(made, path, threads=1).figures["gain_over_linear"]
    assert found.low is not None
    assert found.low > 0.8


def test_series_and_images_are_not_mixed(linear: visto.Model, sales: Path, place: Path) -> None:
    with pytest.raises(DataError, match="the model does forecast"):
        visto.evaluate(linear, "digits", threads=1)
    for options, words in (({"model": "linear"}, "the model linear for"), ({"horizon": 2}, "--horizon with")):
        with pytest.raises(UsageError, match=words):
            visto.train("digits", place / "digits.visto", threads=1, **options)
    with pytest.raises(UsageError, match="--group-by with a series"):
        visto.read(sales, group_by="x")


@pytest.mark.parametrize("name", ["linear", "learnt"])
def test_the_exported_file_foretells_the_same(
    name: str, request: pytest.FixtureRequest, sales: Path, tmp_path: Path
) -> None:
    model: visto.Model = request.getfixturevalue(name)
    exported = visto.export(model, tmp_path / "a.onnx", data=sales, threads=1)
    ours, theirs = model.predict(sales).value, exported.predict(sales).value
    torch.testing.assert_close(theirs.values, ours.values)
    judged = [visto.evaluate(one, sales, threads=1).figures["mse"].value for one in (model, exported)]
    assert judged[0] == pytest.approx(judged[1], rel=1e-4)
    np.savetxt(tmp_path / "plain.csv", wave()[-40:], delimiter=",")
    command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "a.onnx"), str(tmp_path / "plain.csv")]
    said = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert [one["value"] for one in said["answers"]] == pytest.approx(ours.values.flatten().tolist(), rel=1e-4)


def test_a_file_that_foretells_otherwise_is_refused(
    linear: visto.Model, sales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = step_graph.whole_step

    def wrong(*arguments: Any) -> Any:
        graph = plain(*arguments)
        for tensor in graph.graph.initializer:  # the means and weights of the graph, a little off
            if tensor.data_type == 1:
                values = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(onnx.numpy_helper.from_array((values * 1.2).astype(np.float32), tensor.name))
        return graph

    monkeypatch.setattr(onnx_file, "whole_step", wrong)
    with pytest.raises(GateError, match="the exported file answers otherwise"):
        visto.export(linear, tmp_path / "a.onnx", data=sales, threads=1)
    assert not list(tmp_path.iterdir())


def test_the_report_shows_it(learnt: visto.Model) -> None:
    page = (learnt.path.with_name("gru.run") / "report.html").read_text()
    assert "Foretells the next 3 steps of 1" in page
    assert "Mean squared error by steps ahead" in page
    assert page.count("<svg") >= 5
    assert "<script src" not in page


def test_the_commands(
    place: Path,
    sales: Path,
    linear: visto.Model,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)

    def visto_(*arguments: str) -> str:
        assert run(list(arguments)) == 0
        return capsys.readouterr().out

    bundle = str(linear.path)
    said = json.loads(visto_("predict", bundle, str(sales), "--json", "--draw", "drawn"))
    assert [one["step"] for one in said["answers"]] == [1, 2, 3]
    assert said["confidence"] == 0.9
    assert all(one["low"] < one["value"] < one["high"] for one in said["answers"])
    assert (place / "drawn" / "sales.csv.png").read_bytes().startswith(b"\x89PNG")
    judged = visto_("evaluate", bundle, str(sales))
    assert "better than the last value again (naive)" in judged
    assert "the last 24 steps, of which come the next 3" in visto_("info", bundle)


def test_a_killed_run_ends_the_same(place: Path, sales: Path) -> None:
    command = ["train", str(sales), "--model", "rnn", "--epochs", "10", "--quiet"]
    command += ["--threads", "1", "--patience", "0", "--set", "hidden=8"]
    out = [place / "whole.visto", place / "killed.visto"]
    assert run([*command, "-o", str(out[0])]) == 0
    killed([*VISTO, *command, "-o", str(out[1])], (place / "killed.run" / "state").exists)
    assert run([*command, "-o", str(out[1]), "--resume"]) == 0
    first, second = ((path / "weights.safetensors").read_bytes() for path in out)
    assert first == second
