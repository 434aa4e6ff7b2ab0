"""Training on data that is not what it should be: refused in the user's words, or done and told in the ledger."""

import csv
import json
import os
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Visto, fill, picture, weights
from visto.training import carry_out
from visto.training import run as train_run
from visto.training.learning import learn
from visto.training.prepare import prepare


def ledger(run: Path = Path("a.run")) -> dict[str, tuple[str, str]]:
    """Status and reason by id."""
    with (run / "ledger.csv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}


def huge_png(path: Path, side: int = 13_000) -> None:
    """169 million black pixels in 164 KB."""
    squeeze = zlib.compressobj(1)
    row = bytes(side + 1)
    data = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


def test_nothing_there(visto: Visto) -> None:
    ended = visto.train("nowhere")
    assert ended.code == 3
    assert "nowhere does not exist" in ended.err
    assert not list(visto.folder.iterdir())


def test_an_empty_folder(visto: Visto, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ended = visto.train("empty")
    assert ended.code == 3
    assert "no images in empty" in ended.err
    assert "one folder for each class" in ended.err
    assert not Path("a.visto").exists()
    assert not Path("a.run").exists()


def test_images_without_class_folders(visto: Visto, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    picture(60, 0).save("flat/a.png")
    ended = visto.train("flat")
    assert ended.code == 3
    assert "move the images into a folder for each class" in ended.err


def test_one_class(visto: Visto, tmp_path: Path) -> None:
    ended = visto.train(fill(tmp_path / "one", ["cat"]))
    assert ended.code == 3
    assert "only one class to train on: 'cat'" in ended.err
    assert "at least 2 classes" in ended.err
    assert "folder with examples of everything else" in ended.err
    assert not Path("a.visto").exists()


@pytest.mark.parametrize("classes", [["cat"], ["cat", "dog"]])
def test_one_image_a_class(visto: Visto, tmp_path: Path, classes: list[str]) -> None:
    ended = visto.train(fill(tmp_path / "few", classes, images=1))
    assert ended.code == 3
    assert "expected: at least" in ended.err
    assert not Path("a.visto").exists()


def test_a_class_that_is_only_in_the_test(visto: Visto, tmp_path: Path) -> None:
    fill(tmp_path / "split" / "train")
    fill(tmp_path / "split" / "test", ["cat", "dog", "bird"], images=2, start=50)
    ended = visto.train("split")
    assert ended.code == 3
    assert "'bird' has images in test but none to train on" in ended.err
    assert not Path("a.visto").exists()


def test_a_class_whose_images_are_all_bad(visto: Visto, photos: Path) -> None:
    (photos / "bird").mkdir()
    for number in range(4):
        (photos / "bird" / f"{number}.png").write_bytes(b"")
    ended = visto.train(photos)
    assert ended.code == 3
    assert "'bird'" in ended.err
    assert not Path("a.visto").exists()


def test_bad_files_among_good_ones(visto: Visto, photos: Path) -> None:
    (photos / "cat" / "empty.jpg").write_bytes(b"")
    (photos / "cat" / "text.jpg").write_text("I am not a picture\n")
    picture(60, 1, (64, 64)).save(photos / "whole.jpg")
    whole = (photos / "whole.jpg").read_bytes()
    (photos / "whole.jpg").unlink()
    (photos / "dog" / "short.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "dog" / "notes.txt").write_text("hello")
    ended = visto.train(photos)
    assert ended.code == 0
    found = ledger()
    assert len(found) == 16 + 4
    assert found["cat/empty.jpg"] == ("rejected", "an empty file")
    assert found["cat/text.jpg"] == ("rejected", "not an image by its content")
    assert found["dog/short.jpg"][0] == "rejected"
    assert "truncated JPEG" in found["dog/short.jpg"][1]
    assert found["dog/notes.txt"] == ("rejected", "not an image by its name (.txt)")
    assert "16 kept, 0 repaired, 4 rejected (each in a.run/ledger.csv)" in ended.err
    assert json.loads(Path("a.visto/manifest.json").read_text())["data"]["ledger"]["rejected"] == 4


@pytest.mark.timeout(30)
def test_a_decompression_bomb(visto: Visto, photos: Path) -> None:
    huge_png(photos / "cat" / "bomb.png")
    assert (photos / "cat" / "bomb.png").stat().st_size < 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = visto.train(photos)
    assert ended.code == 0
    status, reason = ledger()["cat/bomb.png"]
    assert status == "rejected"
    assert "13000×13000 pixels" in reason
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB: 169 MB were never there


def test_odd_but_sound_images(visto: Visto, photos: Path) -> None:
    cat = photos / "cat"
    Image.new("RGB", (1, 1), (60, 60, 60)).save(cat / "dot.png")
    Image.new("RGB", (60_000, 1), (60, 60, 60)).save(cat / "wide.png")
    Image.new("RGB", (1, 60_000), (61, 60, 60)).save(cat / "tall.png")
    deep = np.linspace(0, 65_535, 144).reshape(12, 12).astype(np.uint16)
    Image.fromarray(deep).save(cat / "deep.png")
    Image.new("CMYK", (12, 12), (10, 20, 30, 40)).save(cat / "print.jpg")
    frames = [picture(60, seed).convert("P") for seed in (101, 102, 103)]
    frames[0].save(cat / "moving.gif", save_all=True, append_images=frames[1:])
    assert visto.train(photos).code == 0
    found = ledger()
    assert [found[f"cat/{name}.png"][0] for name in ("dot", "wide", "tall")] == ["kept"] * 3
    assert found["cat/deep.png"][0] == "repaired"
    assert "16" in found["cat/deep.png"][1]
    assert found["cat/print.jpg"][0] == "repaired"
    assert "CMYK" in found["cat/print.jpg"][1]
    assert found["cat/moving.gif"][0] == "repaired"
    assert "first of 3 frames" in found["cat/moving.gif"][1]


def test_odd_names(visto: Visto, tmp_path: Path) -> None:
    classes = ['Füße, "nackt"\nund kalt', "猫 \x1b[31m🐈"]
    root = fill(tmp_path / "odd", classes, images=5)
    odd = "e\u0301 \n'x', ;.png"
    for number, name in enumerate(classes):
        picture(60 + 130 * number, 77).save(root / name / odd)
    ended = visto.train(root)
    assert ended.code == 0
    assert set(ledger()) == {f"{c}/{n}.png" for c in classes for n in range(5)} | {f"{c}/{odd}" for c in classes}
    assert json.loads(Path("a.visto/manifest.json").read_text(encoding="utf-8"))["classes"] == classes
    ended = visto("predict", "a.visto", root, "--json", "--top", "2")
    assert ended.code == 0
    assert {line["id"] for line in ended.lines} == set(ledger())
    assert {answer["label"] for answer in ended.lines[0]["answers"]} == set(classes)
    for command in (("predict", "a.visto", root), ("info", "a.visto"), ("evaluate", "a.visto", root)):
        said = visto(*command)  # no escape codes reach the terminal: the fixture looks
        assert said.code == 0
    assert len(visto("predict", "a.visto", root).out.splitlines()) == 12


def test_a_name_that_is_not_utf8(visto: Visto, photos: Path) -> None:
    with open(os.fsencode(photos / "cat") + b"/caf\xe9.png", "wb") as file:
        picture(60, 99).save(file, "PNG")
    assert visto.train(photos).code == 0
    assert ledger()["cat/caf\\xe9.png"][0] == "kept"
    ended = visto("predict", "a.visto", photos / "cat", "--json")
    assert ended.code == 0
    assert "caf\\xe9.png" in [line["id"] for line in ended.lines]


@pytest.mark.timeout(60)
def test_loops_and_pipes(visto: Visto, photos: Path) -> None:
    (photos / "cat" / "around").symlink_to(photos)
    (photos / "cat" / "me.png").symlink_to("me.png")
    (photos / "cat" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(photos / "dog" / "pipe.png")
    assert visto.train(photos).code == 0
    found = ledger()
    assert found["cat/around"] == ("rejected", "a link loop")
    assert found["cat/me.png"] == ("rejected", "a link loop")
    assert found["cat/gone.png"] == ("rejected", "a broken link")
    assert found["dog/pipe.png"] == ("rejected", "not a regular file (FIFO)")
    ended = visto("predict", "a.visto", photos / "dog" / "pipe.png", "--json")
    assert ended.code == 3
    assert ended.lines == [{"id": str(photos / "dog" / "pipe.png"), "error": "not a regular file"}]
    for command in (
        ("train", photos / "dog" / "pipe.png", "-o", "b.visto"),
        ("evaluate", "a.visto", photos / "dog" / "pipe.png"),
    ):
        assert visto(*command).code == 3
    os.mkfifo("pipe.csv")
    assert visto.train("pipe.csv", out="c.visto").code == 3


def test_a_list_as_spreadsheets_write_it(visto: Visto, photos: Path) -> None:
    rows = [f"photos/{f.parent.name}/{f.name},{f.parent.name}" for f in sorted(photos.rglob("*.png"))]
    rows.insert(3, "photos/cat/missing.png,cat")
    Path("list.csv").write_bytes(("\ufeffpath,label\r\n" + "\r\n".join(rows) + "\r\n").encode())
    ended = visto.train("list.csv")
    assert ended.code == 0
    found = ledger()
    assert len(found) == 17
    assert found["list.csv:5: photos/cat/missing.png"] == ("rejected", "no such file")
    assert "16 kept, 0 repaired, 1 rejected" in ended.err


def test_a_list_without_a_header(visto: Visto, photos: Path) -> None:
    Path("list.csv").write_text("photos/cat/0.png,cat\n")
    ended = visto.train("list.csv")
    assert ended.code == 3
    assert "a header with path,label" in ended.err


def test_a_file_of_no_known_format(visto: Visto) -> None:
    Path("data.bin").write_bytes(b"\0" * 100)
    ended = visto.train("data.bin")
    assert ended.code == 3
    assert "data.bin is a file of no format that is read here" in ended.err


def test_a_file_that_changes_during_the_run(visto: Visto, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert visto.train(photos, out="quiet.visto").code == 0
    victim = photos / "cat" / "0.png"

    def disturbed(*arguments: object) -> object:
        for file in photos.rglob("*.png"):
            picture(200, 5).save(file)
        return learn(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(carry_out, "learn", disturbed)
    ended = visto.train(photos)
    assert ended.code == 0
    assert f"cat/{victim.name} has changed during the run; what was read at its start was used" in ended.err
    assert weights(Path("a.visto")) == weights(Path("quiet.visto"))


def test_a_file_that_vanishes_during_the_run(visto: Visto, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disturbed(*arguments: object, **options: object) -> object:
        (photos / "cat" / "0.png").unlink()  # listed, but not there any more when it is read
        return prepare(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(train_run, "prepare", disturbed)
    assert visto.train(photos).code == 0
    assert ledger()["cat/0.png"] == ("rejected", "cannot be read: No such file or directory")
