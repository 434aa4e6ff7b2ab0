"""Randomness as a function of (seed, stream, number): a resumed run draws what the unbroken one would have drawn."""

import hashlib

import torch
from torch import Generator


def seed_of(seed: int, stream: str, number: int) -> int:
    """A 63-bit seed, well mixed, for one step (or epoch, or image) of one stream of random numbers."""
    digest = hashlib.blake2b(f"{seed}/{stream}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, stream: str, number: int) -> Generator:
    """A generator seeded for one step of one stream."""
    return torch.Generator().manual_seed(seed_of(seed, stream, number))


def reseed(seed: int, stream: str, number: int) -> None:
    """Seed torch's global generators, which dropout and initialisation draw from.

    As torch.manual_seed does, which takes up to half a millisecond to look for devices that Visto does not use.
    """
    number = seed_of(seed, stream, number)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(number)
