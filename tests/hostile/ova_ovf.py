"""Packages whose descriptor is meant to do harm, or whose disks are not what it says."""

import ovf
import tar
from corpus import OVA, Corpus, Terms, corrupt, limit, unsupported
from disk import SECTOR, SMALL
from vmdk import Image, changed, deflated, descriptor, sparse, stream

USUAL = ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL)))
DISK = ovf.packed(SMALL)
XML = corrupt("ovf-xml")
INVALID = corrupt("ovf-invalid")
REFERENCE = corrupt("ovf-reference")
HREF = unsupported("ovf-href")
DOCTYPE = unsupported("ovf-doctype")
CAPACITY = corrupt("ovf-capacity")
SIZE = corrupt("ovf-size-mismatch")
TOO_MANY = limit("ovf-too-many")


def package(text: str | bytes, disk: bytes = DISK) -> bytes:
    text = text.encode() if isinstance(text, str) else text
    return ovf.package({"image.ovf": text, "disk.vmdk": disk})


def add(corpus: Corpus) -> None:
    corpus.control("ova/ovf", package(USUAL), Terms(OVA), SMALL)
    _xml(corpus)
    _references(corpus)
    _numbers(corpus)
    _disks(corpus)


def _with(before: str, after: str) -> str:
    assert USUAL.count(before) == 1, before
    return USUAL.replace(before, after)


