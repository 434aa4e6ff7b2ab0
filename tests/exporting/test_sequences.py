"""Models on sequences as one step with its state: the file answers as the bundle does, or is never written."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import visto
from tests.exporting.bundles import CLASSES, bundle, of_clips, of_series
from visto.__main__ import run
from visto.bundle import Bundle, Exported, read_exported
from visto.data.dataset import Clip, Dataset, Item, Steps
from visto.errors import GateError, ModelError, UsageError
from visto.exporting import graph, onnx_file, step_graph
from visto.exporting.entry import Entry
from visto.exporting.step_graph import step_body
from visto.exporting.step_times import timed_steps
from visto.prediction import TorchRecogniser
from visto.types import Label, Silent

SMALL = {"hidden": 8}
MODELS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("rnn", {"layers": 2}),
    ("lstm", {}),
    ("gru", {"pool": "mean"}),
    ("attention", {"heads": 2, "window": 3}),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))


def clips(folder: Path, n: int = 12) -> Dataset:
    """Clips of patches in three colours, of two sizes."""
    noise = np.random.default_rng(0)
    for k in range(n):
        (folder / CLASSES[k % 3] / str(k)).mkdir(parents=True)
        for t in range(5 + k % 3):
            patches = noise.integers(0, 256, (4, 5, 3), dtype=np.uint8)
            patches[..., k % 3] //= 3
            picture = Image.fromarray(patches).resize((30, 20 + k % 2), Image.Resampling.NEAREST)
            picture.save(folder / CLASSES[k % 3] / str(k) / f"{t}.png")
    items = []
    for k in range(n):
        files = tuple(sorted((folder / CLASSES[k % 3] / str(k)).iterdir()))
        items.append(Item(str(k), Clip(files=files), Label(index=k % 3), "validation"))
    return Dataset(name="clips", format="made", task="sequence", classes=CLASSES, items=tuple(items))


def series(n: int = 12, features: int = 2) -> Dataset:
    array = np.random.default_rng(0).normal(size=(n * 9, features)).astype(np.float32)
    items = [Item(str(k), Steps(array, 9 * k, 9 * k + 5 + k % 4), Label(index=k % 3), "validation") for k in range(n)]
    return Dataset(name="series", format="made", task="sequence", classes=CLASSES, items=tuple(items))


def stretched(made: Bundle) -> Path:
    """The bundle with a classifier whose answers lie apart, as those of one that has learnt do."""
    from visto.bundle import read_own_bundle, write_bundle

    weights = {name: 20 * value if "classifier.weight" in name else value for name, value in made.weights.items()}
    write_bundle(made.path.with_name("stretched.visto"), made.manifest, weights, made.seen)
    return read_own_bundle(made.path.with_name("stretched.visto")).path


def scores_of(model: visto.Model, path: Any) -> Tensor:
    scores: Tensor = model.predict(path).value.scores
    return scores


@pytest.mark.parametrize(("name", "arguments"), MODELS)
def test_series(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    made = stretched(of_series(tmp_path / "m.visto", name, arguments=SMALL | arguments))
    exported = visto.export(made, tmp_path / "out" / "m.onnx", data=series())
    parent = visto.load(made)
    values = np.random.default_rng(1).normal(size=(11, 2)).astype(np.float32)
    assert torch.allclose(scores_of(exported, values), scores_of(parent, values), atol=1e-4)
    *_, last = exported.stream(values)
    assert torch.allclose(last.answer.value.scores, scores_of(parent, values), atol=1e-4)
    np.save(tmp_path / "a.npy", values)
    np.savetxt(tmp_path / "b.csv", values, delimiter=",")
    for file in (tmp_path / "a.npy", tmp_path / "b.csv"):
        assert without_visto(tmp_path / "out", file) == pytest.approx(scores_of(parent, values).tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments"), [("lstm", {}), ("cnn_lstm", {"depth": 1, "width": 4, "motion": True, "layers": 2})]
)
def test_clips(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    data = clips(tmp_path / "data")
    made = stretched(of_clips(tmp_path / "m.visto", name, every=2, arguments=SMALL | arguments))
    exported = visto.export(made, tmp_path / "out" / "m.onnx", data=data)
    parent = visto.load(made)
    clip = tmp_path / "data" / "dog" / "1"
    assert torch.allclose(scores_of(exported, clip), scores_of(parent, clip), atol=1e-4)
    assert [one.number for one in exported.stream(clip)] == [0, 2, 4]
    assert without_visto(tmp_path / "out", clip) == pytest.approx(scores_of(parent, clip).tolist(), abs=1e-4)
    judged = [visto.evaluate(model, data).figures["log_loss"].value for model in (parent, exported)]
    assert judged[0] == pytest.approx(judged[1], abs=1e-4)
    assert visto.compare(parent, exported, data).verdict.startswith("no difference")


def without_visto(folder: Path, given: Path) -> list[float]:
    """The scores that run.py prints, in the order of the classes."""
    assert len((folder / "run.py").read_text().splitlines()) <= 30
    code = (
        "import sys; sys.modules['visto'] = sys.modules['torch'] = None; "
        f"sys.argv = ['run.py', {str(folder / 'm.onnx')!r}, {str(given)!r}]; "
        f"exec(open({str(folder / 'run.py')!r}).read())"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    found = {one["label"]: one["score"] for one in json.loads(done.stdout)["answers"]}
    return [found[name] for name in CLASSES]


def test_the_manifest_says_that_it_streams(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = of_clips(tmp_path / "m.visto", "lstm", every=3, arguments=SMALL)
    out = tmp_path / "out" / "m.onnx"
    visto.export(made.path, out, data=clips(tmp_path / "data"))
    content = json.loads(Path(f"{out}.json").read_text())
    assert content["input"] == {"name": "images", "type": "uint8", "shape": [1, "height", "width", 3], "colours": "RGB"}
    assert content["stream"]["every"] == 3
    state = [(one["input"], one["output"], one["shape"]) for one in content["stream"]["state"]]
    assert state == [("state_0", "next_state_0", [1, 8]), ("state_1", "next_state_1", [1, 8])]
    assert content["outputs"] == ["scores"]
    model = onnx.load(out)
    assert [value.name for value in model.graph.input] == ["images", "state_0", "state_1"]
    assert [value.name for value in model.graph.output] == ["scores", "next_state_0", "next_state_1"]
    clip = str(tmp_path / "data" / "cat" / "0")
    assert run(["predict", str(out), clip, "--stream", "--json"]) == 0
    assert [json.loads(line)["frame"] for line in capsys.readouterr().out.splitlines()] == [0, 3]
    assert run(["info", str(out), "--json"]) == 0
    changed = Path(f"{out}.json").read_text().replace('"every": 3', '"every": 2').replace('"every":3', '"every":2')
    Path(f"{out}.json").write_text(changed)
    with pytest.raises(ModelError, match="checksum"):
        read_exported(out)


def test_it_is_signed_like_any_other(tmp_path: Path) -> None:
    made = of_series(tmp_path / "m.visto", "gru", arguments=SMALL)
    out = tmp_path / "out" / "m.onnx"
    visto.export(made.path, out, data=series())
    assert run(["keygen", "-o", str(tmp_path / "my.key")]) == 0
    assert run(["sign", str(out), "--key", str(tmp_path / "my.key")]) == 0
    assert run(["verify", str(out), "--key", str(tmp_path / "my.key.pub")]) == 0
    visto.load(out, trusted=[tmp_path / "my.key.pub"])
    (out.parent / "run.py").write_text("print('mine')")
    assert run(["verify", str(out), "--key", str(tmp_path / "my.key.pub")]) == 4


def test_one_step_is_timed(tmp_path: Path) -> None:
    for k, (made, data) in enumerate(
        [
            (of_series(tmp_path / "s.visto", "gru", arguments=SMALL), series()),
            (of_clips(tmp_path / "c.visto", "lstm", arguments=SMALL), clips(tmp_path / "data")),
        ]
    ):
        torch_, graph_ = timed_steps(made, data.items, Silent())
        assert (torch_.name, graph_.name) == ("torch float32", "onnxruntime float32"), k
        assert 0 < graph_.p50 <= graph_.p99
        assert torch_.apart == 0
        assert graph_.apart < 1e-4


def test_images_read_by_rows_are_exported_as_images(tmp_path: Path) -> None:
    made = stretched(
        bundle(tmp_path / "m.visto", "lstm", size=(8, 8), channels=1, classes="0123456789", arguments=SMALL)
    )
    exported = visto.export(made, tmp_path / "out" / "m.onnx", data="digits")
    assert isinstance(exported.source, Exported)
    assert exported.source.own.stream is None
    assert exported.source.own.gate["agreement"] == 1.0


def test_what_reads_both_ways_is_refused_by_name(tmp_path: Path) -> None:
    made = of_series(tmp_path / "m.visto", "lstm", arguments=SMALL | {"bidirectional": True})
    with pytest.raises(GateError, match="'lstm' looks at the whole sequence, both ways"):
        visto.export(made.path, tmp_path / "out" / "m.onnx", data=series())
    with pytest.raises(UsageError, match="int8"):
        visto.export(made.path, tmp_path / "out" / "m.onnx", data=series(), int8=True)
    assert not (tmp_path / "out").exists()


class _Swapped(Entry):
    """Colours in another order."""

    def forward(self, images_nhwc: Tensor) -> dict[str, Tensor]:
        return super().forward(images_nhwc.flip(3))


class _Broken(nn.Module):
    """Of one step: the scores in another order, or no state handed on."""

    def __init__(self, inner: nn.Module, way: str) -> None:
        super().__init__()
        self.inner, self.way = inner, way

    def forward(self, fitted: Tensor, *state: Tensor) -> dict[str, Tensor]:
        out: dict[str, Tensor] = self.inner(fitted, *state)
        if self.way == "class order":
            return {**out, "scores": out["scores"].roll(1, 1)}
        if self.way == "no state":
            return {name: value if name == "scores" else 0 * value for name, value in out.items()}
        after = zip(out.items(), (fitted, *state), strict=True)
        return {name: value if name == "scores" else given + 0 * value for (name, value), given in after}


def _break(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    real: Callable[..., Any] = graph.as_onnx
    monkeypatch.setattr(step_graph, "as_onnx", lambda module, *rest: real(_Broken(module, way).eval(), *rest))


@pytest.mark.parametrize("way", ["swapped channels", "class order", "no state", "state as it was", "NaN"])
def test_what_is_broken_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], way: str
) -> None:
    swapped = way == "swapped channels"
    data = clips(tmp_path / "data") if swapped else series()
    made = stretched((of_clips if swapped else of_series)(tmp_path / "m.visto", "lstm", arguments=SMALL))
    words = "answers otherwise"
    if swapped:
        monkeypatch.setattr(graph, "Entry", _Swapped)
        words = "prepares images otherwise"
    elif way == "NaN":

        def spoilt(recogniser: TorchRecogniser, *rest: Any) -> Any:
            with torch.no_grad():
                recogniser.model.reader.classifier.weight[0, 0] = torch.nan  # type: ignore[union-attr, operator]
            return step_body(recogniser, *rest)

        monkeypatch.setattr(onnx_file, "step_body", spoilt)
        words = "no numbers"
    else:
        _break(monkeypatch, way)
    with pytest.raises(GateError, match=words) as met:
        visto.export(made, tmp_path / "out" / "a.onnx", data=data, max_drift=100)
    assert way in ("swapped channels", "NaN") or "became" in met.value.message
    assert not (tmp_path / "out").exists()


def test_a_state_of_other_numbers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A weight of the file that is another: its pixels are right, and so is its form."""
    made = stretched(of_series(tmp_path / "m.visto", "gru", arguments=SMALL))

    def other(recogniser: TorchRecogniser, *rest: Any) -> Any:
        weights = load_file(made / "weights.safetensors")
        save_file({name: -value if "weight_back" in name else value for name, value in weights.items()}, tmp_path / "w")
        changed = TorchRecogniser(visto.load(made).bundle)
        changed.model.load_state_dict(load_file(tmp_path / "w"))
        return step_body(changed, *rest)

    monkeypatch.setattr(onnx_file, "step_body", other)
    assert not (tmp_path / "out").exists()
    with pytest.raises(GateError, match="answers otherwise"):
        visto.export(made, tmp_path / "out" / "a.onnx", data=series(), max_drift=100)
