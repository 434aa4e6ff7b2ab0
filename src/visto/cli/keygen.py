"""``visto keygen``"""

from pathlib import Path
from typing import Annotated

import typer

from visto.cli.options import AsJson, Debug, Quiet
from visto.cli.terminal import Terminal, printable, show, show_json


def command(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The private key to write: NAME.key.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a key to sign models with: NAME.key, to be guarded, and NAME.key.pub, to be given to others.

    ECDSA on the curve P-256. The private key is not locked by a passphrase: only you may read its file, and whoever
    gets it signs in your name. A file that exists is never overwritten.
    """
    from visto.bundle import public_path, write_key

    fingerprint = write_key(out)
    if as_json:
        show_json({"private_key": str(out), "public_key": str(public_path(out)), "fingerprint": fingerprint})
        return
    Terminal(quiet=quiet).say(printable(f"guard {out}: whoever has it signs in your name"))
    show(printable(f"{out} and {public_path(out)} written, fingerprint {fingerprint}"))
