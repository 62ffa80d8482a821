"""VMDKs that are text, or have a text inside, which names other files or is read differently by different readers."""

from corpus import RAW, VMDK, Corpus, Terms, corrupt, limit, unsupported
from disk import BROAD, SECTOR, SMALL
from vmdk import DESCRIPTOR_SECTORS, deflated, descriptor, sparse, stream

SECTORS = len(BROAD) // SECTOR
OTHER_FILES = unsupported("vmdk-other-files")
NOT_RAW = corrupt("format-mismatch")
NO_DESCRIPTOR = corrupt("vmdk-descriptor")
NO_EXTENT = corrupt("vmdk-extent")
NO_TYPE = unsupported("vmdk-create-type")
PARENT = unsupported("vmdk-parent")


def add(corpus: Corpus) -> None:
    corpus.control("vmdk/stream", stream(SECTORS, deflated(BROAD)).bytes(), Terms(VMDK), BROAD)
    corpus.control("vmdk/sparse", sparse(BROAD).bytes(), Terms(VMDK), BROAD)
    text = b"# Disk of text, and not of a descriptor\nversions=1\ncreate.type=none\n".ljust(4096, b"\0")
    corpus.control("raw/text", text, Terms(RAW), text)
    corpus.control("raw/small", SMALL, Terms(RAW), SMALL)
    _alone(corpus)
    _extents(corpus)
    _parents(corpus)
    _readings(corpus)


def _flat(name: str) -> str:
    return descriptor("monolithicFlat", SECTORS, extents=f'RW {SECTORS} FLAT "{name}" 0')


def _alone(corpus: Corpus) -> None:
    """Texts alone, of which the record says either that they are a VMDK or a raw disk."""
    flat = _flat(corpus.canary).encode()
    zeros = descriptor("monolithicFlat", 0, extents=f"RW {SECTORS} ZERO")
    comments = b"# nothing\n" * 5000
    texts = [
        ("absolute", flat, OTHER_FILES),
        ("absolute-padded", flat.ljust(SECTOR, b"\0"), OTHER_FILES),
        ("absolute-padded-to-64-kib", flat.ljust(65536, b"\0"), OTHER_FILES),
        ("absolute-behind-a-byte-order-mark", b"\xef\xbb\xbf" + flat.ljust(SECTOR, b"\0"), NO_DESCRIPTOR),
        ("absolute-behind-comments", comments + flat.ljust(SECTOR, b"\0"), OTHER_FILES),
        ("absolute-behind-blank-lines", b"\r\n \t\n" + flat.ljust(SECTOR, b"\0"), OTHER_FILES),
        ("in-capitals", flat.upper().ljust(SECTOR, b"\0"), OTHER_FILES),
        ("without-its-first-comment", flat.split(b"\n", 1)[1].ljust(SECTOR, b"\0"), OTHER_FILES),
        ("sibling-padded", _flat(corpus.sibling).encode().ljust(SECTOR, b"\0"), OTHER_FILES),
        ("parent-directory", _flat("../canary/secret.raw").encode().ljust(SECTOR, b"\0"), OTHER_FILES),
        ("on-the-network", _flat(f"nbd:127.0.0.1:{corpus.port}").encode().ljust(SECTOR, b"\0"), OTHER_FILES),
        ("sparse-sibling", descriptor("monolithicSparse", SECTORS).encode().ljust(SECTOR, b"\0"), OTHER_FILES),
        ("split", descriptor("twoGbMaxExtentSparse", SECTORS).encode().ljust(SECTOR, b"\0"), OTHER_FILES),
        ("zeros-alone", zeros.encode().ljust(SECTOR, b"\0"), NO_TYPE),
    ]
    for name, text, expected in texts:
        first = name == "absolute-padded"
        corpus.case("text-descriptor", f"{name}-as-vmdk", text, Terms(VMDK), "vmdk/sparse", expected, first=first)
        corpus.case("text-descriptor", f"{name}-as-raw", text, Terms(RAW), "raw/text", NOT_RAW, first=first)
    many = descriptor("twoGbMaxExtentFlat", 0, extents='RW 1 FLAT "f.vmdk" 0\n' * 4097).encode()
    expected = limit("vmdk-too-many-extents")
    corpus.case("text-descriptor", "4097-extents", many, Terms(VMDK), "vmdk/sparse", expected)
    long = flat + b"#" * (1 << 20)
    corpus.case("text-descriptor", "longer-than-1-mib", long, Terms(VMDK), "vmdk/sparse", NO_DESCRIPTOR)


