"""Bytes of another format than their record says, of several formats at once, and formats within formats."""

import gzip
import struct

import ovf
import tar
from corpus import OVA, RAW, VMDK, Corpus, Terms, as_is, corrupt, unsupported
from disk import BROAD, SECTOR, SMALL
from qcow2 import qcow2
from vhd import FIXED, dynamic, footer, vdi
from vhdx import Vhdx
from vmdk import deflated, descriptor, sparse, stream

MISMATCH = corrupt("format-mismatch")
AMBIGUOUS = corrupt("format-ambiguous")
HEADER = corrupt("format-header")
VDI_MARK = struct.pack("<I", 0xBEDA107F)


def luks(version: int = 1, payload: int = 8) -> bytes:
    """LUKS1 On-Disk Format Specification, 2.1: magic, version, ciphers, where the data begin; big-endian."""
    header = struct.pack(">6sH32s32s32sII", b"LUKS\xba\xbe", version, b"aes", b"xts-plain64", b"sha256", payload, 32)
    return header.ljust(4096, b"\0") + SMALL


def iso(blocks: int = 32) -> bytes:
    """ECMA-119, 8.4: a primary volume descriptor and the end of descriptors."""
    primary = bytearray(2048)
    primary[:7] = b"\x01CD001\x01"
    struct.pack_into("<I", primary, 80, blocks)
    struct.pack_into(">I", primary, 84, blocks)
    struct.pack_into("<HH", primary, 128, 2048, 8)
    end = b"\xffCD001\x01".ljust(2048, b"\0")
    return (bytes(32768) + bytes(primary) + end).ljust(blocks * 2048, b"\0")


def partition(kind: int, *, boot: int = 0, chs: bytes = b"\0\x02\0", first: int = 1) -> bytes:
    return struct.pack("<B3sB3sII", boot, chs, kind, b"\xff\xff\xff", first, 640)


def partitioned(*entries: bytes) -> bytes:
    """UEFI 2.10, 5.2: a partition table in the first sector."""
    disk = bytearray(SMALL)
    disk[446:512] = b"".join(entries).ljust(64, b"\0") + b"\x55\xaa"
    return bytes(disk)


