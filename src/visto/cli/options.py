"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from visto.errors import UsageError


@dataclass(frozen=True, slots=True)
class Began:
    """The perf_counter at process start: what a budget counts from."""

    seconds: float


BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A model folder, such as cats.visto.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder, or an exported file: X.onnx.")]
TrustedKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--trusted-key",
        metavar="FILE",
        help="Load only what this public key has signed; repeat it for more. Default: the keys of VISTO_TRUSTED_KEYS.",
    ),
]
Data = Annotated[str, typer.Argument(metavar="DATA", help="A folder, list file, .npz or name: see visto formats.")]
Format = Annotated[str | None, typer.Option("--format", help="Read the data as this format instead of finding out.")]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="PATTERN",
        help="What keeps images or clips together in one split: a regular expression on their ids; its first group (or "
        "all it matches) names the group. none: nothing. Default: the data's own groups; of clips, what names tell.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but errors.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Threads = Annotated[int, typer.Option("--threads", min=0, max=1024, help="Processor threads; 0 takes all cores.")]


def assignments(texts: list[str]) -> dict[str, object]:
    """NAME=VALUE texts as a mapping; a value that reads as JSON is one. Raises UsageError."""
    import json

    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text!r}", expected="NAME=VALUE, such as --set depth=4")
        try:
            found[name.strip().replace("-", "_")] = json.loads(value)
        except ValueError:
            found[name.strip().replace("-", "_")] = value
    return found
