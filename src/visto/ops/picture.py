"""From a tensor to a picture that a person can read."""

import io
import unicodedata
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visto.ops.boxes import box_areas, intersections
from visto.types import Boxes

_LEAST = 224  # pixels: smaller pictures are enlarged, pixel for pixel, to be seen at all
MOST = 1024  # pixels: larger ones are made smaller where several share a sheet
_FRAME = 96  # pixels: the same of a frame in a film strip
_STRIP = 28
_LINE = 20
_GAP = 8
_PAD = 3  # pixels around the words of a label
_DARK = (20, 20, 20)
_MUCH = 0.15  # the share of a box that a label may hide
_TALL = "Hy"  # as high as any label
_LIKE = {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "×": "x", "–": "-", "—": "-"}

# Okabe and Ito 2008, *Color Universal Design*: told apart with any colour blindness; without their black, which is that
# of the outlines
COLOURS = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
)

_Colour = tuple[int, int, int]
_Corners = tuple[float, float, float, float]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def png(image: Tensor) -> bytes:
    """The uint8 image C×H×W (C is 1 or 3) as PNG, every pixel as it is."""
    return encoded_png(_picture(image))


def captioned(image: Tensor, words: str) -> bytes:
    """The uint8 image C×H×W with a line of words on a white strip below it, as PNG."""
    picture = _enlarged(_picture(image).convert("RGB"))
    font = ImageFont.load_default(size=16)
    width = max(picture.width, int(font.getlength(words)) + 16)
    sheet = Image.new("RGB", (width, picture.height + _STRIP), "white")
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    ImageDraw.Draw(sheet).text((8, picture.height + 4), words, fill="black", font=font)
    return encoded_png(sheet)


