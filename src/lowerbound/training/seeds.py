"""Seeds that are derived, not stored."""

import hashlib


def derive_seed(*numbers: int) -> int:
    """One seed below 2^63 from several numbers; other numbers give an unrelated one."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()) >> 1
