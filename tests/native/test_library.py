"""What is built is kept, is loaded only as it was written, and is done without where it cannot be had."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from visto import native
from visto.data.augment import zoom
from visto.native import library

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, library._COMPILERS)), reason="no C compiler")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where libraries are kept: nothing is built yet."""
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path))
    library._library.cache_clear()
    library._tried.clear()
    yield tmp_path / "native"
    library._library.cache_clear()


def again() -> bool:
    """Whether a process that starts now has the loops."""
    library._library.cache_clear()
    return library.library("pixels") is not None


def zoomed() -> torch.Tensor | None:
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    return native.zoomed(images, torch.tensor([[0, 4, 0, 4]]), torch.zeros(1, dtype=torch.bool))


@needs_compiler
def test_it_is_built_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert again() and zoomed() is not None
    (built,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    with monkeypatch.context() as patch:
        patch.setattr(library, "_built", lambda *_: pytest.fail("built again"))
        assert again()
    library.forget_libraries()
    assert not built.exists()


@needs_compiler
@pytest.mark.parametrize("content", ["half", "nothing", "changed"])
def test_what_was_damaged_is_built_anew(folder: Path, content: str) -> None:
    assert again()
    (built,) = folder.iterdir()
    whole = built.read_bytes()
    built.unlink()  # it is mapped: what is changed must be another file
    built.write_bytes({"half": whole[: len(whole) // 2], "nothing": b"", "changed": whole[:-1] + b"\xff"}[content])
    assert again()
    assert library._kept(folder, built.name.split("-")[0]) is not None


@needs_compiler
def test_another_source_compiler_or_processor_is_another_library(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in library._HERE.glob("*.[ch]"):
        shutil.copy(source, tmp_path)
    keys = {library._key("learning", compiler) for compiler in (sys.executable, __file__)}
    keys.add(library._key("pixels", __file__))
    monkeypatch.setattr(library, "_processor", lambda: "another")
    keys.add(library._key("learning", __file__))
    monkeypatch.setattr(library, "_HERE", tmp_path)
    assert library._key("learning", __file__) in keys
    with (tmp_path / "points.h").open("a") as file:  # what a source includes counts as well
        file.write("\n")
    keys.add(library._key("learning", __file__))
    assert len(keys) == 5


@needs_compiler
def test_two_may_build_at_once(folder: Path) -> None:
    words = "from visto.native.library import library; assert library('pixels') is not None"
    running = [subprocess.Popen([sys.executable, "-c", words]) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert again() and not list(folder.glob(".*"))


@needs_compiler
def test_it_is_built_beside_what_else_is_done(folder: Path) -> None:
    image, box = torch.zeros(1, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last), (0, 0, 8, 8)
    assert native.enlarged(image, box, (9, 9)) is None and not folder.exists()  # one image is not worth it
    native.begin_building("pixels")
    assert zoomed() is not None  # waits for it, and does not build it again
    assert native.enlarged(image, box, (9, 9)) is not None and len(list(folder.iterdir())) == 1


@needs_compiler
def test_an_interpreter_that_ends_leaves_nothing_half_built(tmp_path: Path) -> None:
    words = "from visto import native; native.begin_building('pixels')"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, env=environment)
    assert not ended.stderr and again()
    assert [path.name for path in tmp_path.iterdir()] == ["native"] and len(list((tmp_path / "native").iterdir())) == 1


def test_without_a_compiler_torch_does_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert not again() and zoomed() is None and not folder.exists()
    images = torch.randint(0, 256, (2, 3, 9, 9), dtype=torch.uint8)
    assert zoom(images, torch.Generator().manual_seed(0)).shape == images.shape


def test_a_compiler_that_fails_is_none(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(compiler))
    assert not again() and not list(folder.iterdir())
    compiler.chmod(0o644)
    assert not again()


@needs_compiler
def test_a_folder_that_others_can_write_to_is_not_trusted(folder: Path) -> None:
    assert again()
    folder.chmod(0o777)
    assert not again()


def test_a_cache_that_cannot_be_made_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("VISTO_CACHE", str(tmp_path / "file"))
    assert not again()
