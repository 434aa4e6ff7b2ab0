"""``visto models``"""

import inspect
import json

from visto.cli.options import AsJson, Debug
from visto.cli.terminal import show, show_json


def command(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the models, with what --set can change in each and where pretrained weights come from."""
    from visto.models import MODELS
    from visto.models.weights import WEIGHTS, find

    given = {"classes", "channels", "size", "over"}
    found: dict[str, dict[str, object]] = {}
    for name, builder in MODELS.items():
        about = inspect.cleandoc(builder.__doc__ or "").split("\n\n")[0]
        parameters = [p for p in inspect.signature(builder).parameters.values() if p.name not in given]
        found[name] = {"about": about, "arguments": {p.name: p.default for p in parameters}}
        if name in WEIGHTS:
            known, here = WEIGHTS[name], find(name)
            found[name]["pretrained"] = {
                "learnt_on": known.learnt_on,
                "size": known.size,
                "licence": known.licence,
                "address": known.address,
                "sha256": known.sha256,
                "here": here is not None,
            }
        if not as_json:
            settings = " ".join(f"{p.name}={_as_typed(p.default)}" for p in parameters)
            show(f"{name}\n  " + about.replace("``", "").replace("\n", "\n  ") + f"\n  settings: {settings}")
            if name in WEIGHTS:
                place = "on this machine" if here is not None else f"not on this machine: {known.way}"
                show(f"  pretrained: {known.learnt_on}, {known.size} pixels, {known.licence}; {place}")
    if as_json:
        show_json(found)


def _as_typed(value: object) -> str:
    """As ``--set`` takes it, without a space or quote that a shell would eat."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
