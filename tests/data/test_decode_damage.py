"""What the decoder refuses: what is no image, is cut short, is damaged inside or far too large."""

import math
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from tests.data.encoded import chunk, colour_image, encoded, hwc

from visto.data.decode import decode
from visto.errors import DataError
from visto.types import Size


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello, I am a letter", "not an image"),
        (b"P", "not an image"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 20, "HEIC"),
        (b"%PDF-1.4", "PDF"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 300, "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"BM" + b"\0" * 60, "BMP"),
        (b"GIF89a" + b"\0" * 20, "GIF"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + b"\0" * 20, "WebP"),
        (b"II*\0" + b"\xff" * 20, "TIFF"),
        (b"P6\n-1 5\n255\n", "PNM"),
    ],
)
def test_what_is_no_image_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decode(content)


def noise(mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(
    ("format", "mode"),
    [
        *((f, "RGB") for f in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
    ],
)
@pytest.mark.parametrize("lost", [0.02, 0.3, 0.7, 0.95])
def test_truncated_files_are_refused(format: str, mode: str, lost: float) -> None:
    content = encoded(noise(mode), format)
    with pytest.raises(DataError):
        decode(content[: math.floor(len(content) * (1 - lost))])


def test_a_jpeg_that_lacks_a_single_byte_is_refused() -> None:
    content = encoded(noise("RGB"), "JPEG")
    for cut in (1, 2, 3):
        with pytest.raises(DataError, match="truncated"):
            decode(content[:-cut])


def test_slips_that_leave_the_pixels_whole_are_passed_over() -> None:
    content = encoded(noise("RGB"), "JPEG")
    decoded = decode(content[:-2] + b"\0\0\0" + content[-2:])
    assert decoded.notes == ("a slip in the JPEG's structure passed over",)
    assert np.array_equal(hwc(decoded), hwc(decode(content)))
    with pytest.raises(DataError):
        decode(content[:-2] + b"\0\0\0")
    assert decode(content + b"trailing").notes == ()


def test_damage_inside_a_jpeg_is_refused() -> None:
    content = bytearray(encoded(noise("RGB"), "JPEG"))
    start = content.find(b"\xff\xda") + 200
    content[start : start + 2] = b"\xff\xd0"  # a restart where none belongs
    with pytest.raises(DataError, match="damaged"):
        decode(bytes(content))


def odd_subsampling() -> bytes:
    """A JPEG whose luma is sampled 3×1, which TurboJPEG has no name for."""
    content = bytearray(encoded(Image.new("RGB", (24, 8), (90, 90, 90)), "JPEG", subsampling=0))
    content[content.find(b"\xff\xc0") + 11] = 0x31
    return bytes(content)


def test_a_jpeg_that_only_pillow_can_decode() -> None:
    with pytest.raises(ValueError):
        simplejpeg.decode_jpeg(odd_subsampling())
    decoded = decode(odd_subsampling(), at_least=Size(height=1, width=1))
    assert decoded.pixels.shape == (3, 8, 24)
    assert decoded.notes == ("rare JPEG decoded without a check for damage inside",)
    with pytest.raises(DataError, match="truncated"):
        decode(odd_subsampling()[:-10])


def test_a_bomb_is_refused_from_its_header() -> None:
    side = 13_000
    rows = zlib.compressobj(9)
    packed = b"".join(rows.compress(b"\0" * (1 + side)) for _ in range(side)) + rows.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    assert len(content) < 200_000
    tracemalloc.start()
    with pytest.raises(DataError, match="13000×13000"):
        decode(content)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_the_limit_counts_pixels(format: str) -> None:
    content = encoded(colour_image(20, 30), format)
    assert decode(content, limit=600).original == Size(height=20, width=30)
    with pytest.raises(DataError, match="30×20") as caught:
        decode(content, limit=599)
    assert "599" in caught.value.expected


def test_pillows_own_limit_neither_warns_nor_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [encoded(colour_image(), format) for format in ("PNG", "BMP", "GIF", "PPM", "WEBP", "TIFF", "JPEG")]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # 600 pixels: a warning to Image.open
    assert all(decode(content).original == Size(height=20, width=30) for content in contents)
