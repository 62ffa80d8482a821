"""Writes qcow2 images in which every field can be changed, and those that name other files or contradict themselves.
QEMU, docs/interop/qcow2; all numbers are big-endian."""

import struct
import zlib

from corpus import Corpus, Terms, as_is, corrupt
from disk import SMALL

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS

# Where the header's fields are, and what they are.
FIELDS = {
    "magic": (0, ">4s"),
    "version": (4, ">I"),
    "backing_offset": (8, ">Q"),
    "backing_size": (16, ">I"),
    "cluster_bits": (20, ">I"),
    "size": (24, ">Q"),
    "crypt_method": (32, ">I"),
    "l1_size": (36, ">I"),
    "l1_offset": (40, ">Q"),
    "refcount_offset": (48, ">Q"),
    "refcount_clusters": (56, ">I"),
    "snapshots": (60, ">I"),
    "snapshots_offset": (64, ">Q"),
    "incompatible": (72, ">Q"),
    "compatible": (80, ">Q"),
    "autoclear": (88, ">Q"),
    "refcount_order": (96, ">I"),
    "header_length": (100, ">I"),
    "compression": (104, ">B"),
}
CORRUPT, DATA_FILE, COMPRESSION = 2, 4, 8
END, BACKING_FORMAT, CRYPTO_HEADER, DATA_FILE_NAME = 0, 0xE2792ACA, 0x0537BE77, 0x44415441
NAME_AT = 2048


def extension(kind: int, data: bytes = b"", length: int | None = None) -> bytes:
    said = len(data) if length is None else length
    return struct.pack(">II", kind, said) + data + bytes(-len(data) % 8)


def qcow2(disk: bytes, *, extensions: bytes = b"", version: int = 3, **fields) -> bytearray:
    """Header, refcounts, L1, L2, and data; clusters of zeros are left out."""
    clusters = [disk[at : at + CLUSTER].ljust(CLUSTER, b"\0") for at in range(0, len(disk), CLUSTER)]
    stored = [(number, data) for number, data in enumerate(clusters) if any(data)]
    # Header, refcount table, refcount block, L1, L2.
    first = 5
    data = bytearray((first + len(stored)) * CLUSTER)
    values = {
        "magic": b"QFI\xfb",
        "version": version,
        "cluster_bits": CLUSTER_BITS,
        "size": len(disk),
        "l1_size": 1,
        "l1_offset": 3 * CLUSTER,
        "refcount_offset": CLUSTER,
        "refcount_clusters": 1,
    }
    if version > 2:
        values |= {"refcount_order": 4, "header_length": 112}
    for name, value in (values | fields).items():
        offset, form = FIELDS[name]
        struct.pack_into(form, data, offset, value)
    start = (values | fields).get("header_length", 72) if version > 2 else 72
    if 72 <= start < NAME_AT:
        data[start : start + len(extensions) + 8] = extensions + extension(END)
    struct.pack_into(">Q", data, CLUSTER, 2 * CLUSTER)
    for number in range(first + len(stored)):
        struct.pack_into(">H", data, 2 * CLUSTER + 2 * number, 1)
    struct.pack_into(">Q", data, 3 * CLUSTER, 4 * CLUSTER | 1 << 63)
    for nth, (number, cluster) in enumerate(stored):
        at = (first + nth) * CLUSTER
        struct.pack_into(">Q", data, 4 * CLUSTER + 8 * number, at | 1 << 63)
        data[at : at + CLUSTER] = cluster
    return data


def add(corpus: Corpus) -> None:
    terms = Terms(as_is("qcow2"), as_is=True)
    corpus.control("qcow2/version-3", bytes(qcow2(SMALL)), terms)
    corpus.control("qcow2/version-2", bytes(qcow2(SMALL, version=2)), terms)
    _references(corpus, terms)
    _headers(corpus, terms)
    _tables(corpus)


def _named(name: str, **fields) -> bytes:
    """A header that says where this name is."""
    fields = {"backing_offset": NAME_AT, "backing_size": len(name)} | fields
    data = qcow2(SMALL, **fields)
    data[NAME_AT : NAME_AT + len(name)] = name.encode()
    return bytes(data)


def _references(corpus: Corpus, terms: Terms) -> None:
    reference = corrupt("format-reference")
    canary = corpus.canary
    data_file, unknown = extension(DATA_FILE_NAME, canary.encode()), extension(0x12345678, b"x")
    as_data = '{"driver":"raw","file":{"driver":"file","filename":"' + canary + '"}}'
    for name, data in [
        ("backing-absolute", _named(canary)),
        ("backing-relative", _named("../canary/secret.raw")),
        ("backing-sibling", _named(corpus.sibling)),
        ("backing-json", _named("json:" + as_data)),
        ("backing-on-the-network", _named(f"nbd://127.0.0.1:{corpus.port}/x")),
        ("backing-itself", _named("qcow2-references-backing-itself")),
        ("backing-without-a-length", _named(canary, backing_size=0)),
        ("backing-without-a-place", _named(canary, backing_offset=0)),
        ("backing-in-version-2", bytes(qcow2(SMALL, version=2, backing_offset=NAME_AT, backing_size=9))),
        ("backing-beyond-the-end", bytes(qcow2(SMALL, backing_offset=2**63, backing_size=9))),
        ("backing-of-4-gib", bytes(qcow2(SMALL, backing_offset=NAME_AT, backing_size=2**32 - 1))),
        ("backing-format-alone", bytes(qcow2(SMALL, extensions=extension(BACKING_FORMAT, b"raw")))),
        ("data-file-bit", bytes(qcow2(SMALL, incompatible=DATA_FILE))),
        ("data-file-name", bytes(qcow2(SMALL, extensions=data_file))),
        ("data-file-bit-and-name", bytes(qcow2(SMALL, incompatible=DATA_FILE, extensions=data_file))),
        ("data-file-behind-an-unknown-extension", bytes(qcow2(SMALL, extensions=unknown + data_file))),
    ]:
        first = name == "data-file-bit-and-name"
        control = "qcow2/version-2" if "version-2" in name else "qcow2/version-3"
        corpus.case("qcow2-references", name, data, terms, control, reference, first=first)
    encrypted = corrupt("format-encrypted")
    for name, data in [
        ("qcow2-by-aes", bytes(qcow2(SMALL, crypt_method=1))),
        ("qcow2-by-luks", bytes(qcow2(SMALL, crypt_method=2))),
        ("qcow2-by-an-unknown-method", bytes(qcow2(SMALL, crypt_method=2**32 - 1))),
        ("qcow2-by-its-header-alone", bytes(qcow2(SMALL, extensions=extension(CRYPTO_HEADER, bytes(16))))),
    ]:
        corpus.case("encrypted", name, data, terms, "qcow2/version-3", encrypted)


