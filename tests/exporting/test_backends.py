"""The ways to run a bundle: measured side by side, the fastest that passes is kept, and used again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import visto
from tests.exporting.bundles import bundle
from visto.__main__ import run
from visto.exporting import backends
from visto.exporting.backends import Timed, fastest
from visto.exporting.graph import body
from visto.prediction import TorchRecogniser
from visto.prediction.chosen import chosen, forget_choices, keep_choice
from visto.spec import Spec

GOLDEN = Path(__file__).parent.parent / "golden" / "digits-1.visto"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))


def test_the_fastest_that_passes_answers_from_then_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_TIMED", 6)
    picture = tmp_path / "seven.png"
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4).save(picture)
    assert run(["predict", str(GOLDEN), str(picture), "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert run(["bench", str(GOLDEN), "--data", "digits", "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["backend"]: row for row in found["backends"]}
    assert {"torch float32", "torch bfloat16", "onnxruntime float32", "onnxruntime int8"} <= rows.keys()
    for row in rows.values():
        assert 0 < row["p50_ms"] <= row["p99_ms"]
    assert rows["torch float32"]["agreement"] == rows["onnxruntime float32"]["agreement"] == 1.0
    passing = [row for row in found["backends"] if row["passes"]]
    assert found["fastest"] == max(passing, key=lambda row: row["images_per_second"])["backend"]
    assert run(["predict", str(GOLDEN), str(picture), "--json"]) == 0
    again = capsys.readouterr()
    if found["fastest"] != "torch float32":
        assert f"answered by {found['fastest']}" in again.err
    assert json.loads(again.out)["answers"][0]["label"] == plain["answers"][0]["label"]
    assert run(["predict", str(GOLDEN), str(picture), "--json", "--plain"]) == 0
    again = capsys.readouterr()
    assert "answered by" not in again.err
    assert json.loads(again.out) == plain
    assert run(["cache", "--clear"]) == 0
    assert chosen(visto.load(GOLDEN).bundle) is None


def _row(name: str, per_second: float, refused: str = "") -> Timed:
    backend: Any = Spec(name=name, arguments={})
    return Timed(backend=backend, p50=1, p99=1, per_second=per_second, drift=0, agreement=1, refused=refused)


def test_what_is_refused_is_never_the_fastest() -> None:
    rows = [_row("torch", 10), _row("int8", 90, "answers otherwise"), _row("float", 30)]
    assert fastest(rows).backend.name == "float"
    assert fastest([_row("torch", 10, "nothing to compare"), rows[1]]).backend.name == "torch"


def test_a_choice_that_is_damaged_or_another_bundles_is_none(tmp_path: Path) -> None:
    made = bundle(tmp_path / "a.visto", "mlp", arguments={"hidden": [4]})
    other = bundle(tmp_path / "b.visto", "mlp", arguments={"hidden": [5]})
    assert chosen(made) is None
    keep_choice(made, name="torch bfloat16", runner="torch", graph=None)
    found = chosen(made)
    assert found is not None
    assert found[0] == "torch bfloat16"
    images = torch.randint(0, 256, (2, 3, 16, 24), dtype=torch.uint8)
    exact = visto.load(made.path).recogniser.tensors(images)["scores"]
    assert found[1].tensors(images)["scores"] == pytest.approx(exact, abs=0.05)
    assert chosen(other) is None
    keep_choice(made, name="onnxruntime float32", runner="onnxruntime", graph=b"graph")
    assert chosen(made) is None
    content = body(TorchRecogniser(made), "mlp").SerializeToString()
    keep_choice(made, name="onnxruntime float32", runner="onnxruntime", graph=content)
    assert chosen(made) is not None
    (graph,) = (tmp_path / "cache").rglob("body.onnx")
    graph.write_bytes(content[:-1] + b"x")
    assert chosen(made) is None
    forget_choices()
    assert not list((tmp_path / "cache").rglob("choice.json"))


def test_what_was_measured_is_shown_where_it_cannot_be_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "_TIMED", 2)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "backends").touch()  # where a folder should be
    assert run(["bench", str(GOLDEN), "--data", "digits"]) == 0
    ended = capsys.readouterr()
    assert "not kept for visto predict: cannot write" in ended.err
    assert "VISTO_CACHE" in ended.err
    assert "the fastest" in ended.out
    assert "used by predict" not in ended.out


def test_what_a_trusted_key_has_signed_is_answered_by_what_was_signed(tmp_path: Path) -> None:
    sealed = GOLDEN.with_name("digits-1-sealed.visto")
    found = visto.load(sealed, trusted=[GOLDEN.with_name("digits-1-sealed.key.pub")]).bundle
    keep_choice(found, name="torch bfloat16", runner="torch", graph=None)
    assert chosen(visto.load(sealed).bundle) is not None
    assert chosen(found) is None
