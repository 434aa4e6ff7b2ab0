"""A small bundle to read, change and break."""

from pathlib import Path

import pytest
import torch

from visto.bundle import Manifest, write_bundle, write_key
from visto.spec import Spec
from visto.types import Figure


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        task="classification",
        classes=("cat", "Käfer"),
        model=Spec(name="small", arguments={"classes": 2, "widths": [8, 16]}),
        preprocess=Spec(name="plain", arguments={"size": 32}),
        head={"temperature": 1.25},
        recipe={"epochs": 3, "lr": 0.1, "from": None},
        data={"name": "photos", "fingerprint": "ab" * 32, "train": 8, "validation": 2},
        metrics={"accuracy": Figure(value=0.9, low=0.6, high=0.98), "f1": Figure(value=1.0)},
        holds_training_data=False,
        versions={"visto": "0.1.0", "torch": "2.13.0", "python": "3.11.7"},
        created="2025-01-31T12:00:00+00:00",
    )


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tied = torch.randn(3, 4, generator=generator)
    return {
        "first.weight": tied,
        "last.weight": tied,  # shares memory
        "turned": tied.T,  # not contiguous
        "steps": torch.tensor(7),
        "mask": torch.tensor([0.0, -torch.inf]),
        "half": tied.half(),
        "none": torch.zeros(0, 5),
    }


@pytest.fixture
def seen() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "train": torch.randint(0, 256, (8, 16), generator=generator, dtype=torch.uint8),
        "validation": torch.zeros(0, 16, dtype=torch.uint8),
    }


@pytest.fixture
def bundle_path(
    tmp_path: Path, manifest: Manifest, weights: dict[str, torch.Tensor], seen: dict[str, torch.Tensor]
) -> Path:
    return write_bundle(tmp_path / "cats.visto", manifest, weights, seen)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    write_key(tmp_path / "my.key")
    return tmp_path / "my.key"
