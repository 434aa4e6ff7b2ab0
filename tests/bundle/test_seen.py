"""Digests are sorted as bytes, and membership is exact."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from visto.bundle import seen_before, sorted_digests

# few distinct bytes at both ends, so that doubles and close pairs come up
DIGESTS = st.lists(st.tuples(st.sampled_from(b"\x00\x7f\x80\xff"), st.sampled_from(b"\x00\x01\xff")), max_size=20)


def _tensor(pairs: list[tuple[int, int]]) -> torch.Tensor:
    rows = [[first, *[5] * 14, last] for first, last in pairs]
    return torch.tensor(rows, dtype=torch.uint8).reshape(-1, 16)


@given(pairs=DIGESTS)
def test_sorted_as_bytes_without_doubles(pairs: list[tuple[int, int]]) -> None:
    assert [bytes(row) for row in sorted_digests(_tensor(pairs)).tolist()] == sorted(
        {bytes(row) for row in _tensor(pairs).tolist()}
    )


@given(asked=DIGESTS, known=DIGESTS)
def test_seen_before_is_membership(asked: list[tuple[int, int]], known: list[tuple[int, int]]) -> None:
    found = seen_before(_tensor(asked), sorted_digests(_tensor(known)))
    assert found.tolist() == [pair in known for pair in asked]
