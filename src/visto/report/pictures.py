"""Pictures small enough to stand in the page itself."""

import base64
import io
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

LONGEST = 168  # pixels: twice the 84 to 140 at which they are shown, for fine screens


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A data URI, and whether the picture is so small that its pixels should be shown as squares."""

    source: str
    coarse: bool


def picture(image: Tensor, longest: int = LONGEST) -> Picture:
    """The uint8 image C×H×W at no more than ``longest`` pixels a side: PNG where it is small anyway, else JPEG."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    found = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    small = max(found.size) <= 64
    if max(found.size) > longest:
        found.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if small:
        found.save(out, "PNG", optimize=True)
    else:
        found.save(out, "JPEG", quality=80)
    kind = "png" if small else "jpeg"
    return Picture(source=f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}", coarse=small)
