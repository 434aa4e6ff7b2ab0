"""The ledger: the heaviest word on an id stays, and the reasons add up."""

from pathlib import Path

from visto.data.ledger import Entry, counts, merge, reasons, write


def test_merge() -> None:
    entries = [
        Entry(id="a", status="repaired", reason="label"),
        Entry(id="b", status="kept"),
        Entry(id="a", status="kept"),
        Entry(id="a", status="repaired", reason="alpha"),
        Entry(id="b", status="rejected", reason="cut"),
        Entry(id="b", status="kept"),
    ]
    merged = merge(entries)
    assert [(entry.id, entry.status, entry.reason) for entry in merged] == [
        ("a", "repaired", "label; alpha"),
        ("b", "rejected", "cut"),
    ]
    assert counts(merged) == {"kept": 0, "repaired": 1, "rejected": 1}


def test_reasons_and_file(tmp_path: Path) -> None:
    entries = [Entry(id="a\nb", status="rejected", reason="cut"), Entry(id="c", status="rejected", reason="cut")]
    assert reasons(entries) == [("rejected: cut", 2, "a\nb")]
    write(tmp_path / "ledger.csv", entries)
    assert (tmp_path / "ledger.csv").read_text().startswith('id,status,reason\n"a\nb",rejected,cut')
