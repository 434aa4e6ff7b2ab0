"""``visto prepare``"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from visto.cli.options import AsJson, Debug, Quiet
from visto.cli.terminal import Terminal, printable, show, show_json
from visto.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


def command(
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="The image to prepare.")] = None,
    steps: Annotated[
        str | None, typer.Option(metavar="STEPS", help="Such as gray,clahe or median=5,canny=50:100: see --list.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT.png", help="The picture to write; replaced if there.")
    ] = None,
    only_after: Annotated[
        bool, typer.Option("--only-after", help="Write the prepared image alone, every pixel of it.")
    ] = False,
    size: Annotated[
        int | None,
        typer.Option(min=4, max=4096, help="Make the image so many pixels wide and high first, as train does."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the steps and their values, and exit.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Show what a preparation does to an image.

    Writes one picture with the image before and after the steps, side by side. They are applied in order, to the image
    at its full size unless --size is given; how much a window or a Gaussian of some pixels does depends on that.
    """
    if list_:
        _list(as_json=as_json)
        return
    if image is None or steps is None or out is None:
        missing = "IMAGE" if image is None else "--steps" if steps is None else "--out / -o"
        raise UsageError(f"{missing} is missing", hint="see visto prepare --help, or visto prepare --list")
    _check_place(image, out)

    from visto.data.content import read_content
    from visto.data.decode import decode
    from visto.errors import DataError
    from visto.preprocess import Fit
    from visto.preprocess.steps import apply, canonical, parse
    from visto.types import Size

    parsed, texts = parse(steps), canonical(steps)
    small = Size(height=size, width=size) if size else None
    if small:
        Fit(size=small, channels=3, prepare=texts)  # says before the reading what no image of the size can go through
    try:
        decoded = decode(read_content(image), at_least=small)
        before = decoded.pixels[None]
        if small:
            before = Fit(size=small, channels=before.shape[1])(before)
        began = time.perf_counter()
        after = apply(before, parsed)
        took = time.perf_counter() - began
    except DataError as error:
        raise DataError(f"{image}: {error.message}", expected=error.expected, hint=error.hint) from error
    voice = Terminal(quiet=quiet)
    for note in decoded.notes:
        voice.say(f"{image} repaired: {note}")
    _write(out, before[0], after[0], texts, only_after=only_after, voice=voice)
    height, width = after.shape[2:]
    if as_json:
        names = {"image": str(image), "out": str(out), "steps": texts, "notes": list(decoded.notes)}
        show_json({**names, "width": width, "height": height, "seconds": round(took, 4)})
    else:
        show(printable(f"{out} written: {', '.join(texts)} on {width}×{height} pixels took {took:.3f} s"))


def _check_place(image: Path, out: Path) -> None:
    """Raise UsageError for a picture that would not be what its name says, take the image's place or spoil a bundle."""
    from visto.bundle import check_outside

    check_outside(out)
    if out.suffix.lower() != ".png":
        raise UsageError(f"-o {out}: the picture is written as PNG", expected="a name that ends in .png")
    if out.exists() and image.exists() and out.samefile(image):
        raise UsageError(f"{out} is the image itself", hint="choose another name with -o: the image is left as it is")


def _write(
    out: Path, before: "Tensor", after: "Tensor", texts: list[str], *, only_after: bool, voice: Terminal
) -> None:
    """Write the picture of two images C×H×W, or of the second alone."""
    from visto.files import as_resource_error, write_bytes
    from visto.ops.picture import MOST, png, side_by_side

    height, width = after.shape[1:]
    if only_after:
        content = png(after)
    else:
        # words that the font of the picture can draw: it has no ×
        content = side_by_side([(before, f"before, {width} by {height} pixels"), (after, f"after {', '.join(texts)}")])
        if max(height, width) > MOST:
            voice.say(f"shown at {MOST / max(height, width):.0%} of its size; --only-after keeps every pixel")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_resource_error(error, out.parent) from error
    write_bytes(out, content)


def _list(*, as_json: bool) -> None:
    from visto.preprocess.steps import STEPS, signature

    if as_json:
        show_json({name: kind.to_json() for name, kind in STEPS.items()})
        return
    for name, kind in STEPS.items():
        show(f"{signature(name)}\n  {kind.about}")
        for parameter in kind.parameters:
            default = "must be given" if parameter.default is None else f"default {parameter.default:g}"
            show(f"  {parameter.name}: {parameter.range}, {default}; {parameter.about}")
