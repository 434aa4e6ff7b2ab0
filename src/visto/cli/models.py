"""``visto models``"""

import inspect
import json

from visto.cli.options import AsJson, Debug
from visto.cli.terminal import show, show_json


def command(as_json: AsJson = False, debug: Debug = False) -> None:
    """List the models, with what --set can change in each."""
    from visto.models import MODELS

    given = {"classes", "channels", "size"}
    found: dict[str, dict[str, object]] = {}
    for name, builder in MODELS.items():
        about = inspect.cleandoc(builder.__doc__ or "").split("\n\n")[0]
        parameters = [p for p in inspect.signature(builder).parameters.values() if p.name not in given]
        found[name] = {"about": about, "arguments": {p.name: p.default for p in parameters}}
        if not as_json:
            settings = " ".join(f"{p.name}={_as_typed(p.default)}" for p in parameters)
            show(f"{name}\n  " + about.replace("``", "").replace("\n", "\n  ") + f"\n  settings: {settings}")
    if as_json:
        show_json(found)


def _as_typed(value: object) -> str:
    """As ``--set`` takes it, without a space or quote that a shell would eat."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