def _xml(corpus: Corpus) -> None:
    url = f"http://127.0.0.1:{corpus.port}/x"
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    name = "<Name>appliance</Name>"

    twice = '<File xmlns:o="http://schemas.dmtf.org/ovf/envelope/1" o:href="x" '

    def doctype(text: str, use: str = "appliance") -> str:
        return _with(name, f"<Name>{use}</Name>").replace("<Envelope", f"<!DOCTYPE Envelope {text}>\n<Envelope", 1)

    def named(text: str) -> str:
        return _with(name, f"<Name>{text}</Name>")

    def rooted(attributes: str) -> str:
        return _with("<Envelope ", f"<Envelope {attributes} ")

    def inside(text: str) -> str:
        return _with("<References>", f"{text}<References>")

    for title, text, expected in [
        ("document-type", doctype(""), DOCTYPE),
        ("entity-of-a-file", doctype(f'[<!ENTITY x SYSTEM "file://{corpus.canary}">]', "&x;"), DOCTYPE),
        ("entity-of-the-network", doctype(f'[<!ENTITY x SYSTEM "{url}">]', "&x;"), DOCTYPE),
        ("entity-of-parameters", doctype(f'[<!ENTITY % x SYSTEM "{url}"> %x;]'), DOCTYPE),
        ("document-type-of-the-network", doctype(f'SYSTEM "{url}"'), DOCTYPE),
        ("billion-laughs", doctype(f'[<!ENTITY l0 "ha">{laughs}]', "&l9;"), DOCTYPE),
        ("quadratic-entity", doctype(f'[<!ENTITY l "{"a" * 50000}">]', "&l;" * 20000), DOCTYPE),
        ("document-type-inside", named("<!DOCTYPE x>"), DOCTYPE),
        ("unknown-entity", named("&x;"), corrupt("ovf-entity")),
        ("entity-of-html", named("&nbsp;"), corrupt("ovf-entity")),
        ("unknown-entity-in-an-attribute", rooted('ovf:note="&x;"'), corrupt("ovf-entity")),
        ("character-0", named("&#0;"), XML),
        ("half-a-surrogate", named("&#xD800;"), XML),
        ("character-beyond-all", named("&#x110000;"), XML),
        ("escape-character", named("\x1b[2J"), XML),
        ("nul", named("\0"), XML),
        ("100000-levels", inside("<a>" * 100_000 + "</a>" * 100_000), limit("ovf-too-deep")),
        ("100000-levels-never-closed", inside("<a>" * 100_000), limit("ovf-too-deep")),
        ("100000-attributes", rooted(" ".join(f'a{n}=""' for n in range(100_000))), TOO_MANY),
        ("100000-namespaces", rooted(" ".join(f'xmlns:n{n}="urn:{n}"' for n in range(100_000))), TOO_MANY),
        ("130-namespaces", rooted(" ".join(f'xmlns:n{n}="urn:{n}"' for n in range(130))), TOO_MANY),
        ("a-million-elements", inside("<a/>" * (1 << 20)), TOO_MANY),
        ("2000-disks", _with("<Disk ", '<Disk ovf:diskId="d" ovf:capacity="1"/>' * 2000 + "<Disk "), TOO_MANY),
        ("a-value-of-2000-bytes", named("n" * 2000), limit("ovf-value-too-long")),
        ("17-mib-of-blanks", USUAL + " " * (17 << 20), limit("ovf-too-large")),
        ("17-mib-of-comment", inside(f"<!--{' ' * (17 << 20)}-->"), limit("ovf-too-large")),
        ("not-utf-8", USUAL.encode().replace(b"appliance", b"appli\xff\xfe"), unsupported("ovf-encoding")),
        ("utf-16", USUAL.encode("utf-16"), unsupported("ovf-encoding")),
        ("utf-7-by-its-word", _with("UTF-8", "UTF-7"), unsupported("ovf-encoding")),
        ("xml-1.1", _with('version="1.0"', 'version="1.1"'), XML),
        ("element-never-closed", _with("</References>", ""), XML),
        ("elements-crossed", _with("<Info>Disks</Info>", "<Info><b>Disks</Info></b>"), XML),
        ("two-roots", USUAL + USUAL.split("\n", 1)[1], XML),
        ("text-behind-the-root", USUAL + "text", XML),
        ("attribute-twice", rooted('a="" a=""'), XML),
        ("attribute-twice-by-two-prefixes", _with("<File ", twice), XML),
        ("prefix-of-no-namespace", inside("<none:a/>"), XML),
        ("comment-never-closed", USUAL + "<!-- ", XML),
        ("empty", "", XML),
        ("cut-short", USUAL[: len(USUAL) // 2], XML),
    ]:
        first = title == "entity-of-a-file"
        corpus.case("xml", title, package(text), Terms(OVA), "ova/ovf", expected, first=first)


def _references(corpus: Corpus) -> None:
    href, disk = 'ovf:href="disk.vmdk"', 'ovf:fileRef="file0"'
    for name, value in [
        ("on-the-network", f"http://127.0.0.1:{corpus.port}/disk.vmdk"),
        ("file-url", f"file://{corpus.canary}"),
        ("absolute", corpus.canary),
        ("parent-directory", "../canary/secret.raw"),
        ("in-a-directory", "sub/disk.vmdk"),
        ("with-backslashes", "..\\canary\\secret.raw"),
        ("dots-alone", ".."),
        ("data-url", "data:,disk"),
    ]:
        data = package(_with(href, f'ovf:href="{value}"'))
        corpus.case("ovf-references", f"file-{name}", data, Terms(OVA), "ova/ovf", HREF)
    # Whoever takes the line end for a blank finds a disk.
    blank = ovf.package({"image.ovf": _with(href, 'ovf:href="disk&#10;.vmdk"').encode(), "disk .vmdk": DISK})
    corpus.case("ovf-references", "file-with-a-line-end", blank, Terms(OVA), "ova/ovf", HREF)
    second_file = '<File ovf:id="file1" ovf:href="disk.vmdk"/></References>'
    same_id = second_file.replace("file1", "file0").replace("disk.vmdk", "o.vmdk")
    qcow2 = "http://www.gnome.org/~markmc/qcow-image-format.html"
    second_disk = f'<Disk ovf:diskId="other" {disk} ovf:capacity="{len(SMALL)}" ovf:format="{ovf.VMDK_URI}"/><Disk '
    diskless = _with(USUAL[USUAL.index("<Disk ovf") : USUAL.index("</DiskSection>")], "")
    diskless = diskless.replace("ovf:/disk/vmdisk0", "ovf:/file/file0")
    system = USUAL[USUAL.index("<VirtualSystem") : USUAL.index("</Envelope>")]
    for name, text, expected in [
        ("file-that-is-not-there", _with(href, f'ovf:href="{corpus.sibling}"'), corrupt("ova-disk-missing")),
        ("file-without-a-name", _with(href, 'ovf:href=""'), corrupt("ovf-invalid")),
        ("file-twice", _with("</References>", second_file), INVALID),
        ("file-id-twice", _with("</References>", same_id), INVALID),
        ("disk-in-no-file", _with(disk, 'ovf:fileRef="nothing"'), REFERENCE),
        ("disk-in-the-manifest", _with(href, 'ovf:href="image.mf"'), REFERENCE),
        ("disk-in-the-descriptor", _with(href, 'ovf:href="image.ovf"'), REFERENCE),
        ("two-disks-in-one-file", _with("<Disk ", second_disk), REFERENCE),
        ("disk-id-twice", _with("<Disk ", second_disk.replace("other", "vmdisk0")), INVALID),
        ("drive-of-no-disk", _with("ovf:/disk/vmdisk0", "ovf:/disk/nothing"), REFERENCE),
        ("drive-in-a-file-of-the-host", _with("ovf:/disk/vmdisk0", f"ovf:/disk/{corpus.canary}"), REFERENCE),
        ("compressed", _with(href, f'{href} ovf:compression="gzip"'), unsupported("ovf-compression")),
        ("chunked", _with(href, f'{href} ovf:chunkSize="65536"'), unsupported("ovf-chunked")),
        ("parent", _with(disk, f'{disk} ovf:parentRef="other"'), unsupported("ovf-parent")),
        ("qcow2", _with(ovf.VMDK_URI, qcow2), unsupported("ovf-disk-format")),
        ("no-format", _with(ovf.VMDK_URI, ""), unsupported("ovf-disk-format")),
        ("two-systems", _with("</Envelope>", system + "</Envelope>"), unsupported("ovf-several-systems")),
        ("version-0.9", USUAL.replace("ovf/envelope/1", "ovf/1/envelope"), unsupported("ovf-version")),
        ("no-envelope", "<a/>", INVALID),
        ("no-system", _with(system, ""), INVALID),
        ("no-disks", diskless, unsupported("ovf-no-disks")),
        ("two-disk-sections", _with("<DiskSection>", "<DiskSection/><DiskSection>"), INVALID),
    ]:
        corpus.case("ovf-references", name, package(text), Terms(OVA), "ova/ovf", expected)
    encrypted = _with("</Envelope>", "<EncryptionSection><Info/></EncryptionSection></Envelope>")
    corpus.case("encrypted", "package", package(encrypted), Terms(OVA), "ova/ovf", unsupported("ovf-encrypted"))


def _numbers(corpus: Corpus) -> None:
    capacity = f'ovf:capacity="{len(SMALL)}"'
    units = "ovf:capacityAllocationUnits"
    href = 'ovf:href="disk.vmdk"'
    controller = "<Item><rasd:Address>0"
    quantity = f"<rasd:VirtualQuantity>{2**63}</rasd:VirtualQuantity>"
    memory = f"<Item><rasd:ResourceType>4</rasd:ResourceType>{quantity}</Item>"
    mismatch = corrupt("ovf-capacity-mismatch")
    for name, text, expected in [
        ("larger-capacity", _with(capacity, f'ovf:capacity="{len(SMALL) + 512}"'), mismatch),
        ("smaller-capacity", _with(capacity, 'ovf:capacity="512"'), mismatch),
        ("capacity-in-other-units", _with(capacity, f'{capacity} {units}="byte * 2^10"'), mismatch),
        ("no-capacity", _with(capacity, 'ovf:capacity="0"'), CAPACITY),
        ("negative-capacity", _with(capacity, f'ovf:capacity="-{len(SMALL)}"'), CAPACITY),
        ("capacity-of-2-64", _with(capacity, f'ovf:capacity="{2**64}"'), CAPACITY),
        ("capacity-of-2-63", _with(capacity, f'ovf:capacity="{2**63}"'), CAPACITY),
        ("capacity-beyond-2-64-by-units", _with(capacity, f'ovf:capacity="4" {units}="byte * 2^62"'), CAPACITY),
        ("units-of-nothing", _with(capacity, f'{capacity} {units}="byte * 0"'), CAPACITY),
        ("units-of-hertz", _with(capacity, f'{capacity} {units}="hertz * 10^6"'), CAPACITY),
        ("capacity-beyond-the-limit", _with(capacity, f'ovf:capacity="{2**62}"'), limit("disk-too-large")),
        ("larger-file", _with(href, f'{href} ovf:size="{len(DISK) + 1}"'), SIZE),
        ("smaller-file", _with(href, f'{href} ovf:size="512"'), SIZE),
        ("larger-other-file", _with("<File ", '<File ovf:id="o" ovf:href="image.mf" ovf:size="1"/><File '), SIZE),
        ("file-of-2-64", _with(href, f'{href} ovf:size="{2**64}"'), INVALID),
        ("memory-beyond-2-64", _with(controller, memory + controller), INVALID),
    ]:
        corpus.case("ovf-numbers", name, package(text), Terms(OVA), "ova/ovf", expected)

    many = Terms(OVA, directory=True)
    second = SMALL[:65536]
    two = ovf.descriptor(ovf.Disk("disk.vmdk", len(SMALL)), ovf.Disk("second.raw", len(second), ovf.RAW_URI))
    members = {"image.ovf": two.encode(), "disk.vmdk": DISK, "second.raw": second}
    corpus.control("ova/two-disks", ovf.package(members), many, SMALL, second)
    empty = '<Disk ovf:diskId="e{}" ovf:capacity="{}"/>'
    for name, disks, expected in [
        ("65-disks", "".join(empty.format(n, 512) for n in range(63)), limit("ovf-too-many-disks")),
        ("an-empty-disk-of-15-tib", empty.format(0, 15 << 40), "no-space space-short node"),
        ("60-empty-disks-of-1-gib", "".join(empty.format(n, 1 << 30) for n in range(60)), "no-space space-short node"),
        ("an-empty-disk-of-2-62-bytes", empty.format(0, 1 << 62), limit("disk-too-large")),
        ("an-empty-disk-of-a-property", empty.format(0, "${disk.size}"), unsupported("ovf-capacity-reference")),
    ]:
        text = two.replace("</DiskSection>", disks + "</DiskSection>").encode()
        data = ovf.package(members | {"image.ovf": text})
        corpus.case("ovf-numbers", name, data, many, "ova/two-disks", expected)
    other = two.replace(f'ovf:capacity="{len(second)}"', f'ovf:capacity="{len(second) + 512}"').encode()
    data = ovf.package(members | {"image.ovf": other})
    corpus.case("ovf-numbers", "larger-capacity-of-the-second-disk", data, many, "ova/two-disks", mismatch)
    allowed = Terms(OVA, limits=('disk_bytes = "256KiB"',))
    name, expected = "more-than-the-operator-allows", limit("disk-too-large")
    corpus.case("ovf-numbers", name, package(USUAL), allowed, "ova/ovf", expected)


def _disks(corpus: Corpus) -> None:
    """Members that are hostile by themselves, each listed in the manifest as it is."""
    grains = deflated(SMALL)
    sectors = len(SMALL) // SECTOR

    def usual() -> Image:
        return stream(sectors, grains)

    flat = f'RW {sectors} FLAT "{corpus.canary}" 0'
    named = descriptor("streamOptimized", sectors, extents=flat)
    child = descriptor("streamOptimized", sectors, parent="1")
    text = descriptor("monolithicFlat", sectors, extents=flat).encode()
    beyond = stream(sectors, changed(grains, 1, lba=1 << 40))
    cut = stream(sectors, changed(grains, 1, stored=grains[1].stored[:-5]))
    footer = usual().set("capacity", sectors * 8, footer=True)
    for name, disk, expected in [
        ("names-a-file", usual().text(named).bytes(), unsupported("vmdk-other-files")),
        ("parent", usual().text(child).bytes(), unsupported("vmdk-parent")),
        ("text", text, unsupported("vmdk-other-files")),
        ("footer-of-another-capacity", footer.bytes(), corrupt("vmdk-footer-mismatch")),
        ("grain-beyond-the-disk", beyond.bytes(), corrupt("vmdk-grain-out-of-range")),
        ("grain-without-its-end", cut.bytes(), corrupt("inflate-failed")),
        ("cut-short", usual().cut("footer", 100), corrupt("unexpected-end")),
        ("something-behind-the-end", usual().bytes() + b"\0", corrupt("vmdk-trailing-bytes")),
        ("sparse-table-in-itself", sparse(SMALL).entry("directory", 0, 1).bytes(), corrupt("vmdk-table-overlap")),
        ("not-a-vmdk", SMALL, corrupt("vmdk-magic")),
        ("nothing", b"", corrupt("vmdk-magic")),
    ]:
        corpus.case("vmdk-in-ova", name, package(USUAL, disk), Terms(OVA), "ova/ovf", expected)
    raw = USUAL.replace(ovf.VMDK_URI, ovf.RAW_URI)
    corpus.control("ova/raw", package(raw, SMALL), Terms(OVA), SMALL)
    for name, disk, expected in [
        ("vmdk-called-raw", DISK, corrupt("ovf-format-mismatch")),
        ("text-called-raw", text.ljust(len(SMALL), b"\0"), corrupt("ovf-format-mismatch")),
        ("raw-of-another-size", SMALL + bytes(512), corrupt("ovf-capacity-mismatch")),
    ]:
        corpus.case("vmdk-in-ova", name, package(raw, disk), Terms(OVA), "ova/raw", expected)
    # A tar reader of its own for the disk would find this one.
    inner = tar.archive(tar.member("image.ovf", USUAL.encode()), tar.member("disk.vmdk", DISK))
    outer = ovf.package({"image.ovf": USUAL.encode(), "disk.vmdk": inner})
    corpus.case("nested", "package-as-the-disk-of-a-package", outer, Terms(OVA), "ova/ovf", corrupt("vmdk-magic"))
