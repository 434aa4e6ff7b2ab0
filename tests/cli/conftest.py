"""The command line, called as a user would, and a look at what each call leaves behind."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visto.__main__ import run

# left to itself a run chooses its precision by measured times: another run may choose another
SAME = ("--threads", "1", "--precision", "fp32")
TINY = ("--model", "mlp", "--set", "hidden=[8]", "--epochs", "1", "--batch-size", "16", *SAME)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """A JSON document a line."""
        return [json.loads(line) for line in self.out.split("\n")[:-1]]


class Visto:
    """Runs commands in this process, and after each of them checks what holds for all."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys

    def __call__(self, *arguments: str | Path) -> Ended:
        self.capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        ended = Ended(code, *self.capsys.readouterr())
        for text in (ended.out, ended.err):
            assert "Traceback" not in text
            assert "internal error" not in text
            assert "\x1b" not in text
        assert not list(self.folder.rglob("*.part")), "half-written files are left"
        if code:
            assert ended.err or ended.out, "it failed without a word"
        return ended

    def train(self, data: str | Path, *more: str | Path, out: str | Path = "a.visto") -> Ended:
        return self("train", data, "-o", out, *TINY, *more)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VISTO_CACHE", str(folder))
    return folder


@pytest.fixture
def visto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Visto:
    monkeypatch.chdir(tmp_path)
    return Visto(tmp_path, capsys)


def picture(brightness: int, seed: int, size: tuple[int, int] = (12, 12)) -> Image.Image:
    random = np.random.default_rng([brightness, seed])
    return Image.fromarray(random.integers(brightness - 40, brightness + 40, (*size, 3), dtype=np.uint8))


def fill(root: Path, classes: Sequence[str] = ("cat", "dog"), images: int = 8, start: int = 0) -> Path:
    """Class folders of noise: each class has its brightness."""
    for place, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(start, start + images):
            picture(60 + 130 * place // max(1, len(classes) - 1), number).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight cats and eight dogs."""
    return fill(tmp_path / "photos")


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("trained")
    data = fill(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISTO_CACHE", str(folder / "cache"))
        assert run(["train", str(data), "-o", str(folder / "m.visto"), *TINY, "--quiet"]) == 0
    yield folder / "m.visto"


@pytest.fixture
def bundle(_trained: Path, tmp_path: Path) -> Path:
    """A bundle that tells bright from dark, made from the very images of ``photos``."""
    return Path(shutil.copytree(_trained, tmp_path / "m.visto"))


def contents(folder: Path) -> Mapping[str, bytes]:
    """Every file below a folder, to see that nothing changed."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def weights(bundle: Path) -> bytes:
    return (bundle / "weights.safetensors").read_bytes()
