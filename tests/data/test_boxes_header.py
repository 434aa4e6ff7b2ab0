"""Sizes from headers: always what the decoder says, for every format and orientation, and for broken files."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from visto.data import header
from visto.data.decode import decode
from visto.data.header import read_header, read_headers
from visto.errors import DataError

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (37, 53, 3), np.uint8))
KINDS: dict[str, dict[str, object]] = {
    "JPEG": {},
    "JPEG ": {"progressive": True, "icc_profile": b"x" * 100_000, "comment": b"\xff" * 50},
    "PNG": {},
    "WEBP": {},
    "WEBP ": {"lossless": True},
    "TIFF": {},
    "TIFF ": {"compression": "jpeg"},
    "BMP": {},
    "GIF": {},
    "PPM": {},
}


def encoded(kind: str, orientation: int, mode: str = "RGB") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = BytesIO()
    options = {**KINDS[kind], "exif": exif} if orientation > 1 else KINDS[kind]
    PICTURE.convert(mode).save(out, kind.strip(), **options)
    return out.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", KINDS)
def test_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str) -> None:
    monkeypatch.setattr(header, "decode", None)  # a sound header needs no decoder
    for orientation in range(1, 9):
        content = encoded(kind, orientation, mode)
        (tmp_path / "x").write_bytes(content)
        found = read_header(tmp_path / "x")
        assert found.size == decode(content).original and (found.raw.width, found.raw.height) == (53, 37)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "TIFF"])
def test_several_frames(tmp_path: Path, kind: str) -> None:
    PICTURE.save(tmp_path / "x", kind, save_all=True, append_images=[PICTURE.rotate(180)])
    assert read_header(tmp_path / "x").size == decode((tmp_path / "x").read_bytes()).original


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 400), st.integers(0, 60), st.integers(0, 255))
def test_damage_is_the_decoders_to_judge(kind: str, cut: int, place: int, value: int) -> None:
    """Where the decoder takes a damaged file, the header gives its size; where the header refuses, so does it."""
    content = bytearray(encoded(kind, 6))
    content[place] = value
    handle = os.memfd_create("x")
    try:
        os.write(handle, bytes(content[: len(content) - cut] if cut < 200 else content))
        path = Path(f"/proc/self/fd/{handle}")
        try:
            decoded = decode(path.read_bytes()).original
        except DataError:
            decoded = None
        try:
            found = read_header(path).size
        except DataError:
            found = None
        assert found == decoded or decoded is None
    finally:
        os.close(handle)


def test_what_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"hello")
    (tmp_path / "loop.png").symlink_to("loop.png")
    names = ["pipe.png", "empty.png", "text.png", "gone.png", "a\0b", "text.png/x", "loop.png", "."]
    found = read_headers([tmp_path / name for name in names])
    assert [error.message for error in found if isinstance(error, DataError)] == [
        "not a regular file",
        "an empty file",
        "not an image by its content",
        "no such file",
        "no such file",
        "no such file",
        "cannot be read: Too many levels of symbolic links",
        "cannot be read: Is a directory",
    ]


def test_many(tmp_path: Path) -> None:
    for k in range(200):
        Image.new("L", (k + 1, 7)).save(tmp_path / f"{k}.png")
    found = read_headers([tmp_path / f"{k}.png" for k in range(200)])
    assert [one.size.width for one in found if not isinstance(one, DataError)] == list(range(1, 201))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("middle", [b" " * 60_000, b"\n#a" * 20_000, b" \n#\n" * 10_000])
def test_much_space_costs_little_time(tmp_path: Path, middle: bytes) -> None:
    (tmp_path / "a.ppm").write_bytes(b"P6" + middle + b"x")
    (tmp_path / "b.ppm").write_bytes(b"P6 7" + middle + b"x")
    for name in ("a.ppm", "b.ppm"):
        with pytest.raises(DataError):
            read_header(tmp_path / name)


def test_comments_between_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 # wide\n\n 3#high\n\t2\n255\n" + bytes(6))
    assert read_header(tmp_path / "a.pgm").size == decode((tmp_path / "a.pgm").read_bytes()).original
