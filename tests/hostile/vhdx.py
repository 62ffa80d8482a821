"""Writes VHDXs in which every field can be changed, and those that have parents, logs or tables that differ. Microsoft,
MS-VHDX, 2.2, 2.3 and 2.6; little-endian."""

import struct
import uuid
from dataclasses import dataclass, field

from corpus import Corpus, Terms, as_is, corrupt

MIB = 1 << 20
BAT = uuid.UUID("2dc27766-f623-4200-9d64-115e9bfd4a08").bytes_le
METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
PAGE_83 = uuid.UUID("beca12ab-b2e6-4523-93ef-c309e000c746").bytes_le
LOGICAL = uuid.UUID("8141bf1d-a96f-4709-ba47-f233a8faab5f").bytes_le
PHYSICAL = uuid.UUID("cda348c7-445d-4471-9cc9-e9885251c556").bytes_le
PARENT = uuid.UUID("a8d35f2d-b30b-454d-abf7-d3d84834ab0c").bytes_le
UNKNOWN = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff").bytes_le
REQUIRED, VIRTUAL_DISK = 4, 2


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CASTAGNOLI[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _castagnoli() -> list[int]:
    """RFC 3720, B.4: the polynomial, reflected."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CASTAGNOLI = _castagnoli()


def summed(data: bytearray) -> bytes:
    data[4:8] = bytes(4)
    struct.pack_into("<I", data, 4, crc32c(bytes(data)))
    return bytes(data)


@dataclass
class Vhdx:
    """What is written. Regions and items are (id, place, length, flags)."""

    size: int = 3 * MIB
    sequences: tuple[int, int] = (1, 2)
    versions: tuple[int, int] = (1, 0)
    log: bytes = bytes(16)
    header_cookies: tuple[bytes, bytes] = (b"head", b"head")
    regions: list[tuple] = field(default_factory=lambda: [(BAT, MIB, MIB, 1), (METADATA, 2 * MIB, MIB, 1)])
    # A count that is not that of the regions, and regions of the second table.
    region_count: int | None = None
    second_regions: list[tuple] | None = None
    items: list[tuple] = field(
        default_factory=lambda: [
            (PARAMETERS, 65536, 8, REQUIRED),
            (SIZE, 65544, 8, REQUIRED | VIRTUAL_DISK),
            (PAGE_83, 65552, 16, REQUIRED | VIRTUAL_DISK),
            (LOGICAL, 65568, 4, REQUIRED | VIRTUAL_DISK),
            (PHYSICAL, 65572, 4, REQUIRED | VIRTUAL_DISK),
        ]
    )
    item_count: int | None = None
    parameter_flags: int = 0
    metadata_cookie: bytes = b"metadata"

    def write(self) -> bytes:
        data = bytearray(3 * MIB)
        data[:8] = b"vhdxfile"
        for at, cookie, sequence in zip((65536, 131072), self.header_cookies, self.sequences, strict=True):
            header = bytearray(4096)
            header[:4] = cookie
            struct.pack_into("<Q", header, 8, sequence)
            header[48:64] = self.log
            struct.pack_into("<HHIQ", header, 64, self.versions[1], self.versions[0], MIB, 3 * MIB)
            data[at : at + 4096] = summed(header)
        for at, regions in ((196608, self.regions), (262144, self.second_regions or self.regions)):
            table = bytearray(65536)
            table[:4] = b"regi"
            struct.pack_into("<I", table, 8, len(regions) if self.region_count is None else self.region_count)
            for nth, (name, place, length, required) in enumerate(regions):
                struct.pack_into("<16sQII", table, 16 + 32 * nth, name, place, length, required)
            data[at : at + 65536] = summed(table)
        table = bytearray(65536)
        table[:8] = self.metadata_cookie
        struct.pack_into("<H", table, 10, len(self.items) if self.item_count is None else self.item_count)
        for nth, (name, place, length, flags) in enumerate(self.items):
            struct.pack_into("<16sIII", table, 32 + 32 * nth, name, place, length, flags)
        data[2 * MIB : 2 * MIB + 65536] = table
        struct.pack_into("<IIQ", data, 2 * MIB + 65536, MIB, self.parameter_flags, self.size)
        struct.pack_into("<16sII", data, 2 * MIB + 65552, bytes(range(16)), 512, 4096)
        return bytes(data)


def add(corpus: Corpus) -> None:
    terms = Terms(as_is("vhdx"), as_is=True)
    usual = Vhdx().write()
    corpus.control("vhdx/empty", usual, terms)
    header, reference = corrupt("format-header"), corrupt("format-reference")
    feature, variant = corrupt("format-feature"), corrupt("format-variant")
    items, regions = Vhdx().items, Vhdx().regions

    def metadata(place: int, length: int = MIB) -> Vhdx:
        return Vhdx(regions=[regions[0], (METADATA, place, length, 1)])

    def item(nth: int, *values) -> Vhdx:
        return Vhdx(items=[*items[:nth], values, *items[nth + 1 :]])

    def poked(offset: int) -> bytes:
        return usual[:offset] + bytes([usual[offset] ^ 1]) + usual[offset + 1 :]

    for name, data, expected in [
        ("parent-by-its-flag", Vhdx(parameter_flags=2).write(), reference),
        ("parent-by-its-locator", Vhdx(items=[*items, (PARENT, 65600, 20, REQUIRED)]).write(), reference),
        ("log-to-be-replayed", Vhdx(log=b"l" * 16).write(), feature),
        ("version-2", Vhdx(versions=(2, 0)).write(), variant),
        ("log-version-1", Vhdx(versions=(1, 1)).write(), variant),
        ("no-header", Vhdx(header_cookies=(b"nead", b"nead")).write(), header),
        ("headers-with-wrong-sums", _both_poked(usual), header),
        ("two-newest-headers-that-differ", _two_newest(), header),
        ("region-table-with-a-wrong-sum", poked(196608 + 40000), header),
        ("region-tables-that-differ", Vhdx(second_regions=[regions[0], (METADATA, MIB, MIB, 1)]).write(), header),
        ("second-region-table-with-a-wrong-sum", poked(262144 + 40000), header),
        ("2-32-regions", Vhdx(region_count=2**32 - 1).write(), header),
        ("2048-regions", Vhdx(region_count=2048).write(), header),
        ("no-regions", Vhdx(region_count=0).write(), header),
        ("unknown-region-that-is-required", Vhdx(regions=[*regions, (UNKNOWN, 3 * MIB, MIB, 1)]).write(), feature),
        ("two-metadata-regions", Vhdx(regions=[*regions, (METADATA, 3 * MIB, MIB, 1)]).write(), header),
        ("metadata-in-the-header", metadata(0).write(), header),
        ("metadata-not-aligned", metadata(2 * MIB + 4096).write(), header),
        ("metadata-of-no-bytes", metadata(2 * MIB, 0).write(), header),
        ("metadata-beyond-the-end", metadata(1 << 40).write(), header),
        ("metadata-near-2-64", metadata(2**64 - MIB).write(), header),
        ("metadata-is-none", Vhdx(metadata_cookie=b"metadaty").write(), header),
        ("2048-items", Vhdx(item_count=2048).write(), header),
        ("65535-items", Vhdx(item_count=65535).write(), header),
        ("no-items", Vhdx(item_count=0).write(), header),
        ("unknown-item-that-is-required", Vhdx(items=[*items, (UNKNOWN, 65600, 8, REQUIRED)]).write(), feature),
        ("size-twice", Vhdx(items=[*items, items[1]]).write(), header),
        ("no-size", Vhdx(items=[items[0], *items[2:]]).write(), header),
        ("size-in-the-table", item(1, SIZE, 100, 8, REQUIRED).write(), header),
        ("size-beyond-the-region", item(1, SIZE, MIB, 8, REQUIRED).write(), header),
        ("size-near-2-32", item(1, SIZE, 2**32 - 4, 8, REQUIRED).write(), header),
        ("size-of-4-bytes", item(1, SIZE, 65544, 4, REQUIRED).write(), header),
        ("size-in-the-parameters", item(1, SIZE, 65540, 8, REQUIRED).write(), header),
        ("disk-of-2-63", Vhdx(size=2**63).write(), header),
        ("disk-of-2-64", Vhdx(size=2**64 - 1).write(), header),
        ("cut-within-the-magic", usual[:7], corrupt("format-mismatch")),
        ("cut-within-the-headers", usual[:100_000], header),
        ("cut-within-the-region-tables", usual[:300_000], header),
        ("cut-before-the-metadata", usual[: 2 * MIB], header),
        ("cut-within-the-metadata", usual[: 2 * MIB + 65540], header),
    ]:
        corpus.case("vhdx", name, data, terms, "vhdx/empty", expected)


def _both_poked(data: bytes) -> bytes:
    poked = bytearray(data)
    poked[65536 + 100] ^= 1
    poked[131072 + 100] ^= 1
    return bytes(poked)


def _two_newest() -> bytes:
    data = bytearray(Vhdx(sequences=(7, 7)).write())
    header = bytearray(data[65536 : 65536 + 4096])
    header[16] = 1
    data[65536 : 65536 + 4096] = summed(header)
    return bytes(data)
