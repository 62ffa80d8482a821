"""VMDKs whose directories and tables lead astray, to themselves, or to what is shared."""

import struct

from corpus import VMDK, Corpus, Terms, corrupt
from disk import BROAD, SECTOR
from vmdk import GRAIN_SECTORS, Image, deflated, descriptor, front, sparse, stream

SECTORS = len(BROAD) // SECTOR
OVERLAP = corrupt("vmdk-grain-overlap")
TABLE_OVERLAP = corrupt("vmdk-table-overlap")
MISMATCH = corrupt("vmdk-table-mismatch")
END = corrupt("unexpected-end")
# The stored grains in an order that is not the disk's.
SHUFFLED = [144, 2, 0, 130, 1]


def add(corpus: Corpus) -> None:
    corpus.control("vmdk/front", _front().bytes(), Terms(VMDK), BROAD)
    shuffled = sparse(BROAD, SHUFFLED).bytes()
    corpus.control("vmdk/sparse-shuffled", shuffled, Terms(VMDK), BROAD)
    _sparse_entries(corpus)
    _stream_entries(corpus)
    _loops(corpus)


def _front() -> Image:
    return front(SECTORS, deflated(BROAD))


def _stream() -> Image:
    return stream(SECTORS, deflated(BROAD))


def _sparse_entries(corpus: Corpus) -> None:
    def case(name: str, expected: str, change, *, first: bool = False) -> None:
        image = sparse(BROAD)
        change(image)
        corpus.case("entries-astray", name, image.bytes(), Terms(VMDK), "vmdk/sparse", expected, first=first)

    end = len(sparse(BROAD).data) // SECTOR
    case("grain-in-the-descriptor", OVERLAP, lambda image: image.entries(1, 1), first=True)
    case("grain-in-a-table", OVERLAP, lambda image: image.entries(1, image.sector("table 0")))
    case("grain-in-the-directory", OVERLAP, lambda image: image.entries(1, image.sector("directory")))
    case("grain-one-sector-before-the-grains", OVERLAP, lambda image: image.entries(0, 127))
    case("grain-beyond-the-end", END, lambda image: image.entries(1, 0xFFFFFF00), first=True)
    case("grain-at-the-end", END, lambda image: image.entries(144, end))
    case("grain-half-beyond-the-end", END, lambda image: image.entries(144, end - 64))
    case("grain-half-in-another", OVERLAP, lambda image: image.entries(1, image.sector("grain 0") + 64))
    case("grain-beyond-the-disk", corrupt("vmdk-grain-out-of-range"), lambda image: image.entries(145, 4096))
    case("grain-in-one-table-alone", MISMATCH, lambda image: image.entry("table 0", 5, end))
    case("grain-left-out-of-one-table", MISMATCH, lambda image: image.entry("second table 0", 1, 0))
    data, control = sparse(BROAD, SHUFFLED).entries(2, end).bytes(), "vmdk/sparse-shuffled"
    corpus.case("entries-astray", "grain-at-the-end-of-shuffled-ones", data, Terms(VMDK), control, END)
    case("table-in-the-descriptor", TABLE_OVERLAP, lambda image: image.entry("directory", 0, 1))
    case("table-in-the-header", MISMATCH, lambda image: image.entry("directory", 0, 0))
    case("table-beyond-the-end", END, lambda image: image.entry("directory", 1, 0xFFFFFFFF))
    case("table-in-a-grain", MISMATCH, lambda image: image.entry("directory", 0, image.sector("grain 0")))
    case("directory-in-the-header", TABLE_OVERLAP, lambda image: image.set("directory", 0))
    case("directory-in-the-descriptor", TABLE_OVERLAP, lambda image: image.set("directory", 20))
    case("directory-beyond-the-end", END, lambda image: image.set("directory", 1 << 40))
    case("directory-near-2-64", TABLE_OVERLAP, lambda image: image.set("directory", 2**64 - 2))
    case("second-directory-in-the-header", TABLE_OVERLAP, lambda image: image.set("second_directory", 0))
    case("second-directory-near-2-64", TABLE_OVERLAP, lambda image: image.set("second_directory", 2**64 - 1))


