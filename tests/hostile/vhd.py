"""VHDs and VDIs whose headers name parents or differ. Microsoft, "Virtual Hard Disk Image Format Specification",
big-endian; VirtualBox's VDI header as QEMU's block/vdi reads it, little-endian."""

import struct

from corpus import RAW, Corpus, Terms, as_is, corrupt
from disk import SMALL

FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4
FOOTER_FIELDS = {
    "cookie": (0x00, ">8s"),
    "features": (0x08, ">I"),
    "version": (0x0C, ">I"),
    "data_offset": (0x10, ">Q"),
    "original_size": (0x28, ">Q"),
    "current_size": (0x30, ">Q"),
    "cylinders": (0x38, ">H"),
    "heads": (0x3A, ">B"),
    "sectors": (0x3B, ">B"),
    "kind": (0x3C, ">I"),
    "id": (0x44, ">16s"),
    "saved_state": (0x54, ">B"),
}
BLOCK = 2 << 20


def footer(size: int, disk_type: int, **fields) -> bytes:
    data = bytearray(512)
    values = {
        "cookie": b"conectix",
        "features": 2,
        "version": 0x10000,
        "data_offset": 512 if disk_type != FIXED else 2**64 - 1,
        "original_size": size,
        "current_size": size,
        "cylinders": 8,
        "heads": 4,
        "sectors": 17,
        "kind": disk_type,
        "id": bytes(range(16)),
    }
    for name, value in (values | fields).items():
        offset, form = FOOTER_FIELDS[name]
        struct.pack_into(form, data, offset, value)
    struct.pack_into(">I", data, 0x40, ~sum(data) & 0xFFFFFFFF)
    return bytes(data)


def dynamic_header(blocks: int, *, cookie: bytes = b"cxsparse", parent: bytes = b"", locator: bytes = b"") -> bytes:
    data = bytearray(1024)
    struct.pack_into(">8sQQIII", data, 0, cookie, 2**64 - 1, 1536, 0x10000, blocks, BLOCK)
    data[0x28:0x38] = parent.ljust(16, b"\0")
    data[0x240 : 0x240 + len(locator)] = locator
    struct.pack_into(">I", data, 0x24, ~sum(data) & 0xFFFFFFFF)
    return bytes(data)


