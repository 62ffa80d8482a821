"""Compressed images that are damaged, inflate without end, or want more memory than they should have."""

import bz2
import gzip
import lzma
import struct
import zlib

import zstd
from corpus import OVA, RAW, VMDK, Corpus, Terms, corrupt, limit, unsupported
from disk import SMALL, noise

END = corrupt("unexpected-end")
BAD = corrupt("bad-stream")
TRAILING = corrupt("trailing-data")
MAGIC = corrupt("bad-magic")
CHECKSUM = corrupt("checksum-mismatch")
OPTIONS = unsupported("unsupported-options")
WINDOW = limit("window-too-large")

PACK = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": lambda data: zstd.frame(data, checksum=True),
    "xz": lambda data: lzma.compress(data, preset=1),
    "bzip2": lambda data: bz2.compress(data),
}


def raw(compression: str, *limits: str, handlers: tuple[tuple[str, str], ...] = ()) -> Terms:
    return Terms(RAW | {"compression": compression}, limits=limits, handlers=handlers)


def member(
    data: bytes,
    *,
    flags: int = 0,
    method: int = 8,
    more: bytes = b"",
    crc: int | None = None,
    size: int | None = None,
) -> bytes:
    """A gzip member (RFC 1952, 2.3) with fields behind its header."""
    deflate = zlib.compressobj(6, wbits=-15)
    packed = deflate.compress(data) + deflate.flush()
    crc = zlib.crc32(data) if crc is None else crc
    size = len(data) & 0xFFFFFFFF if size is None else size
    return b"\x1f\x8b" + bytes([method, flags]) + bytes(6) + more + packed + struct.pack("<II", crc, size)


def add(corpus: Corpus) -> None:
    for compression, pack in PACK.items():
        corpus.control(f"{compression}/raw", pack(SMALL), raw(compression), SMALL)
    _damage(corpus)
    _gzip(corpus)
    _zstd(corpus)
    _xz(corpus)
    _bombs(corpus)


def _damage(corpus: Corpus) -> None:
    half = len(SMALL) // 2
    for compression, pack in PACK.items():
        whole = pack(SMALL)
        two = pack(SMALL[:half]) + pack(SMALL[half:])
        corpus.control(f"{compression}/two", two, raw(compression), SMALL)
        middle = len(whole) // 2
        # Of blocks that are as they were only the checksum tells. liblzma and libbz2 do not say what it was.
        plain = gzip.compress(SMALL, 0, mtime=0) if compression == "gzip" else whole
        changed = plain[:40_000] + bytes([plain[40_000] ^ 0x55]) + plain[40_001:]
        damaged = CHECKSUM if compression in ("gzip", "zstd") else BAD
        for name, data, expected in [
            ("empty", b"", END),
            ("cut-within-its-magic", whole[:2], END),
            ("cut-in-its-middle", whole[:middle], END),
            ("cut-before-its-last-byte", whole[:-1], END),
            ("changed-in-its-middle", changed, damaged),
            ("with-noise-behind", whole + noise(700, 4), TRAILING),
            ("with-text-behind", whole + b"more", TRAILING),
            ("with-half-another-behind", whole + whole[:middle], END),
            ("with-a-damaged-one-behind", whole + changed, damaged),
            ("not-at-all", noise(70_000, 8), MAGIC),
            ("raw", SMALL, MAGIC),
            ("by-another-program", PACK["xz" if compression == "gzip" else "gzip"](SMALL), MAGIC),
        ]:
            control = f"{compression}/two" if "behind" in name else f"{compression}/raw"
            corpus.case("compressed-damage", f"{compression}-{name}", data, raw(compression), control, expected)
    for compression, packed in (("bzip2", bz2.compress(SMALL)), ("xz", lzma.compress(SMALL, preset=1))):
        data = packed[:-6] + bytes([packed[-6] ^ 0x10]) + packed[-5:]
        name = f"{compression}-with-a-wrong-end"
        corpus.case("compressed-damage", name, data, raw(compression), f"{compression}/raw", BAD)


