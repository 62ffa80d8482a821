"""Writes VMDKs in which every field can be changed. VMware, "Virtual Disk Format 5.0": "Hosted Sparse Extents",
"Stream-Optimized Compressed", "The Descriptor File"."""

import struct
import zlib
from dataclasses import dataclass, field, replace
from functools import cache

from disk import SECTOR

GRAIN_SECTORS = 128
GRAIN = GRAIN_SECTORS * SECTOR
ENTRIES = 128
TABLE_SECTORS = ENTRIES * 4 // SECTOR
DESCRIPTOR_SECTORS = 20
AT_END = 2**64 - 1

# Where the header's fields are, and what they are.
FIELDS = {
    "magic": (0x00, "<4s"),
    "version": (0x04, "<I"),
    "flags": (0x08, "<I"),
    "capacity": (0x0C, "<Q"),
    "grain_sectors": (0x14, "<Q"),
    "descriptor_offset": (0x1C, "<Q"),
    "descriptor_sectors": (0x24, "<Q"),
    "table_entries": (0x2C, "<I"),
    "second_directory": (0x30, "<Q"),
    "directory": (0x38, "<Q"),
    "overhead": (0x40, "<Q"),
    "unclean": (0x48, "<B"),
    "newlines": (0x49, "<4s"),
    "compression": (0x4D, "<H"),
}
NEWLINES, SECOND_DIRECTORY, COMPRESSED, MARKERS = 1, 2, 1 << 16, 1 << 17

END_OF_STREAM, TABLE, DIRECTORY, FOOTER, UNSPECIFIED = range(5)


def descriptor(
    kind: str, sectors: int, *, extents: str | None = None, lines: str = "", parent: str = "ffffffff"
) -> str:
    """The text of a disk in one file, with other extents or more lines."""
    if extents is None:
        extents = f'RW {sectors} SPARSE "disk.vmdk"'
    return (
        f"# Disk DescriptorFile\nversion=1\nCID=2f6a1c09\nparentCID={parent}\n"
        f'createType="{kind}"\n{lines}\n# Extent description\n{extents}\n\n'
        '# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = "4"\nddb.adapterType = "lsilogic"\n'
    )


@dataclass(frozen=True)
class Grain:
    """A grain of a stream: where tables have it, and what its marker says."""

    number: int
    stored: bytes
    # Sector of the disk and size in bytes by the marker, where they are not the true ones.
    lba: int | None = None
    size: int | None = None
    listed: bool = True


