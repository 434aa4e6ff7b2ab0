"""``visto cache``"""

import json
from typing import Annotated

import typer

from visto.cli.options import AsJson, Debug
from visto.cli.terminal import show


def command(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything in it.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Show or clear the cache of decoded images (VISTO_CACHE names another place)."""
    show(json.dumps({}))
