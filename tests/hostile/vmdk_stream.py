"""Streams whose grains are not where or what they should be, whose markers are out of order, or that end early."""

import zlib

from corpus import VMDK, Corpus, Terms, corrupt
from disk import BROAD, SECTOR, noise
from vmdk import (
    DIRECTORY,
    END_OF_STREAM,
    FOOTER,
    GRAIN,
    GRAIN_SECTORS,
    TABLE,
    TABLE_SECTORS,
    UNSPECIFIED,
    Grain,
    Image,
    changed,
    deflated,
    front,
    marker,
    sparse,
    stream,
)

SECTORS = len(BROAD) // SECTOR
FORMS = {"between": stream, "front": front}
CONTROLS = {"between": "vmdk/stream", "front": "vmdk/front"}
MISMATCH = corrupt("vmdk-table-mismatch")
END = corrupt("unexpected-end")
ORDER = corrupt("vmdk-marker-order")
TRAILING = corrupt("vmdk-trailing-bytes")


def add(corpus: Corpus) -> None:
    _places(corpus)
    _contents(corpus)
    _ends(corpus)
    _markers(corpus)


def _case(corpus: Corpus, group: str, name: str, data: bytes, form: str, expected: str, *, first: bool = False) -> None:
    corpus.case(group, f"{name}-{form}", data, Terms(VMDK), CONTROLS[form], expected, first=first)


def _places(corpus: Corpus) -> None:
    grains = deflated(BROAD)
    other = zlib.compress(noise(GRAIN, 99))
    for form, write in FORMS.items():
        for name, again in [
            ("the-last-one-counts", (*grains, Grain(1, other))),
            ("the-first-one-counts", (*grains, Grain(1, other, listed=False))),
            ("one-behind-the-other", (*grains[:2], Grain(1, other), *grains[2:])),
            ("the-same-bytes", (*grains, grains[1])),
            ("within-the-last-one", (*grains, Grain(144, grains[4].stored))),
            ("in-the-place-of-a-hole", (*grains, Grain(77, other, lba=GRAIN_SECTORS))),
        ]:
            data = write(SECTORS, again).bytes()
            first = form == "between" and name == "the-last-one-counts"
            _case(corpus, "grain-twice", name, data, form, MISMATCH, first=first)
        for name, lba in [
            ("at-the-end-of-the-disk", 145 * GRAIN_SECTORS),
            ("far-behind", 2**40),
            ("bytes-beyond-2-64", 2**55),
            ("last-of-2-64", 2**64 - GRAIN_SECTORS),
            ("one-sector-late", GRAIN_SECTORS + 1),
            ("one-sector-early", GRAIN_SECTORS - 1),
            ("in-the-last-sector", SECTORS - 1),
        ]:
            data = write(SECTORS, changed(grains, 1, lba=lba)).bytes()
            first = form == "between" and name == "last-of-2-64"
            expected = corrupt("vmdk-grain-out-of-range")
            _case(corpus, "grain-out-of-range", name, data, form, expected, first=first)


