"""``visto verify``"""

from pathlib import Path
from typing import Annotated

import typer

from visto.cli.options import AsJson, Debug, ModelPath, Quiet
from visto.cli.terminal import show, show_json, table


def command(
    model: ModelPath,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="A public key, which may have signed it; repeat it for more. Default: those of VISTO_TRUSTED_KEYS.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Find out whether a model is just what the owner of a key has signed.

    Ends with exit code 4 where a byte was changed, a file is missing or was added, or someone else has signed it. Reads
    what model_signing sign key (OpenSSF) wrote too. An older model that the same key has signed is found to be good.
    """
    from visto.bundle import check_files, sealed_at, trusted_keys, trusted_seal
    from visto.errors import UsageError

    sealed = sealed_at(model)
    seal = trusted_seal(sealed, trusted_keys(key or None))
    if seal is None:
        raise UsageError("no key to verify it with", hint="name the signer's public key: --key NAME.key.pub")
    check_files(sealed, seal)
    files, digest = len(seal.digests), seal.digests[sealed.manifest]
    if as_json:
        show_json({"model": str(model), "verified": True, "key": seal.key, "digest": digest, "files": files})
        return
    rows = [("verified", str(model)), ("signed by key", seal.key), ("digest", digest), ("files", f"{files}")]
    show(table(rows))
