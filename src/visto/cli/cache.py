"""``visto cache``"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from visto.cli.options import AsJson, Debug
from visto.cli.terminal import counted, show, show_json, table

if TYPE_CHECKING:
    from visto.data.stored import Stored


def command(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all the images in it.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show or clear the cache of decoded images.

    It spares decoding an image twice; clearing it loses nothing but that time, what visto bench found, and loops in C
    that are soon built again. The environment variable VISTO_CACHE names another place for it.
    """
    from visto.data.stored import cache_summary, clear_cache
    from visto.files import cache_folder
    from visto.native.library import forget_libraries
    from visto.prediction.chosen import forget_choices

    fits = cache_summary()
    images, size = sum(fit.images for fit in fits), sum(fit.bytes for fit in fits)
    place = cache_folder()
    if clear:
        freed = clear_cache()
        forget_choices()
        forget_libraries()
        if as_json:
            show_json({"folder": str(place), "cleared": {"images": images, "bytes": freed}})
        else:
            show(f"removed {counted(images, 'image')} ({_amount(freed)}) from {place}")
        return
    if as_json:
        sizes = [fit.to_json() for fit in fits]
        show_json({"folder": str(place), "images": images, "bytes": size, "sizes": sizes})
        return
    show(f"{place}: {counted(images, 'image')}, {_amount(size)}")
    if fits:
        show(table([(counted(fit.images, "image"), _amount(fit.bytes), _shape(fit)) for fit in fits], indent="  "))


def _shape(fit: "Stored") -> str:
    """What the images were brought to: ``32×32 pixels, colour``. The key is read from disk, so it may hold anything."""
    try:
        key = json.loads(str(fit.key["fit"]))
        height, width = key["size"]
        return f"{width}×{height} pixels, {'grey' if key['channels'] == 1 else 'colour'}"
    except (ValueError, KeyError, TypeError):
        return str(fit.folder.name)


def _amount(size: int) -> str:
    """
    >>> _amount(999), _amount(1_500_000)
    ('999 bytes', '1.5 MB')
    """
    units: Mapping[str, int] = {"GB": 10**9, "MB": 10**6, "kB": 10**3}
    for unit, of in units.items():
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size} bytes"
