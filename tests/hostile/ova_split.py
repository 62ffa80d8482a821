"""Packages of a disk in several members: its descriptor and its extents, hostile in turn."""

import ovf
from corpus import OVA, Corpus, Terms, corrupt, limit, unsupported
from disk import SECTOR, SMALL
from vmdk import deflated, descriptor, sparse, stream

SECTORS = len(SMALL) // SECTOR
# Where the disk is cut: flat extents may end anywhere, sparse ones with a grain.
CUT = 301
GRAINS = 128 * 3
MISSING = corrupt("ova-extent-missing")
REFERENCE = corrupt("ova-extent-reference")
SIZE = corrupt("ova-extent-size")
CAPACITY = corrupt("ovf-capacity-mismatch")
OTHER_FILES = unsupported("vmdk-other-files")
AMBIGUOUS = unsupported("vmdk-extent-ambiguous")


def _lines(*lines: str, kind: str = "twoGbMaxExtentFlat", parent: str = "ffffffff") -> bytes:
    return descriptor(kind, SECTORS, parent=parent, extents="\n".join(lines)).encode()


def _package(text: bytes, one: bytes, two: bytes, *, listed: str | None = None, **more: bytes) -> bytes:
    members = {
        "image.ovf": ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL))).encode(),
        "disk.vmdk": text,
        "one.vmdk": one,
        "two.vmdk": two,
    }
    return ovf.package(members | {f"{name}.vmdk": data for name, data in more.items()}, listed)


ONE, TWO = f'RW {CUT} FLAT "one.vmdk" 0', f'RW {SECTORS - CUT} FLAT "two.vmdk" 0'
FIRST, SECOND = SMALL[: CUT * SECTOR], SMALL[CUT * SECTOR :]


def add(corpus: Corpus) -> None:
    corpus.control("ova/split-flat", _package(_lines(ONE, TWO), FIRST, SECOND), Terms(OVA), SMALL)
    _names(corpus)
    _sizes(corpus)
    _descriptors(corpus)
    _members(corpus)
    _sparse(corpus)


def _names(corpus: Corpus) -> None:
    for name, other, expected in [
        ("absolute", corpus.canary, OTHER_FILES),
        ("beside-the-image", corpus.sibling, MISSING),
        ("above", "../one.vmdk", OTHER_FILES),
        ("here", "./two.vmdk", OTHER_FILES),
        ("backslash", "..\\two.vmdk", OTHER_FILES),
        ("network", f"nbd:127.0.0.1:{corpus.port}", OTHER_FILES),
        ("json", 'json:{"driver":"raw"}', corrupt("vmdk-extent")),
        ("capitals", "TWO.VMDK", MISSING),
        ("blank-behind", "two.vmdk ", MISSING),
        ("once-more", "one.vmdk", REFERENCE),
        ("itself", "disk.vmdk", REFERENCE),
        ("ovf", "image.ovf", REFERENCE),
        ("manifest", "image.mf", REFERENCE),
        ("certificate", "image.cert", REFERENCE),
        ("empty", "", corrupt("vmdk-extent")),
    ]:
        data = _package(_lines(ONE, TWO.replace("two.vmdk", other)), FIRST, SECOND)
        corpus.case("split-in-ova", f"name-{name}", data, Terms(OVA), "ova/split-flat", expected)


