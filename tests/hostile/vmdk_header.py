"""VMDKs whose header, footer or capacity is wrong."""

from corpus import VMDK, Corpus, Terms, corrupt, limit, unsupported
from disk import BROAD, SECTOR
from vmdk import AT_END, COMPRESSED, MARKERS, SECOND_DIRECTORY, Image, deflated, descriptor, sparse, stream

SECTORS = len(BROAD) // SECTOR


def add(corpus: Corpus) -> None:
    _fields(corpus)
    _footers(corpus)
    _capacities(corpus)


def _stream() -> Image:
    return stream(SECTORS, deflated(BROAD))


def _fields(corpus: Corpus) -> None:
    flags, plain = _stream().get("flags"), sparse(BROAD).get("flags")
    create_type = corrupt("vmdk-create-type-mismatch")
    for name, expected, fields in [
        ("magic", corrupt("vmdk-magic"), {"magic": b"kDMV"}),
        ("version-0", unsupported("vmdk-version"), {"version": 0}),
        ("version-4", unsupported("vmdk-version"), {"version": 4}),
        ("version-of-a-sign", unsupported("vmdk-version"), {"version": 2**32 - 1}),
        ("unknown-flag", unsupported("vmdk-flags"), {"flags": flags | 8}),
        ("highest-flag", unsupported("vmdk-flags"), {"flags": flags | 1 << 31}),
        ("compressed-without-markers", unsupported("vmdk-flags"), {"flags": flags & ~MARKERS}),
        ("markers-without-compression", unsupported("vmdk-flags"), {"flags": flags & ~COMPRESSED, "compression": 0}),
        ("neither", create_type, {"flags": flags & ~COMPRESSED & ~MARKERS, "compression": 0}),
        ("second-directory-without-the-first", corrupt("vmdk-table-overlap"), {"flags": flags | SECOND_DIRECTORY}),
        ("line-ends-changed", corrupt("vmdk-newlines"), {"newlines": b"\n \n\n"}),
        ("grains-of-no-sectors", unsupported("vmdk-grain-sectors"), {"grain_sectors": 0}),
        ("grains-of-4-sectors", unsupported("vmdk-grain-sectors"), {"grain_sectors": 4}),
        ("grains-of-96-sectors", unsupported("vmdk-grain-sectors"), {"grain_sectors": 96}),
        ("grains-of-4096-sectors", unsupported("vmdk-grain-sectors"), {"grain_sectors": 4096}),
        ("grains-of-2-63-sectors", unsupported("vmdk-grain-sectors"), {"grain_sectors": 1 << 63}),
        ("tables-of-no-entries", unsupported("vmdk-table-entries"), {"table_entries": 0}),
        ("tables-of-1-entry", unsupported("vmdk-table-entries"), {"table_entries": 1}),
        ("tables-of-500-entries", unsupported("vmdk-table-entries"), {"table_entries": 500}),
        ("tables-of-2-31-entries", unsupported("vmdk-table-entries"), {"table_entries": 1 << 31}),
        ("compression-2", unsupported("vmdk-compression"), {"compression": 2}),
        ("compression-0", corrupt("vmdk-compression"), {"compression": 0}),
        ("descriptor-at-sector-0", corrupt("vmdk-descriptor"), {"descriptor_offset": 0}),
        ("descriptor-at-sector-2", corrupt("vmdk-descriptor"), {"descriptor_offset": 2}),
        ("descriptor-at-the-end", corrupt("vmdk-descriptor"), {"descriptor_offset": 2**64 - 1}),
        ("descriptor-of-no-sectors", corrupt("vmdk-descriptor"), {"descriptor_sectors": 0}),
        ("descriptor-of-1-mib", corrupt("vmdk-descriptor"), {"descriptor_sectors": 2048}),
        ("descriptor-of-2-63-sectors", corrupt("vmdk-descriptor"), {"descriptor_sectors": 1 << 63}),
        ("descriptor-up-to-the-grains", corrupt("vmdk-overhead"), {"descriptor_sectors": 128}),
        ("overhead-0", corrupt("vmdk-overhead"), {"overhead": 0}),
        ("overhead-within-the-descriptor", corrupt("vmdk-overhead"), {"overhead": 20}),
        ("overhead-beyond-the-end", corrupt("unexpected-end"), {"overhead": 1 << 40}),
        ("overhead-near-2-64", corrupt("vmdk-overhead"), {"overhead": 2**64 - 1}),
        ("overhead-beyond-signed-offsets", corrupt("vmdk-overhead"), {"overhead": (1 << 54) + 9}),
        ("directory-beyond-signed-offsets", corrupt("vmdk-table-overlap"), {"directory": 1 << 54}),
        ("directory-far-away", corrupt("vmdk-table-overlap"), {"directory": 1 << 40}),
        ("capacity-of-another-disk", corrupt("vmdk-capacity-mismatch"), {"capacity": SECTORS + 128}),
    ]:
        image = _stream()
        for field, value in fields.items():
            image.set(field, value)
        corpus.case("vmdk-header", name, image.bytes(), Terms(VMDK), "vmdk/stream", expected)
    for name, expected, fields in [
        ("sparse-compression-without-its-flag", corrupt("vmdk-compression"), {"compression": 1}),
        ("sparse-as-a-stream", create_type, {"flags": plain | COMPRESSED | MARKERS, "compression": 1}),
        ("sparse-directory-at-the-end", unsupported("vmdk-directory-at-end"), {"directory": AT_END}),
        ("sparse-directory-beyond-signed-offsets", corrupt("vmdk-table-overlap"), {"directory": 1 << 54}),
        ("sparse-overhead-near-2-64", corrupt("vmdk-grain-overlap"), {"overhead": 2**64 - 1}),
    ]:
        image = sparse(BROAD)
        for field, value in fields.items():
            image.set(field, value)
        corpus.case("vmdk-header", name, image.bytes(), Terms(VMDK), "vmdk/sparse", expected)


