"""Writes Zstandard frames of raw and repeated blocks, in which every field can be changed. RFC 8878, 3.1."""

import struct

BLOCK = 128 << 10
RAW, REPEATED, COMPRESSED, RESERVED = range(4)
MASK = 2**64 - 1
PRIMES = (11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261)


def xxh64(data: bytes) -> int:
    """The checksum of a frame's content: XXH64 with the seed 0."""
    p1, p2, p3, p4, p5 = PRIMES

    def rotated(value: int, bits: int) -> int:
        return (value << bits | value >> (64 - bits)) & MASK

    def rounded(lane: int, word: int) -> int:
        return rotated((lane + word * p2) & MASK, 31) * p1 & MASK

    at, end = 0, len(data)
    if end >= 32:
        lanes = [(p1 + p2) & MASK, p2, 0, -p1 & MASK]
        for words in struct.iter_unpack("<4Q", data[: end // 32 * 32]):
            lanes = [rounded(lane, word) for lane, word in zip(lanes, words, strict=True)]
        total = sum(rotated(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & MASK
        for lane in lanes:
            total = ((total ^ rounded(0, lane)) * p1 + p4) & MASK
        at = end // 32 * 32
    else:
        total = p5
    total = (total + end) & MASK
    while at + 8 <= end:
        total = (rotated(total ^ rounded(0, struct.unpack_from("<Q", data, at)[0]), 27) * p1 + p4) & MASK
        at += 8
    if at + 4 <= end:
        total = (rotated(total ^ struct.unpack_from("<I", data, at)[0] * p1 & MASK, 23) * p2 + p3) & MASK
        at += 4
    for byte in data[at:]:
        total = rotated(total ^ byte * p5 & MASK, 11) * p1 & MASK
    total = (total ^ total >> 33) * p2 & MASK
    total = (total ^ total >> 29) * p3 & MASK
    return total ^ total >> 32


def block(kind: int, size: int, data: bytes, *, last: bool = False) -> bytes:
    return (size << 3 | kind << 1 | last).to_bytes(3, "little") + data


def header(
    *,
    window: int | None = 0x50,
    content: int | None = None,
    checksum: bool = False,
    dictionary: int | None = None,
    reserved: int = 0,
) -> bytes:
    """Magic and frame header; without a window the content is one segment."""
    descriptor = checksum << 2 | (window is None) << 5 | reserved
    fields = b"" if window is None else bytes([window])
    if dictionary is not None:
        descriptor |= 3
        fields += struct.pack("<I", dictionary)
    if content is not None:
        descriptor |= 3 << 6
        fields += struct.pack("<Q", content)
    return struct.pack("<I", 0xFD2FB528) + bytes([descriptor]) + fields


def frame(data: bytes, *, sum_of: bytes | None = None, **fields) -> bytes:
    """All of the data, blocks of zeros repeated; with a checksum, of other data where they are given."""
    pieces = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)] or [b""]
    blocks = b""
    for nth, piece in enumerate(pieces):
        last = nth == len(pieces) - 1
        if piece and not any(piece):
            blocks += block(REPEATED, len(piece), b"\0", last=last)
        else:
            blocks += block(RAW, len(piece), piece, last=last)
    checksum = struct.pack("<Q", xxh64(data if sum_of is None else sum_of))[:4] if fields.get("checksum") else b""
    return header(**fields) + blocks + checksum


def skippable(data: bytes, size: int | None = None) -> bytes:
    return struct.pack("<II", 0x184D2A53, len(data) if size is None else size) + data
