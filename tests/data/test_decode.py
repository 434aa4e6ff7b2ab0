"""The decoder: what every format and mode becomes, what is refused, and how much is decoded."""

import concurrent.futures
import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from tests.data.encoded import Pixels, chunk, colour_image, encoded, hwc, png

from visto.data.decode import decode
from visto.errors import DataError
from visto.types import Size

LOSSLESS = ["PNG", "BMP", "TIFF", "PPM"]


@pytest.mark.parametrize("format", LOSSLESS)
@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_lossless_formats_keep_every_pixel(format: str, mode: str) -> None:
    image = colour_image().convert(mode)
    decoded = decode(encoded(image, format))
    expected = np.array(image.convert("L") if mode == "1" else image).reshape(20, 30, -1)
    assert np.array_equal(hwc(decoded), expected)
    assert decoded.original == Size(height=20, width=30)
    assert decoded.notes == ()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff(compression: str) -> None:
    decoded = decode(encoded(colour_image(), "TIFF", compression=compression))
    assert np.array_equal(hwc(decoded), np.array(colour_image()))


def test_webp_lossless_and_gif() -> None:
    assert np.array_equal(hwc(decode(encoded(colour_image(), "WEBP", lossless=True))), np.array(colour_image()))
    grey = colour_image().convert("L")
    assert np.array_equal(hwc(decode(encoded(grey, "GIF")))[..., 0], np.array(grey))


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_jpeg(mode: str, channels: int) -> None:
    image = colour_image().convert(mode)
    decoded = decode(encoded(image, "JPEG", quality=95, subsampling=0))
    assert decoded.pixels.shape == (channels, 20, 30)
    assert np.abs(hwc(decoded).astype(int).squeeze() - np.array(image).astype(int)).max() < 20


def test_progressive_jpeg() -> None:
    decoded = decode(encoded(colour_image(), "JPEG", progressive=True))
    assert decoded.pixels.shape == (3, 20, 30)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 60_000), (60_000, 1)])
@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_extreme_sizes(width: int, height: int, format: str) -> None:
    decoded = decode(encoded(Image.new("L", (width, height), 200), format), at_least=Size(height=8, width=8))
    assert decoded.original == Size(height=height, width=width)
    assert decoded.pixels.min() > 190