def _sizes(corpus: Corpus) -> None:
    for name, one, two in [
        ("shorter-member", FIRST, SECOND[:-SECTOR]),
        ("longer-member", FIRST, SECOND + bytes(SECTOR)),
        ("a-byte-more", FIRST, SECOND + b"\0"),
        ("empty-member", b"", SECOND),
    ]:
        data = _package(_lines(ONE, TWO), one, two)
        corpus.case("split-in-ova", f"size-{name}", data, Terms(OVA), "ova/split-flat", SIZE)
    huge = 1 << 54
    for name, lines, expected in [
        ("offset", (ONE, TWO[:-1] + "1"), SIZE),
        ("less-than-the-capacity", (ONE,), CAPACITY),
        ("more-than-the-capacity", (ONE, TWO, 'RW 1 FLAT "three.vmdk" 0'), CAPACITY),
        ("larger-than-files", (ONE, f'RW {huge} FLAT "two.vmdk" 0'), corrupt("vmdk-capacity")),
        ("beyond-numbers", (ONE, TWO.replace(str(SECTORS - CUT), str((1 << 64) - 1))), corrupt("vmdk-capacity")),
        ("negative", (ONE, TWO.replace(str(SECTORS - CUT), "-1")), corrupt("vmdk-extent")),
    ]:
        data = _package(_lines(*lines), FIRST, SECOND)
        corpus.case("split-in-ova", f"size-{name}", data, Terms(OVA), "ova/split-flat", expected)
    many = [f'RW 1 FLAT "{number}.vmdk" 0' for number in range(1025)]
    data = _package(_lines(*many), FIRST, SECOND)
    corpus.case("split-in-ova", "size-1025-extents", data, Terms(OVA), "ova/split-flat", MISSING)
    most = "\n".join(['RW 1 FLAT "one.vmdk" 0'] * 4097)
    data = _package(_lines(most), FIRST, SECOND)
    expected = limit("vmdk-too-many-extents")
    corpus.case("split-in-ova", "size-4097-extents", data, Terms(OVA), "ova/split-flat", expected)


def _descriptors(corpus: Corpus) -> None:
    usual = _lines(ONE, TWO)
    for name, text, expected in [
        ("parent", _lines(ONE, TWO, parent="1"), unsupported("vmdk-parent")),
        ("parent-in-a-comment", usual + b'# parentFileNameHint="base.vmdk"\n', unsupported("vmdk-parent")),
        ("changed-blocks", usual + b'changeTrackPath="disk-ctk.vmdk"\n', OTHER_FILES),
        ("device", usual.replace(b"twoGbMaxExtentFlat", b"fullDevice"), unsupported("vmdk-create-type")),
        ("vmfs", usual.replace(b"twoGbMaxExtentFlat", b"vmfs"), unsupported("vmdk-create-type")),
        ("raw-device", usual.replace(b"FLAT", b"RDM"), OTHER_FILES),
        ("no-access", usual.replace(b"RW", b"NOACCESS"), OTHER_FILES),
        ("kind-of-another-type", usual.replace(b"twoGbMaxExtentFlat", b"twoGbMaxExtentSparse"), corrupt("vmdk-extent")),
        ("within-itself", usual.replace(b"twoGbMaxExtentFlat", b"monolithicSparse"), REFERENCE),
        ("text-behind-a-nul", usual + b"\0" * 9 + b'RW 1 FLAT "/etc/passwd" 0', corrupt("vmdk-descriptor")),
        ("zeros-alone", _lines(f"RW {SECTORS} ZERO"), unsupported("vmdk-create-type")),
        ("no-extents", _lines(""), corrupt("vmdk-extent")),
        # qemu passes over these lines, and takes the last one twice.
        ("zeros", _lines(ONE, TWO, "RW 1 ZERO"), AMBIGUOUS),
        ("small-letters", usual.replace(b"RW", b"rw", 1), AMBIGUOUS),
        ("read-only", usual.replace(b"RW", b"RDONLY", 1), AMBIGUOUS),
        ("behind-a-blank-line", usual.replace(b"RW", b"\nRW", 1), AMBIGUOUS),
        ("behind-blanks", usual.replace(b"RW", b" \t\r\nRW", 1), AMBIGUOUS),
        # To some it is the magic number of another format.
        ("magic-of-sparse", b"KDMV=1\n" + usual, AMBIGUOUS),
        ("magic-of-another", b"COWD=1\n" + usual, AMBIGUOUS),
    ]:
        data = _package(text, FIRST, SECOND)
        corpus.case("split-in-ova", f"text-{name}", data, Terms(OVA), "ova/split-flat", expected)