def _embedded(corpus: Corpus, group: str, name: str, text: str | bytes, expected: str, *, first: bool = False) -> None:
    """A stream with another descriptor."""
    image = stream(SECTORS, deflated(BROAD)).text(text)
    corpus.case(group, name, image.bytes(), Terms(VMDK), "vmdk/stream", expected, first=first)


def _extents(corpus: Corpus) -> None:
    own = f'RW {SECTORS} SPARSE "disk.vmdk"'
    mismatch = corrupt("vmdk-capacity-mismatch")
    for name, extents, expected in [
        ("flat-sibling", f'RW {SECTORS} FLAT "{corpus.sibling}" 0', OTHER_FILES),
        ("flat-sibling-beside-its-own", f'{own}\nRW 128 FLAT "{corpus.sibling}" 0', OTHER_FILES),
        ("flat-absolute", f'RW {SECTORS} FLAT "{corpus.canary}" 0', OTHER_FILES),
        ("sparse-absolute", f'RW {SECTORS} SPARSE "{corpus.canary}"', OTHER_FILES),
        ("sparse-parent-directory", f'RW {SECTORS} SPARSE "../canary/secret.raw"', OTHER_FILES),
        ("sparse-with-backslashes", f'RW {SECTORS} SPARSE "..\\canary\\secret.raw"', OTHER_FILES),
        ("device", f'RW {SECTORS} FLAT "/dev/zero" 0', OTHER_FILES),
        ("vmfs", f'RW {SECTORS} VMFS "{corpus.sibling}"', OTHER_FILES),
        ("vmfs-sparse", f'RW {SECTORS} VMFSSPARSE "{corpus.sibling}"', OTHER_FILES),
        ("vmfs-raw-device-map", f'RW {SECTORS} VMFSRDM "{corpus.sibling}"', OTHER_FILES),
        ("raw-device-map", f'RW {SECTORS} VMFSRAW "{corpus.sibling}"', OTHER_FILES),
        ("not-accessible", f'NOACCESS {SECTORS} SPARSE "disk.vmdk"', OTHER_FILES),
        ("zeros-alone", f"RW {SECTORS} ZERO", NO_TYPE),
        ("zeros-beside-its-own", f"{own}\nRW 128 ZERO", OTHER_FILES),
        ("twice-its-own", f"{own}\n{own}", OTHER_FILES),
        ("on-the-network", f'RW {SECTORS} SPARSE "nbd:127.0.0.1:{corpus.port}"', OTHER_FILES),
        ("more-sectors", f'RW {SECTORS + 128} SPARSE "disk.vmdk"', mismatch),
        ("fewer-sectors", f'RW {SECTORS - 128} SPARSE "disk.vmdk"', mismatch),
        ("no-sectors", 'RW 0 SPARSE "disk.vmdk"', NO_EXTENT),
        ("sectors-beyond-2-64", f'RW {2**64 + SECTORS} SPARSE "disk.vmdk"', NO_EXTENT),
        ("negative-sectors", f'RW -{SECTORS} SPARSE "disk.vmdk"', NO_EXTENT),
        ("hexadecimal-sectors", f'RW {SECTORS:#x} SPARSE "disk.vmdk"', NO_EXTENT),
        ("no-name", f"RW {SECTORS} SPARSE", NO_EXTENT),
        ("name-of-256-bytes", f'RW {SECTORS} SPARSE "{"n" * 256}"', NO_EXTENT),
        ("none", "", NO_EXTENT),
    ]:
        text = descriptor("streamOptimized", SECTORS, extents=extents)
        _embedded(corpus, "extents", name, text, expected, first=name == "flat-sibling-beside-its-own")
    tracked = descriptor("streamOptimized", SECTORS, lines=f'changeTrackPath="{corpus.sibling}"')
    _embedded(corpus, "extents", "changed-blocks", tracked, OTHER_FILES)


