"""From a tensor to a picture that a person can read."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_LEAST = 224  # pixels: smaller pictures are enlarged, pixel for pixel, to be seen at all
MOST = 1024  # pixels: larger ones are made smaller where several share a sheet
_STRIP = 28
_LINE = 20
_GAP = 8

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def png(image: Tensor) -> bytes:
    """The uint8 image C×H×W (C is 1 or 3) as PNG, every pixel as it is."""
    return _encoded(_picture(image))


def captioned(image: Tensor, words: str) -> bytes:
    """The uint8 image C×H×W with a line of words on a white strip below it, as PNG."""
    picture = _enlarged(_picture(image).convert("RGB"))
    font = ImageFont.load_default(size=16)
    width = max(picture.width, int(font.getlength(words)) + 16)
    sheet = Image.new("RGB", (width, picture.height + _STRIP), "white")
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    ImageDraw.Draw(sheet).text((8, picture.height + 4), words, fill="black", font=font)
    return _encoded(sheet)


def side_by_side(panels: Sequence[tuple[Tensor, str]]) -> bytes:
    """uint8 images C×H×W next to each other on white, each with its words below, as PNG.

    Small ones are enlarged pixel for pixel; large ones are made smaller, to 1,024 pixels along the longer side.
    """
    font = ImageFont.load_default(size=16)
    pictures = [_enlarged(_reduced(_picture(image).convert("RGB"))) for image, _ in panels]
    widths = [max(picture.width, _LEAST) for picture in pictures]  # room for words below the narrowest, too
    captions = [_lines(words, width, font) for (_, words), width in zip(panels, widths, strict=True)]
    high = max(picture.height for picture in pictures)
    size = (sum(widths) + _GAP * (len(panels) + 1), _GAP + high + _LINE * max(map(len, captions)) + _GAP)
    sheet = Image.new("RGB", size, "white")
    draw, left = ImageDraw.Draw(sheet), _GAP
    for picture, width, lines in zip(pictures, widths, captions, strict=True):
        sheet.paste(picture, (left + (width - picture.width) // 2, _GAP))
        for number, line in enumerate(lines):
            draw.text((left, _GAP + high + 4 + _LINE * number), line, fill="black", font=font)
        left += width + _GAP
    return _encoded(sheet)


def _picture(image: Tensor) -> Image.Image:
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _enlarged(picture: Image.Image) -> Image.Image:
    times = max(1, -(-_LEAST // max(picture.size)))
    return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)


def _reduced(picture: Image.Image) -> Image.Image:
    share = MOST / max(picture.size)
    if share >= 1:
        return picture
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    return picture.resize(size, Image.Resampling.BOX)


def _lines(words: str, width: int, font: _Font) -> list[str]:
    """The words, broken at spaces into lines of at most ``width`` pixels (a longer word has its own line)."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