def _members(corpus: Corpus) -> None:
    """The members themselves, and disks that share them."""
    ovf_of_two = ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL)), ovf.Disk("other.vmdk", len(SMALL))).encode()
    terms = Terms(OVA, directory=True)
    text = _lines(ONE, TWO)
    whole = {"image.ovf": ovf_of_two, "disk.vmdk": text, "one.vmdk": FIRST, "two.vmdk": SECOND}
    third, fourth = ONE.replace("one", "three"), TWO.replace("two", "four")
    others = {"three.vmdk": FIRST, "four.vmdk": SECOND}
    good = whole | {"other.vmdk": _lines(third, fourth)} | others
    corpus.control("ova/split-two", ovf.package(good), terms, SMALL, SMALL)
    for name, members, expected in [
        ("an-extent-of-two-disks", good | {"other.vmdk": _lines(third, TWO)}, REFERENCE),
        ("all-of-another-disk", good | {"other.vmdk": text}, REFERENCE),
        ("another-disks-descriptor", good | {"other.vmdk": _lines(third, fourth.replace("four", "disk"))}, REFERENCE),
        ("one-missing", {name: data for name, data in good.items() if name != "four.vmdk"}, MISSING),
    ]:
        corpus.case("split-in-ova", f"disks-{name}", ovf.package(members), terms, "ova/split-two", expected)
    data = _package(text, FIRST, SECOND, listed="")
    expected = corrupt("manifest-unlisted-file")
    corpus.case("split-in-ova", "disks-nothing-listed", data, Terms(OVA), "ova/split-flat", expected)
    right = {"image.ovf": ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL))).encode(), "disk.vmdk": text}
    wrong = ovf.manifest(right | {"one.vmdk": FIRST, "two.vmdk": SECOND[:-1] + b"\0"})
    data = _package(text, FIRST, SECOND, listed=wrong)
    expected = corrupt("manifest-digest-mismatch")
    corpus.case("split-in-ova", "disks-another-extent-listed", data, Terms(OVA), "ova/split-flat", expected)


def _sparse(corpus: Corpus) -> None:
    kind = "twoGbMaxExtentSparse"
    one, two = f'RW {GRAINS} SPARSE "one.vmdk"', f'RW {SECTORS - GRAINS} SPARSE "two.vmdk"'
    first, second = SMALL[: GRAINS * SECTOR], SMALL[GRAINS * SECTOR :]
    text = _lines(one, two, kind=kind)
    stored = sparse(first).bytes(), sparse(second).bytes()
    corpus.control("ova/split-sparse", _package(text, *stored), Terms(OVA), SMALL)
    packed = stream((SECTORS - GRAINS), deflated(second)).bytes()
    shifted = _lines(f'RW {CUT} SPARSE "one.vmdk"', f'RW {SECTORS - CUT} SPARSE "two.vmdk"', kind=kind)
    for name, text, pair, expected in [
        ("raw", text, (stored[0], second), corrupt("vmdk-magic")),
        ("compressed", text, (stored[0], packed), unsupported("vmdk-create-type")),
        ("of-another-size", text, (stored[0], sparse(first).bytes()), corrupt("vmdk-capacity-mismatch")),
        ("cut", text, (stored[0], stored[1][: -120 * SECTOR]), corrupt("unexpected-end")),
        ("table-in-itself", text, (sparse(first).entry("directory", 0, 1).bytes(), stored[1]),
         corrupt("vmdk-table-overlap")),
        ("descriptor", text, (stored[0], text), OTHER_FILES),
        ("within-a-grain", shifted, (sparse(FIRST).bytes(), sparse(SECOND).bytes()), unsupported("vmdk-extent-alignment")),
    ]:  # fmt: skip
        data = _package(text, *pair)
        corpus.case("split-in-ova", f"sparse-{name}", data, Terms(OVA), "ova/split-sparse", expected)
