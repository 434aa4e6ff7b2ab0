"""Any mode that Pillow opens, to 8 bits grey or colour: deep samples scaled, never clipped; transparency on white."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from visto.errors import DataError

_DEEP_NOTE = "16-bit scaled to 8-bit"
_GREY = ("1", "L", "LA", "La")


def to_eight_bits(image: Image.Image, kind: str, raw: str) -> tuple[NDArray[np.uint8], list[str]]:
    """H×W×1 (grey) or H×W×3 (colour) uint8 pixels of a loaded image, and what was done to it.

    ``kind`` is its format, ``raw`` how the samples lay in the file. Raises DataError for NaN or infinite samples.
    """
    _mend_transparent_colour(image, raw)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep(image, kind)
    notes: list[str] = []
    if ";16" in raw:
        notes.append(_DEEP_NOTE)  # Pillow did so while it unpacked: the high byte of each sample
    if image.mode == "CMYK":
        notes.append("CMYK converted to RGB")
    if image.mode == "LAB":
        notes.append("LAB converted to RGB")
        image = _lab_to_rgb(image)
    if image.has_transparency_data:
        image, opaque = _on_white(image)
        if not opaque:
            notes.append("transparency laid on white")
    mode = "L" if image.mode in _GREY else "RGB"
    pixels = np.array(image if image.mode == mode else image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1), notes


def _from_deep(image: Image.Image, kind: str) -> tuple[NDArray[np.uint8], list[str]]:
    samples = np.asarray(image)
    if image.mode != "F" and (image.mode != "I" or kind in ("PNG", "PNM")):
        values = samples.astype(np.uint32)
        notes = [_DEEP_NOTE]
        transparent = image.info.get("transparency")
        if isinstance(transparent, int) and (values == transparent).any():
            values[values == transparent] = 65535
            notes.append("transparency laid on white")
        return ((values + 128) // 257).astype(np.uint8)[..., None], notes
    if not np.isfinite(samples).all():
        raise DataError("samples that are NaN or infinite", expected="finite numbers")
    values64 = samples.astype(np.float64)
    low, high = values64.min(), values64.max()
    if image.mode == "F" and low >= 0 and high <= 1:
        return np.rint(values64 * 255).astype(np.uint8)[..., None], ["floats of 0 to 1 scaled to 8-bit"]
    # No scale is agreed on for these: the image's own range is the only one that surely loses nothing.
    scaled = (values64 - low) / max(high - low, np.finfo(np.float64).tiny)
    word = "floats" if image.mode == "F" else "deep integers"
    return np.rint(scaled * 255).astype(np.uint8)[..., None], [f"{word} stretched from their lowest to their highest"]


def _mend_transparent_colour(image: Image.Image, raw: str) -> None:
    """Bring a PNG's transparent colour (tRNS) to 8 bits as Pillow did the samples, but not this."""
    colour = image.info.get("transparency")
    if isinstance(colour, int) and image.mode in ("1", "L"):
        # for one bit some versions of Pillow do it: never beyond 255
        image.info["transparency"] = min(255, colour * {"1": 255, "L;2": 85, "L;4": 17}.get(raw, 1))
    elif isinstance(colour, tuple) and ";16" in raw:
        image.info["transparency"] = tuple(part >> 8 for part in colour)


def _on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image laid on white, and whether nothing of it was transparent."""
    grey = image.mode in _GREY
    layered = image.convert("LA" if grey else "RGBA")
    alpha = layered.getchannel("A")
    plain = layered.convert("L" if grey else "RGB")
    if alpha.getextrema() == (255, 255):
        return plain, True
    white = Image.new(plain.mode, plain.size, "white")
    white.paste(plain, mask=alpha)
    return white, False


def _lab_to_rgb(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))
    if converted is None:  # only where asked to work in place
        raise DataError("LAB that cannot be converted to RGB")
    return converted