# --- orientation


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """What a viewer shows of stored pixels: the table of the EXIF standard, by NumPy."""
    ways: dict[int, Callable[[Pixels], Pixels]] = {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: np.rot90(p, 2).transpose(1, 0, 2),
        8: lambda p: np.rot90(p, 1),
    }
    return ways[orientation](pixels)


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_orientation_lossless(format: str, orientation: int) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    decoded = decode(encoded(colour_image(), format, exif=exif(orientation), **options))
    expected = turned(np.array(colour_image()), orientation)
    assert np.array_equal(hwc(decoded), expected)
    assert (decoded.original.height, decoded.original.width) == expected.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_jpeg(orientation: int) -> None:
    plain = encoded(colour_image(64, 96), "JPEG")
    content = encoded(colour_image(64, 96), "JPEG", exif=exif(orientation))
    expected = turned(hwc(decode(plain)), orientation)
    assert np.array_equal(hwc(decode(content)), expected)
    wanted = Size(height=expected.shape[0] // 2, width=expected.shape[1] // 2)
    half = decode(content, at_least=wanted)
    assert half.pixels.shape == (3, wanted.height, wanted.width)
    assert (half.original.height, half.original.width) == expected.shape[:2]


@pytest.mark.parametrize("block", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0II*\0\xff\xff\xff\xff", exif(6)[:-8]])
def test_broken_exif_turns_nothing_and_does_not_warn(block: bytes) -> None:
    plain = encoded(colour_image(), "JPEG")
    content = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + plain[2:]
    assert decode(content).original == Size(height=20, width=30)


# --- deep samples

DEEP = np.array([[0, 1, 127, 128, 129, 256, 257, 385, 386, 32768, 65279, 65535]], np.uint16)
SCALED = np.floor(DEEP / 257 + 0.5).astype(np.uint8)


def test_16_bit_grey_is_scaled_exactly() -> None:
    decoded = decode(png(12, 1, 16, 0, b"\0" + DEEP.astype(">u2").tobytes()))
    assert np.array_equal(hwc(decoded)[..., 0], SCALED)
    assert decoded.notes == ("16-bit scaled to 8-bit",)


def test_every_16_bit_value_is_rounded() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    assert np.array_equal(hwc(decode(png(256, 256, 16, 0, rows)))[..., 0], np.floor(values / 257 + 0.5))


@pytest.mark.parametrize(("colour", "samples"), [(2, 3), (6, 4), (4, 2)])
def test_16_bit_colour_keeps_the_high_byte(colour: int, samples: int) -> None:
    values = np.repeat(DEEP[0], samples).reshape(12, samples)
    if samples != 3:
        values[:, -1] = 65535
    decoded = decode(png(12, 1, 16, colour, b"\0" + values.astype(">u2").tobytes()))
    assert np.array_equal(hwc(decoded)[0, :, 0], DEEP[0] >> 8)
    assert decoded.notes == ("16-bit scaled to 8-bit",)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_tiff_and_pgm(order: str) -> None:
    tiff = encoded(Image.frombytes("I;16" if order == "<" else "I;16B", (12, 1), DEEP.astype(order + "u2")), "TIFF")
    assert np.array_equal(hwc(decode(tiff))[..., 0], SCALED)
    pgm = b"P5\n12 1\n65535\n" + DEEP.astype(">u2").tobytes()
    assert np.array_equal(hwc(decode(pgm))[..., 0], SCALED)
    ppm = b"P6\n4 1\n65535\n" + DEEP.astype(">u2").tobytes()
    assert decode(ppm).notes == ("16-bit scaled to 8-bit",)


def test_floats_and_32_bit_integers_are_scaled_not_clipped() -> None:
    unit = decode(encoded(Image.fromarray(np.array([[0, 0.25, 1]], np.float32)), "TIFF"))
    assert hwc(unit)[0, :, 0].tolist() == [0, 64, 255]
    wide = decode(encoded(Image.fromarray(np.array([[-1000, 0, 3000]], np.float32)), "TIFF"))
    assert hwc(wide)[0, :, 0].tolist() == [0, 64, 255]
    assert wide.notes == ("floats stretched from their lowest to their highest",)
    whole = decode(encoded(Image.fromarray(np.array([[0, 100_000, 400_000]], np.int32)), "TIFF"))
    assert hwc(whole)[0, :, 0].tolist() == [0, 64, 255]
    assert hwc(decode(encoded(Image.fromarray(np.full((2, 2), 7.0, np.float32)), "TIFF"))).max() == 0


def test_nan_is_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        decode(encoded(Image.fromarray(np.array([[0, np.nan]], np.float32)), "TIFF"))


@pytest.mark.parametrize(("bits", "row", "expected"), [(1, 0x60, [0, 255, 255, 0]), (2, 0x1B, [0, 85, 170, 255])])
def test_few_bits(bits: int, row: int, expected: list[int]) -> None:
    assert hwc(decode(png(4, 1, bits, 0, bytes([0, row]))))[0, :, 0].tolist() == expected


# --- colour spaces and transparency


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk(format: str) -> None:
    inks = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    decoded = decode(encoded(inks, format))
    assert decoded.notes == ("CMYK converted to RGB",)
    assert np.abs(hwc(decoded)[16, 16].astype(int) - [0, 255, 255]).max() <= 2


def test_adobe_ycck_agrees_with_pillow() -> None:
    content = bytearray(encoded(Image.new("CMYK", (32, 32), (200, 90, 30, 40)), "JPEG", quality=95))
    content[content.find(b"Adobe") + 11] = 2  # say that the inks are stored as YCCK
    expected = np.array(Image.open(io.BytesIO(content)).convert("RGB"))[16, 16].astype(int)
    assert np.abs(hwc(decode(bytes(content)))[16, 16] - expected).max() <= 2


def test_palette() -> None:
    plte = chunk(b"PLTE", bytes([10, 20, 30, 200, 100, 50]))
    assert hwc(decode(png(2, 1, 8, 3, b"\0\0\1", plte))).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    clear = decode(png(2, 1, 8, 3, b"\0\0\1", plte + chunk(b"tRNS", bytes([0, 255]))))
    assert hwc(clear).tolist() == [[[255, 255, 255], [200, 100, 50]]]
    assert clear.notes == ("transparency laid on white",)


def test_alpha_is_laid_on_white() -> None:
    rgba = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128]]], np.uint8)
    decoded = decode(encoded(Image.fromarray(rgba), "PNG"))
    assert hwc(decoded).tolist() == [[[10, 20, 30], [255, 255, 255], [127, 127, 127]]]
    assert decoded.notes == ("transparency laid on white",)
    grey = decode(encoded(Image.fromarray(rgba).convert("LA"), "PNG"))
    assert grey.pixels.shape == (1, 1, 3) and grey.pixels[0, 0, 1] == 255


