"""Packages whose archive two readers would read differently: PAX records, names, types and headers of members."""

import gzip
import json

import ovf
import tar
from corpus import OVA, Corpus, Terms, corrupt, limit, unsupported
from disk import SMALL, noise

OVF = ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL))).encode()
DISK = ovf.packed(SMALL)
HEAD = tar.member("image.ovf", OVF)
BODY = tar.member("disk.vmdk", DISK)
# Another disk of the same size, which nobody should get.
OTHER = ovf.packed(SMALL[:-512] + noise(512, 77))

TYPE = unsupported("tar-entry-type")
NAME = unsupported("tar-name")
TWICE = corrupt("tar-duplicate-name")
TRUNCATED = corrupt("tar-truncated")
NUMBER = corrupt("tar-number")
TRAILING = corrupt("tar-trailing-data")


def add(corpus: Corpus) -> None:
    corpus.control("ova/no-manifest", tar.archive(HEAD, BODY), Terms(OVA), SMALL)
    _pax(corpus)
    _names(corpus)
    _kinds(corpus)
    _headers(corpus)


def _pax(corpus: Corpus) -> None:
    harmless = tar.pax(tar.record("mtime", "1700000000.5"), tar.record("SCHILY.xattr.user.note", b"\0\n"))
    corpus.control("ova/pax", tar.archive(HEAD, harmless, BODY), Terms(OVA), SMALL)
    # Another archive within a member: who counts by the records sees other members than who counts by the headers.
    hidden = tar.member("disk.vmdk", OTHER)
    smuggled = tar.header("cover.bin", 0) + hidden
    size = tar.record("size", str(len(hidden)))
    changes = unsupported("tar-pax-record")
    malformed = corrupt("tar-pax-malformed")
    long = tar.record("comment", b"c" * 70000)
    for name, members, expected in [
        ("size-that-hides-a-member", [HEAD, tar.pax(size), smuggled, BODY], changes),
        ("size-of-nothing", [HEAD, tar.pax(tar.record("size", "0")), BODY], changes),
        ("size-that-is-right", [HEAD, tar.pax(tar.record("size", str(len(DISK)))), BODY], changes),
        ("size-for-all", [tar.pax(size, kind=b"g"), HEAD, BODY], changes),
        ("size-for-the-descriptor", [tar.pax(size), HEAD, BODY], changes),
        ("name", [HEAD, tar.pax(tar.record("path", "disk.vmdk")), tar.member("cover.bin", DISK)], changes),
        ("name-outside", [HEAD, tar.pax(tar.record("path", corpus.canary)), BODY], changes),
        ("link", [HEAD, tar.pax(tar.record("linkpath", corpus.canary)), BODY], changes),
        ("sparse-map", [HEAD, tar.pax(tar.record("GNU.sparse.map", "0,512")), BODY], changes),
        ("sparse-size", [HEAD, tar.pax(tar.record("GNU.sparse.realsize", "512")), BODY], changes),
        ("real-size", [HEAD, tar.pax(tar.record("SCHILY.realsize", "512")), BODY], changes),
        ("charset", [HEAD, tar.pax(tar.record("hdrcharset", "BINARY")), BODY], changes),
        ("size-behind-harmless-ones", [HEAD, tar.pax(tar.record("mtime", "1"), size), BODY], changes),
        ("unknown", [HEAD, tar.pax(tar.record("VENDOR.size", "512")), BODY], changes),
        ("longer-than-it-says", [HEAD, tar.pax(b"12 size=12345\n"), BODY], malformed),
        ("shorter-than-it-says", [HEAD, tar.pax(b"99 size=1\n"), BODY], malformed),
        ("of-2-64-bytes", [HEAD, tar.pax(b"18446744073709551626 size=1\n"), BODY], malformed),
        ("without-an-end", [HEAD, tar.pax(b"11 mtime=12"), BODY], malformed),
        ("without-a-length", [HEAD, tar.pax(b"size=1\n"), BODY], malformed),
        ("with-a-padded-length", [HEAD, tar.pax(b"011 size=12\n"), BODY], malformed),
        ("with-nuls-behind", [HEAD, tar.pax(tar.record("mtime", "1"), bytes(9)), BODY], malformed),
        ("for-no-member", [HEAD, BODY, harmless], malformed),
        ("twice", [HEAD, harmless, tar.pax(size), BODY], malformed),
        ("of-70-kb", [HEAD, tar.pax(long), BODY], limit("tar-pax-too-large")),
        ("of-8-gib", [HEAD, tar.header("records", b"77777777777\0", b"x"), BODY], TRUNCATED),
    ]:
        first = name == "size-that-hides-a-member"
        corpus.case("pax", name, tar.archive(*members), Terms(OVA), "ova/pax", expected, first=first)


