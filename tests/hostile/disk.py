"""Disks with known bytes: noise, text that deflates well, and zeros."""

import random

SECTOR = 512


def noise(length: int, seed: int) -> bytes:
    """Bytes that do not repeat, the same ones for the same seed."""
    return random.Random(seed).randbytes(length)


def disk(length: int, *pieces: tuple[int, int]) -> bytes:
    """Zeros, but for these pieces of noise: offset and length."""
    content = bytearray(length)
    for seed, (offset, size) in enumerate(pieces):
        content[offset : offset + size] = noise(size, seed)
    return bytes(content)


# Not a whole number of grains, two grain tables of 128 entries, and zeros in between: a noisy grain, one of text, one
# that is half zeros, some in the second table, and the last one.
BROAD = bytearray(
    disk((9 << 20) + 77 * SECTOR, (0, 65536), (131072, 32768), (130 * 65536, 65536), (9 << 20, 77 * SECTOR))
)
BROAD[65536:131072] = b"landfall" * 8192
BROAD = bytes(BROAD)

# For packages and streams: a few grains.
SMALL = bytearray(disk(5 * 65536 + 11 * SECTOR, (0, 65536), (196608, 1000), (5 * 65536, 11 * SECTOR)))
SMALL[65536:131072] = b"landfall" * 8192
SMALL = bytes(SMALL)