def _footers(corpus: Corpus) -> None:
    # The one field that says nothing of the disk.
    unclean = _stream().set("unclean", 1, footer=True).bytes()
    corpus.control("vmdk/stream-not-closed", unclean, Terms(VMDK), BROAD)
    usual = _stream()
    flags, directory = usual.get("flags"), usual.sector("directory")
    for field, value in [
        ("magic", b"KDMW"),
        ("version", 2),
        ("flags", flags | SECOND_DIRECTORY),
        ("capacity", SECTORS + 128),
        ("capacity", SECTORS * 8),
        ("capacity", 128),
        ("capacity", 0),
        ("grain_sectors", 64),
        ("grain_sectors", 256),
        ("descriptor_offset", 0),
        ("descriptor_sectors", 19),
        ("table_entries", 512),
        ("second_directory", 21),
        ("directory", AT_END),
        ("directory", 0),
        ("directory", directory - 1),
        ("directory", directory + 1),
        ("directory", 1 << 40),
        ("overhead", 0),
        ("newlines", b"\n\n\n\n"),
        ("compression", 0),
    ]:
        shown = value.hex() if isinstance(value, bytes) else value
        name, data = f"{field}-{shown}".replace("_", "-"), _stream().set(field, value, footer=True).bytes()
        first = name in (f"capacity-{SECTORS * 8}", "grain-sectors-64")
        expected = corrupt("vmdk-footer-mismatch")
        corpus.case("footer", name, data, Terms(VMDK), "vmdk/stream-not-closed", expected, first=first)
    known = _stream().set("directory", directory).bytes()
    expected = corrupt("vmdk-table-overlap")
    corpus.case("footer", "header-has-the-directory-too", known, Terms(VMDK), "vmdk/stream-not-closed", expected)


def _capacities(corpus: Corpus) -> None:
    too_many = limit("vmdk-too-many-tables")
    for name, sectors, expected in [
        ("bytes-beyond-2-64", 2**55 + SECTORS, too_many),
        ("bytes-of-2-63", 2**54, too_many),
        ("sectors-of-2-64", 2**64 - 1, too_many),
        ("bytes-of-2-57", 2**48, too_many),
        ("no-sectors", 0, corrupt("vmdk-capacity")),
    ]:
        for kind, image in (("stream", _stream()), ("sparse", sparse(BROAD))):
            text = descriptor({"stream": "streamOptimized", "sparse": "monolithicSparse"}[kind], sectors)
            data = image.text(text).set("capacity", sectors).bytes()
            first = kind == "sparse" and name == "bytes-beyond-2-64"
            corpus.case("capacity", f"{name}-{kind}", data, Terms(VMDK), f"vmdk/{kind}", expected, first=first)

    # Grains and tables of the largest size: as much as the tables could ever have.
    for name, sectors, expected in [
        ("of-32-tib", 2**36, limit("disk-too-large")),
        ("of-15-tib", 15 * 2**31, "no-space space-short node"),
    ]:
        first = name == "of-15-tib"
        corpus.case("capacity", name, _empty(sectors).bytes(), Terms(VMDK), "vmdk/stream", expected, first=first)
    small = Terms(VMDK, limits=('disk_bytes = "8MiB"',))
    for kind, image in (("stream", _stream()), ("sparse", sparse(BROAD))):
        name, control = f"more-than-the-operator-allows-{kind}", f"vmdk/{kind}"
        corpus.case("capacity", name, image.bytes(), small, control, limit("disk-too-large"))


def _empty(sectors: int) -> Image:
    """A stream without any grain, whose header stands for so many sectors."""
    image = stream(SECTORS, ()).text(descriptor("streamOptimized", sectors))
    return image.set("capacity", sectors).set("grain_sectors", 2048).set("table_entries", 512)
