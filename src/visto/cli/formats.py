"""``visto formats``"""

from visto.cli.options import AsJson, Debug
from visto.cli.terminal import show, show_json, table


def command(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the data formats that are read."""
    from visto.data import FORMATS

    if as_json:
        show_json({name: entry.describe for name, entry in FORMATS.items()})
    else:
        show(table([(name, entry.describe) for name, entry in FORMATS.items()]))