def _names(corpus: Corpus) -> None:
    several = corrupt("ova-several-descriptors")
    for name, members, expected in [
        ("disk", [HEAD, BODY, tar.member("disk.vmdk", OTHER)], TWICE),
        ("disk-before", [HEAD, tar.member("disk.vmdk", OTHER), BODY], TWICE),
        ("disk-with-the-same-bytes", [HEAD, BODY, BODY], TWICE),
        ("disk-but-for-case", [HEAD, BODY, tar.member("DISK.vmdk", OTHER)], TWICE),
        ("disk-but-for-a-dot", [HEAD, BODY, tar.member("./disk.vmdk", OTHER)], TWICE),
        ("something-else", [HEAD, tar.member("note.txt", b"1"), tar.member("note.txt", b"2"), BODY], TWICE),
        ("descriptors", [HEAD, BODY, tar.member("other.ovf", OVF)], several),
        ("descriptors-in-front", [HEAD, tar.member("other.OVF", OVF), BODY], several),
    ]:
        data, first = tar.archive(*members), name == "disk"
        corpus.case("names-twice", name, data, Terms(OVA), "ova/no-manifest", expected, first=first)
    right = ovf.manifest({"image.ovf": OVF, "disk.vmdk": DISK}).encode()
    manifests = tar.archive(HEAD, tar.member("a.mf", right), BODY, tar.member("b.mf", right))
    expected = corrupt("ova-several-manifests")
    corpus.case("names-twice", "manifests", manifests, Terms(OVA), "ova/no-manifest", expected)
    canary = corpus.canary
    for name, entry in [
        ("absolute", canary),
        ("parent-directory", "../canary/secret.raw"),
        ("parent-directory-behind-a-dot", "./../canary/secret.raw"),
        ("in-a-directory", "sub/disk.raw"),
        ("doubly-dotted", "././disk.raw"),
        ("dots-alone", ".."),
        ("with-backslashes", "..\\canary\\secret.raw"),
        ("with-a-slash-behind", "disk.raw/"),
        ("with-a-line-end", "disk\n.raw"),
        ("with-an-escape", "\x1b[2Jdisk.raw"),
        ("empty", ""),
        ("not-utf-8", b"\xff\xfe.raw"),
        ("with-something-behind-its-end", b"disk.raw\0../secret"),
    ]:
        data = tar.archive(HEAD, BODY, tar.member(entry, b"x"))
        corpus.case("member-names", name, data, Terms(OVA), "ova/no-manifest", NAME)
    prefixed = tar.member("secret.raw", b"x", prefix=b"../canary")
    corpus.case("member-names", "in-a-prefix", tar.archive(HEAD, BODY, prefixed), Terms(OVA), "ova/no-manifest", NAME)
    extended = tar.member("disk.vmdk", DISK, padding=b"x")
    corpus.case("member-names", "with-an-extension", tar.archive(HEAD, extended), Terms(OVA), "ova/no-manifest", NAME)


def _kinds(corpus: Corpus) -> None:
    canary = corpus.canary.encode()
    for name, kind, fields in [
        ("hard-link", b"1", {"link": canary}),
        ("symbolic-link", b"2", {"link": canary}),
        ("symbolic-link-to-a-sibling", b"2", {"link": corpus.sibling.encode()}),
        ("character-device", b"3", {}),
        ("block-device", b"4", {}),
        ("directory", b"5", {}),
        ("fifo", b"6", {}),
        ("contiguous-file", b"7", {}),
        ("gnu-directory", b"D", {}),
        ("gnu-sparse-file", b"S", {}),
        ("gnu-multi-volume", b"M", {}),
        ("gnu-volume-name", b"V", {}),
        ("solaris-acl", b"A", {}),
        ("of-an-unknown-type", b"!", {}),
    ]:
        wanted = tar.archive(HEAD, tar.header("disk.vmdk", 0, kind, **fields))
        first = name == "symbolic-link"
        corpus.case("special-entries", f"{name}-as-the-disk", wanted, Terms(OVA), "ova/no-manifest", TYPE, first=first)
        beside = tar.archive(HEAD, BODY, tar.header("other.bin", 0, kind, **fields))
        corpus.case("special-entries", f"{name}-beside", beside, Terms(OVA), "ova/no-manifest", TYPE)
    for name, kind, data in [("long-name", b"L", b"disk.vmdk\0"), ("long-link", b"K", canary + b"\0")]:
        entry = tar.member("././@LongLink", data, kind, magic=b"ustar  \0")
        corpus.case("special-entries", name, tar.archive(HEAD, entry, BODY), Terms(OVA), "ova/no-manifest", TYPE)


