"""Bundles of every format version must always load, and answer as they did when they were made."""

import json
from pathlib import Path

import pytest

import visto
from tests.golden.make import answer
from visto.bundle import IMAGES, Exported
from visto.data.dataset import PixelRow
from visto.prediction.runtime import session

HERE = Path(__file__).parent
GOLDEN = sorted(HERE.glob("*.visto"))
EXPORTED = sorted((HERE / "exported").glob("*.onnx"))


def test_there_are_golden_bundles() -> None:
    assert GOLDEN
    assert EXPORTED


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_a_golden_bundle_answers_as_ever(path: Path) -> None:
    key = path.with_suffix(".key.pub")
    model = visto.load(path, trusted=[key] if key.exists() else None)
    assert (model.bundle.signed_by is not None) == key.exists() == path.stem.endswith("-sealed")
    expected = json.loads(path.with_suffix(".json").read_text())
    sources = {item.id: item.source for item in visto.read("digits").items}
    for name, scores in expected.items():
        source = sources[name]
        assert isinstance(source, PixelRow)
        assert answer(model, source) == pytest.approx(scores, abs=2e-5)


@pytest.mark.parametrize("path", EXPORTED, ids=lambda path: path.name)
def test_a_golden_export_answers_as_ever(path: Path) -> None:
    """Through Visto, and whole: from pixels to scores."""
    model = visto.load(path, trusted=[path.with_suffix(".key.pub")])
    assert model.source.signed_by is not None
    assert isinstance(model.source, Exported)
    whole = session(model.source.content)
    sources = {item.id: item.source for item in visto.read("digits").items}
    for name, scores in json.loads((HERE / f"{path.stem}.json").read_text()).items():
        source = sources[name]
        assert isinstance(source, PixelRow)
        assert answer(model, source) == pytest.approx(scores, abs=2e-5)
        pixels = source.pixels.repeat(3, axis=2)[None]
        assert whole.run(["scores"], {IMAGES: pixels})[0][0] == pytest.approx(scores, abs=2e-5)
