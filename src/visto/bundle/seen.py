"""Which images a model has seen: sorted content digests, so that no image is ever judged that was learnt from.

A digest is 16 bytes (128 bits), a row of an uint8 tensor N×16. Two images of a million share one by chance once in
10²⁶.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visto.errors import ModelError

SPLIT_NAMES = ("train", "validation")
DIGEST_BYTES = 16

_Words = np.ndarray[Any, np.dtype[np.uint64]]


def _words(digests: Tensor) -> _Words:
    """N×16 bytes as N×2 big-endian numbers, whose order is that of the bytes."""
    if digests.dtype != torch.uint8 or digests.ndim != 2 or digests.shape[1] != DIGEST_BYTES:
        raise ModelError(
            f"content digests of {digests.dtype} {tuple(digests.shape)}", expected=f"uint8 N×{DIGEST_BYTES}"
        )
    content = np.ascontiguousarray(digests.detach().cpu().numpy())
    return content.reshape(-1).view(">u8").astype(np.uint64).reshape(-1, 2)


def _rises(words: _Words) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether each row stands before the next: N−1 booleans."""
    high, low = words[:, 0], words[:, 1]
    rises: np.ndarray[Any, np.dtype[np.bool_]] = high[:-1] < high[1:]
    rises |= (high[:-1] == high[1:]) & (low[:-1] < low[1:])
    return rises


def sorted_digests(digests: Tensor) -> Tensor:
    """The distinct digests in ascending order of bytes: N×16 to M×16. Raises ModelError for another shape or type."""
    words = _words(digests)
    order = np.lexsort((words[:, 1], words[:, 0]))
    keep = np.concatenate([np.ones(min(len(order), 1), dtype=np.bool_), _rises(words[order])])
    return digests.detach().cpu()[torch.from_numpy(order[keep])]


def check_seen(seen: Mapping[str, Tensor]) -> None:
    """Raise ModelError unless it holds sorted, distinct digests under "train" and "validation", and no more."""
    if set(seen) != set(SPLIT_NAMES):
        raise ModelError(f"content digests of {sorted(seen)}", expected=f"those of {list(SPLIT_NAMES)}")
    if not all(bool(_rises(_words(digests)).all()) for digests in seen.values()):
        raise ModelError("the content digests are not sorted and distinct", hint="get the bundle again")


def seen_before(digests: Tensor, seen: Tensor) -> Tensor:
    """Which of N digests (N×16) are among the ``seen`` (M×16): N booleans."""
    kind = np.dtype([("high", np.uint64), ("low", np.uint64)])
    asked, known = _words(digests), _words(seen)
    # halves that are alike are rare, and found three times as fast as wholes
    found = np.isin(asked[:, 0], known[:, 0])
    known = known[np.isin(known[:, 0], asked[:, 0])]
    found[found] = np.isin(asked[found].view(kind), known.view(kind)).reshape(-1)
    return torch.from_numpy(found)
