"""The verb: what it writes answers as the bundle does, and what would not is never written."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import visto
from tests.exporting.bundles import bundle
from visto.__main__ import run
from visto.bundle import read_exported
from visto.data.dataset import Dataset, Item
from visto.errors import GateError, ModelError, UsageError
from visto.exporting import entry, gate, graph, onnx_file
from visto.tasks.likeness import alike_boxes
from visto.types import Answer, Boxes, Label

GOLDEN = Path(__file__).parent.parent / "golden" / "digits-1.visto"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    visto.export(GOLDEN, folder / "digits.onnx", data="digits")
    return folder / "digits.onnx"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path_factory.mktemp("cache")))


def pictures(folder: Path, n: int = 40) -> Dataset:
    """Photos of three colours, of two sizes: a net that looks at colours can tell them apart."""
    folder.mkdir()
    random = np.random.default_rng(0)
    items = []
    for k in range(n):
        pixels = random.integers(0, 256, (20 + k % 2, 30, 3), dtype=np.uint8)
        pixels[..., k % 3] //= 3
        Image.fromarray(pixels).save(folder / f"{k}.png")
        items.append(Item(id=f"{k}.png", source=folder / f"{k}.png", target=Label(index=k % 3), split="validation"))
    return Dataset(
        name="pictures", format="made", task="classification", classes=("cat", "dog", "eel"), items=tuple(items)
    )


def test_it_lies_there_whole(exported: Path) -> None:
    names = {"digits.onnx", "digits.onnx.json", "digits.onnx.seen", "run.py"}
    assert {file.name for file in exported.parent.iterdir()} == names
    assert len((exported.parent / "run.py").read_text().splitlines()) <= 30
    manifest = json.loads((exported.parent / "digits.onnx.json").read_text())
    assert manifest["parent"]["digest"] == visto.load(GOLDEN).bundle.digest
    assert manifest["classes"] == [str(k) for k in range(10)]
    assert manifest["gate"]["agreement"] == 1.0
    assert manifest["gate"]["images"] == 266
    assert manifest["metrics"]["accuracy"] == manifest["parent"]["manifest"]["metrics"]["accuracy"]


def test_every_verb_takes_it_as_it_takes_the_bundle(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for model in (GOLDEN, exported):
        assert run(["evaluate", str(model), "digits", "--json", "-q"]) == 0
        said.append(json.loads(capsys.readouterr().out))
    for name, figure in said[0]["metrics"].items():
        assert said[1]["metrics"][name]["value"] == pytest.approx(figure["value"], abs=1e-5)
    assert said[0]["overlap"] == said[1]["overlap"]
    assert run(["compare", str(GOLDEN), str(exported), "digits", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"].startswith("no difference")
    picture = exported.parent.parent / "seven.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(picture)
    answers = []
    for model in (GOLDEN, exported):
        assert run(["predict", str(model), str(picture), "--json", "--confidence", "0.9"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["label_set"] == answers[1]["label_set"]
    assert answers[0]["answers"][0]["score"] == pytest.approx(answers[1]["answers"][0]["score"], abs=1e-5)
    assert run(["info", str(exported), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == read_exported(exported).digest
    assert run(["report", str(exported), "digits"]) == 4  # of a bundle only


def test_it_runs_without_visto(exported: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.fromarray(np.full((30, 20, 3), 99, np.uint8)).save(picture)
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.modules['visto'] = sys.modules['torch'] = None; sys.argv = "
         f"['run.py', {str(exported)!r}, {str(picture)!r}]; exec(open({str(exported.parent / 'run.py')!r}).read())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)["answers"]
    expected = visto.load(GOLDEN).predict(picture).value
    assert found[0]["label"] == str(expected.index)
    assert found[0]["score"] == pytest.approx(float(expected.scores.max()), abs=1e-5)


def test_run_py_says_what_is_wrong(exported: Path, tmp_path: Path) -> None:
    script = exported.parent / "run.py"
    for name in ("digits.onnx", "digits.onnx.json"):
        shutil.copy(exported.parent / name, tmp_path / name.replace("digits", "cats"))
    for arguments, words in (
        ([], "python run.py X.onnx IMAGE"),
        ([exported], "python run.py X.onnx IMAGE"),
        ([tmp_path / "dogs.onnx", "a.png"], "no .*dogs.onnx"),
        ([script, "a.png"], "run.py.json beside it"),
        ([tmp_path / "cats.onnx", "a.png"], "cats.onnx was changed"),
    ):
        done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert re.search(words, done.stderr)
        assert "Traceback" not in done.stderr
        assert not done.stdout


def test_what_is_refused_whatever_the_data_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the data was read")

    monkeypatch.setattr("visto.cli.reading.read", never)
    monkeypatch.setattr("visto.api.read", never)
    for more, words in (
        (["-o", "a.ONNX"], "ends in .onnx"),
        (["-o", "a.onnx", "--to", "coreml"], "one of onnx"),
        (["-o", str(tmp_path / "b.onnx")], "exists already"),
    ):
        (tmp_path / "b.onnx").touch()
        assert run(["export", str(GOLDEN), "--data", "digits", *more]) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(UsageError, match="0 or more"):
        visto.export(GOLDEN, tmp_path / "a.onnx", data="digits", max_drift=-1)
    assert run(["export", str(GOLDEN), "-o", "my.onnx"]) == 2
    assert f"visto export {GOLDEN} -o my.onnx --data DATA" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["digits.onnx", "digits.onnx.json", "digits.onnx.seen", "run.py"])
def test_a_changed_file_is_refused(exported: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(exported.parent, tmp_path / "out")
    content = bytearray((tmp_path / "out" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "out" / name).write_bytes(content)
    with pytest.raises(ModelError):
        visto.load(tmp_path / "out" / "digits.onnx")


def test_what_is_there_is_not_written_over(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exists already"):
        visto.export(GOLDEN, exported, data="digits")
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        visto.export(GOLDEN, tmp_path / "a.bin", data="digits")
    with pytest.raises(UsageError, match="not known here"):
        visto.export(GOLDEN, tmp_path / "a.onnx")
    (tmp_path / "run.py").write_text("print('mine')")
    with pytest.raises(UsageError, match="is another"):
        visto.export(GOLDEN, tmp_path / "a.onnx", data="digits")
    assert [file.name for file in tmp_path.iterdir()] == ["run.py"]


class _Swapped(entry.Entry):
    """Colours in another order."""

    def forward(self, images_nhwc: Tensor) -> dict[str, Tensor]:
        return super().forward(images_nhwc.flip(3))


class _Shifted(entry.Entry):
    """A resize that is off by a pixel."""

    def forward(self, images_nhwc: Tensor) -> dict[str, Tensor]:
        out = super().forward(images_nhwc)
        return {**out, "fitted": out["fitted"].roll(1, 3)}


def _other_order(head: nn.Module) -> nn.Module:
    class Turned(nn.Module):
        def forward(self, tensors: Any) -> dict[str, Tensor]:
            return {"scores": head(tensors)["scores"].roll(1, 1)}

    return Turned()


def _no_number(head: nn.Module) -> nn.Module:
    class Broken(nn.Module):
        def forward(self, tensors: Any) -> dict[str, Tensor]:
            return {"scores": head(tensors)["scores"] * torch.tensor([1.0, torch.nan, 1.0])}

    return Broken()


def _break_head(monkeypatch: pytest.MonkeyPatch, change: Callable[[nn.Module], nn.Module]) -> None:
    real = graph.body

    def broken(recogniser: Any, name: str) -> Any:
        good = recogniser.task.head
        recogniser.task.head = change(good)
        try:
            return real(recogniser, name)
        finally:
            recogniser.task.head = good

    monkeypatch.setattr(onnx_file, "body", broken)


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("swapped channels", "prepares images otherwise"),
        ("off by one", "prepares images otherwise"),
        ("class order", "answers otherwise"),
        ("NaN", "no numbers"),
    ],
)
def test_what_is_broken_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, words: str
) -> None:
    made = bundle(tmp_path / "a.visto", "cnn", arguments={"depth": 1, "width": 4})
    if way == "swapped channels":
        monkeypatch.setattr(graph, "Entry", _Swapped)
    elif way == "off by one":
        monkeypatch.setattr(graph, "Entry", _Shifted)
    else:
        _break_head(monkeypatch, _other_order if way == "class order" else _no_number)
    with pytest.raises(GateError, match=words):
        visto.export(made.path, tmp_path / "out" / "a.onnx", data=pictures(tmp_path / "data"), max_drift=100)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("broken", [_Swapped, _Shifted])
def test_grey_data_of_the_models_size_do_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: type[entry.Entry]
) -> None:
    monkeypatch.setattr(graph, "Entry", broken)
    with pytest.raises(GateError, match="prepares images otherwise"):
        visto.export(GOLDEN, tmp_path / "out" / "a.onnx", data="digits")
    assert not (tmp_path / "out").exists()


def test_boxes_that_nobody_sees_are_no_agreement(tmp_path: Path) -> None:
    empty = Boxes(xyxy=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64), scores=torch.zeros(0))
    made = bundle(tmp_path / "a.visto", "yolo", task="detection", size=(32, 32), head={"threshold": 0.999})
    task = visto.load(made.path).recogniser.task
    truth = Boxes(xyxy=torch.tensor([[0.0, 0, 9, 9]]), labels=torch.tensor([1]))
    items = [Item(id="a", source=Path("a"), target=truth)]
    bar = gate.exact(0.5)
    found = gate.compared(task, [Answer(value=empty)], [Answer(value=empty)], items, bar)
    with pytest.raises(GateError, match="neither finds a box"):
        gate.check(found, bar)
    low = Boxes(xyxy=truth.xyxy, labels=truth.labels, scores=torch.tensor([0.2]))
    found = gate.compared(task, [Answer(value=low)], [Answer(value=empty)], items, bar)
    with pytest.raises(GateError, match="0 of 1 answers"):
        gate.check(found, bar)


def test_an_interrupt_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*arguments: object, **settings: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise torch.onnx.OnnxExporterError("it failed") from error

    monkeypatch.setattr(torch.onnx, "export", stopped)
    with pytest.raises(KeyboardInterrupt):
        visto.export(GOLDEN, tmp_path / "a.onnx", data="digits")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript", "onnx_ir"])
@pytest.mark.parametrize("verb", ["export", "bench"])
def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, verb: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    out = ["-o", str(tmp_path / "a.onnx")] if verb == "export" else []
    assert run([verb, str(GOLDEN), "--data", "digits", *out]) == 2
    assert "pip install 'visto[export]'" in capsys.readouterr().err


def test_keys_that_are_trusted_do_not_stop_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = GOLDEN.with_name("digits-1-sealed.visto")
    monkeypatch.setenv("VISTO_TRUSTED_KEYS", str(GOLDEN.with_name("digits-1-sealed.key.pub")))
    visto.export(sealed, tmp_path / "a.onnx", data="digits")
    with pytest.raises(ModelError, match="is not signed"):
        visto.load(tmp_path / "a.onnx")
    shutil.copytree(GOLDEN, tmp_path / "planted.visto")
    with pytest.raises(ModelError, match="is not signed"):
        visto.train("digits", tmp_path / "planted.visto", resume=True)


@pytest.mark.parametrize("kind", ["alpha", "deep"])
def test_run_py_reads_what_visto_reads(exported: Path, tmp_path: Path, kind: str) -> None:
    ramp = np.arange(64, dtype=np.uint32).reshape(8, 8)
    if kind == "deep":
        Image.fromarray((ramp * 1000).astype(np.uint16)).save(tmp_path / "a.png")
    else:
        layers = np.stack([ramp * 4, ramp * 3, ramp * 2, 255 - ramp * 4], 2).astype(np.uint8)
        Image.fromarray(layers).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    command = [
        sys.executable,
        *map(str, (exported.parent / "run.py", exported, tmp_path / "a.png", tmp_path / "b.png")),
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    scores = visto.load(GOLDEN).predict(tmp_path / "a.png").value.scores.tolist()
    found = {one["label"]: one["score"] for one in json.loads(lines[0])["answers"]}
    assert [found[str(k)] for k in range(10)] == pytest.approx(scores, abs=0.01)
    assert "error" in json.loads(lines[1])


def test_a_figure_that_drifts_is_refused(tmp_path: Path) -> None:
    bar = gate.exact(0.5)
    assert (bar.agreement, bar.overlap, bar.within) == (0.999, 0.98, 0.01)
    task = visto.load(GOLDEN).recogniser.task
    scores = torch.eye(10)
    labels = [Label(index=k % 10, scores=scores[k % 10]) for k in range(1000)]
    ours = [Answer(value=label) for label in labels]
    items = [Item(id=str(k), source=Path("x"), target=labels[k]) for k in range(1000)]
    wrong = Answer(value=Label(index=9, scores=scores[9]))
    for flips, agrees in ((0, True), (1, True), (2, False)):
        found = gate.compared(task, ours, [wrong] * flips + ours[flips:], items, bar)
        assert found.drift == pytest.approx(flips / 10)
        assert len(found.worst) == flips
        assert (found.agreement >= bar.agreement) == agrees
        if agrees:
            gate.check(found, bar)
        else:
            with pytest.raises(GateError, match="998 of 1,000 answers"):
                gate.check(found, bar)
    found = gate.compared(task, ours, [wrong] * 6 + ours[6:], items, gate.rounded(0.5))
    with pytest.raises(GateError, match=r"differs by \+0\.60 points"):
        gate.check(found, gate.rounded(0.5))
    gate.check(found, gate.rounded(0.7))


def test_boxes_that_differ_are_counted() -> None:
    def boxes(*rows: tuple[float, float, float, float, int, float]) -> Boxes:
        table = torch.tensor(rows).reshape(-1, 6)
        return Boxes(xyxy=table[:, :4], labels=table[:, 4].long(), scores=table[:, 5])

    one, other = (0, 0, 100, 100, 1, 0.9), (200, 0, 300, 100, 0, 0.8)
    bar = {"least": 0.5, "overlap": 0.98, "within": 0.01}
    assert alike_boxes(boxes(one, other), boxes(other, one), **bar).same == 4
    moved = (2.1, 0, 102.1, 100, 1, 0.9)  # IoU 97.9 / 102.1
    for changed in (moved, (*one[:5], 0.88), (*one[:4], 0, 0.9)):
        found = alike_boxes(boxes(one, other), boxes(changed, other), **bar)
        assert (found.same, found.of) == (2, 4)
    found = alike_boxes(boxes(one), boxes(), **bar)
    assert (found.same, found.of) == (0, 1)
    assert alike_boxes(boxes(), boxes(), **bar).of == 0


def test_an_exported_model_is_not_saved_under_another_name(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is an exported file") as met:
        visto.load(exported).save(tmp_path / "copy.onnx")
    assert "digits.onnx, digits.onnx.json, digits.onnx.seen, run.py" in met.value.hint
    assert not list(tmp_path.iterdir())
