"""No tamper of a signed model is accepted; ``python -m bench.tamper`` tries more of them."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.bundle.signed_models import Case, accepted, bundle_case, export_case
from tests.bundle.tampers import ANY, BUNDLE, tampered

KINDS = [*((bundle_case, kind) for kind in BUNDLE), *((export_case, kind) for kind in ANY)]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[Callable[[Path], Case], Case]:
    return {make: make(tmp_path_factory.mktemp(make.__name__)) for make in (bundle_case, export_case)}


@pytest.mark.parametrize(("make", "kind"), KINDS, ids=lambda value: getattr(value, "__name__", value))
def test_no_tamper_is_accepted(
    tmp_path: Path, cases: dict[Callable[[Path], Case], Case], make: Callable[[Path], Case], kind: str
) -> None:
    case, random = cases[make], Random(kind)
    for number in range(8):
        content = tampered(random, case, kind)
        assert not accepted(content, case, tmp_path / str(number))


@pytest.mark.parametrize("make", [bundle_case, export_case])
def test_what_was_not_touched_is_accepted(
    tmp_path: Path, cases: dict[Callable[[Path], Case], Case], make: Callable[[Path], Case]
) -> None:
    case = cases[make]
    looks = ["verified"] if case.path else ["verified", "read_bundle"]
    assert accepted(case.good, case, tmp_path / "good") == looks
    # a signature alone does not say which of two models is the later
    assert accepted(case.older, case, tmp_path / "older") == looks
    assert not accepted(case.strangers, case, tmp_path / "strangers")


def test_beside_an_exported_file_anything_may_lie(tmp_path: Path, cases: dict[Callable[[Path], Case], Case]) -> None:
    case = cases[export_case]
    assert accepted({**case.good, "dogs.onnx": b"other", "notes.txt": b""}, case, tmp_path) == ["verified"]


@pytest.mark.parametrize("make", [bundle_case, export_case])
def test_every_byte_of_the_signature_counts(
    tmp_path: Path, cases: dict[Callable[[Path], Case], Case], make: Callable[[Path], Case]
) -> None:
    case = cases[make]
    signature = case.good[case.signature]
    for position in range(0, len(signature), 7):
        changed = bytearray(signature)
        changed[position] ^= 1 << (position % 8)
        content = {**case.good, case.signature: bytes(changed)}
        assert not accepted(content, case, tmp_path / str(position)), position
