"""``--group-by``: kept with the model, used again by what reads data for it, and refused where it finds nothing."""

import json
from pathlib import Path

from tests.cli.conftest import Visto, fill


def test_the_pattern_goes_with_the_model(visto: Visto, tmp_path: Path) -> None:
    photos = fill(tmp_path / "photos", images=40)
    ended = visto.train(photos, "--group-by", r"(\d)\.png$")
    assert ended.code == 0
    words = "10 groups by the pattern '(\\d)\\.png$' (0, 1, 2, …): none of them is in two splits"
    assert words in ended.err
    manifest = json.loads((visto.folder / "a.visto" / "manifest.json").read_text())
    assert manifest["data"]["group_by"] == r"(\d)\.png$"
    again = visto("evaluate", visto.folder / "a.visto", photos, "--json")
    assert again.code == 0 and words in again.err
    assert again.document["groups"]
    assert visto("evaluate", visto.folder / "a.visto", fill(tmp_path / "others", ("cat", "dog"), 3, 100)).code == 0


def test_a_pattern_that_finds_nothing(visto: Visto, photos: Path) -> None:
    for pattern in ("person", "("):
        ended = visto.train(photos, "--group-by", pattern)
        assert ended.code == 2 and pattern in ended.err and not ended.out
    assert visto.train(photos, "--group-by", "none").code == 0