def _stream_entries(corpus: Corpus) -> None:
    def case(name: str, expected: str, image: Image, control: str) -> None:
        corpus.case("entries-astray", name, image.bytes(), Terms(VMDK), control, expected)

    image = _front()
    case("front-grain-in-the-descriptor", MISMATCH, image.entries(1, 1), "vmdk/front")
    image = _front()
    case("front-grain-of-another", MISMATCH, image.entries(1, image.sector("grain 2")), "vmdk/front")
    case("front-grain-beyond-the-end", MISMATCH, _front().entries(144, 0xFFFFFFFF), "vmdk/front")
    case("front-grain-that-there-is-not", MISMATCH, _front().entries(77, 4096), "vmdk/front")
    case("front-grain-left-out", MISMATCH, _front().entries(144, 0), "vmdk/front")
    case("front-grain-beyond-the-disk", corrupt("vmdk-grain-out-of-range"), _front().entries(145, 200), "vmdk/front")
    case("front-table-among-the-grains", TABLE_OVERLAP, _front().entry("directory", 1, 128), "vmdk/front")
    case("front-directory-among-the-grains", TABLE_OVERLAP, _front().set("directory", 130), "vmdk/front")
    image = _stream()
    case("between-grain-of-another", MISMATCH, image.entries(1, image.sector("grain 2")), "vmdk/stream")
    case("between-grain-left-out", MISMATCH, _stream().entries(144, 0), "vmdk/stream")
    case("between-grain-that-there-is-not", MISMATCH, _stream().entries(77, 4096), "vmdk/stream")
    case("between-grain-beyond-the-disk", MISMATCH, _stream().entries(145, 4096), "vmdk/stream")
    case("between-table-in-the-header", MISMATCH, _stream().entry("directory", 0, 0), "vmdk/stream")
    image = _stream()
    case("between-table-in-a-grain", MISMATCH, image.entry("directory", 0, image.sector("grain 0")), "vmdk/stream")
    case("between-table-beyond-the-end", MISMATCH, _stream().entry("directory", 1, 0xFFFFFFFF), "vmdk/stream")


def _loops(corpus: Corpus) -> None:
    def case(name: str, expected: str, image: Image, control: str, *, first: bool = False) -> None:
        corpus.case("tables-loop", name, image.bytes(), Terms(VMDK), control, expected, first=first)

    for name, directory, number, place in [
        ("directory-to-itself", "directory", 0, "directory"),
        ("directory-to-the-second-one", "directory", 0, "second directory"),
        ("two-tables-are-one", "directory", 1, "table 0"),
        ("both-directories-share-a-table", "second directory", 0, "table 0"),
    ]:
        image = sparse(BROAD)
        image.entry(directory, number, image.sector(place))
        case(name, TABLE_OVERLAP, image, "vmdk/sparse", first=name == "directory-to-itself")
    image = sparse(BROAD)
    image.set("second_directory", image.sector("directory"))
    case("both-directories-are-one", TABLE_OVERLAP, image, "vmdk/sparse")
    image = _front()
    image.entry("directory", 0, image.sector("directory"))
    case("front-directory-to-itself", TABLE_OVERLAP, image, "vmdk/front")
    image = _stream()
    case("between-two-tables-are-one", MISMATCH, image.entry("directory", 1, image.sector("table 0")), "vmdk/stream")

    # One stored grain for every grain of the disk.
    image = sparse(BROAD)
    for number in range(-(-SECTORS // GRAIN_SECTORS)):
        image.entries(number, image.sector("grain 0"))
    case("all-grains-are-one", OVERLAP, image, "vmdk/sparse", first=True)
    image = _front()
    for number in range(-(-SECTORS // GRAIN_SECTORS)):
        image.entries(number, image.sector("grain 0"))
    case("front-all-grains-are-one", MISMATCH, image, "vmdk/front")
    image = _front()
    case("front-two-grains-are-one", MISMATCH, image.entries(3, image.sector("grain 1")), "vmdk/front")
    case("half-a-million-tables-are-one", TABLE_OVERLAP, _widest(), "vmdk/sparse")


def _widest() -> Image:
    """As many tables as a disk may have, all of them the same one, in a file of 2 MiB."""
    tables = 1 << 19
    sectors = tables * 512 * GRAIN_SECTORS
    image = sparse(bytes(SECTOR)).text(descriptor("monolithicSparse", sectors))
    image.set("capacity", sectors).set("table_entries", 512).set("flags", 1)
    image.place("wide directory", struct.pack("<I", len(image.data) // SECTOR + tables * 4 // SECTOR) * tables)
    image.set("directory", image.sector("wide directory"))
    image.place("wide table", bytes(512 * 4))
    return image