def _headers(corpus: Corpus) -> None:
    def disk(**fields: bytes) -> bytes:
        return tar.member("disk.vmdk", DISK, **fields) + tar.END

    blocks = tar.header("disk.vmdk", len(DISK))
    whole = tar.archive(HEAD, BODY)
    members = [tar.member(f"note{number}.txt", b"") for number in range(1023)]
    for name, data, expected in [
        ("wrong-checksum", HEAD + disk(checksum=b"0000001\0"), corrupt("tar-checksum")),
        ("no-checksum", HEAD + disk(checksum=b""), corrupt("tar-checksum")),
        ("no-magic", HEAD + disk(magic=b""), corrupt("tar-magic")),
        ("another-magic", HEAD + disk(magic=b"ustar\x0099"), corrupt("tar-magic")),
        ("size-of-letters", HEAD + tar.header("disk.vmdk", b"12ab\0") + tar.END, NUMBER),
        ("size-with-a-sign", HEAD + tar.header("disk.vmdk", b"-0000000001\0") + tar.END, NUMBER),
        ("size-negative", HEAD + tar.header("disk.vmdk", b"\xff" * 12) + tar.END, NUMBER),
        ("size-beyond-2-63", HEAD + tar.header("disk.vmdk", b"\x80\0\0\0" + b"\xff" * 8) + tar.END, NUMBER),
        ("size-beyond-2-64", HEAD + tar.header("disk.vmdk", b"\x80\0\0\x01" + b"\0" * 8) + tar.END, NUMBER),
        ("size-up-to-2-63", HEAD + tar.header("disk.vmdk", b"\x80\0\0\0\x7f" + b"\xff" * 7) + tar.END, NUMBER),
        ("size-beyond-the-end", HEAD + tar.header("disk.vmdk", len(DISK) + 4096) + tar.padded(DISK), TRUNCATED),
        ("cut-within-a-header", HEAD + blocks[:300], TRUNCATED),
        ("cut-within-the-disk", HEAD + blocks + DISK[:5000], TRUNCATED),
        ("cut-within-the-descriptor", HEAD[:700], TRUNCATED),
        ("no-end", HEAD + BODY, TRUNCATED),
        ("half-an-end", HEAD + BODY + bytes(512), TRUNCATED),
        ("goes-on-behind-one-block", HEAD + bytes(512) + BODY + tar.END, TRAILING),
        ("goes-on-behind-the-end", whole + BODY + tar.END, TRAILING),
        ("another-archive-behind-the-end", whole + tar.archive(HEAD, tar.member("disk.vmdk", OTHER)), TRAILING),
        ("a-byte-behind-the-end", whole + bytes(2000) + b"x", TRAILING),
        ("two-mib-of-zeros-behind-the-end", whole + bytes(2 << 20), TRAILING),
        ("1025-members", tar.archive(HEAD, *members, BODY), limit("tar-too-many-members")),
        ("nothing-but-an-end", tar.END, corrupt("ova-no-descriptor")),
        ("no-descriptor", tar.archive(BODY), corrupt("ova-no-descriptor")),
        ("no-disk", tar.archive(HEAD), corrupt("ova-disk-missing")),
        ("not-an-archive", noise(10240, 3), corrupt("tar-magic")),
        ("a-json-document", json.dumps({"disk": "disk.vmdk"}).encode().ljust(1024), corrupt("tar-magic")),
    ]:
        corpus.case("tar-header", name, data, Terms(OVA), "ova/no-manifest", expected)
    # Of what is inflated nobody knows the size beforehand.
    packed = OVA | {"compression": "gzip"}
    corpus.control("ova/gzip", gzip.compress(whole, mtime=0), Terms(packed), SMALL)
    for name, data, expected in [
        ("size-beyond-the-end", HEAD + tar.header("disk.vmdk", len(DISK) + 4096) + tar.padded(DISK), TRUNCATED),
        ("size-of-8-gib", HEAD + tar.header("disk.vmdk", b"77777777777\0") + tar.padded(DISK), TRUNCATED),
        ("unwanted-member-of-8-gib", HEAD + BODY + tar.header("note.txt", b"77777777777\0"), TRUNCATED),
        ("no-end", HEAD + BODY, TRUNCATED),
        ("records-of-8-gib", HEAD + tar.header("r", b"77777777777\0", b"x") + BODY, limit("tar-pax-too-large")),
    ]:
        packed_data = gzip.compress(data, mtime=0)
        corpus.case("tar-header", f"{name}-inflated", packed_data, Terms(packed), "ova/gzip", expected)
