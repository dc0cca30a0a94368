"""Seeds that are derived, not stored: of the seed of a run, a stream, and where in it one is."""

import hashlib

ORDER_STREAM = 0
"""The stream that the order of the examples in an epoch is drawn from."""

NOISE_STREAM = 1
"""The stream that the noise of a step is drawn from."""

VALIDATION_STREAM = 2
"""The stream of every measurement of the validation split, which makes epochs comparable."""


def derive_seed(*numbers: int) -> int:
    """Derives one seed below 2^63 from several numbers. Other numbers give an unrelated seed."""
    text = repr(numbers).encode()
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(digest) >> 1
