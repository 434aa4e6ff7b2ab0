"""R-CNN through its stages: stopped in each of them and gone on with, its answers, and what is refused."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from tests.scenes import make_scenes

import visto
from visto.__main__ import run
from visto.api import Model
from visto.data.dataset import Dataset
from visto.errors import UsageError
from visto.recipes import Request
from visto.training import train
from visto.types import Silent

X = TypeVar("X")
REQUEST = Request(
    model="rcnn", size=64, epochs=2.0, batch_size=32, precision="fp32", arguments={"side": 32, "proposals": 40}
)


class Stopping(Silent):
    """Says nothing, and breaks off in the loop of these words, after its second item."""

    def __init__(self, words: str) -> None:
        self.words = words

    def progress(self, items: Iterable[X], *, total: int, words: str) -> Iterator[X]:
        for number, item in enumerate(items):
            if words == self.words and number == 2:
                raise KeyboardInterrupt
            yield item


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    return visto.read(make_scenes(tmp_path / "data", 25))


@pytest.mark.timeout(300)
def test_stopped_in_each_stage_it_ends_the_same(
    data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Model(train(data, tmp_path / "whole.visto", REQUEST, voice=Silent(), threads=1).bundle)
    out = tmp_path / "m.visto"
    loops = ("regions of train images", "regions of validation images", "learning", "descriptions")
    for number, words in enumerate(loops):
        with pytest.raises(KeyboardInterrupt):
            train(data, out, REQUEST, voice=Stopping(words), threads=1, resume=number > 0)
        assert not out.exists()
    bundle = train(data, out, REQUEST, voice=Silent(), threads=1, resume=True).bundle
    for name in ("weights.safetensors", "data.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole.visto" / name).read_bytes()
    assert bundle.manifest.metrics == whole.bundle.manifest.metrics
    assert not (tmp_path / "m.run" / "stages").exists()
    manifest = whole.bundle.manifest
    assert [row["stage"] for row in manifest.recipe["stages"]] == [
        "regions",
        "CNN",
        "descriptions",
        "machines",
        "boxes",
    ]
    assert manifest.metrics["map50"].value > 0.5
    judged = visto.evaluate(whole, data)
    assert judged.figures["map50"].value > 0.5

    page = visto.write_report(whole, judged, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Stage: machines" in page and "no curve of the whole" in page

    image = str(tmp_path / "data" / "img" / "0.png")
    capsys.readouterr()
    assert run(["predict", str(whole.path), image, "--proposals", "3", "--top", "9", "--json", "--quiet"]) == 0
    said = json.loads(capsys.readouterr().out)["answers"]
    assert [answer["label"] for answer in said] == ["region"] * 3
    assert all(0 <= side <= 64 for answer in said for side in answer["box"])


@pytest.mark.parametrize(
    "values", [{"budget": 60.0}, {"augmentation": ("mosaic",)}, {"batch_size": 4}, {"device": "cuda"}]
)
def test_what_has_no_meaning_in_stages_is_refused(values: dict[str, object], data: Dataset, tmp_path: Path) -> None:
    request = Request(model="rcnn", **values)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="rcnn"):
        train(data, tmp_path / "m.visto", request, voice=Silent(), threads=1)