def inside(disk: bytes) -> bytes:
    """A disk as the content of a stream, which has whole sectors."""
    disk = disk + bytes(-len(disk) % SECTOR)
    return stream(len(disk) // SECTOR, deflated(disk)).bytes()


def samples() -> dict[str, bytes]:
    """A legal image of each format that a record can claim and that has marks."""
    return {
        "qcow2": bytes(qcow2(SMALL)),
        "vmdk": sparse(SMALL).bytes(),
        "vhd": dynamic(SMALL),
        "vhdx": Vhdx().write(),
        "vdi": vdi(SMALL),
        "luks": luks(),
        "iso": iso(),
    }


def add(corpus: Corpus) -> None:
    corpus.control("vmdk/as-is", sparse(SMALL).bytes(), Terms(as_is("vmdk"), as_is=True))
    corpus.control("luks/version-1", luks(), Terms(as_is("luks"), as_is=True))
    corpus.control("iso/plain", iso(), Terms(as_is("iso"), as_is=True))
    corpus.control("iso/hybrid", partitioned(partition(0x83))[:512] + iso()[512:], Terms(as_is("iso"), as_is=True))
    _wrong(corpus)
    _probed(corpus)
    _nested(corpus)
    _partitions(corpus)


def _wrong(corpus: Corpus) -> None:
    all_samples = samples()
    # Each as the next one: a wrong pair for every format.
    following = dict(zip(all_samples, [*list(all_samples)[1:], "qcow2"], strict=True))
    controls = {
        "qcow2": "qcow2/version-3",
        "vmdk": "vmdk/as-is",
        "vhd": "vhd/dynamic",
        "vhdx": "vhdx/empty",
        "vdi": "vdi/static",
        "luks": "luks/version-1",
        "iso": "iso/plain",
    }
    for name, data in all_samples.items():
        corpus.case("wrong-format", f"{name}-as-raw", data, Terms(RAW), "raw/small", MISMATCH, first=name == "qcow2")
        claimed = following[name]
        terms = Terms(as_is(claimed), as_is=True)
        control = controls[claimed]
        corpus.case("wrong-format", f"{name}-as-{claimed}", data, terms, control, MISMATCH)
        if name != "vmdk":
            magic = corrupt("vmdk-magic")
            corpus.case("wrong-format", f"{name}-as-vmdk-to-unpack", data, Terms(VMDK), "vmdk/sparse", magic)
            # The first sectors of an ISO image are zeros, as is the end of an archive.
            archive = corrupt("tar-trailing-data") if name == "iso" else corrupt("tar-magic")
            corpus.case("wrong-format", f"{name}-as-ova", data, Terms(OVA), "ova/no-manifest", archive)
    corpus.case("encrypted", "luks-as-raw", luks() + bytes(512), Terms(RAW), "raw/small", MISMATCH)


def _probed(corpus: Corpus) -> None:
    tail = SMALL[512:]
    cowd = b"COWD".ljust(512, b"\0") + tail
    se_sparse = struct.pack("<Q", 0xCAFEBABE).ljust(512, b"\0") + tail
    parallels = struct.pack("<16sIIIIII", b"WithoutFreeSpace", 2, 16, 100, 0, 0, 0)
    udf = bytes(32768) + b"\0BEA01\x01".ljust(2048, b"\0") + b"\0NSR02\x01".ljust(2048, b"\0") + bytes(28672)
    for name, data in [
        ("qed", b"QED\0".ljust(512, b"\0") + tail),
        ("qcow-version-1", bytes(qcow2(SMALL, version=1))),
        ("cowd", cowd),
        ("se-sparse", se_sparse),
        ("parallels-without-tracks", parallels.ljust(512, b"\0") + tail),
        ("parallels-extended", parallels.replace(b"WithoutFreeSpace", b"WithouFreSpacExt").ljust(512, b"\0") + tail),
        ("bochs", b"Bochs Virtual HD Image".ljust(512, b"\0") + tail),
        ("cloop", b"#!/bin/sh\n#V2.0 Format\n".ljust(512, b"\0") + tail),
        ("dmg", SMALL + b"koly".ljust(512, b"\0")),
        ("udf", udf),
    ]:
        corpus.case("probed-formats", f"{name}-as-raw", data, Terms(RAW), "raw/small", MISMATCH)
    for name, data, expected in [
        ("cowd-as-vmdk", cowd, unsupported("vmdk-cowd")),
        ("se-sparse-as-vmdk", se_sparse, unsupported("vmdk-se-sparse")),
    ]:
        corpus.case("probed-formats", name, data, Terms(VMDK), "vmdk/sparse", expected)
    qed = Terms(as_is("qed"), as_is=True)
    banned = corrupt("format-banned")
    corpus.case("probed-formats", "qed-as-qed", b"QED\0".ljust(512, b"\0") + tail, qed, "raw/small", banned)


def _nested(corpus: Corpus) -> None:
    text = descriptor("monolithicFlat", 1, extents=f'RW 1 FLAT "{corpus.canary}" 0').encode().ljust(65536, b"\0")
    fixed = SMALL + footer(len(SMALL), FIXED)
    table = partitioned(partition(0x83))
    corpus.control("vmdk/partitioned", inside(table), Terms(VMDK), table)
    # No reader of disks looks for archives.
    archive = tar.archive(tar.member("note.txt", SMALL))
    corpus.control("vmdk/archive", inside(archive), Terms(VMDK), archive)
    packed = RAW | {"compression": "gzip"}
    corpus.control("gzip/partitioned", gzip.compress(table, mtime=0), Terms(packed), table)
    raw = ovf.descriptor(ovf.Disk("disk.raw", len(table), ovf.RAW_URI)).encode()
    corpus.control("ova/raw-partitioned", ovf.package({"image.ovf": raw, "disk.raw": table}), Terms(OVA), table)
    for name, content in (samples() | {"text": text, "vhd-fixed": fixed, "qed": b"QED\0".ljust(65536, b"\0")}).items():
        first, control = name == "qcow2", "vmdk/archive" if name == "text" else "vmdk/partitioned"
        corpus.case("nested", f"{name}-in-vmdk", inside(content), Terms(VMDK), control, MISMATCH, first=first)
        data = gzip.compress(content, mtime=0)
        corpus.case("nested", f"{name}-in-gzip", data, Terms(packed), "gzip/partitioned", MISMATCH)
        own = ovf.descriptor(ovf.Disk("disk.raw", len(content), ovf.RAW_URI)).encode()
        data = ovf.package({"image.ovf": own, "disk.raw": content})
        expected = corrupt("ovf-format-mismatch") if name in ("vmdk", "text") else MISMATCH
        corpus.case("nested", f"{name}-in-ova", data, Terms(OVA), "ova/raw-partitioned", expected)
    hidden = bytes(qcow2(SMALL))
    data = gzip.compress(inside(hidden), mtime=0)
    twice = VMDK | {"compression": "gzip"}
    corpus.control("gzip/vmdk", gzip.compress(inside(SMALL), mtime=0), Terms(twice), SMALL)
    corpus.case("nested", "qcow2-in-vmdk-in-gzip", data, Terms(twice), "gzip/vmdk", MISMATCH)
    two = ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL)), ovf.Disk("second.raw", len(hidden), ovf.RAW_URI)).encode()
    data = ovf.package({"image.ovf": two, "disk.vmdk": inside(SMALL), "second.raw": hidden})
    second = Terms(OVA, directory=True)
    corpus.case("nested", "qcow2-as-the-second-disk", data, second, "ova/two-disks", MISMATCH)

    # One file that two readers take for two things.
    as_vmdk = stream(len(BROAD) // SECTOR, deflated(BROAD))
    as_vmdk.data[32769:32774] = b"CD001"
    corpus.case("polyglot", "vmdk-and-iso", as_vmdk.bytes(), Terms(VMDK), "vmdk/stream", AMBIGUOUS)
    as_vmdk = stream(len(BROAD) // SECTOR, deflated(BROAD))
    as_vmdk.data[510:512] = b"\x55\xaa"
    corpus.case("polyglot", "vmdk-and-partitions", as_vmdk.bytes(), Terms(VMDK), "vmdk/stream", AMBIGUOUS)
    terms = Terms(as_is("qcow2"), as_is=True)
    data = qcow2(SMALL)
    data[0x40:0x44] = VDI_MARK
    corpus.case("polyglot", "qcow2-and-vdi", bytes(data), terms, "qcow2/version-3", AMBIGUOUS)
    data = qcow2(SMALL)
    data[32769:32774] = b"CD001"
    corpus.case("polyglot", "qcow2-and-iso", bytes(data), terms, "qcow2/version-3", AMBIGUOUS)
    data = bytearray(luks())
    data[0x40:0x44] = VDI_MARK
    corpus.case("polyglot", "luks-and-vdi-as-raw", bytes(data), Terms(RAW), "raw/small", AMBIGUOUS)
    noted = bytearray(40000)
    noted[32769 - 512 : 32774 - 512] = b"CD001"
    usual = ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL))).encode()
    members = [("note.bin", bytes(noted)), ("image.ovf", usual), ("disk.vmdk", inside(SMALL))]
    data = tar.archive(*(tar.member(name, content) for name, content in members))
    corpus.case("polyglot", "ova-and-iso", data, Terms(OVA), "ova/no-manifest", corrupt("container-mismatch"))


