"""The images of a folder without labels, for prediction."""

from pathlib import Path

from visto.data.dataset import Item
from visto.data.ledger import Entry
from visto.data.walk import readable, walk
from visto.errors import DataError


def list_images(path: Path) -> tuple[tuple[Item, ...], tuple[Entry, ...]]:
    """The images below a folder (or the one file named), without target, and what was passed over with the reason.

    A file named itself is taken whatever its extension. Raises DataError where ``path`` does not exist.
    """
    if path.is_dir():
        walked = walk(path)
        return tuple(Item(id=found.id, source=found.path) for found in walked.images), tuple(walked.rejected)
    if not path.exists():
        raise DataError(f"{readable(str(path))} does not exist", expected="an image or a folder of images")
    return (Item(id=path.name, source=path),), ()
