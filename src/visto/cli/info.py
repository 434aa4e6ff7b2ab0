"""``visto info``"""

from pathlib import Path
from typing import TYPE_CHECKING

from visto.cli.figures import rows_of
from visto.cli.options import AsJson, Debug, ModelPath, TrustedKeys
from visto.cli.terminal import counted, show, show_json, table
from visto.quantities import frames_words

if TYPE_CHECKING:
    from visto.bundle import Keys, Manifest


def command(model: ModelPath, trusted_key: TrustedKeys = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Say what a model is and where it comes from.

    The hash of every file in it is checked first.
    """
    from visto.bundle import is_export, trusted_keys

    (_exported if is_export(model) else _bundle)(model, trusted_keys(trusted_key or None), as_json)


def _exported(path: Path, keys: "Keys", as_json: bool) -> None:
    from visto.bundle import read_exported

    found = read_exported(path, keys)
    own = found.own
    if as_json:
        show_json({"exported": str(path), "digest": found.digest, "signed_by": found.signed_by, **own.to_json()})
        return
    gate, size = own.gate, len(found.content)
    rows = [
        ("task", f"{own.manifest.task}, {len(own.manifest.classes)} classes"),
        ("form", f"ONNX, opset {own.opset}, {own.precision}, {size / 1e6:.1f} MB"),
        ("made from", f"the bundle {own.parent}"),
        ("compared on", f"{counted(gate['images'], 'image')} of {gate['data']}: {gate['agreement']:.2%} the same"),
        ("made with", ", ".join(f"{name} {version}" for name, version in own.versions.items())),
        ("made at", own.created),
        ("holds training data", "yes" if own.manifest.holds_training_data else "no"),
        ("digest", found.digest),
        ("signed", _signed(found.signed_by, path.with_name(f"{path.name}.sig"))),
    ]
    rows += [(f"{name} there", text) for name, text in rows_of(own.metrics)]
    show(table(rows))


def _signed(signed_by: str | None, signature: Path) -> str:
    if signed_by is None and signature.exists():
        return "not looked at: name the key with --trusted-key"
    return signed_by or "no"


def _noun(manifest: "Manifest") -> str:
    """What one of the things is called that the model was made from."""
    if "window" in manifest.head:
        return "window"
    if not manifest.preprocess.arguments["size"]:
        return "series"
    return "clip" if manifest.preprocess.arguments.get("every") else "image"


def _input(manifest: "Manifest") -> str:
    """What the model sees."""
    arguments, head = manifest.preprocess.arguments, manifest.head
    if "window" in head:
        ahead = "the next one" if head["horizon"] == 1 else f"the next {head['horizon']}"
        return f"the last {head['window']} steps, of which come {ahead}"
    if not arguments["size"]:
        return f"steps of {counted(arguments['channels'], 'number')}"
    colours = "grey" if arguments["channels"] == 1 else "colour"
    frames = f"{frames_words(arguments['every'])} at " if arguments.get("every") else ""
    return f"{frames}{'×'.join(map(str, reversed(arguments['size'])))} pixels, {colours}"


def _bundle(bundle: Path, keys: "Keys", as_json: bool) -> None:
    from visto.bundle import read_bundle, sealed_bundle
    from visto.models import CLASSIC
    from visto.models.second_look import in_words

    found = read_bundle(bundle, keys)
    manifest = found.manifest
    if as_json:
        show_json({"bundle": str(bundle), "digest": found.digest, "signed_by": found.signed_by, **manifest.to_json()})
        return
    weights = sum(tensor.numel() for tensor in found.weights.values())
    data, classic = manifest.data, manifest.model.name in CLASSIC
    classes = ", ".join(manifest.classes[:12]) + (", …" if len(manifest.classes) > 12 else "")
    kinds = "classes" if manifest.task != "forecast" else "column" if len(manifest.classes) == 1 else "columns"
    rows = [
        ("task", f"{manifest.task}, {len(manifest.classes)} {kinds}: {classes}"),
        ("model", f"{in_words(manifest.model)}, {weights:,} {'numbers' if classic else 'weights'}"),
        ("input", _input(manifest)),
        (
            "made from",
            f"{data['name']}: {counted(data['train'], _noun(manifest))}, and {data['validation']:,} more to validate",
        ),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ("made at", manifest.created),
        ("holds training data", "yes" if manifest.holds_training_data else "no"),
        ("digest", found.digest),
        ("signed", _signed(found.signed_by, sealed_bundle(bundle).signature)),
    ]
    rows += [(f"validation {name}", text) for name, text in rows_of(manifest.metrics)]
    show(table(rows))