def _gzip(corpus: Corpus) -> None:
    name = struct.pack("<H", 4) + b"abcd"
    head = b"\x1f\x8b\x08\x02" + bytes(6)
    right = struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    fields = member(SMALL, flags=0x1C, more=name + b"disk.raw\0" + b"note\0")
    corpus.control("gzip/fields", fields, raw("gzip"), SMALL)
    corpus.control("gzip/padded", member(SMALL) + bytes(5000), raw("gzip"), SMALL)
    corpus.control("gzip/header-sum", member(SMALL, flags=2, more=right), raw("gzip"), SMALL)
    # Thousands of members without any content cost time and give nothing.
    many = member(b"") * 20_000 + member(SMALL)
    corpus.control("gzip/20000-empty-members", many, raw("gzip"), SMALL)
    for title, data, control, expected in [
        ("20000-empty-ones-and-half-another", many[:-9], "gzip/20000-empty-members", END),
        ("wrong-checksum", member(SMALL, crc=1), "gzip/raw", CHECKSUM),
        ("wrong-size", member(SMALL, size=len(SMALL) + 1), "gzip/raw", CHECKSUM),
        ("size-of-nothing", member(SMALL, size=0), "gzip/raw", CHECKSUM),
        ("wrong-checksum-of-its-header", member(SMALL, flags=2, more=b"xx"), "gzip/header-sum", CHECKSUM),
        ("reserved-flag", member(SMALL, flags=0x20), "gzip/raw", BAD),
        ("unknown-method", member(SMALL, method=7), "gzip/raw", BAD),
        ("name-without-an-end", member(SMALL, flags=8)[:10] + b"n" * 100_000, "gzip/fields", END),
        ("extra-field-beyond-the-end", b"\x1f\x8b\x08\x04" + bytes(6) + b"\xff\xff" + b"x" * 100, "gzip/fields", END),
        ("padding-with-something-behind", member(SMALL) + bytes(5000) + b"x", "gzip/padded", TRAILING),
        ("a-member-behind-padding", member(SMALL) + bytes(512) + member(SMALL), "gzip/padded", TRAILING),
        ("distance-beyond-the-start", b"\x1f\x8b\x08\0" + bytes(6) + b"\x63\0\x06\x33\0" + bytes(20), "gzip/raw", BAD),
        ("block-of-a-reserved-kind", b"\x1f\x8b\x08\0" + bytes(6) + b"\x07" + bytes(20), "gzip/raw", BAD),
    ]:
        corpus.case("compressed-damage", f"gzip-{title}", data, raw("gzip"), control, expected)
    # The mark of a VDI, and of an ISO image, in a field that means nothing.
    for title, place, mark in [("vdi", 0x40, struct.pack("<I", 0xBEDA107F)), ("iso", 32769, b"CD001")]:
        extra = bytearray(40_000)
        extra[place - 12 : place - 12 + len(mark)] = mark
        data = member(SMALL, flags=4, more=struct.pack("<H", len(extra)) + bytes(extra))
        expected = corrupt("compression-mismatch")
        corpus.case("polyglot", f"gzip-and-{title}", data, raw("gzip"), "gzip/fields", expected)


