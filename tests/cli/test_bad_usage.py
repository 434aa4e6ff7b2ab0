"""Misuse, and how the commands speak: words on stderr, data on stdout, one JSON document where asked for."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, Visto, contents
from visto.__main__ import run
from visto.cli.terminal import Terminal


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["nonsense"], "nonsense"),
        (["--nonsense"], "--nonsense"),
        (["train", "x", "-o", "y", "--nonsense"], "--nonsense"),
        (["train"], "DATA"),
        (["train", "x"], "--out"),
        (["train", "x", "-o"], "-o"),
        (["train", "x", "y", "-o", "z"], "y"),
        (["train", "x", "-o", "y", "--epochs", "many"], "--epochs"),
        (["train", "x", "-o", "y", "--size", "1"], "--size"),
        (["evaluate"], "MODEL"),
        (["evaluate", "x"], "DATA"),
        (["predict", "x", "y", "--top", "0"], "--top"),
        (["predict", "x", "y", "--threshold", "2"], "--threshold"),
        (["predict", "x", "y", "--confidence", "0.1"], "--confidence"),
        (["info"], "MODEL"),
        (["keygen"], "--out"),
        (["sign"], "MODEL"),
        (["sign", "x"], "--key"),
        (["verify"], "MODEL"),
    ],
)
def test_misuse(visto: Visto, command: list[str], said: str) -> None:
    ended = visto(*command)
    assert ended.code == 2
    assert said in ended.err
    assert "--help" in ended.err
    assert not ended.out
    ended = visto(*command, "--json") if command[-1] != "-o" else visto("train", "--json", "-o")
    assert ended.code == 2
    assert ended.document["error"]["code"] == 2
    assert not list(visto.folder.iterdir())


def test_no_command_shows_the_help(visto: Visto) -> None:
    ended = visto()
    assert ended.code == 2
    assert "Usage: visto" in ended.err
    for name in ("train", "evaluate", "predict", "info", "keygen", "sign", "verify", "models", "formats", "cache"):
        assert name in ended.err
        assert visto(name, "--help").code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--model", "nonsense"],
        ["--optimiser", "nonsense"],
        ["--schedule", "nonsense"],
        ["--precision", "fp99"],
        ["--device", "tpu"],
        ["--second-look", "2"],
        ["--model", "speedrun", "--set", "widths=[]"],
        ["--augment", "nonsense"],
        ["--as", "columns"],
        ["--as", "rows", "--model", "cnn"],
        ["--model", "lstm", "--set", "pool=first"],
        ["--format", "nonsense"],
        ["--lr", "fast"],
        ["--lr", "1e30"],
        ["--lr", "nan"],
        ["--epochs", "-1"],
        ["--epochs", "inf"],
        ["--batch-size", "0"],
        ["--budget", "soon"],
        ["--ema", "2"],
        ["--seed", "-1"],
        ["--set", "hidden"],
        ["--set", "nonsense=3"],
        ["--set", "hidden=wide"],
        ["--set", "hidden=[-4]"],
        ["--set", "dropout=7"],
        ["--set", "hidden=null"],
        ["--set", "activation=nonsense"],
        ["--set", "classes=5"],
        ["--set", "size=[4,4]"],
        ["--batch-size", "1"],
        ["--threads", "100000"],
    ],
)
def test_values_that_make_no_sense(visto: Visto, photos: Path, options: list[str]) -> None:
    """Refused before the data is read, and nothing of the slip is in the way of the next attempt."""
    ended = visto.train(photos, *options)
    assert ended.code == 2
    assert "kept" not in ended.err
    assert visto.train(photos).code == 0


def test_a_model_too_large_for_the_memory(visto: Visto, photos: Path) -> None:
    ended = visto.train(photos, "--set", "hidden=[1000000000000]")
    assert ended.code == 5
    assert "out of memory" in ended.err


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("train", "nowhere", "-o", "b.visto"), 3),
        (("train", "photos", "-o", "m.visto"), 2),
        (("train", "photos", "-o", "/proc/b.visto"), 5),
        (("evaluate", "m.visto", "nowhere"), 3),
        (("evaluate", "nowhere", "photos"), 4),
        (("predict", "m.visto", "nowhere"), 3),
        (("predict", "nowhere", "photos"), 4),
        (("info", "nowhere"), 4),
        (("info", "m.visto", "--nonsense"), 2),
    ],
)
def test_errors_as_json(visto: Visto, bundle: Path, photos: Path, command: tuple[str, ...], code: int) -> None:
    ended = visto(*command, "--json")
    assert ended.code == code
    assert ended.document.keys() == {"error"}
    error = ended.document["error"]
    assert error.keys() == {"code", "message", "expected", "hint"}
    assert error["code"] == code
    assert error["message"] in ended.err


def test_answers_as_json(visto: Visto, bundle: Path, photos: Path) -> None:
    trained = visto.train(photos, "--json").document
    assert trained.keys() == {"bundle", "task", "seconds", "metrics"}
    assert trained["bundle"] == "a.visto"
    assert trained["metrics"]["accuracy"].keys() == {"value", "low", "high"}
    judged = visto("evaluate", "a.visto", photos, "--json").document
    assert {"task", "n", "metrics"} <= judged.keys()
    assert visto("info", bundle, "--json").document["classes"] == ["cat", "dog"]
    for name in ("models", "formats", "cache"):
        assert isinstance(visto(name, "--json").document, dict)


def test_quiet_says_nothing(visto: Visto, bundle: Path, photos: Path) -> None:
    for command in (
        ("train", photos, "-o", "a.visto", *TINY),
        ("evaluate", bundle, photos),
        ("evaluate", bundle, photos, "--split", "train"),
        ("predict", bundle, photos),
    ):
        ended = visto(*command, "--quiet")
        assert ended.code == 0
        assert ended.err == ""
        assert ended.out
    assert visto("predict", bundle, "nowhere", "--quiet").err


def test_debug_shows_the_traceback(visto: Visto, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "nowhere", "--debug"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_the_cache(visto: Visto, photos: Path, cache: Path) -> None:
    empty = visto("cache").out
    assert str(cache) in empty
    assert "0 images" in empty
    assert visto.train(photos).code == 0
    (cache / "mine.txt").write_text("mine")
    assert "16 images" in visto("cache").out
    assert "12×12 pixels, colour" in visto("cache").out
    shown = visto("cache", "--json").document
    assert shown["folder"] == str(cache)
    assert shown["images"] == 16
    assert shown["bytes"] == sum(fit["bytes"] for fit in shown["sizes"]) > 16 * 12 * 12 * 3
    ended = visto("cache", "--clear")
    assert ended.code == 0
    assert "removed 16 images" in ended.out
    assert str(cache) in ended.out
    assert visto("cache", "--clear", "--json").document["cleared"] == {"images": 0, "bytes": 0}
    assert contents(cache) == {"mine.txt": b"mine"}
    assert visto("evaluate", "a.visto", photos).code == 0


def test_a_cache_that_is_a_file(visto: Visto, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("mine")
    monkeypatch.setenv("VISTO_CACHE", "file")
    for more in ((), ("--clear",)):
        assert visto("cache", *more).code in (0, 5)
    assert Path("file").read_text() == "mine"


def test_help_is_quick() -> None:
    """It does not import torch, which costs a second."""
    code = """
