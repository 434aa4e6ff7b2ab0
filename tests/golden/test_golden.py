"""Bundles of every format version must always load, and answer as they did when they were made."""

import json
from pathlib import Path

import pytest

import visto
from tests.golden.make import answer
from visto.data.dataset import PixelRow

GOLDEN = sorted(Path(__file__).parent.glob("*.visto"))


def test_there_are_golden_bundles() -> None:
    assert GOLDEN


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
