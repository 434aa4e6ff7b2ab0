"""What one signature covers: a bundle folder with all its files, or an exported file with the three beside it."""

import os
from dataclasses import dataclass
from pathlib import Path

from visto.bundle.plain_files import AGAIN, unreadable
from visto.errors import ModelError, UsageError

SUFFIX = ".onnx"  # of an exported file
MANIFEST, DIGEST, WEIGHTS, SEEN, SIGNATURE = (
    "manifest.json",
    "manifest.sha256",
    "weights.safetensors",
    "data.safetensors",
    "model.sig",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Plain files by their ``names`` in the folder ``root``, and the path of the signature, which need not exist.

    ``path`` is what the user calls it. The hash of the file ``manifest`` is the digest of the whole.
    """

    path: Path
    root: Path
    names: frozenset[str]
    manifest: str
    signature: Path


def check_outside(path: Path) -> None:
    """Raises UsageError where ``path`` would lie inside a bundle: whatever is put there spoils it.

    To be asked before the long work.
    """
    above = Path(os.path.realpath(path.parent))
    for folder in (above, *above.parents):
        if all(os.path.isfile(folder / name) for name in (MANIFEST, DIGEST)):
            words = f"{path} would lie inside the bundle {folder.name}"
            raise UsageError(
                words, expected="a place outside, for a bundle holds nothing else", hint="such as beside it"
            )


def sealed_at(path: Path) -> Sealed:
    """A file ``X.onnx`` was exported, a folder is a bundle. Raises ModelError where it is neither, ResourceError."""
    return sealed_export(path) if is_export(path) else sealed_bundle(path)


def is_export(path: Path) -> bool:
    """Whether it is called as exported files are; a folder of such a name is a bundle all the same."""
    return path.suffix == SUFFIX and not os.path.isdir(path)


def sealed_bundle(path: Path) -> Sealed:
    """All that lies in a bundle's folder but the signature. Raises ModelError where it is no bundle, ResourceError."""
    names = _listing(path) - {SIGNATURE}
    return Sealed(path=path, root=path, names=names, manifest=MANIFEST, signature=path / SIGNATURE)


def sealed_export(path: Path) -> Sealed:
    """An exported file ``X``, ``X.json``, ``X.seen`` and ``run.py``; the signature is ``X.sig``.

    Whatever else lies there is left out of it. Raises ModelError where one of the four is missing, ResourceError.
    """
    names = (path.name, f"{path.name}.json", f"{path.name}.seen", "run.py")
    try:
        missing = [name for name in names if not (path.parent / name).is_file()]
    except OSError as error:
        raise unreadable(path, error) from error
    if path.name in missing:
        raise ModelError(
            f"no exported file at {path}", hint=f"check the name; visto export X.visto -o {path} makes one"
        )
    if missing:
        raise ModelError(
            f"{path} is not whole: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing beside it",
            expected=f"{', '.join(names)}, as visto export wrote them",
            hint="copy all of them, under the names that they were written with, or export it again",
        )
    return Sealed(
        path=path,
        root=path.parent,
        names=frozenset(names),
        manifest=f"{path.name}.json",
        signature=path.with_name(f"{path.name}.sig"),
    )


def _listing(path: Path) -> frozenset[str]:
    """The names in the folder, all plain files, the manifest and its digest among them."""
    try:
        if not path.exists():
            raise ModelError(f"no bundle at {path}", hint="check the name; visto train DATA -o NAME.visto makes one")
        if not path.is_dir():
            words = "the folder that visto train wrote, or X.onnx, which visto export wrote"
            raise ModelError(f"{path} is no bundle but a file", expected=words)
        with os.scandir(path) as entries:
            plain = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    except OSError as error:
        raise unreadable(path, error) from error
    if missing := [name for name in (MANIFEST, DIGEST) if name not in plain]:
        raise ModelError(f"{path} is no bundle: {missing[0]} is missing", expected="the folder that visto train wrote")
    if odd := sorted(name for name in plain if not plain[name]):
        raise ModelError(f"{path / odd[0]} is a link or a folder", expected="plain files only", hint=AGAIN)
    return frozenset(plain)