def _zstd(corpus: Corpus) -> None:
    terms = raw("zstd")
    skipped = zstd.skippable(b"note") + zstd.frame(SMALL) + zstd.skippable(b"")
    corpus.control("zstd/skippable", skipped, terms, SMALL)
    largest = zstd.frame(SMALL, window=(27 - 10) << 3)
    large = zstd.block(zstd.RAW, 1 << 20, bytes(1 << 20), last=True)
    no_code = zstd.block(zstd.COMPRESSED, 300, noise(300, 2), last=True)
    later = zstd.frame(SMALL) + zstd.frame(SMALL, dictionary=2**32 - 1)
    corpus.control("zstd/largest-window", largest, terms, SMALL)
    for title, data, control, expected in [
        ("wrong-checksum", zstd.frame(SMALL, checksum=True, sum_of=b""), "zstd/raw", CHECKSUM),
        ("without-its-checksum", zstd.frame(SMALL, checksum=True)[:-4], "zstd/raw", END),
        ("content-of-less", zstd.frame(SMALL, content=len(SMALL) + 1), "zstd/raw", BAD),
        ("content-of-more", zstd.frame(SMALL, content=len(SMALL) - 1), "zstd/raw", BAD),
        ("reserved-bit", zstd.frame(SMALL, reserved=8), "zstd/raw", BAD),
        ("reserved-block", zstd.header() + zstd.block(zstd.RESERVED, 10, bytes(10), last=True), "zstd/raw", BAD),
        ("block-larger-than-all", zstd.header() + large, "zstd/raw", BAD),
        ("block-that-is-no-code", zstd.header() + no_code, "zstd/raw", BAD),
        ("skippable-alone", zstd.skippable(b"note"), "zstd/skippable", corrupt("compression-mismatch")),
        ("skippable-beyond-the-end", zstd.frame(SMALL) + zstd.skippable(b"x", 2**32 - 1), "zstd/skippable", END),
        ("of-version-0.7", struct.pack("<I", 0xFD2FB527) + zstd.frame(SMALL)[4:], "zstd/raw", MAGIC),
    ]:
        corpus.case("compressed-damage", f"zstd-{title}", data, terms, control, expected)
    dictionary = unsupported("dictionary")
    for title, data, control, expected in [
        ("window-of-256-mib", zstd.frame(SMALL, window=(28 - 10) << 3), "zstd/largest-window", WINDOW),
        ("window-just-too-large", zstd.frame(SMALL, window=(27 - 10) << 3 | 1), "zstd/largest-window", WINDOW),
        ("window-of-2-gib", zstd.frame(SMALL, window=(31 - 10) << 3), "zstd/largest-window", WINDOW),
        ("largest-window", zstd.frame(SMALL, window=0xFF), "zstd/largest-window", WINDOW),
        ("window-of-a-later-frame", zstd.frame(SMALL) + zstd.frame(SMALL, window=0xFF), "zstd/largest-window", WINDOW),
        ("one-segment-of-2-63", zstd.frame(SMALL, window=None, content=1 << 63), "zstd/raw", WINDOW),
        ("one-segment-of-1-gib", zstd.frame(SMALL, window=None, content=1 << 30), "zstd/raw", WINDOW),
        ("dictionary", zstd.frame(SMALL, dictionary=7), "zstd/raw", dictionary),
        ("dictionary-of-a-later-frame", later, "zstd/raw", dictionary),
    ]:
        corpus.case("compressed-window", f"zstd-{title}", data, terms, control, expected)
    marked = bytearray(100)
    marked[0x40 - 8 : 0x44 - 8] = struct.pack("<I", 0xBEDA107F)
    data = zstd.skippable(bytes(marked)) + zstd.frame(SMALL)
    corpus.case("polyglot", "zstd-and-vdi", data, terms, "zstd/skippable", corrupt("compression-mismatch"))