def test_opaque_alpha_needs_no_repair() -> None:
    decoded = decode(encoded(colour_image().convert("RGBA"), "PNG"))
    assert decoded.notes == () and np.array_equal(hwc(decoded), np.array(colour_image()))


@pytest.mark.parametrize(
    ("bits", "colour", "row", "trns", "white"),
    [
        (8, 0, b"\5\11", b"\0\5", 0),
        (2, 0, b"\x10", b"\0\1", 1),
        (1, 0, b"\x40", b"\0\1", 1),
        (16, 0, b"\3\xe8\x07\xd0", b"\3\xe8", 0),
        (16, 2, b"\3\xe8" * 3 + b"\7\xd0" * 3, b"\3\xe8" * 3, 0),
    ],
)
def test_a_transparent_colour(bits: int, colour: int, row: bytes, trns: bytes, white: int) -> None:
    decoded = decode(png(2, 1, bits, colour, b"\0" + row, chunk(b"tRNS", trns)))
    assert (hwc(decoded)[0, white] == 255).all() and (hwc(decoded)[0, 1 - white] < 255).all()
    assert "transparency laid on white" in decoded.notes


def test_ycbcr_and_lab_tiff() -> None:
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    assert np.abs(hwc(decode(encoded(red.convert("YCbCr"), "TIFF")))[0, 0].astype(int) - [255, 0, 0]).max() <= 2
    lab = decode(encoded(Image.new("LAB", (4, 4), (128, 128, 128)), "TIFF"))
    assert lab.pixels.shape == (3, 4, 4) and lab.notes == ("LAB converted to RGB",)
    assert int(lab.pixels.float().std(0).max()) <= 2  # a and b in the middle are grey


# --- frames


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_of_several_frames(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), (200, 0, 0)), Image.new("RGB", (8, 8), (0, 200, 0)), Image.new("RGB", (8, 8))]
    options = {"lossless": True} if format == "WEBP" else {}
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    decoded = decode(content)
    assert hwc(decoded)[4, 4].tolist() == [200, 0, 0]
    assert decoded.notes == ("first of 3 frames",)


# --- scale


@pytest.mark.parametrize(
    ("size", "at_least", "expected"),
    [
        ((203, 301), (1, 1), (26, 38)),
        ((203, 301), (26, 38), (26, 38)),
        ((203, 301), (27, 38), (51, 76)),
        ((203, 301), (102, 151), (102, 151)),
        ((203, 301), (103, 151), (127, 189)),
        ((203, 301), (150, 10), (153, 226)),
        ((203, 301), (203, 301), (203, 301)),
        ((203, 301), (400, 400), (203, 301)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_smallest_scale_that_is_enough(
    size: tuple[int, int], at_least: tuple[int, int], expected: tuple[int, int], mode: str
) -> None:
    image = colour_image(*size).convert(mode)
    for quality in (30, 95):  # the content plays no part
        decoded = decode(encoded(image, "JPEG", quality=quality), at_least=Size(height=at_least[0], width=at_least[1]))
        assert tuple(decoded.pixels.shape[1:]) == expected
        assert decoded.original == Size(height=size[0], width=size[1])


def test_other_formats_are_never_scaled() -> None:
    assert decode(encoded(colour_image(), "PNG"), at_least=Size(height=1, width=1)).pixels.shape == (3, 20, 30)


def test_many_threads_agree() -> None:
    contents = [
        encoded(colour_image(40 + k, 50), format) for k in range(6) for format in ("JPEG", "PNG", "GIF", "TIFF", "WEBP")
    ]
    expected = [hwc(decode(content)) for content in contents]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda content: hwc(decode(content)), contents * 4))
    assert all(np.array_equal(a, b) for a, b in zip(expected * 4, found, strict=True))
