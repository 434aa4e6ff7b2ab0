"""Clips and series answered whole, and step by step: the last answer is the same, and memory does not grow."""

import gc
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.exporting.bundles import bundle, of_clips, of_series
from tests.films import write_film

import visto
from visto.__main__ import run
from visto.errors import DataError, UsageError
from visto.prediction import TorchRecogniser, streaming

SMALL = {"hidden": 8}
MODELS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("lstm", {}),
    ("gru", {"pool": "mean"}),
    ("attention", {"heads": 2, "window": 3}),
    ("cnn_lstm", {"depth": 1, "width": 4, "motion": True}),
)


def write_clip(folder: Path, frames: int = 7, *, seed: int = 0, size: tuple[int, int] = (18, 20)) -> Path:
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed)
    for k in range(frames):
        Image.fromarray(noise.integers(0, 255, (*size, 3), dtype=np.uint8)).save(folder / f"f{k}.png")
    return folder


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(("name", "arguments"), MODELS)
@pytest.mark.parametrize("every", [1, 3])
def test_the_last_answer_is_that_to_the_whole_clip(
    tmp_path: Path, name: str, arguments: dict[str, Any], every: int
) -> None:
    model = visto.load(of_clips(tmp_path / "m.visto", name, every=every, arguments=SMALL | arguments).path)
    clip = write_clip(tmp_path / "clip")
    whole = model.predict(clip).value
    streamed = list(model.stream(clip))
    assert [one.number for one in streamed] == list(range(0, 7, every))
    assert torch.allclose(streamed[-1].answer.value.scores, whole.scores, atol=1e-4)
    assert not torch.allclose(streamed[0].answer.value.scores, whole.scores, atol=1e-4)


def test_the_whole_clip_is_answered_as_it_is_judged(tmp_path: Path) -> None:
    """By the cache of evaluate, and here: the same pixels."""
    from visto.data.cache import materialise
    from visto.data.dataset import Clip, Item
    from visto.data.loader import gather

    model = visto.load(of_clips(tmp_path / "m.visto", "lstm", every=2, arguments=SMALL).path)
    files = tuple(sorted(write_clip(tmp_path / "clip").iterdir()))
    pixels = materialise([Item(id="a", source=Clip(files=files))], model.recogniser.fit, threads=1)
    (judged,) = model.recogniser.answers(gather(pixels, torch.tensor([0])))
    assert torch.equal(judged.value.scores, model.predict(tmp_path / "clip").value.scores)


def test_series_as_arrays(tmp_path: Path) -> None:
    model = visto.load(of_series(tmp_path / "m.visto", "lstm", arguments=SMALL).path)
    series = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    whole = model.predict(series).value
    *_, last = model.stream(iter(series))
    assert torch.allclose(last.answer.value.scores, whole.scores, atol=1e-4)
    with pytest.raises(DataError, match="3 numbers"):
        list(model.stream(np.zeros((4, 3))))
    with pytest.raises(DataError, match="only one step"):
        model.predict(series[:1])


def test_what_is_too_long_is_read_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = visto.load(of_clips(tmp_path / "m.visto", "lstm", arguments=SMALL).path)
    clip = write_clip(tmp_path / "clip")
    whole = model.predict(clip).value.scores
    monkeypatch.setattr(streaming, "_AT_ONCE", 4 * 12 * 16 * 3)
    assert torch.allclose(model.predict(clip).value.scores, whole, atol=1e-4)


def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    model = visto.load(of_clips(tmp_path / "m.visto", "attention", arguments=SMALL | {"window": 8}).path)
    traced: list[int] = []
    tensors: list[int] = []

    def frames(n: int) -> Iterator[Any]:
        noise = np.random.default_rng(0)
        for k in range(n):
            if k in (50, n - 50):
                traced.append(tracemalloc.get_traced_memory()[0])
                tensors.append(sum(torch.Tensor in type(one).__mro__ for one in gc.get_objects()))
            yield noise.integers(0, 255, (96, 128, 3), dtype=np.uint8)  # 37 kB

    tracemalloc.start()
    try:
        last = [one.number for one in model.stream(frames(1000))][-1]
    finally:
        tracemalloc.stop()
    assert last == 999
    assert traced[1] - traced[0] < 200_000
    assert tensors[0] == tensors[1]
    recogniser = model.recogniser
    assert isinstance(recogniser, TorchRecogniser)
    assert {tuple(value.shape) for value in recogniser.begin()} == {(1, 8, 8), (1, 8)}


def test_what_is_no_sequence_or_not_causal_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = write_clip(tmp_path / "clip")
    both = of_clips(tmp_path / "both.visto", "lstm", arguments=SMALL | {"bidirectional": True}).path
    assert run(["predict", str(both), str(clip), "--stream"]) == 2
    assert "both ways" in capsys.readouterr().err
    assert run(["predict", str(both), str(clip), "--json"]) == 0
    assert lines(capsys.readouterr().out)[0]["abstain"] is False
    images = bundle(tmp_path / "images.visto", "lstm", arguments=SMALL).path
    assert run(["predict", str(images), str(clip), "--stream"]) == 2
    assert "trained on images" in capsys.readouterr().err
    with pytest.raises(UsageError, match="trained on images"):
        visto.load(images).stream(clip)
    assert run(["predict", str(images), str(clip), "--json"]) == 0  # each frame is an image
    assert len(lines(capsys.readouterr().out)) == 7
    for option in (["--track"], ["--proposals", "3"], ["--stream", "--draw", "out"]):
        assert run(["predict", str(both), str(clip), *option]) == 2
        assert option[0] in capsys.readouterr().err