def film_strip(frames: Sequence[Tensor]) -> Tensor:
    """uint8 frames C×H×W of one size in a row, with white between them, as one; small ones are enlarged to be seen."""
    channels, height, width = frames[0].shape
    times = max(1, -(-_FRAME // max(height, width)))
    gap = torch.full((channels, height * times, _GAP), 255, dtype=torch.uint8)
    parts = [part for frame in frames for part in (gap, frame.repeat_interleave(times, 1).repeat_interleave(times, 2))]
    return torch.cat(parts[1:], 2)


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
    return encoded_png(sheet)


def boxed(image: Tensor, boxes: Boxes, words: Sequence[str], colours: Sequence[int] | None = None) -> bytes:
    """The uint8 image C×H×W with M boxes, each with its words on a label, as PNG.

    ``boxes`` are in pixels of this image. ``colours`` are whole numbers, one a box, of which equal ones look alike;
    None takes the boxes' classes. There are 7 colours, then they come again with dashed lines. Letters that the font
    lacks are drawn as their likes, é as e. Small images are enlarged pixel for pixel. The best boxes lie on top and
    choose the place of their label first: where they can, labels lie on no other label and hide no small box.
    """
    whole = _picture(image).convert("RGB")
    picture = _enlarged(whole)
    draw, times = ImageDraw.Draw(picture), picture.width / whole.width
    width = max(2, round(max(picture.size) / 320))
    font = ImageFont.load_default(size=max(12, round(max(picture.size) / 48)))
    corners = _inside(boxes.xyxy * times, picture.size)
    looks = [int(number) for number in (boxes.labels.tolist() if colours is None else colours)]
    if not len(corners) == len(words) == len(looks):
        raise ValueError(f"{len(corners)} boxes with {len(words)} words and {len(looks)} colours")
    order = list(range(len(corners)))
    if boxes.scores is not None:
        order = boxes.scores.argsort(descending=True, stable=True).tolist()
    for at in reversed(order):
        _frame(draw, corners[at], looks[at], width)
    named = [at for at in order if words[at]]
    texts = [_cut(_drawable(words[at], font), picture.width - 2 * _PAD - 1, font) for at in named]
    spots = _spots(corners[named], texts, picture.size, font)
    for at, text, spot in reversed(list(zip(named, texts, spots, strict=True))):
        _label(draw, spot, text, COLOURS[looks[at] % len(COLOURS)], font)
    return encoded_png(picture)


def _inside(corners_m4: Tensor, size: tuple[int, int]) -> Tensor:
    """The boxes on whole pixels and inside the picture, each at least one pixel large."""
    low = corners_m4[:, :2].round().clamp_min(0).minimum(torch.tensor(size) - 1)
    high = corners_m4[:, 2:].round().minimum(torch.tensor(size)).maximum(low + 1)
    return torch.cat([low, high], dim=1)


def _frame(draw: ImageDraw.ImageDraw, corners: Tensor, look: int, width: int) -> None:
    """The box's line, inwards from its edge, between two thin dark ones that part it from any ground."""
    x0, y0, x1, y1 = (int(value) for value in corners.tolist())
    colour, small = COLOURS[look % len(COLOURS)], min(x1 - x0, y1 - y0)
    width = max(1, min(width, small // 4))
    draw.rectangle((x0 - 1, y0 - 1, x1, y1), outline=_DARK)
    if small > 2 * width + 2:
        draw.rectangle((x0 + width, y0 + width, x1 - 1 - width, y1 - 1 - width), outline=_DARK)
    draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=colour, width=width)
    if look // len(COLOURS) % 2:
        _gaps(draw, (x0, y0, x1, y1), width)


def _gaps(draw: ImageDraw.ImageDraw, corners: tuple[int, int, int, int], width: int) -> None:
    """Dark gaps in a box's line, which make it a dashed one."""
    x0, y0, x1, y1 = corners
    dash = 4 * width
    for x in range(x0 + dash, x1, 2 * dash):
        for y in (y0, y1 - width):
            draw.rectangle((x, y, min(x + dash, x1) - 1, y + width - 1), fill=_DARK)
    for y in range(y0 + dash, y1, 2 * dash):
        for x in (x0, x1 - width):
            draw.rectangle((x, y, x + width - 1, min(y + dash, y1) - 1), fill=_DARK)


def _label(draw: ImageDraw.ImageDraw, spot: _Corners, words: str, colour: _Colour, font: _Font) -> None:
    """The words on a ground of the box's colour, with a thin dark line around it."""
    x0, y0, x1, y1 = spot
    draw.rectangle((x0 - 1, y0 - 1, x1, y1), outline=_DARK)
    draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=colour)
    draw.text((x0 + _PAD, y0 + _PAD - font.getbbox(_TALL)[1]), words, fill=_legible(colour), font=font)


def _spots(corners_m4: Tensor, words: Sequence[str], size: tuple[int, int], font: _Font) -> list[_Corners]:
    """Where each label stands, as edges: in the place near its box, inside the picture, where it hides least.

    Above, below, or inside at the top or bottom, at the left or right; the first of those that hide no other label,
    and of no box more than a small share.
    """
    _, top, _, bottom = font.getbbox(_TALL)
    high = int(bottom - top) + 2 * _PAD
    spots = torch.zeros(len(words), 4)
    for at, ((x0, y0, x1, y1), text) in enumerate(zip(corners_m4.tolist(), words, strict=True)):
        wide = min(size[0], int(font.getlength(text)) + 2 * _PAD + 1)
        places = torch.tensor([(x, y) for y in (y0 - high, y1, y0, y1 - high) for x in (x0, x1 - wide)])
        places = places.minimum(torch.tensor([size[0] - wide, size[1] - high])).clamp_min(0)
        found = torch.cat([places, places + torch.tensor([wide, high])], dim=1)
        shares = intersections(found, corners_m4) / box_areas(corners_m4)
        hidden = shares.where(shares > _MUCH, 0.0).sum(1) + intersections(found, spots[:at]).sum(1)
        spots[at] = found[int(hidden.argmin())]
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in spots.tolist()]


def _drawable(words: str, font: _Font) -> str:
    """The words in the letters that Pillow's own font has: é as e, and a question mark where none is like it."""
    missing = bytes(font.getmask("\ue000"))
    letters = []
    for letter in words:
        plain = letter
        if bytes(font.getmask(letter)) == missing:
            plain = unicodedata.normalize("NFKD", _LIKE.get(letter, letter)).encode("ascii", "ignore").decode()
        letters.append(plain or "?")
    return "".join(letters)


def _cut(words: str, width: int, font: _Font) -> str:
    """The words, or their beginning with an ellipsis where they are wider than ``width`` pixels."""
    if font.getlength(words) <= width:
        return words
    while words and font.getlength(words + "…") > width:
        words = words[:-1]
    return words + "…"


def _legible(ground: _Colour) -> str:
    """Black or white, whichever stands out more (WCAG 2: relative luminance, of which 0.179 is the even point)."""
    linear = [(v / 255 / 12.92) if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in ground]
    return "black" if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 else "white"


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


def encoded_png(picture: Image.Image) -> bytes:
    """The picture's file."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
