"""An exported recogniser on disk: files that belong together, each of which the manifest among them accounts for.

X.onnx        the whole graph: any image in, the answer's tensors out; of sequences one step, with its state
X.onnx.json   what it is and what it was made from, its own figures, and the SHA-256 of the other files
X.onnx.seen   digests of the images that its parent has seen, as in a bundle
run.py        answers images with it, where there is no Visto
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from visto.bundle.keys import Keys
from visto.bundle.manifest import FileRecord, Manifest, as_figure, as_object, as_record, check_created
from visto.bundle.plain_files import sha256
from visto.bundle.seal import Seal, read_signed, trusted_seal
from visto.bundle.sealed import SUFFIX, Sealed, check_outside, sealed_export
from visto.bundle.seen import check_seen
from visto.bundle.steps import STEP, StepForm
from visto.bundle.store import MANIFEST_LIMIT, tensor_bytes, tensors_of
from visto.bundle.strict_json import dumps, loads
from visto.bundle.trust import trusted_keys
from visto.errors import ModelError, ResourceError, UsageError
from visto.files import as_resource_error, write_bytes
from visto.types import Figure

RUN = "run.py"
# the graph's input, the tensor in which its first part ends, and the boxes before they are brought back to the image
IMAGES, FITTED, FITTED_BOXES = "images", "fitted", "fitted_boxes"
PRECISIONS = ("float32", "int8")
_VERSION = 1
_AGAIN = "export it again, or copy all of its files again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportManifest:
    """Everything an exported file says of itself: ``X.onnx.json``. Raises ModelError for what its field cannot hold.

    ``parent`` is the digest of the bundle that it was made from and ``manifest`` that bundle's own. ``metrics`` are the
    exported file's figures, on the images that the gate compared it on; ``gate`` says what that found. ``outputs`` are
    the graph's answer, ``thresholds`` what the task keeps to decide by (the head's arguments). ``stream`` is of a graph
    that takes one step of a sequence.
    """

    parent: str
    manifest: Manifest
    precision: str
    opset: int
    outputs: tuple[str, ...]
    metrics: Mapping[str, Figure]
    gate: Mapping[str, Any]
    versions: Mapping[str, str]
    created: str
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    stream: StepForm | None = None

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise _bad(f"the precision {self.precision!r}", expected=f"one of {', '.join(PRECISIONS)}")
        if not all(isinstance(text, str) for text in (*self.outputs, *self.versions, *self.versions.values())):
            raise _bad("an output or a version is not text")
        if not isinstance(self.opset, int) or isinstance(self.opset, bool):
            raise _bad(f"the opset {self.opset!r}", expected="a whole number")
        kinds = {"data": str, "images": int, "agreement": int | float, "figure": str, "drift": int | float}
        if not all(isinstance(self.gate.get(name), kind) for name, kind in kinds.items()):
            raise _bad("what the gate found is not there", expected=", ".join(kinds))
        FileRecord(sha256=self.parent, size=0)  # a digest is one
        check_created(self.created)

    def to_json(self) -> dict[str, Any]:
        """Plain values only, as they stand in the file; ``checksum`` is the SHA-256 of all the rest, so written."""
        content = {
            "export_version": _VERSION,
            "parent": {"digest": self.parent, "manifest": self.manifest.to_json()},
            "task": self.manifest.task,
            "classes": list(self.manifest.classes),
            "thresholds": dict(self.manifest.head),
            "holds_training_data": self.manifest.holds_training_data,
            "precision": self.precision,
            "opset": self.opset,
            "input": _input(self.stream),
            "outputs": list(self.outputs),
            "metrics": {name: figure.to_json() for name, figure in self.metrics.items()},
            "gate": dict(self.gate),
            "versions": dict(self.versions),
            "created": self.created,
            "files": {name: {"sha256": file.sha256, "size": file.size} for name, file in self.files.items()},
        }
        if self.stream is not None:
            content["stream"] = self.stream.to_json()
        return {"checksum": sha256(dumps(content)), **content}

    @classmethod
    def from_json(cls, content: object) -> "ExportManifest":
        """Raises ModelError for another version, a missing or unknown key, a wrong type, or a changed word."""
        if not isinstance(content, dict) or content.get("export_version") != _VERSION:
            raise _bad("it is of no known version", expected=f"export_version {_VERSION}")
        own = {f.name for f in fields(cls)} - {"manifest", *({"stream"} - content.keys())}
        named = own | {"checksum", "export_version", "input", "task", "classes", "thresholds", "holds_training_data"}
        content = as_object(content, named, "the manifest of an export")
        parent = as_object(content["parent"], {"digest", "manifest"}, "parent")
        if not all(isinstance(content[name], dict) for name in ("metrics", "files", "gate", "versions")):
            raise _bad("metrics, files, gate or versions is not an object")
        if not isinstance(content["outputs"], list):
            raise _bad("outputs is not a list")
        made = cls(
            parent=parent["digest"],
            manifest=Manifest.from_json(parent["manifest"]),
            precision=content["precision"],
            opset=content["opset"],
            outputs=tuple(content["outputs"]),
            metrics={name: as_figure(name, value) for name, value in content["metrics"].items()},
            gate=content["gate"],
            versions=content["versions"],
            created=content["created"],
            files={name: as_record(name, value) for name, value in content["files"].items()},
            stream=StepForm.from_json(content["stream"]) if "stream" in content else None,
        )
        if made.to_json() != content:
            raise _bad("its checksum is not that of its content")
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was read: the graph's bytes, the digests of the images its parent has seen, and that of its manifest (hex).

    ``signed_by`` is the fingerprint of the trusted key that signed it; None where none was asked for.
    """

    path: Path
    own: ExportManifest
    content: bytes
    seen: Mapping[str, Tensor]
    digest: str
    signed_by: str | None = None

    @property
    def manifest(self) -> Manifest:
        """The parent's."""
        return self.own.manifest


