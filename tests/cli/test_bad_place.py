"""Where training cannot write, or is stopped: old files stay whole, and ``--resume`` finishes what was begun."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Visto, contents, fill, picture, weights
from visto.files import lock
from visto.training import carry_out

LONG = ("--epochs", "300")


def test_a_place_that_cannot_be_written(visto: Visto, photos: Path) -> None:
    Path("file").write_text("mine")
    for place in ("/proc/a.visto", "file/a.visto", "/proc/deep/er/a.visto", "n" * 300 + ".visto"):
        ended = visto.train(photos, out=place)
        assert ended.code == 5, place
        assert "kept" not in ended.err, "it read all the data first"
    assert Path("file").read_text() == "mine"


def test_a_cache_that_cannot_be_written(visto: Visto, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTO_CACHE", "/proc/cache")
    ended = visto.train(photos)
    assert ended.code == 5
    assert "VISTO_CACHE" in ended.err
    assert not Path("a.visto").exists()


def test_an_output_that_exists_already(visto: Visto, photos: Path) -> None:
    assert visto.train(photos).code == 0
    before = contents(Path())
    for more in ((), ("--epochs", "2")):
        ended = visto.train(photos, *more)
        assert ended.code == 2
        assert "a.visto exists already" in ended.err
        assert "choose another name with -o" in ended.err
    assert visto.train(photos, out=photos).code == 2
    assert contents(Path()) == before


def test_a_finished_run_is_not_in_the_way_of_the_next(visto: Visto, photos: Path) -> None:
    assert visto.train(photos).code == 0
    ended = visto.train(photos, "--resume")
    assert ended.code == 0
    assert "finished already" in ended.err
    shutil.rmtree("a.visto")
    assert visto.train(photos, "--seed", "7").code == 0
    assert json.loads(Path("a.visto/manifest.json").read_text())["recipe"]["seed"] == 7


@contextlib.contextmanager
def full_disk(name: str, time: int) -> Iterator[list[str]]:
    """The disk is full when a file with ``name`` in its name is written for the ``time``-th time, and ever after."""
    met: list[str] = []
    fsync = os.fsync

    def no_room(handle: int) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        if name in path.rsplit("/", 1)[1]:
            met.append(path)
            if len(met) >= time:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", no_room)
        yield met


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("ledger.csv", 1),
        ("run.json", 1),
        ("state", 1),
        ("state", 2),
        ("history.jsonl", 1),
        ("weights.safetensors", 1),
        ("manifest.json", 1),
        ("run.json", 2),
    ],
)
def test_a_full_disk(visto: Visto, photos: Path, name: str, time: int) -> None:
    assert visto.train(photos, out="unbroken.visto").code == 0
    neighbours = contents(Path("unbroken.visto"))
    with full_disk(name, time) as met:
        ended = visto.train(photos)
    assert len(met) == time
    assert ended.code == 5
    assert "no room left while writing a." in ended.err
    assert "free some disk space" in ended.err
    only_the_note_that_it_ended_is_missing = (name, time) == ("run.json", 2)
    assert Path("a.visto").exists() == only_the_note_that_it_ended_is_missing
    assert contents(Path("unbroken.visto")) == neighbours
    assert visto.train(photos, "--resume").code == 0
    assert weights(Path("a.visto")) == weights(Path("unbroken.visto"))


def test_a_disk_that_is_full_for_the_cache(
    visto: Visto, photos: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert visto.train(photos, out="b.visto").code == 0
    before = {k: v for k, v in contents(cache).items() if not k.endswith("key.json")}
    fill(photos, images=2, start=50)

    def no_room(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", no_room)
        ended = visto.train(photos)
    assert ended.code == 5
    assert "cannot write to the cache" in ended.err
    assert "No space left on device" in ended.err
    assert "VISTO_CACHE" in ended.err
    assert not Path("a.visto").exists()
    assert {k: v for k, v in contents(cache).items() if not k.endswith("key.json")} == before
    assert visto.train(photos, "--resume").code == 0


@pytest.fixture
def unfinished(visto: Visto, photos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``a.run``, stopped before its first step."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "learn", stopped)
        ended = visto.train(photos)
    assert ended.code == 130
    assert "--resume" in ended.err
    return Path("a.run")


def test_an_unfinished_run_is_not_overwritten(visto: Visto, photos: Path, unfinished: Path) -> None:
    before = contents(unfinished)
    ended = visto.train(photos)
    assert ended.code == 2
    assert "a.run holds a run that has not ended" in ended.err
    assert "--resume" in ended.err
    assert contents(unfinished) == before


def test_resume_with_other_options(visto: Visto, photos: Path, unfinished: Path) -> None:
    before = contents(unfinished)
    ended = visto.train(photos, "--resume", "--lr", "0.01")
    assert ended.code == 2
    assert "this run was started with lr not given, not 0.01" in ended.err
    ended = visto("train", photos, "-o", "a.visto", "--resume", "--threads", "1", "--epochs", "2")
    assert ended.code == 2
    assert "epochs 1" in ended.err
    assert contents(unfinished) == before
    assert visto("train", photos, "-o", "a.visto", "--resume", "--threads", "1").code == 0


def test_resume_with_other_threads(visto: Visto, photos: Path, unfinished: Path) -> None:
    ended = visto.train(photos, "--resume", "--threads", "2")
    assert ended.code == 5
    assert "go on with --threads 1" in ended.err
    assert visto.train(photos, "--resume", "--threads", "2", "--inexact").code == 0


@pytest.mark.parametrize("change", ["added", "removed", "other pixels", "other class"])
def test_resume_with_other_data(visto: Visto, photos: Path, unfinished: Path, change: str) -> None:
    before = contents(unfinished)
    victim = photos / "cat" / "3.png"
    if change == "added":
        picture(60, 77).save(photos / "cat" / "more.png")
    elif change == "removed":
        victim.unlink()
    elif change == "other pixels":
        picture(60, 77).save(victim)
    else:
        (photos / "cat").rename(photos / "tiger")
    ended = visto.train(photos, "--resume")
    assert ended.code == 3
    assert "the data is not what the run in a.run was started with" in ended.err
    assert "the same images, labels and splits" in ended.err
    assert contents(unfinished) == before


def test_resume_where_nothing_was_begun(visto: Visto, photos: Path) -> None:
    assert visto.train(photos, "--resume").code == 0
    assert Path("a.visto").exists()


@pytest.mark.parametrize("file", ["run.json", "state"])
def test_resume_of_a_damaged_run(visto: Visto, photos: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(carry_out, "write", lambda *_, **__: 1 / 0)
        with pytest.raises(AssertionError, match="internal error"):
            visto.train(photos)
    content = bytearray(Path("a.run", file).read_bytes())
    content[len(content) // 2 :] = b""
    Path("a.run", file).write_bytes(content)
    ended = visto.train(photos, "--resume")
    assert ended.code == 4
    assert f"a.run/{file}" in ended.err
    assert not Path("a.visto").exists()


def test_two_runs_into_one_place(visto: Visto, photos: Path, unfinished: Path) -> None:
    before = contents(unfinished)
    with lock(unfinished / "lock", busy=""):
        for more in ((), ("--resume",)):
            ended = visto.train(photos, *more)
            assert ended.code == 5
            assert "another run is working in a.run" in ended.err
            assert "remove" not in ended.err, "whoever is told to remove it kills the other run"
    assert contents(unfinished) == before
    assert visto.train(photos, "--resume").code == 0


def test_a_loss_that_is_not_finite(visto: Visto, photos: Path) -> None:
    options = ("--lr", "1e6", "--optimiser", "sgd", "--schedule", "constant", "--precision", "fp32", "--epochs", "50")
    ended = visto.train(photos, *options)
    assert ended.code == 2
    assert "the loss became" in ended.err
    assert "remove a.run, then train again with a lower --lr" in ended.err
    assert Path("a.run/state").exists()
    assert not Path("a.visto").exists()
    shutil.rmtree("a.run")
    assert visto.train(photos).code == 0


@pytest.fixture
def started(tmp_path: Path, photos: Path, cache: Path, visto: Visto) -> Callable[[], "subprocess.Popen[str]"]:
    """Starts a run of 300 epochs in another process, and comes back when it is learning."""

    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "visto", "train", str(photos), "-o", "a.visto", *TINY, *LONG]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
        assert process.stderr is not None
        assert any(line.startswith("epoch") for line in process.stderr)
        return process

    return start


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped(
    visto: Visto, photos: Path, started: Callable[[], "subprocess.Popen[str]"], number: int, code: int
) -> None:
    assert visto.train(photos, *LONG, out="unbroken.visto").code == 0
    process = started()
    try:
        beside = visto.train(photos, *LONG)
        assert beside.code == 5
        assert "another run is working in a.run" in beside.err
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert "go on with the same command and --resume" in err
    assert "Traceback" not in err
    assert "\x1b" not in err
    assert sorted(f.name for f in Path("a.run").iterdir()) == [
        "history.jsonl",
        "ledger.csv",
        "lock",
        "run.json",
        "state",
    ]
    assert not Path("a.visto").exists()
    ended = visto.train(photos, *LONG, "--resume")
    assert ended.code == 0
    assert "going on after step" in ended.err
    assert weights(Path("a.visto")) == weights(Path("unbroken.visto"))
    assert Path("a.run/history.jsonl").read_text() == Path("unbroken.run/history.jsonl").read_text()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_while_it_reads(
    photos: Path, tmp_path: Path, cache: Path, number: int, code: int
) -> None:
    program = """
import importlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job, and so its children, ignore it
from visto.__main__ import main
run = importlib.import_module("visto.training.run")
def prepare(*_, **__):
    print("reading", file=sys.stderr, flush=True)
    time.sleep(50)
run.prepare = prepare
main()
"""
    command = [sys.executable, "-c", program, "train", str(photos), "-o", "a.visto", *TINY]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stderr is not None
    try:
        assert any(line.startswith("reading") for line in process.stderr)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert err.startswith("error: stopped")
    assert "Traceback" not in err
    assert not Path(tmp_path, "a.visto").exists()
