"""``visto info``"""

from visto.cli.figures import rows_of
from visto.cli.options import AsJson, BundlePath, Debug, TrustedKeys
from visto.cli.terminal import counted, show, show_json, table


def command(bundle: BundlePath, trusted_key: TrustedKeys = None, as_json: AsJson = False, debug: Debug = False) -> None:
    """Say what a bundle is and where it comes from.

    The hash of every file in it is checked first.
    """
    from visto.bundle import read_bundle, sealed_bundle, trusted_keys
    from visto.models import CLASSIC
    from visto.models.second_look import in_words

    found = read_bundle(bundle, trusted_keys(trusted_key or None))
    unchecked = found.signed_by is None and sealed_bundle(bundle).signature.exists()
    manifest = found.manifest
    if as_json:
        show_json({"bundle": str(bundle), "digest": found.digest, "signed_by": found.signed_by, **manifest.to_json()})
        return
    weights = sum(tensor.numel() for tensor in found.weights.values())
    data, classic = manifest.data, manifest.model.name in CLASSIC
    colours = "grey" if manifest.preprocess.arguments["channels"] == 1 else "colour"
    classes = ", ".join(manifest.classes[:12]) + (", …" if len(manifest.classes) > 12 else "")
    rows = [
        ("task", f"{manifest.task}, {len(manifest.classes)} classes: {classes}"),
        ("model", f"{in_words(manifest.model)}, {weights:,} {'numbers' if classic else 'weights'}"),
        ("input", f"{'×'.join(map(str, reversed(manifest.preprocess.arguments['size'])))} pixels, {colours}"),
        (
            "made from",
            f"{data['name']}: {counted(data['train'], 'image')}, and {data['validation']:,} more to validate",
        ),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
        ("made at", manifest.created),
        ("holds training data", "yes" if manifest.holds_training_data else "no"),
        ("digest", found.digest),
        ("signed", "not looked at: name the key with --trusted-key" if unchecked else found.signed_by or "no"),
    ]
    rows += [(f"validation {name}", text) for name, text in rows_of(manifest.metrics)]
    show(table(rows))