def _xz(corpus: Corpus) -> None:
    terms = raw("xz")
    whole = lzma.compress(SMALL, preset=1)
    padded = whole + bytes(8) + lzma.compress(SMALL, preset=1)
    corpus.control("xz/padding", padded, terms, SMALL + SMALL)
    # The .xz File Format, 3.1: size, flags, one filter with its dictionary, padding, CRC-32.
    assert whole[12:16] == b"\x02\x00\x21\x01"

    def block(header: bytes) -> bytes:
        return whole[:12] + header + struct.pack("<I", zlib.crc32(header)) + whole[24:]

    def dictionary(size: int) -> bytes:
        return block(b"\x02\x00\x21\x01" + bytes([size, 0, 0, 0]))

    def stream(flags: bytes) -> bytes:
        return whole[:6] + flags + struct.pack("<I", zlib.crc32(flags)) + whole[12:]

    # Sizes of 2^62 in front of the block, as several threads would set memory aside for.
    number = b"\xff" * 8 + b"\x3f"
    huge = b"\x06\xc0" + number + number + b"\x21\x01\x16" + bytes(3)
    huge += bytes(-len(huge) % 4)
    lying = bytes([len(huge) // 4]) + huge[1:]
    for title, data, control, expected in [
        ("dictionary-of-4-gib", dictionary(40), "xz/raw", WINDOW),
        ("dictionary-of-128-mib", dictionary(30), "xz/raw", WINDOW),
        ("dictionary-larger-than-all", dictionary(41), "xz/raw", OPTIONS),
        ("unknown-filter", block(b"\x02\x00\x7f\x01\x16\0\0\0"), "xz/raw", OPTIONS),
        ("two-filters-less-than-it-says", block(b"\x02\x01\x21\x01\x16\0\0\0"), "xz/raw", OPTIONS),
        ("reserved-flag-of-a-block", block(b"\x02\x10\x21\x01\x16\0\0\0"), "xz/raw", OPTIONS),
        ("unknown-check", stream(b"\0\x02"), "xz/raw", OPTIONS),
        ("reserved-flag", stream(b"\x01\x04"), "xz/raw", OPTIONS),
        ("block-of-2-62", block(lying), "xz/raw", BAD),
    ]:
        corpus.case("compressed-window", f"xz-{title}", data, terms, control, expected)
    for title, data, control, expected in [
        ("wrong-checksum-of-its-header", whole[:8] + b"xxxx" + whole[12:], "xz/raw", BAD),
        ("wrong-checksum-of-a-block-header", whole[:20] + b"xxxx" + whole[24:], "xz/raw", BAD),
        ("check-of-another-kind", stream(b"\0\x01"), "xz/raw", BAD),
        ("padding-of-3-bytes", whole + bytes(3), "xz/padding", TRAILING),
        ("stream-behind-padding-of-6-bytes", whole + bytes(6) + whole, "xz/padding", TRAILING),
        ("padding-in-front", bytes(4) + whole, "xz/padding", MAGIC),
        ("lzma-of-old", lzma.compress(SMALL, format=lzma.FORMAT_ALONE), "xz/raw", MAGIC),
        ("without-its-index", whole[:-28] + whole[-12:], "xz/raw", BAD),
    ]:
        corpus.case("compressed-damage", f"xz-{title}", data, terms, control, expected)


def _bombs(corpus: Corpus) -> None:
    zeros = bytes(16 << 20)
    repeated = zstd.block(zstd.REPEATED, zstd.BLOCK, b"\0")
    bombs = {
        # Each of 8 GiB.
        "gzip": gzip.compress(zeros, 9, mtime=0) * 512,
        "zstd": zstd.header() + repeated * (1 << 16) + zstd.block(zstd.RAW, 0, b"", last=True),
        "xz": lzma.compress(zeros, preset=1) * 512,
        "bzip2": bz2.compress(zeros) * 512,
    }
    too_much = limit("disk-bytes")
    for compression, bomb in bombs.items():
        small = raw(compression, 'disk_bytes = "64MiB"')
        control = f"{compression}/raw"
        corpus.case("compressed-bomb", f"{compression}-of-8-gib", bomb, small, control, too_much)
        one = PACK[compression](zeros + b"x")
        name = f"{compression}-of-a-byte-too-many"
        corpus.case("compressed-bomb", name, one, raw(compression, 'disk_bytes = "16MiB"'), control, too_much)
    wide = zstd.header(window=(29 - 10) << 3) + repeated * 2560 + zstd.block(zstd.RAW, 0, b"", last=True)
    corpus.heavy(wide, raw("zstd", handlers=(("zstd", f"window_bytes = {1 << 29}"),)))
    # What is no VMDK, and no package, is known to be none from its first bytes on; to inflate the rest would take minutes.
    endless = zstd.header() + repeated * (1 << 22) + zstd.block(zstd.RAW, 0, b"", last=True)
    for form, record, control, expected in [
        ("vmdk", VMDK, "gzip/vmdk", corrupt("vmdk-magic")),
        ("ova", OVA, "ova/gzip", corrupt("tar-trailing-data")),
    ]:
        terms = Terms(record | {"compression": "zstd"}, limits=('disk_bytes = "1TiB"',))
        corpus.case("compressed-bomb", f"zstd-of-512-gib-as-{form}", endless, terms, control, expected)
