"""From a tensor to a picture that a person can read."""

import io

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_LEAST = 224  # pixels: smaller pictures are enlarged, pixel for pixel, to be seen at all
_STRIP = 28


def captioned(image: Tensor, words: str) -> bytes:
    """The uint8 image C×H×W with a line of words on a white strip below it, as PNG."""
    pixels = image.permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    times = max(1, -(-_LEAST // max(picture.size)))
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    font = ImageFont.load_default(size=16)
    width = max(picture.width, int(font.getlength(words)) + 16)
    sheet = Image.new("RGB", (width, picture.height + _STRIP), "white")
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    ImageDraw.Draw(sheet).text((8, picture.height + 4), words, fill="black", font=font)
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()