def pieces(disk: bytes) -> dict[int, bytes]:
    """The grains of a disk that are not zeros, by number; the last one as short as the disk."""
    every = {number: disk[number * GRAIN : (number + 1) * GRAIN] for number in range(-(-len(disk) // GRAIN))}
    return {number: piece for number, piece in every.items() if piece != bytes(len(piece))}


@cache
def deflated(disk: bytes) -> tuple[Grain, ...]:
    """The same, as streams store them."""
    return tuple(Grain(number, zlib.compress(piece, 6)) for number, piece in pieces(disk).items())


def changed(grains: tuple[Grain, ...], nth: int, **how) -> tuple[Grain, ...]:
    """The same with another `nth` grain."""
    return tuple(replace(grain, **how) if at == nth else grain for at, grain in enumerate(grains))


def marker(number: int, kind: int, size: int = 0) -> bytes:
    """What announces metadata, or, with a size, a grain."""
    return struct.pack("<QII", number, size, kind).ljust(SECTOR, b"\0")


@dataclass
class Image:
    """A VMDK that was written, and where its parts are."""

    data: bytearray
    # By name, such as "grain 3", "table 1", "second table 1", "directory", "footer", "end marker".
    places: dict[str, int] = field(default_factory=dict)

    def set(self, name: str, value, *, footer: bool = False) -> "Image":
        """Sets a field of the header or of the footer."""
        offset, form = FIELDS[name]
        struct.pack_into(form, self.data, offset + (self.places["footer"] if footer else 0), value)
        return self

    def get(self, name: str):
        offset, form = FIELDS[name]
        return struct.unpack_from(form, self.data, offset)[0]

    def text(self, text: str | bytes, sectors: int = DESCRIPTOR_SECTORS) -> "Image":
        """Another descriptor."""
        text = text.encode() if isinstance(text, str) else text
        assert len(text) <= sectors * SECTOR, len(text)
        self.data[SECTOR : SECTOR + sectors * SECTOR] = text.ljust(sectors * SECTOR, b"\0")
        return self

    def entry(self, table: str, number: int, value: int) -> "Image":
        """Sets an entry of a directory or table."""
        struct.pack_into("<I", self.data, self.places[table] + 4 * number, value)
        return self

    def entries(self, number: int, value: int) -> "Image":
        """Sets the entry of a grain in all tables that have it."""
        table, entry = divmod(number, ENTRIES)
        for name in (f"table {table}", f"second table {table}"):
            if name in self.places:
                self.entry(name, entry, value)
        return self

    def sector(self, place: str) -> int:
        return self.places[place] // SECTOR

    def cut(self, place: str, more: int = 0) -> bytes:
        """The bytes before a place, and some more."""
        return bytes(self.data[: self.places[place] + more])

    def without(self, start: str, end: str) -> bytes:
        """All but what is between two places."""
        return bytes(self.data[: self.places[start]] + self.data[self.places[end] :])

    def poke(self, place: str, data: bytes) -> "Image":
        at = self.places[place]
        self.data[at : at + len(data)] = data
        return self

    def bytes(self) -> bytes:
        return bytes(self.data)

    # What follows writes.

    def place(self, name: str, data: bytes) -> None:
        """Appends a part, from a whole sector on."""
        self.data.extend(bytes(-len(self.data) % SECTOR))
        self.places[name] = len(self.data)
        self.data.extend(data)

    def pad(self) -> "Image":
        self.data.extend(bytes(-len(self.data) % SECTOR))
        return self


def _start(kind: str, sectors: int, flags: int, overhead: int) -> Image:
    image = Image(bytearray(overhead * SECTOR))
    fields = {
        "magic": b"KDMV",
        "version": 3 if flags & COMPRESSED else 1,
        "flags": flags,
        "capacity": sectors,
        "grain_sectors": GRAIN_SECTORS,
        "descriptor_offset": 1,
        "descriptor_sectors": DESCRIPTOR_SECTORS,
        "table_entries": ENTRIES,
        "second_directory": 0,
        "directory": AT_END,
        "overhead": overhead,
        "unclean": 0,
        "newlines": b"\n \r\n",
        "compression": 1 if flags & COMPRESSED else 0,
    }
    for name, value in fields.items():
        image.set(name, value)
    return image.text(descriptor(kind, sectors))


def _tables(sectors: int) -> int:
    return -(-sectors // (GRAIN_SECTORS * ENTRIES))


def _packed(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def stream(sectors: int, grains: tuple[Grain, ...]) -> Image:
    """streamOptimized as VMware writes it: each table behind its grains, then the directory, the footer and the end."""
    image = _start("streamOptimized", sectors, NEWLINES | COMPRESSED | MARKERS, 128)
    listed: list[dict[int, int]] = [{} for _ in range(_tables(sectors))]
    directory = [0] * len(listed)
    for nth, grain in enumerate(grains):
        _append(image, nth, grain, listed)
        table = grain.number // ENTRIES
        if all(later.number // ENTRIES != table for later in grains[nth + 1 :]):
            image.place(f"table {table} marker", marker(TABLE_SECTORS, TABLE))
            image.place(f"table {table}", _packed([listed[table].get(entry, 0) for entry in range(ENTRIES)]))
            directory[table] = image.sector(f"table {table}")
    image.place("directory marker", marker(-(-len(directory) * 4 // SECTOR), DIRECTORY))
    image.place("directory", _packed(directory))
    image.place("footer marker", marker(1, FOOTER))
    image.place("footer", bytes(image.data[:SECTOR]))
    image.set("directory", image.sector("directory"), footer=True)
    image.place("end marker", marker(0, END_OF_STREAM))
    image.places["end"] = len(image.data)
    return image


def front(sectors: int, grains: tuple[Grain, ...]) -> Image:
    """streamOptimized with its tables in front, twice, as qemu-img writes it, and the marker of the end."""
    flags = NEWLINES | SECOND_DIRECTORY | COMPRESSED | MARKERS
    image, listed = _with_tables("streamOptimized", sectors, flags)
    for nth, grain in enumerate(grains):
        _append(image, nth, grain, listed)
    image.place("end marker", marker(0, END_OF_STREAM))
    image.places["end"] = len(image.data)
    return _fill(image, listed)


def sparse(disk: bytes, order: list[int] | None = None) -> Image:
    """monolithicSparse, the grains in any order."""
    image, listed = _with_tables("monolithicSparse", len(disk) // SECTOR, NEWLINES | SECOND_DIRECTORY)
    stored = pieces(disk)
    for number in order or stored:
        image.place(f"grain {number}", stored[number].ljust(GRAIN, b"\0"))
        listed[number // ENTRIES][number % ENTRIES] = image.sector(f"grain {number}")
    image.places["end"] = len(image.data)
    return _fill(image, listed)


def _append(image: Image, nth: int, grain: Grain, listed: list[dict[int, int]]) -> None:
    image.pad()
    lba = grain.number * GRAIN_SECTORS if grain.lba is None else grain.lba
    size = len(grain.stored) if grain.size is None else grain.size
    image.place(f"grain {nth}", struct.pack("<QI", lba, size) + grain.stored)
    image.pad()
    if grain.listed:
        listed[grain.number // ENTRIES][grain.number % ENTRIES] = image.sector(f"grain {nth}")


def _with_tables(kind: str, sectors: int, flags: int) -> tuple[Image, list[dict[int, int]]]:
    """Room for two directories with their tables, each behind its own."""
    tables = _tables(sectors)
    directory_sectors = -(-tables * 4 // SECTOR)
    image = _start(kind, sectors, flags, 128)
    at = 1 + DESCRIPTOR_SECTORS
    for prefix, name in (("second ", "second_directory"), ("", "directory")):
        image.set(name, at)
        image.places[f"{prefix}directory"] = at * SECTOR
        at += directory_sectors
        for table in range(tables):
            image.places[f"{prefix}table {table}"] = at * SECTOR
            at += TABLE_SECTORS
    assert at <= 128
    return image, [{} for _ in range(tables)]


def _fill(image: Image, listed: list[dict[int, int]]) -> Image:
    for prefix in ("second ", ""):
        for table, entries in enumerate(listed):
            image.entry(f"{prefix}directory", table, image.sector(f"{prefix}table {table}"))
            for entry, sector in entries.items():
                image.entry(f"{prefix}table {table}", entry, sector)
    return image
