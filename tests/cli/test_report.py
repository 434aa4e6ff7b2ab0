"""``visto report``"""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Visto, contents, fill


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """Images that the bundle was not made from."""
    return fill(tmp_path / "more", start=100)


def test_it_writes_a_page_beside_the_bundle(visto: Visto, bundle: Path, more: Path) -> None:
    before = contents(bundle)
    ended = visto("report", bundle, more)
    assert ended.code == 0
    page = (bundle.parent / "m.report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "m.report.html written, on 16 images judged" in ended.out
    assert "data:image/png" in page
    assert contents(bundle) == before
    assert visto("report", bundle, more, "--no-samples", "--quiet").code == 0
    assert "data:image/png" not in (bundle.parent / "m.report.html").read_text(encoding="utf-8")


def test_it_judges_as_evaluate_does(visto: Visto, bundle: Path, more: Path, tmp_path: Path) -> None:
    told = visto("report", bundle, more, "-o", tmp_path / "r.html", "--json").document
    judged = visto("evaluate", bundle, more, "--json").document
    assert told["metrics"] == judged["metrics"]
    assert told["bytes"] == (tmp_path / "r.html").stat().st_size
    assert (told["n"], told["report"]) == (16, str(tmp_path / "r.html"))


def test_it_takes_the_data_that_the_run_was_started_with(visto: Visto, photos: Path) -> None:
    assert visto.train(photos, out="b.visto").code == 0
    run = visto.folder / "b.run" / "run.json"
    settings = {**json.loads(run.read_text()), "source": {"path": str(photos), "format": "class-folders"}}
    run.write_text(json.dumps(settings))
    assert visto("report", "b.visto").code == 0
    page = (visto.folder / "b.report.html").read_text(encoding="utf-8")
    assert "Loss by epoch" in page
    assert ">Train<" in page
    run.write_text(json.dumps({**settings, "source": {"path": "/not/there", "format": None}}))
    ended = visto("report", "b.visto")
    assert ended.code == 2
    assert "/not/there" in ended.err


def test_without_data_and_without_a_run_it_asks_for_the_data(visto: Visto, bundle: Path) -> None:
    ended = visto("report", bundle)
    assert ended.code == 2
    assert "visto report" in ended.err


def test_it_refuses_before_the_long_work(visto: Visto, bundle: Path, more: Path, tmp_path: Path) -> None:
    taken = tmp_path / "notes.txt"
    taken.write_text("mine")
    for out in (bundle / "r.html", taken):
        assert visto("report", bundle, more, "-o", out).code == 2
    assert taken.read_text() == "mine"
    assert visto("report", bundle, more, "-o", tmp_path / "no" / "r.html").code == 5
    assert visto("report", bundle, more, "--split", "tset").code == 2


def test_images_that_made_the_model_are_left_out_or_shown_as_such(visto: Visto, bundle: Path, photos: Path) -> None:
    assert visto("report", bundle, photos).code == 0
    assert "left out" in (bundle.parent / "m.report.html").read_text(encoding="utf-8")
    assert visto("report", bundle, photos, "--split", "train").code == 0
    assert "Judged on what it was trained on" in (bundle.parent / "m.report.html").read_text(encoding="utf-8")
