"""What lies beside a bundle, and where a report may be written."""

import json
from pathlib import Path

import pytest

from visto.data.ledger import Entry, write
from visto.errors import ModelError, ResourceError, UsageError
from visto.report import RunFiles, read_run, report_path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "a.run").mkdir()
    return tmp_path / "a.run"


def test_nothing_beside_the_bundle(tmp_path: Path) -> None:
    assert read_run(tmp_path / "a.visto") == RunFiles(history=[], ledger=[])


def test_all_of_it_is_read(run: Path, tmp_path: Path) -> None:
    entries = (
        Entry(id='a,\n"b".png', status="kept"),
        Entry(id="\udcff.png", status="rejected", reason="bad; worse"),
    )
    write(run / "ledger.csv", entries)
    (run / "history.jsonl").write_text('{"epoch": 1}\n{"epoch": 2, "loss": NaN}\n')
    (run / "run.json").write_text(json.dumps({"source": {"path": "photos", "format": "class-folders"}}))
    (run / "learning-curve.json").write_text('{"points": []}')
    (run / "tuning.json").write_text('{"trials": []}')
    found = read_run(tmp_path / "a.visto")
    assert tuple(found.ledger) == entries
    assert [row["epoch"] for row in found.history] == [1, 2]
    assert found.source == ("photos", "class-folders")
    assert found.learning_curve == {"points": []}
    assert found.tuning == {"trials": []}


@pytest.mark.parametrize("settings", ["{}", '{"source": 3}', '{"source": {"path": 4}}', '{"source": null}'])
def test_a_run_that_does_not_say_where_its_data_was(run: Path, tmp_path: Path, settings: str) -> None:
    (run / "run.json").write_text(settings)
    assert read_run(tmp_path / "a.visto").source is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("history.jsonl", "no json"),
        ("history.jsonl", "[1]"),
        ("run.json", "[" * 100_000),
        ("learning-curve.json", "3"),
        ("tuning.json", "3"),
        ("ledger.csv", ""),
        ("ledger.csv", "id,status\n"),
        ("ledger.csv", "id,status,reason\na,thrown away,\n"),
    ],
)
def test_what_no_run_writes_is_refused(run: Path, tmp_path: Path, name: str, content: str) -> None:
    (run / name).write_text(content)
    with pytest.raises(ModelError, match="not what a run writes"):
        read_run(tmp_path / "a.visto")


def test_places(tmp_path: Path) -> None:
    bundle = tmp_path / "a.visto"
    bundle.mkdir()
    for name in ("manifest.json", "manifest.sha256"):
        (bundle / name).touch()
    assert report_path(bundle, None) == tmp_path / "a.report.html"
    with pytest.raises(UsageError, match="inside the bundle"):
        report_path(bundle, bundle / "r.html")
    (tmp_path / "list.csv").write_text("path,label\n")
    (tmp_path / "old.html").write_text("<!doctype html>\n")
    for taken in (tmp_path / "list.csv", bundle):
        with pytest.raises(UsageError, match="is no report"):
            report_path(bundle, taken)
    assert report_path(bundle, tmp_path / "old.html") == tmp_path / "old.html"
    with pytest.raises(ResourceError):
        report_path(bundle, tmp_path / "nowhere" / "r.html")