def _headers(corpus: Corpus, terms: Terms) -> None:
    header = corrupt("format-header")
    variant = corrupt("format-variant")
    feature = corrupt("format-feature")
    many = extension(0x12345678, b"x" * 24) * 2045
    for name, data, expected in [
        ("version-0", bytes(qcow2(SMALL, version=0)), variant),
        ("version-1", bytes(qcow2(SMALL, version=1)), variant),
        ("version-4", bytes(qcow2(SMALL, version=4)), variant),
        ("corrupt", bytes(qcow2(SMALL, incompatible=CORRUPT)), feature),
        ("unknown-feature", bytes(qcow2(SMALL, incompatible=1 << 5)), feature),
        ("last-feature", bytes(qcow2(SMALL, incompatible=1 << 63)), feature),
        ("compression-without-its-bit", bytes(qcow2(SMALL, compression=1)), feature),
        ("compression-bit-alone", bytes(qcow2(SMALL, incompatible=COMPRESSION)), feature),
        ("unknown-compression", bytes(qcow2(SMALL, incompatible=COMPRESSION, compression=2)), feature),
        ("header-of-no-bytes", bytes(qcow2(SMALL, header_length=0)), header),
        ("header-of-96-bytes", bytes(qcow2(SMALL, header_length=96)), header),
        ("header-of-107-bytes", bytes(qcow2(SMALL, header_length=107)), header),
        ("header-of-2-gib", bytes(qcow2(SMALL, header_length=1 << 31)), header),
        ("clusters-of-256-bytes", bytes(qcow2(SMALL, cluster_bits=8)), header),
        ("clusters-of-4-mib", bytes(qcow2(SMALL, cluster_bits=22)), header),
        ("clusters-of-2-64-bytes", bytes(qcow2(SMALL, cluster_bits=64)), header),
        ("clusters-of-2-32-bits", bytes(qcow2(SMALL, cluster_bits=2**32 - 1)), header),
        ("extension-of-4-gib", bytes(qcow2(SMALL, extensions=extension(0x12345678, length=2**32 - 1))), header),
        ("extension-beyond-the-cluster", bytes(qcow2(SMALL, extensions=extension(0x12345678, length=CLUSTER))), header),
        ("extensions-up-to-behind-the-cluster", bytes(qcow2(SMALL, extensions=many)), header),
        ("disk-of-2-63", bytes(qcow2(SMALL, size=1 << 63)), header),
        ("disk-of-2-64", bytes(qcow2(SMALL, size=2**64 - 1)), header),
        ("cut-within-the-magic", bytes(qcow2(SMALL)[:3]), corrupt("format-mismatch")),
        ("cut-within-the-header", bytes(qcow2(SMALL)[:50]), header),
        ("cut-behind-the-header", bytes(qcow2(SMALL)[:112]), header),
    ]:
        corpus.case("qcow2-header", name, data, terms, "qcow2/version-3", expected)


def _tables(corpus: Corpus) -> None:
    """Nobody here makes a raw disk of a qcow2, and so nobody reads its tables."""
    terms = Terms(as_is("qcow2"))
    bomb = zlib.compressobj(9, wbits=-12)
    inflating = bomb.compress(bytes(16 << 20)) + bomb.flush()
    clusters = bytearray(qcow2(SMALL))
    at = len(clusters)
    clusters.extend(inflating.ljust(CLUSTER, b"\0"))
    # All clusters are the same compressed one.
    for entry in range(CLUSTER // 8):
        struct.pack_into(">Q", clusters, 4 * CLUSTER + 8 * entry, 1 << 62 | 1 << 61 | at)
    looped = qcow2(SMALL)
    struct.pack_into(">Q", looped, 4 * CLUSTER, 4 * CLUSTER | 1 << 63)
    for name, data in [
        ("l1-is-the-header", qcow2(SMALL, l1_offset=0)),
        ("l1-beyond-the-end", qcow2(SMALL, l1_offset=1 << 62)),
        ("l1-of-2-32-entries", qcow2(SMALL, l1_size=2**32 - 1)),
        ("l1-of-no-entries", qcow2(SMALL, l1_size=0)),
        ("l2-leads-to-itself", looped),
        ("all-clusters-are-one-that-inflates-to-16-mib", clusters),
        ("refcounts-of-4-gib", qcow2(SMALL, refcount_clusters=2**32 - 1)),
        ("refcounts-of-2-63-bits", qcow2(SMALL, refcount_order=63)),
        ("snapshots-of-2-32", qcow2(SMALL, snapshots=2**32 - 1, snapshots_offset=CLUSTER)),
    ]:
        expected = "unsupported no-unpacker image"
        corpus.case("qcow2-tables", name, bytes(data), terms, "qcow2/version-3", expected)
