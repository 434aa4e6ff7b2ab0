"""``visto sign``"""

from pathlib import Path
from typing import Annotated

import typer

from visto.cli.options import AsJson, Debug, ModelPath, Quiet
from visto.cli.terminal import Terminal, counted, printable, show, show_json


def command(
    model: ModelPath,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key: visto keygen makes one.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Sign a model, so that others can find out that every byte of it is yours.

    Every hash in it is checked first. The signature is written to X.visto/model.sig, that of an exported X.onnx to
    X.onnx.sig, in the place of an older one; model_signing verify key (OpenSSF) reads it too. A signature hides
    nothing.
    """
    from visto.bundle import looked_over, read_private_key, sign

    private = read_private_key(key)
    whole = looked_over(model)
    sealed = whole.sealed
    seal = sign(sealed, whole.digests, private)
    if whole.holds_training_data:
        Terminal(quiet=quiet).say("careful: this model holds training data by its nature; a signature does not hide it")
    files, digest = len(seal.digests), seal.digests[sealed.manifest]
    if as_json:
        show_json({"signature": str(sealed.signature), "key": seal.key, "digest": digest, "files": files})
        return
    show(printable(f"{sealed.signature} written: {counted(files, 'file')} signed by the key {seal.key}"))