def _contents(corpus: Corpus) -> None:
    grains = deflated(BROAD)
    piece, last = BROAD[GRAIN : 2 * GRAIN], BROAD[144 * GRAIN :]
    stored = grains[1].stored
    dictionary = zlib.compressobj(zdict=b"landfall")
    with_dictionary = dictionary.compress(piece) + dictionary.flush()
    raw = zlib.compressobj(wbits=-15)
    gzip = zlib.compressobj(wbits=31)
    failed = corrupt("inflate-failed")
    trailing = corrupt("inflate-trailing")
    past, short = corrupt("inflates-past"), corrupt("inflates-short")
    size = corrupt("vmdk-grain-size")
    for name, nth, how, expected in [
        ("one-byte-more", 1, {"stored": zlib.compress(piece + b"x")}, past),
        ("to-64-mib", 1, {"stored": zlib.compress(bytes(64 << 20))}, past),
        ("one-byte-less", 1, {"stored": zlib.compress(piece[:-1])}, short),
        ("to-half", 1, {"stored": zlib.compress(piece[: GRAIN // 2])}, short),
        ("to-nothing", 1, {"stored": zlib.compress(b"")}, short),
        ("with-a-byte-behind", 1, {"stored": stored + b"\0"}, trailing),
        ("with-another-stream-behind", 1, {"stored": stored + stored}, trailing),
        ("without-its-frame", 1, {"stored": raw.compress(piece) + raw.flush()}, failed),
        ("in-another-frame", 1, {"stored": gzip.compress(piece) + gzip.flush()}, failed),
        ("with-a-dictionary", 1, {"stored": with_dictionary}, failed),
        ("with-a-wrong-checksum", 1, {"stored": stored[:-1] + bytes([stored[-1] ^ 1])}, failed),
        ("without-its-end", 1, {"stored": stored[:-5]}, failed),
        ("not-at-all", 1, {"stored": noise(300, 5)}, failed),
        ("from-a-size-that-is-too-small", 1, {"size": len(stored) - 4}, failed),
        ("from-more-than-two-grains", 1, {"stored": noise(2 * GRAIN + 1, 6)}, size),
        ("from-4-gib", 1, {"size": 2**32 - 1}, size),
        ("past-the-disk", 4, {"stored": zlib.compress(last.ljust(GRAIN, b"\0") + b"x")}, past),
        ("past-the-disk-but-not-whole", 4, {"stored": zlib.compress(last + b"x")}, short),
        ("short-of-the-disk", 4, {"stored": zlib.compress(last[:-1])}, short),
    ]:
        for form, write in FORMS.items():
            data = write(SECTORS, changed(grains, nth, **how)).bytes()
            first = form == "between" and name in ("one-byte-more", "one-byte-less")
            _case(corpus, "grain-inflates", name, data, form, expected, first=first)


def _ends(corpus: Corpus) -> None:
    image = stream(SECTORS, deflated(BROAD))
    magic = corrupt("vmdk-magic")
    for name, data, expected in [
        ("within-the-magic", bytes(image.data[:3]), magic),
        ("within-the-header", bytes(image.data[:511]), END),
        ("behind-the-header", bytes(image.data[:512]), END),
        ("within-the-descriptor", bytes(image.data[:600]), END),
        ("before-the-grains", bytes(image.data[: 100 * SECTOR]), END),
        ("at-the-first-grain", image.cut("grain 0"), END),
        ("within-a-grain-marker", image.cut("grain 4", 11), END),
        ("behind-a-grain-marker", image.cut("grain 4", 12), END),
        ("within-the-last-grain", image.cut("grain 4", 5000), END),
        ("before-the-last-table", image.cut("table 1 marker"), END),
        ("within-the-last-table", image.cut("table 1", 100), END),
        ("before-the-directory", image.cut("directory marker"), END),
        ("within-the-directory", image.cut("directory", 4), END),
        ("before-the-footer", image.cut("footer marker"), END),
        ("within-the-footer", image.cut("footer", 511), END),
        ("before-the-end-marker", image.cut("end marker"), END),
        ("one-byte-before-the-end", image.cut("end", -1), END),
    ]:
        first = name == "within-the-last-grain"
        _case(corpus, "cut-short", name, data, "between", expected, first=first)
    image = front(SECTORS, deflated(BROAD))
    for name, data, expected in [
        ("within-the-tables", image.cut("table 1", 100), END),
        ("before-the-last-grain", image.cut("grain 4"), MISMATCH),
        ("within-the-last-grain", image.cut("grain 4", 5000), END),
        ("within-the-end-marker", image.cut("end marker", 11), END),
    ]:
        _case(corpus, "cut-short", name, data, "front", expected)
    image = sparse(BROAD)
    # What the disk has of its last grain is there, and what fills that up is not.
    corpus.control("vmdk/sparse-not-filled", image.cut("grain 144", 77 * SECTOR), Terms(VMDK), BROAD)
    for name, data in [
        ("within-the-tables", image.cut("table 1", 100)),
        ("at-the-last-grain", image.cut("grain 144")),
        ("within-the-last-grain", image.cut("grain 144", 5000)),
        ("one-byte-before-the-end-of-the-disk", image.cut("grain 144", 77 * SECTOR - 1)),
    ]:
        corpus.case("cut-short", f"{name}-sparse", data, Terms(VMDK), "vmdk/sparse-not-filled", END)


def _markers(corpus: Corpus) -> None:
    def instead(place: str, other: bytes) -> bytes:
        return stream(SECTORS, deflated(BROAD)).poke(place, other).bytes()

    def inserted(image: Image, place: str, more: bytes) -> bytes:
        at = image.places[place]
        return bytes(image.data[:at]) + more + bytes(image.data[at:])

    def part(image: Image, start: str, end: str) -> bytes:
        return bytes(image.data[image.places[start] : image.places[end]])

    image = stream(SECTORS, deflated(BROAD))
    grain, table = part(image, "grain 3", "grain 4"), part(image, "table 0 marker", "grain 3")
    directory = part(image, "directory marker", "footer marker")
    wrong = corrupt("vmdk-marker")
    for name, data, expected in [
        ("of-an-unknown-kind", instead("table 0 marker", marker(1, 7)), wrong),
        ("of-the-last-kind", instead("table 0 marker", marker(1, 2**32 - 1)), wrong),
        ("unspecified-and-too-long", instead("table 0 marker", marker(2049, UNSPECIFIED)), wrong),
        ("of-a-table-of-two-sectors", instead("table 0 marker", marker(TABLE_SECTORS + 1, TABLE)), wrong),
        ("of-a-table-of-no-sectors", instead("table 0 marker", marker(0, TABLE)), wrong),
        ("of-a-directory-of-2-64-sectors", instead("directory marker", marker(2**64 - 1, DIRECTORY)), wrong),
        ("of-a-footer-of-two-sectors", instead("footer marker", marker(2, FOOTER)), wrong),
        ("with-something-behind-it", instead("table 0 marker", marker(TABLE_SECTORS, TABLE)[:-1] + b"x"), wrong),
        ("end-before-the-directory", instead("directory marker", marker(0, END_OF_STREAM)), ORDER),
        ("end-before-the-footer", instead("footer marker", marker(0, END_OF_STREAM)), ORDER),
        ("end-among-the-grains", instead("grain 1", marker(0, END_OF_STREAM)), ORDER),
        ("footer-before-the-directory", instead("directory marker", marker(1, FOOTER)), ORDER),
        ("two-directories", inserted(image, "footer marker", directory), ORDER),
        ("grain-behind-the-directory", inserted(image, "footer marker", grain), ORDER),
        ("table-behind-the-directory", inserted(image, "footer marker", table), ORDER),
        ("grain-behind-the-footer", inserted(image, "end marker", grain), ORDER),
        ("footer-twice", inserted(image, "end marker", part(image, "footer marker", "end marker")), ORDER),
        ("a-table-too-many", inserted(image, "directory marker", table), MISMATCH),
        ("no-directory", image.without("directory marker", "footer marker"), ORDER),
        ("no-table", image.without("table 1 marker", "directory marker"), MISMATCH),
        ("one-byte-behind-the-end", image.bytes() + b"\0", TRAILING),
        ("zeros-behind-the-end", image.bytes() + bytes(GRAIN), TRAILING),
        ("another-stream-behind-the-end", image.bytes() * 2, TRAILING),
    ]:
        _case(corpus, "vmdk-markers", name, data, "between", expected)
    image = front(SECTORS, deflated(BROAD))
    for name, data, expected in [
        ("of-an-unknown-kind", inserted(image, "end marker", marker(1, 7)), wrong),
        ("a-table-among-the-grains", inserted(image, "end marker", table), ORDER),
        ("a-directory-among-the-grains", inserted(image, "end marker", directory), ORDER),
        ("end-among-the-grains", image.poke("grain 1", marker(0, END_OF_STREAM)).bytes(), TRAILING),
    ]:
        _case(corpus, "vmdk-markers", name, data, "front", expected)
    image = front(SECTORS, deflated(BROAD))
    for name, data in [
        ("a-byte-behind-the-end", image.bytes() + b"x"),
        ("a-byte-behind-zeros", image.bytes() + bytes(1000) + b"x"),
        ("more-than-a-grain-of-zeros-behind-the-end", image.bytes() + bytes(GRAIN + 1)),
        ("another-stream-behind-the-end", image.bytes() * 2),
    ]:
        _case(corpus, "vmdk-markers", name, data, "front", TRAILING)