import sys
from visto.__main__ import run
assert run(["--help"]) == 0
assert run(["--version"]) == 0
for name in ("train", "evaluate", "predict", "info", "sign", "verify", "keygen", "models", "formats", "cache"):
    assert run([name, "--help"]) == 0
assert run(["nonsense"]) == 2
slow = {"torch", "numpy", "PIL", "sklearn", "rich.progress"} & set(sys.modules)
assert not slow, slow
"""
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_commands_start_without_what_few_need() -> None:
    """SciPy costs half a second."""
    code = """
import sys
import visto.api
slow = {"scipy", "sklearn", "onnx", "onnxruntime", "torchvision"} & set(sys.modules)
assert not slow, slow
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_reader_that_goes_away(bundle: Path, photos: Path, cache: Path) -> None:
    """``visto predict … | head -1`` ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "visto", "predict", str(bundle), str(photos)]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert ended.returncode == 0
    assert ended.stderr == ""


def test_names_on_a_narrow_terminal(bundle: Path, photos: Path, cache: Path) -> None:
    (photos / "cat" / "0.png").rename(photos / "cat" / "ñandú 猫.png")
    command = [sys.executable, "-m", "visto", "predict", str(bundle), str(photos), "--json"]
    ended = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert ended.returncode == 0
    assert "cat/ñandú 猫.png" in [json.loads(line)["id"] for line in ended.stdout.splitlines()]


def test_progress_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        assert list(Terminal().progress(range(3), total=3, words="learning")) == [0, 1, 2]
        content = b""
        while select.select([master], [], [], 0.5)[0]:  # what was written comes through in pieces
            content += os.read(master, 100_000)
    os.close(master)
    shown = content.decode()
    assert "learning" in shown
    for colour in range(30, 50):
        assert f"\x1b[{colour}m" not in shown
        assert f"\x1b[{colour};" not in shown
    assert "\x1b[38" not in shown


def test_what_does_not_go_with_pretrained_weights_or_tiny_images(visto: Visto, photos: Path, tmp_path: Path) -> None:
    for options, words in (
        (["--model", "efficientnet_lite0", "--optimiser", "muon"], "muon with pretrained weights"),
        (["--model", "second_look"], "no model by itself"),
    ):
        ended = visto("train", str(photos), "-o", str(tmp_path / "x.visto"), *options)
        assert (ended.code, words in ended.err) == (2, True)