def _partitions(corpus: Corpus) -> None:
    corpus.control("raw/partitioned", partitioned(partition(0xEE)), Terms(RAW), partitioned(partition(0xEE)))
    guard = partition(0xEE)
    for name, entries in [
        ("illegal-boot-flag", [partition(0x83, boot=1)]),
        ("none", []),
        ("guard-in-the-second-place", [bytes(16), guard]),
        ("two-guards", [guard, guard]),
        ("guard-and-another", [guard, partition(0x83)]),
        ("guard-that-begins-late", [partition(0xEE, first=2)]),
        ("guard-of-another-geometry", [partition(0xEE, chs=b"\1\1\0")]),
    ]:
        data = partitioned(*entries)
        corpus.case("partitions", name, data, Terms(RAW), "raw/partitioned", HEADER)
    as_luks = Terms(as_is("luks"), as_is=True)
    for name, data, expected in [
        ("luks-version-2", luks(2), corrupt("format-variant")),
        ("luks-version-0", luks(0), corrupt("format-variant")),
        ("luks-data-in-the-header", luks(payload=0), HEADER),
        ("luks-data-beyond-the-end", luks(payload=2**32 - 1), HEADER),
        ("luks-cut-within-the-header", luks()[:500], HEADER),
    ]:
        corpus.case("partitions", name, data, as_luks, "luks/version-1", expected)
    as_iso = Terms(as_is("iso"), as_is=True)
    corpus.case("partitions", "iso-cut-within-its-descriptor", iso()[:33000], as_iso, "iso/plain", HEADER)
    corpus.case("partitions", "iso-without-descriptors", bytes(65536), as_iso, "iso/hybrid", MISMATCH)
