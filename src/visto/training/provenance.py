"""What a bundle says of where it comes from."""

import platform
from importlib.metadata import version
from typing import Any

import torch

from visto.data.dataset import Dataset
from visto.data.ledger import counts
from visto.training.prepare import Prepared


def described(dataset: Dataset, prepared: Prepared, split_seed: int) -> dict[str, Any]:
    """The training data: name, fingerprint, counts and how it was split, nothing of its content."""
    return {
        "name": dataset.name,
        "format": dataset.format,
        "fingerprint": prepared.fingerprint,
        "train": len(prepared.train.items),
        "validation": len(prepared.validation.items),
        "ledger": counts(prepared.ledger),
        "split_seed": split_seed,
        **({"group_by": dataset.grouped_by} if dataset.grouped_by else {}),
    }


def versions() -> dict[str, str]:
    """Of what made the bundle."""
    return {"visto": version("visto"), "torch": torch.__version__, "python": platform.python_version()}