def check_free(path: Path, run: str) -> None:
    """Raises UsageError where an export to ``path`` would take a file's place, spoil a bundle, or is no ``.onnx``.

    A ``run.py`` of the words ``run`` may be there. Raises ResourceError where the folder cannot be written to.
    """
    if path.suffix != SUFFIX or not path.name.isprintable():
        raise UsageError(f"an export to {path.name!r}", expected=f"a plain name that ends in {SUFFIX}")
    check_outside(path)
    for name in (path.name, f"{path.name}.json", f"{path.name}.seen", f"{path.name}.sig"):
        file = path.with_name(name)
        if file.exists() or file.is_symlink():
            raise UsageError(f"{file} exists already", hint="choose another name with -o, or remove it first")
    beside = path.with_name(RUN)
    if beside.is_symlink() or (beside.exists() and (not beside.is_file() or beside.read_bytes() != run.encode())):
        raise UsageError(f"{beside} exists already, and is another", hint="choose another folder with -o")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ResourceError(f"cannot write {path}: {above} is no folder to write to", hint="choose another with -o")


def write_exported(path: Path, own: ExportManifest, graph: bytes, seen: Mapping[str, Tensor], run: str) -> None:
    """Write all files of an export, the manifest last; where one cannot be written, none is left behind.

    ``own.files`` is filled in. Raises UsageError where one of them exists (a ``run.py`` of the same words may),
    ResourceError where one cannot be written.
    """
    check_free(path, run)
    contents = {path.name: graph, f"{path.name}.seen": tensor_bytes(seen), RUN: run.encode()}
    beside = path.with_name(RUN)
    records = {name: FileRecord(sha256=sha256(content), size=len(content)) for name, content in contents.items()}
    contents[f"{path.name}.json"] = dumps(replace(own, files=records).to_json())
    ExportManifest.from_json(loads(contents[f"{path.name}.json"]))  # never write what would not be read
    begun: list[Path] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if name != RUN or not beside.exists():
                begun.append(path.with_name(name))
                write_bytes(begun[-1], content)
    except BaseException as error:
        for file in begun:
            file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise as_resource_error(error, path) from error
        raise


def read_exported(path: Path, trusted: Keys | None = None) -> Exported:
    """Read an exported file, checking each hash on the very bytes that are then parsed.

    Where there are ``trusted`` keys (None: those of VISTO_TRUSTED_KEYS), one of them must have signed all four files;
    that is found out before any of them is parsed. Raises ModelError, ResourceError; UsageError as ``read_bundle``.
    """
    keys = trusted_keys() if trusted is None else trusted
    sealed = sealed_export(path)
    return _read(sealed, trusted_seal(sealed, keys))


def read_own_exported(path: Path) -> Exported:
    """Read what was just written, or what is to be signed: without a signature. Raises as ``read_exported`` does."""
    return _read(sealed_export(path), None)


def _read(sealed: Sealed, seal: Seal | None) -> Exported:
    content = read_signed(sealed, sealed.manifest, limit=MANIFEST_LIMIT, seal=seal)
    own = ExportManifest.from_json(loads(content, what=str(sealed.root / sealed.manifest), hint=_AGAIN))
    expected = sealed.names - {sealed.manifest}
    if own.files.keys() != expected:
        raise ModelError(
            f"{sealed.root / sealed.manifest} speaks of {', '.join(sorted(own.files))}",
            expected=", ".join(sorted(expected)),
            hint="give the files the names back that they were written with, or export it again",
        )
    contents = {name: _checked(sealed, name, record, seal) for name, record in own.files.items()}
    path = sealed.path
    seen = tensors_of(contents[f"{path.name}.seen"], path.with_name(f"{path.name}.seen"))
    check_seen(seen)
    signed_by = seal.key if seal is not None else None
    graph = contents[path.name]
    return Exported(path=path, own=own, content=graph, seen=seen, digest=sha256(content), signed_by=signed_by)


def _input(stream: StepForm | None) -> dict[str, Any]:
    """What the graph takes, beside a state."""
    if stream is not None and stream.features:
        return {"name": STEP, "type": "float32", "shape": [1, stream.features]}
    many = "n" if stream is None else 1
    return {"name": IMAGES, "type": "uint8", "shape": [many, "height", "width", 3], "colours": "RGB"}


def _checked(sealed: Sealed, name: str, record: FileRecord, seal: Seal | None) -> bytes:
    content = read_signed(sealed, name, limit=record.size, seal=seal)
    if len(content) != record.size or sha256(content) != record.sha256:
        words = f"{sealed.root / name} was changed: its SHA-256 is not the manifest's"
        raise ModelError(words, expected=record.sha256, hint=_AGAIN)
    return content


def _bad(message: str, expected: str = "") -> ModelError:
    return ModelError(f"the manifest of an export is not valid: {message}", expected=expected, hint=_AGAIN)
