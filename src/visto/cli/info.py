"""``visto info``"""

import json

from visto.cli.options import AsJson, BundlePath, Debug
from visto.cli.terminal import show, table


def command(bundle: BundlePath, as_json: AsJson = False, debug: Debug = False) -> None:
    """Say what a bundle is and where it comes from, every hash checked."""
    from visto.bundle import read_bundle

    found = read_bundle(bundle)
    manifest = found.manifest
    if as_json:
        show(json.dumps({"bundle": str(bundle), "digest": found.digest, **manifest.to_json()}, ensure_ascii=False))
        return
    weights = sum(tensor.numel() for tensor in found.weights.values())
    data = manifest.data
    colours = "grey" if manifest.preprocess.arguments["channels"] == 1 else "colour"
    classes = ", ".join(manifest.classes[:12]) + (", …" if len(manifest.classes) > 12 else "")
    rows = [
        ("task", f"{manifest.task}: {len(manifest.classes)} classes: {classes}"),
        ("model", f"{manifest.model.name}, {weights:,} weights"),
        ("input", f"{'×'.join(map(str, reversed(manifest.preprocess.arguments['size'])))} pixels, {colours}"),
        (
            "made from",
            f"{data['name']}: {data['train']:,} images, {data['validation']:,} more to validate",
        ),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ("made at", manifest.created),
        ("holds training data", "yes" if manifest.holds_training_data else "no"),
        ("digest", found.digest),
    ]
    rows += [(f"validation {name}", str(figure)) for name, figure in manifest.metrics.items() if "/" not in name]
    show(table(rows))
