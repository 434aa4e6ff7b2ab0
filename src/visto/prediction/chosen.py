"""What was found to answer fastest on this machine is kept beside the cache, and used again for the same bundle."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from visto.bundle import Bundle
from visto.errors import VistoError
from visto.files import as_resource_error, cache_folder, write_bytes, write_json
from visto.learn.engine import processor
from visto.prediction.exported import GraphRecogniser
from visto.prediction.recogniser import TorchRecogniser
from visto.prediction.runtime import RUNNERS

_FOLDER = "backends"


def keep_choice(bundle: Bundle, *, name: str, runner: str, graph: bytes | None) -> None:
    """Note that ``name`` answers fastest: ``graph`` run by ``runner``, or torch. Raises ResourceError."""
    folder = _folder(bundle)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise as_resource_error(error, folder) from error
    content = {"name": name, "runner": runner, "sha256": hashlib.sha256(graph).hexdigest() if graph else None}
    if graph:
        write_bytes(folder / "body.onnx", graph)
    write_json(folder / "choice.json", content)


def chosen(bundle: Bundle) -> tuple[str, TorchRecogniser | GraphRecogniser] | None:
    """The name of the way that was found to be fastest here, and its recogniser; None for torch in fp32.

    None too where nothing was measured, and where a trusted key has signed the bundle: what lies in the cache nobody
    has signed. A choice that is damaged, or whose runtime is gone, is none.
    """
    if bundle.signed_by is not None:
        return None
    try:
        folder = _folder(bundle)
        content: Mapping[str, Any] = json.loads((folder / "choice.json").read_text(encoding="utf-8"))
        name, runner = str(content["name"]), content["runner"]
        if runner == "torch":
            return (name, TorchRecogniser(bundle, torch.bfloat16)) if name.endswith("bfloat16") else None
        graph = (folder / "body.onnx").read_bytes()
        if runner not in RUNNERS or hashlib.sha256(graph).hexdigest() != content["sha256"]:
            return None
        recogniser = GraphRecogniser(bundle.manifest, bundle.path, bundle.seen, graph, runner)
        recogniser.start()  # so that what cannot run is found out here
        return name, recogniser
    except (OSError, ValueError, KeyError, TypeError, VistoError):
        return None


def forget_choices() -> None:
    """Remove all of them."""
    shutil.rmtree(cache_folder() / _FOLDER, ignore_errors=True)


def _folder(bundle: Bundle) -> Path:
    """One for each bundle, processor and set of libraries."""
    known = [processor()]
    for library in ("visto", "onnxruntime", "openvino"):
        try:
            known.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            known.append(f"no {library}")
    machine = hashlib.sha256(", ".join(known).encode()).hexdigest()
    return cache_folder() / _FOLDER / f"{bundle.digest[:32]}-{machine[:16]}"
