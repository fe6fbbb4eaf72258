"""One random stream per purpose, so that a new draw in one place never moves the draws in another."""

import hashlib

import numpy as np


def seed_of(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the purpose that ``names`` spell, the same on every machine and Python version."""
    text = "\x1f".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """An independent NumPy generator for the purpose that ``names`` spell: ``stream(0, "labels", frame.id)``."""
    return np.random.Generator(np.random.PCG64(seed_of(seed, *names)))