def dynamic(disk: bytes, *, copy: dict | None = None, end: dict | None = None, **header) -> bytes:
    """Copy of the footer, header, table, blocks behind bitmaps of a sector, footer."""
    blocks = -(-len(disk) // BLOCK)
    table, data = bytearray(b"\xff" * 512), bytearray()
    for number in range(blocks):
        struct.pack_into(">I", table, 4 * number, (2048 + len(data)) // 512)
        data += b"\xff" * 512 + disk[number * BLOCK : (number + 1) * BLOCK].ljust(BLOCK, b"\0")
    first = footer(len(disk), DYNAMIC, **(copy or {}))
    last = footer(len(disk), DYNAMIC, **(end or {}))
    return first + dynamic_header(blocks, **header) + bytes(table) + bytes(data) + last


def vdi(disk: bytes, *pokes: tuple[int, bytes]) -> bytes:
    """A static image: header, block map, data."""
    blocks = -(-len(disk) // (1 << 20))
    header = bytearray(1 << 20)
    header[:40] = b"<<< Oracle VM VirtualBox Disk Image >>>\n"
    struct.pack_into("<IIIII", header, 0x40, 0xBEDA107F, 0x00010001, 0x190, 2, 0)
    struct.pack_into("<II", header, 0x154, 512, 1 << 20)
    struct.pack_into("<IIIIIQIIII", header, 0x15C, 0, 0, 0, 512, 0, len(disk), 1 << 20, 0, blocks, blocks)
    header[0x188:0x198] = bytes(range(1, 17))
    for number in range(blocks):
        struct.pack_into("<I", header, 512 + 4 * number, number)
    for offset, data in pokes:
        header[offset : offset + len(data)] = data
    return bytes(header) + disk.ljust(blocks << 20, b"\0")


REFERENCE = corrupt("format-reference")
HEADER = corrupt("format-header")
VARIANT = corrupt("format-variant")
MISMATCH = corrupt("format-mismatch")


def add(corpus: Corpus) -> None:
    _vhds(corpus)
    _vdis(corpus)


def _vhds(corpus: Corpus) -> None:
    terms = Terms(as_is("vhd"), as_is=True)
    size = len(SMALL)
    corpus.control("vhd/fixed", SMALL + footer(size, FIXED), terms)
    corpus.control("vhd/dynamic", dynamic(SMALL), terms)
    both = {"kind": DIFFERENCING}
    beyond, last = {"data_offset": 2**63}, {"data_offset": 2**64 - 512}
    for name, data, expected in [
        ("differencing", dynamic(SMALL, copy=both, end=both), REFERENCE),
        ("differencing-by-its-footer-alone", dynamic(SMALL, end=both), REFERENCE),
        ("differencing-by-the-copy-alone", dynamic(SMALL, copy=both), REFERENCE),
        ("parent-id", dynamic(SMALL, parent=bytes(range(16))), REFERENCE),
        ("parent-locator", dynamic(SMALL, locator=b"W2ru" + bytes(4) + struct.pack(">IIQ", 64, 0, 4096)), REFERENCE),
        ("of-an-unknown-kind", dynamic(SMALL, copy={"kind": 7}, end={"kind": 7}), HEADER),
        ("fixed-with-a-copy-in-front", dynamic(SMALL, copy={"kind": FIXED}, end={"kind": FIXED}), HEADER),
        ("dynamic-without-its-copy", dynamic(SMALL)[512:], HEADER),
        ("footer-of-another-size", dynamic(SMALL, end={"current_size": size * 8}), HEADER),
        ("footer-of-another-kind", dynamic(SMALL, end={"kind": FIXED}), HEADER),
        ("footer-of-another-place", dynamic(SMALL, end={"data_offset": 1024}), HEADER),
        ("footer-of-another-geometry", dynamic(SMALL, end={"cylinders": 9}), HEADER),
        ("footer-of-another-id", dynamic(SMALL, end={"id": bytes(16)}), HEADER),
        ("header-of-another-kind", dynamic(SMALL, cookie=b"cxspars\0"), HEADER),
        ("header-beyond-the-end", dynamic(SMALL, copy=beyond, end=beyond), HEADER),
        ("header-near-2-64", dynamic(SMALL, copy=last, end=last), HEADER),
        ("disk-of-2-63", dynamic(SMALL, copy={"current_size": 2**63}, end={"current_size": 2**63}), HEADER),
        ("cut-within-the-header", dynamic(SMALL)[:300], HEADER),
        ("cut-behind-the-copy", dynamic(SMALL)[:512], HEADER),
    ]:
        corpus.case("vhd", name, data, terms, "vhd/dynamic", expected)
    for name, data, expected in [
        ("fixed-that-says-dynamic", SMALL + footer(size, DYNAMIC), HEADER),
        ("fixed-that-says-differencing", SMALL + footer(size, DIFFERENCING), REFERENCE),
        ("fixed-that-says-nothing", SMALL + footer(size, 0), HEADER),
        ("without-a-footer", SMALL, MISMATCH),
    ]:
        corpus.case("vhd", name, data, terms, "vhd/fixed", expected)
    # Nothing but its end tells it from a raw disk.
    raw = Terms(RAW)
    fixed = SMALL + footer(size, FIXED)
    for name, data in [("called-raw", fixed), ("of-511-bytes-called-raw", fixed[:-1])]:
        corpus.case("vhd", name, data, raw, "raw/small", MISMATCH)


def _vdis(corpus: Corpus) -> None:
    terms = Terms(as_is("vdi"), as_is=True)
    corpus.control("vdi/static", vdi(SMALL), terms)

    def number(value: int) -> bytes:
        return struct.pack("<I", value)

    for name, data, expected in [
        ("version-0.1", vdi(SMALL, (0x44, number(1))), VARIANT),
        ("version-2.0", vdi(SMALL, (0x44, number(0x20000))), VARIANT),
        ("header-of-no-bytes", vdi(SMALL, (0x48, number(0))), HEADER),
        ("undo", vdi(SMALL, (0x4C, number(3))), REFERENCE),
        ("differencing", vdi(SMALL, (0x4C, number(4))), REFERENCE),
        ("of-kind-0", vdi(SMALL, (0x4C, number(0))), HEADER),
        ("of-kind-9", vdi(SMALL, (0x4C, number(9))), HEADER),
        ("link-to-a-parent", vdi(SMALL, (0x1A8, b"p" * 16)), REFERENCE),
        ("id-of-a-parent", vdi(SMALL, (0x1B8, b"p" * 16)), REFERENCE),
        ("disk-of-2-63", vdi(SMALL, (0x170, struct.pack("<Q", 2**63))), HEADER),
        ("cut-within-the-header", vdi(SMALL)[:200], HEADER),
        ("cut-before-the-parent", vdi(SMALL)[:0x1A8], HEADER),
    ]:
        corpus.case("vdi", name, data, terms, "vdi/static", expected)
