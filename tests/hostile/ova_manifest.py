"""Packages whose manifest is wrong, wherever it is in the archive."""

import hashlib

import ovf
import tar
from corpus import OVA, Corpus, Terms, corrupt, limit
from disk import SMALL

OVF = ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL))).encode()
DISK = ovf.packed(SMALL)
MEMBERS = {"image.ovf": OVF, "disk.vmdk": DISK}
RIGHT = ovf.manifest(MEMBERS)

INVALID = corrupt("manifest-invalid")
MISMATCH = corrupt("manifest-digest-mismatch")
UNLISTED = corrupt("manifest-unlisted-file")
MISSING = corrupt("manifest-missing-file")


def add(corpus: Corpus) -> None:
    corpus.control("ova/manifest", ovf.package(MEMBERS), Terms(OVA), SMALL)
    last = _last(RIGHT.encode())
    corpus.control("ova/manifest-last", last, Terms(OVA), SMALL)
    first, second = RIGHT.splitlines(keepends=True)
    flipped = second[:-2] + ("1" if second[-2] == "0" else "0") + "\n"
    other = ovf.line("other.vmdk", b"")
    for name, text, expected in [
        ("another-digest-of-the-disk", first + flipped, MISMATCH),
        ("another-digest-of-the-descriptor", ovf.line("image.ovf", b"") + second, MISMATCH),
        ("digests-of-nothing", ovf.manifest(dict.fromkeys(MEMBERS, b"")), MISMATCH),
        ("the-two-digests-exchanged", ovf.line("image.ovf", DISK) + ovf.line("disk.vmdk", OVF), MISMATCH),
        ("without-the-disk", first, UNLISTED),
        ("without-the-descriptor", second, UNLISTED),
        ("empty", "", UNLISTED),
        ("another-file", RIGHT + other, MISSING),
        ("the-disk-in-capitals", first + ovf.line("DISK.vmdk", DISK), UNLISTED),
        ("without-parentheses", first + second.replace("(", " ").replace(")", " "), INVALID),
        ("without-an-equals-sign", first + second.replace("=", ""), INVALID),
        ("without-a-digest", first + second.split("=")[0] + "=\n", INVALID),
        ("a-digit-short", first + second[:-2] + "\n", INVALID),
        ("a-letter-in-a-digest", first + second[:-2] + "g\n", INVALID),
        ("something-behind-a-digest", first + second[:-1] + " # disk\n", INVALID),
        ("an-empty-line", first + "\n" + second, INVALID),
        ("a-comment", "# package\n" + RIGHT, INVALID),
        ("the-disk-twice", RIGHT + second, INVALID),
        ("the-disk-twice-with-two-digests", RIGHT + flipped, INVALID),
        ("the-disk-by-md5", first + f"MD5(disk.vmdk)= {hashlib.md5(DISK).hexdigest()}\n", INVALID),
        ("the-disk-by-sha-256-called-sha-512", first + second.replace("SHA256", "SHA512"), INVALID),
        ("the-algorithm-in-small-letters", first + second.lower(), INVALID),
        ("a-path", RIGHT + ovf.line("../canary/secret.raw", b""), INVALID),
        ("an-absolute-path", RIGHT + ovf.line(corpus.canary, b""), INVALID),
        ("itself", RIGHT + ovf.line("image.mf", b""), INVALID),
        ("cut-short", RIGHT[:-30], INVALID),
        ("a-nul", RIGHT + "\0", INVALID),
        ("in-utf-16", RIGHT.encode("utf-16"), INVALID),
        ("not-utf-8", RIGHT.encode() + b"\xff\n", INVALID),
        ("of-more-than-1-mib", RIGHT + other * (1 + (1 << 20) // len(other)), limit("manifest-too-large")),
    ]:
        text = text.encode() if isinstance(text, str) else text
        in_front = ovf.package(MEMBERS, text)
        corpus.case("manifest", f"{name}-in-front", in_front, Terms(OVA), "ova/manifest", expected)
        data, valuable = _last(text), name == "another-digest-of-the-disk"
        corpus.case("manifest", f"{name}-last", data, Terms(OVA), "ova/manifest-last", expected, first=valuable)
    required = Terms(OVA, handlers=(("ova", 'manifest = "require"'),))
    corpus.control("ova/manifest-required", ovf.package(MEMBERS), required, SMALL)
    none = tar.archive(*(tar.member(name, data) for name, data in MEMBERS.items()))
    corpus.case("manifest", "none", none, required, "ova/manifest-required", "denied manifest-required location")


def _last(text: bytes) -> bytes:
    return tar.archive(*(tar.member(name, data) for name, data in (MEMBERS | {"image.mf": text}).items()))
