"""Models of clips on the command line: judged, compared and reported in words of clips, with pictures of frames."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Visto

FRAMES = 6


def write_clips(folder: Path, *, clips: int, start: int = 0) -> Path:
    """A dot that comes early or late, for each of both so many clips."""
    for label, at in (("early", 1), ("late", 4)):
        for k in range(start, start + clips):
            place = folder / label / f"{k:03d}"
            place.mkdir(parents=True)
            noise = np.random.default_rng(k)
            for t in range(FRAMES):
                frame = noise.integers(0, 60, (8, 8), dtype=np.uint8)
                if t == at:
                    frame[2:6, 2:6] = 250
                Image.fromarray(frame).save(place / f"{t:04d}.png")
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips", clips=12)


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Clips that no model has seen."""
    return write_clips(tmp_path / "fresh", clips=6, start=100)


def train(visto: Visto, data: Path, out: str, model: str, *more: str) -> str:
    """A model of clips, in a moment, and what was said of it."""
    ended = visto("train", data, "-o", out, "--model", model, "--set", "hidden=8", "--epochs", "2", "--scratch", *more)
    assert ended.code == 0
    return ended.out + ended.err


def test_words_are_of_clips(visto: Visto, clips: Path, fresh: Path) -> None:
    said = train(visto, clips, "a.visto", "cnn_lstm") + train(visto, clips, "b.visto", "gru")
    assert "24 clips, 2 classes" in said
    assert "validation clips, with 95 % intervals" in said
    assert "no report was written" not in said
    judged = visto("evaluate", "a.visto", fresh)
    assert "sequence on 12 clips, with 95 % intervals" in judged.out
    compared = visto("compare", "a.visto", "b.visto", fresh)
    assert compared.code == 0
    assert "sequence on 12 clips, with the 95 % interval of the difference" in compared.out
    assert compared.out.splitlines()[-1].startswith(("no difference", "B is "))
    assert "image" not in judged.out + compared.out
    with_itself = visto("compare", "a.visto", "a.visto", fresh).out
    assert "with the same scores, to every clip" in with_itself


def test_a_report_on_clips(visto: Visto, clips: Path, fresh: Path) -> None:
    train(visto, clips, "a.visto", "cnn_lstm")
    own = (visto.folder / "a.run" / "report.html").read_text(encoding="utf-8")
    assert "Made from" in own and "On more clips like these" in own
    ended = visto("report", "a.visto", fresh)
    assert ended.code == 0
    assert "a.report.html written, on 12 clips judged" in ended.out
    assert "data:image/png" in (visto.folder / "a.report.html").read_text(encoding="utf-8")
    assert visto("report", "a.visto", fresh, "--no-samples", "--quiet").code == 0
    assert "data:image" not in (visto.folder / "a.report.html").read_text(encoding="utf-8").split("</head>")[1]