def _parents(corpus: Corpus) -> None:
    hint = f'parentFileNameHint="{corpus.canary}"'
    twice = "parentCID=12345678"
    for name, how, expected in [
        ("content-id", {"parent": "12345678"}, PARENT),
        ("content-id-zero", {"parent": "0"}, PARENT),
        ("hint", {"lines": hint}, PARENT),
        ("content-id-and-hint", {"parent": "12345678", "lines": hint}, PARENT),
        ("hint-in-a-comment", {"lines": f"# {hint}"}, PARENT),
        ("hint-in-capitals", {"lines": hint.upper()}, PARENT),
        ("two-content-ids", {"lines": twice}, NO_DESCRIPTOR),
        ("a-second-content-id-in-a-comment", {"lines": f"#{twice}"}, NO_DESCRIPTOR),
    ]:
        for kind in ("streamOptimized", "monolithicSparse"):
            image = stream(SECTORS, deflated(BROAD)) if kind == "streamOptimized" else sparse(BROAD)
            control = "vmdk/stream" if kind == "streamOptimized" else "vmdk/sparse"
            data = image.text(descriptor(kind, SECTORS, **how)).bytes()
            first = kind == "monolithicSparse" and name == "content-id-and-hint"
            corpus.case("parent", f"{name}-{kind}", data, Terms(VMDK), control, expected, first=first)


def _readings(corpus: Corpus) -> None:
    usual = descriptor("streamOptimized", SECTORS)
    flat = f'createType="monolithicFlat"\nRW {SECTORS} FLAT "{corpus.sibling}" 0\n'

    def kind(name: str) -> str:
        return usual.replace("streamOptimized", name)

    for name, text, expected in [
        ("goes-on-behind-a-nul", usual + "\0" + flat, NO_DESCRIPTOR),
        ("goes-on-far-behind", usual.ljust(DESCRIPTOR_SECTORS * SECTOR - len(flat), "\0") + flat, NO_DESCRIPTOR),
        ("without-an-end", usual.ljust(DESCRIPTOR_SECTORS * SECTOR, "#"), NO_DESCRIPTOR),
        ("carriage-return-within-a-line", usual.replace("version=1", f"version=1\r{flat}"), NO_DESCRIPTOR),
        ("vertical-tab", usual.replace("version=1", "version=1\x0bCID=2"), NO_DESCRIPTOR),
        ("utf-16", usual[:2000].encode("utf-16"), NO_DESCRIPTOR),
        ("nothing-but-nuls", "", NO_DESCRIPTOR),
        ("two-create-types", usual + flat, NO_DESCRIPTOR),
        ("a-second-create-type-in-a-comment", usual + "# " + flat.split("\n", 1)[0], NO_DESCRIPTOR),
        ("no-create-type", usual.replace("createType", "createdType"), NO_DESCRIPTOR),
        ("create-type-not-quoted", usual.replace('"streamOptimized"', "streamOptimized"), corrupt("format-header")),
        ("blank-before-an-equals-sign", usual.replace("CID=2", "CID =2"), corrupt("format-header")),
        ("two-content-ids", usual + "CID=1\n", NO_DESCRIPTOR),
        ("content-id-with-a-sign", usual.replace("CID=2f6a1c09\n", "CID=+2f6a1c0\n"), NO_DESCRIPTOR),
        ("content-id-of-nine-digits", usual.replace("CID=2", "CID=12"), NO_DESCRIPTOR),
        ("an-unknown-line", usual + "include other.vmdk\n", NO_DESCRIPTOR),
        ("another-form", kind("monolithicSparse"), corrupt("vmdk-create-type-mismatch")),
        ("flat", kind("monolithicFlat"), NO_EXTENT),
        ("split", kind("twoGbMaxExtentSparse"), OTHER_FILES),
        ("vmfs-sparse", kind("vmfsSparse"), NO_TYPE),
        ("full-device", kind("fullDevice"), NO_TYPE),
        ("space-efficient", kind("seSparse"), NO_TYPE),
        ("custom", kind("custom"), NO_TYPE),
        ("unheard-of", kind("streamOptimised"), NO_TYPE),
    ]:
        _embedded(corpus, "vmdk-text", name, text, expected)