def test_a_folder_of_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = of_clips(tmp_path / "m.visto", "lstm", every=2, arguments=SMALL).path
    root = tmp_path / "clips"
    write_clip(root / "b" / "2")
    write_clip(root / "b" / "10", 3)
    write_clip(root / "still", 1)
    frames = [Image.open(root / "b" / "2" / f"f{k}.png") for k in range(7)]
    frames[0].save(root / "moves.gif", save_all=True, append_images=frames[1:], duration=40)
    (root / "b" / "2" / "f3.png").write_bytes(b"no image")
    (root / "b" / "2" / "cover.png").write_bytes((root / "b" / "2" / "f1.png").read_bytes())
    (root / "notes.txt").write_text("no clip")
    assert run(["predict", str(model), str(root), "--json", "--top", "2", "--draw", str(tmp_path / "drawn")]) == 3
    said = capsys.readouterr()
    found = {one["id"]: one for one in lines(said.out)}
    assert list(found) == ["b/2", "b/10", "moves.gif", "still"]
    assert len(found["b/10"]["answers"]) == 2
    assert "one frame" in found["still"]["error"]
    for words in ("notes.txt passed over", "b/2/cover.png passed over", "b/2/f3.png passed over", "b/2: 1 frame left"):
        assert words in said.err
    drawn = sorted(file.relative_to(tmp_path / "drawn").as_posix() for file in (tmp_path / "drawn").rglob("*.png"))
    assert drawn == ["b/10.png", "b/2.png", "moves.gif.png"]
    assert run(["predict", str(model), str(root), "--json", "--stream"]) == 3
    found_at = [(one["id"], one.get("frame")) for one in lines(capsys.readouterr().out)]
    assert found_at[:5] == [("b/2", 0), ("b/2", 2), ("b/2", 4), ("b/10", 0), ("b/10", 2)]
    assert run(["predict", str(model), str(tmp_path / "none")]) == 3
    assert "does not exist" in capsys.readouterr().err
    assert run(["predict", str(model), str(root / "still" / "f0.png")]) == 3
    with pytest.raises(DataError, match="holds 4 sequences"):
        visto.load(model).predict(root)


def test_a_video_has_seconds_and_what_is_before_its_damage_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = of_clips(tmp_path / "m.visto", "lstm", every=2, arguments=SMALL).path
    noise = np.random.default_rng(0)
    film = write_film(tmp_path / "a.mp4", [noise.integers(0, 255, (16, 24, 3), dtype=np.uint8) for _ in range(9)])
    assert run(["predict", str(model), str(film), "--stream", "--json"]) == 0
    found = lines(capsys.readouterr().out)
    assert [(one["frame"], one["seconds"]) for one in found] == [(0, 0.0), (2, 0.2), (4, 0.4), (6, 0.6), (8, 0.8)]
    assert run(["predict", str(model), str(film), "--json"]) == 0
    (whole,) = lines(capsys.readouterr().out)
    assert whole["answers"] == [
        {"label": one["label"], "score": pytest.approx(one["score"], abs=1e-4)} for one in found[-1]["answers"]
    ]
    (tmp_path / "b.mp4").write_bytes(b"no video")
    assert run(["predict", str(model), str(tmp_path / "b.mp4"), "--json"]) == 3
    assert "not a video" in lines(capsys.readouterr().out)[0]["error"]


@pytest.mark.parametrize("form", ["npz", "jsonl", "csv"])
@pytest.mark.parametrize("labelled", [False, True])
def test_series_from_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, labelled: bool) -> None:
    path = of_series(tmp_path / "m.visto", "gru", arguments=SMALL).path
    values = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    file = tmp_path / f"a.{form}"
    if form == "npz":
        if labelled:
            np.savez(file, series=values, labels=np.array(["cat", "dog", "eel"]))
        else:
            np.savez(file, series=values)
    elif form == "jsonl":
        rows = [{"id": str(k), "series": values[k].tolist()} | ({"label": "cat"} if labelled else {}) for k in range(3)]
        file.write_text("\n".join(map(json.dumps, [*rows, {"id": "short", "series": [[1, 2]], "label": "cat"}])))
    else:
        steps = [[str(k), *(["cat"] if labelled else []), *map(str, values[k, t])] for k in range(3) for t in range(5)]
        steps.append(["short", *(["cat"] if labelled else []), "1", "2"])
        header = ["id", *(["label"] if labelled else []), "x", "y"]
        file.write_text("\n".join(map(",".join, [header, *steps])))
    model = visto.load(path)
    assert run(["predict", str(path), str(file), "--json"]) == (0 if form == "npz" else 3)
    found = lines(capsys.readouterr().out)
    for k in range(3):
        best = model.predict(values[k]).value.scores.max()
        assert found[k]["answers"][0]["score"] == pytest.approx(float(best), abs=1e-5)
    assert len(found) == 3 or "only one step" in found[3]["error"]
    assert run(["predict", str(path), str(file), "--json", "--stream", "--quiet"]) == (0 if form == "npz" else 3)
    last = [one for one in lines(capsys.readouterr().out) if one.get("frame") == 4]
    assert [one["answers"][0]["score"] for one in last] == [
        pytest.approx(one["answers"][0]["score"], abs=1e-4) for one in found[:3]
    ]
    other = of_series(tmp_path / "other.visto", "gru", features=3, arguments=SMALL).path
    assert run(["predict", str(other), str(file), "--json"]) == 3
    assert "2 numbers" in lines(capsys.readouterr().out)[0]["error"]
