"""A step draws what its number says, and what torch itself would draw from such a seed."""

import torch

from visto.learn.randomness import reseed, seed_of


def test_the_global_generator_is_seeded_as_by_torch() -> None:
    torch.manual_seed(seed_of(3, "dropout", 7))
    wanted = torch.rand(5)
    torch.rand(9)
    reseed(3, "dropout", 7)
    assert torch.equal(torch.rand(5), wanted)


def test_seed_stream_and_number_all_count() -> None:
    assert len({seed_of(0, "a", 0), seed_of(1, "a", 0), seed_of(0, "b", 0), seed_of(0, "a", 1)}) == 4
