"""Writes the first inputs of each target: small, legal examples of what it parses.

The libraries and programs that others write images with make them where they can; VMDKs are made here, since
qemu-img makes none that is small.
"""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import struct
import subprocess
import tarfile
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECTOR = 512
GRAIN = 8  # sectors


def noise(size, seed=1):
    """Bytes that do not compress well."""
    state, out = seed, bytearray()
    while len(out) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        out += state.to_bytes(8, "little")[5:]
    return bytes(out[:size])


def raw_disk(grains=9):
    """A disk of few grains: data, zeros, text, and a last one that is cut short."""
    disk = bytearray(grains * GRAIN * SECTOR - 3 * SECTOR)
    disk[: 3 * SECTOR] = noise(3 * SECTOR)
    disk[2 * GRAIN * SECTOR : 2 * GRAIN * SECTOR + 100] = b"landfall" * 12 + b"last"
    disk[-40:] = b"\x55" * 40
    return bytes(disk)


def padded(data):
    return data + bytes(-len(data) % SECTOR)


def descriptor(kind, sectors):
    return (
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n"
        f'createType="{kind}"\n\nRW {sectors} SPARSE "disk.vmdk"\n\n'
        'ddb.adapterType = "lsilogic"\nddb.geometry.heads = "16"\n'
    ).encode()


def header(capacity, *, flags, redundant, directory, overhead, compressed, text_sectors):
    packed = struct.pack(
        "<4sIIQQQQIQQQ",
        *(b"KDMV", 3 if compressed else 1, flags, capacity, GRAIN),
        *(1 if text_sectors else 0, text_sectors, 128, redundant, directory, overhead),
    )
    return (packed + b"\0\n \r\n" + struct.pack("<H", int(compressed))).ljust(SECTOR, b"\0")


def grains_of(disk):
    size = GRAIN * SECTOR
    pieces = [disk[at : at + size] for at in range(0, len(disk), size)]
    return [(number, piece) for number, piece in enumerate(pieces) if any(piece)]


def vmdk_in_front(disk, *, compressed, redundant, end, text=True):
    """Tables in front of the grains, as qemu and open-vmdk write them."""
    text_sectors = 1 if text else 0
    first = 1 + text_sectors
    # A directory and a table of one sector each.
    directories = [first, first + 2] if redundant else [first]
    overhead = directories[-1] + 2
    entries, body = [0] * 128, b""
    for number, piece in grains_of(disk):
        entries[number] = overhead + len(body) // SECTOR
        if compressed:
            stored = zlib.compress(piece)
            body += padded(struct.pack("<QI", number * GRAIN, len(stored)) + stored)
        else:
            body += piece.ljust(GRAIN * SECTOR, b"\0")
    kind = "streamOptimized" if compressed else "monolithicSparse"
    out = header(
        len(disk) // SECTOR,
        flags=1 | (2 if redundant else 0) | (0x30000 if compressed else 0),
        redundant=directories[0] if redundant else 0,
        directory=directories[-1],
        overhead=overhead,
        compressed=compressed,
        text_sectors=text_sectors,
    )
    if text:
        out += descriptor(kind, len(disk) // SECTOR).ljust(SECTOR, b"\0")
    for at in directories:
        out += padded(struct.pack("<I", at + 1)) + struct.pack("<128I", *entries)
    return out + body + (bytes(SECTOR) if end else b"")


def vmdk_footer(disk):
    """Tables between the grains, and a footer, as VMware writes them."""

    def marker(sectors, kind):
        return struct.pack("<QII", sectors, 0, kind).ljust(SECTOR, b"\0")

    fields = {"flags": 0x30001, "redundant": 0, "overhead": 2, "compressed": True, "text_sectors": 1}
    capacity = len(disk) // SECTOR
    out = header(capacity, directory=(1 << 64) - 1, **fields)
    out += descriptor("streamOptimized", capacity).ljust(SECTOR, b"\0")
    entries = [0] * 128
    for number, piece in grains_of(disk):
        entries[number] = len(out) // SECTOR
        stored = zlib.compress(piece)
        out += padded(struct.pack("<QI", number * GRAIN, len(stored)) + stored)
    out += marker(1, 1)
    at = len(out) // SECTOR
    out += struct.pack("<128I", *entries) + marker(1, 2)
    directory = len(out) // SECTOR
    out += padded(struct.pack("<I", at)) + marker(1, 3)
    return out + header(capacity, directory=directory, **fields) + marker(0, 0)


def vmdks():
    disk = raw_disk()
    return {
        "in-front": vmdk_in_front(disk, compressed=True, redundant=False, end=True),
        "in-front-twice": vmdk_in_front(disk, compressed=True, redundant=True, end=False),
        "footer": vmdk_footer(disk),
        "sparse": vmdk_in_front(disk, compressed=False, redundant=True, end=False),
    }


def ovf(disks, capacity):
    """A descriptor of disks, of which each is a file name and the end of its format's URI."""
    names = "http://schemas.dmtf.org/ovf/envelope/1"
    rasd = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
    files = "".join(f'<File ovf:href="{name}" ovf:id="f{i}"/>' for i, (name, _) in enumerate(disks))
    entries = "".join(
        f'<Disk ovf:diskId="d{i}" ovf:fileRef="f{i}" ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte"'
        f' ovf:format="http://www.vmware.com/{kind}"/>'
        for i, (_, kind) in enumerate(disks)
    )
    drives = "".join(
        f"<Item><rasd:HostResource>ovf:/disk/d{i}</rasd:HostResource><rasd:InstanceID>{10 + i}</rasd:InstanceID>"
        f"<rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>"
        for i in range(len(disks))
    )
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Envelope xmlns="{names}" xmlns:ovf="{names}" xmlns:rasd="{rasd}">'
        f"<References>{files}</References><DiskSection><Info/>{entries}</DiskSection>"
        '<NetworkSection><Info/><Network ovf:name="n"/></NetworkSection>'
        '<VirtualSystem ovf:id="vm"><Info/><Name>a &amp; b</Name><VirtualHardwareSection><Info/>'
        "<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID>"
        "<rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>"
        "<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>"
        f"<rasd:ResourceType>6</rasd:ResourceType></Item>{drives}"
        "</VirtualHardwareSection></VirtualSystem></Envelope>\n"
    ).encode()


def tar(members, form=tarfile.USTAR_FORMAT, pax=None):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, pax_headers=pax or {}) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        end = archive.offset
    # Without the padding to a record, which is most of a small archive.
    return out.getvalue()[: end + 2 * SECTOR]


def manifest(members, algorithm):
    lines = (f"{algorithm}({name})= {hashlib.new(algorithm.lower(), data).hexdigest()}\n" for name, data in members)
    return "".join(lines).encode()


def packages():
    disk = raw_disk()
    vmdk = ("d.vmdk", vmdk_footer(disk))
    raw = ("d.img", disk)
    text = ("p.ovf", ovf([("d.vmdk", "vmdk.html#streamOptimized")], len(disk)))
    both = ("p.ovf", ovf([("d.vmdk", "vmdk.html"), ("d.img", "raw")], len(disk)))
    parts = [("d-f001.vmdk", disk[: 3 * SECTOR]), ("d-f002.vmdk", disk[3 * SECTOR :])]
    lines = f'# Parts\nRW 3 FLAT "d-f001.vmdk" 0\nRW {len(parts[1][1]) // SECTOR} FLAT "d-f002.vmdk" 0'
    sectors = len(disk) // SECTOR
    one = f'RW {sectors} SPARSE "disk.vmdk"'
    split = ("d.vmdk", descriptor("twoGbMaxExtentFlat", sectors).replace(one.encode(), lines.encode()))
    return {
        "plain": tar([text, vmdk]),
        "split": tar([text, split, *parts]),
        "manifest": tar([text, ("p.mf", manifest([text, vmdk], "SHA256")), vmdk]),
        "manifest-last": tar([text, vmdk, ("p.mf", manifest([text, vmdk], "SHA1"))], tarfile.GNU_FORMAT),
        "disk-first": tar([vmdk, text]),
        "two-disks": tar([both, vmdk, raw, ("p.mf", manifest([both, vmdk, raw], "SHA512"))]),
        "pax": tar([text, vmdk], tarfile.PAX_FORMAT, {"comment": "made for a test"}),
    }


def compressed():
    data = raw_disk(2)
    named = io.BytesIO()
    with gzip.GzipFile("disk.raw", "wb", fileobj=named, mtime=1) as file:
        file.write(data)

    def zstd(*options):
        return subprocess.run(["zstd", "-q", "-c", *options], input=data, capture_output=True, check=True).stdout

    skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    delta = [{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2, "preset": 0}]
    return {
        "gzip": {
            "named": named.getvalue(),
            "two-members": gzip.compress(data[:900], 9, mtime=0) + gzip.compress(data[900:2000], 0, mtime=0) + bytes(9),
            "empty": gzip.compress(b"", mtime=0),
            "all-fields": b"\x1f\x8b\x08\x1c\0\0\0\0\0\3\3\0abcn\0c\0" + zlib.compress(b"text", 9)[2:-4]
            + struct.pack("<II", zlib.crc32(b"text"), 4),
        },
        "bzip2": {
            "one": bz2.compress(data),
            "two": bz2.compress(data[:700], 1) + bz2.compress(bytes(40000)),
            "empty": bz2.compress(b""),
        },
        "xz": {
            "crc64": lzma.compress(data),
            "sha256": lzma.compress(data[:2000], check=lzma.CHECK_SHA256) + bytes(8),
            "delta": lzma.compress(data, check=lzma.CHECK_NONE, filters=delta),
            "two": lzma.compress(data[:999]) + lzma.compress(b""),
        },
        "zstd": {
            "checked": zstd("--check"),
            "skippable": skippable + zstd("--no-check", "-1") + skippable,
            "two": zstd("-19") + zstd("--no-check"),
        },
    }


def inspected():
    """Heads of the formats, each with the claim that it is that format; see `CLAIMS` of the target."""

    def claim(number, patches):
        out = bytes([number << 1 | 1, 3])
        for place, data in patches:
            out += struct.pack("<IH", place, len(data)) + data
        return out

    def whole(number, data):
        return bytes([number << 1, 2]) + data

    qcow2 = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, 16, 1 << 20, *[0] * 10, 4, 104)
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, 2047)
    gpt = entry.rjust(446 + 16, b"\0").ljust(510, b"\0") + b"\x55\xaa"
    vhd = bytearray(struct.pack(">8sIIQI4sI4sQQIIII", *(b"conectix", 2, 0x10000, (1 << 64) - 1, 0, b"land", 0, b"Wi2k"),
                                *(4096, 4096, 0, 2, 0, 0)).ljust(512, b"\0"))
    vhd[64:68] = struct.pack(">I", 0xFFFFFFFF - sum(vhd))
    iso = b"\1CD001\1".ljust(2048, b"\0")
    return {
        "raw": whole(0, raw_disk(2)),
        "vmdk-footer": whole(1, vmdk_footer(raw_disk(4))),
        "vmdk-sparse": whole(1, vmdk_in_front(raw_disk(4), compressed=False, redundant=True, end=False)),
        "qcow2": claim(2, [(0, qcow2), (4096, b"\0")]),
        "vhd": claim(3, [(4096, bytes(vhd))]),
        "vhdx": claim(4, [(0, b"vhdxfile"), (64 << 10, b"head"), (192 << 10, b"regi"), (1 << 20, b"metadata")]),
        "vdi": claim(5, [(0x40, struct.pack("<IIII", 0xBEDA107F, 0x10001, 0x190, 1)), (0x170, b"\0\2"), (4096, b"\0")]),
        "iso": claim(6, [(32768, iso), (40000, b"\0")]),
        "iso-gpt": claim(6, [(0, gpt), (32768, iso), (40000, b"\0")]),
        "luks": claim(8, [(0, b"LUKS\xba\xbe\0\1"), (104, struct.pack(">I", 8)), (4096, b"\0")]),
        "gpt": claim(9, [(0, gpt), (4096, b"\0")]),
        "tar": whole(10, packages()["plain"][:2048]),
        "gzip": whole(12, gzip.compress(b"text", mtime=0)),
        "descriptor": claim(0, [(0, descriptor("monolithicFlat", 8)), (4096, b"\0")]),
    }


def records():
    whole = {
        "id": "8bcd4b5a", "status": "active", "disk_format": "vmdk", "container_format": "ova", "size": 4096,
        "os_hash_algo": "sha512", "os_hash_value": "ab" * 64, "checksum": "cd" * 16, "compression": "gzip",
        "tags": ["a"], "hw_disk_bus": "virtio", "min_disk": 1,
        "locations": [
            {"url": "file:///srv/a", "metadata": {"store": "s"}, "status": "active", "metrics": {"weight": "2"}},
            {"url": "swift+http://p:u:k@h:5000/v3/c/o", "disk_format": "raw", "size": 9},
            {"url": "https://u:p@h/x?sig=1#f", "metadata": None},
        ],
    }
    # The first `://` is behind the secret; where a secret is put in by the target, it is behind that as well.
    hidden = {"locations": [{"url": "http:u:p@h/x?next=http://host-of-another-path"}, {"url": "//h/x://y"}]}
    small = b'{"id": null, "locations": [{"url": "/a"}]}'
    seeds = {"whole": whole, "found-secret-before-scheme": hidden}
    return {"small": small, **{name: json.dumps(record).encode() for name, record in seeds.items()}}


def journals():
    checkpoint = {
        "digest": f"sha512:{'ab' * 64}", "size": 1000, "file": {"file_system": 7, "inode": 9, "born": None},
        "modified": 5, "changed": 6, "pieces": [[0, 100, 0], [100, 500, 1]], "origins": ["http://a/", "http://b/"],
        "hashed": 64, "state": "00ff",
    }
    text = json.dumps(checkpoint).encode()
    # The number of the first slot is even, that of the second odd.
    return {"one": b"\1" + text, "two": b"\12" + text * 2, "empty": b"\0" + bytes(64)}


def openstack():
    endpoints = [
        {"interface": "public", "region": "R", "region_id": "R", "url": "http://swift:8080/v1/AUTH_p"},
        {"interface": "internal", "region": None, "url": "https://[::1]/image/"},
    ]
    catalog = [{"type": "object-store", "endpoints": endpoints}, {"type": "image", "endpoints": endpoints[::-1]}]
    token = {"expires_at": "2026-11-23T13:00:00.000000Z", "issued_at": "2026-11-23T12:00:00Z", "catalog": catalog}
    token = json.dumps({"token": token}).encode()
    places = [{"url": "file:///a", "metadata": {}}, {"url": "swift+config://r/c/o", "metadata": {"store": "s"}}]
    record = json.dumps({"id": "i", "locations": places[1:], "direct_url": "file:///a", "tags": []}).encode()
    merge = struct.pack("<H", len(record)) + record + json.dumps(places).encode()
    return {"keystone": b"\0" + token, "internal": b"\6" + token, "glance": b"\1" + merge}


def wires():
    failure = {"kind": 3, "scope": 0, "errno": 2, "retry_after_ms": 0, "code": "A b", "message": "x\n\u202e"}
    opened = {"number": 0, "size": 9, "meta": {"name": "d"}}
    messages = {
        "beat": {"Beat": {"id": 1, "done": 2, "total": None}},
        "started": {"Started": {"Err": failure}},
        "log": {"Log": {"level": 2, "target": "t", "text": "line"}},
        "secret": {"Question": {"id": 1, "question": 2, "ask": {"Secret": {"name": "location.url"}}}},
        "open": {"Question": {"id": 1, "question": 2, "ask": {"Open": opened}}},
        "read": {"Done": {"id": 1, "outcome": {"Ok": {"Read": {"bytes": 7, "failure": failure}}}}},
        "source": {"Done": {"id": 1, "outcome": {"Ok": {"Source": {"size": 7, "ranged": True, "validator": "v"}}}}},
        "failed": {"Done": {"id": 1, "outcome": {"Err": failure}}},
    }
    seeds = {name: b"\0" + json.dumps(message).encode() for name, message in messages.items()}
    seeds["in-memory"] = b"\1" + json.dumps(messages["read"]).encode()
    seeds["not-sealed"] = b"\5{}"
    return seeds


def imports():
    disk, files, packed = raw_disk(), vmdks(), compressed()
    seeds = {
        "raw": b"\0\2" + disk[:5000],
        "wrong-digest": b"\0\1" + disk[:600],
        "vmdk": b"\1\6" + files["footer"],
        "sparse": b"\1\2" + files["sparse"],
        "ova": b"\2\2" + packages()["manifest"],
        "ova-disk-first": b"\2\0" + packages()["disk-first"],
        "ova-two-disks": b"\2\12" + packages()["two-disks"],
        "ova-split": b"\2\2" + packages()["split"],
        "vmdk-gzip": b"\7\2" + gzip.compress(files["in-front"], mtime=0),
        "ova-gzip": b"\10\16" + gzip.compress(packages()["plain"], mtime=0),
        "qcow2": b"\12\2" + inspected()["qcow2"][8:],
    }
    for form, name in enumerate(["gzip", "zstd", "xz", "bzip2"], 3):
        seeds[name] = bytes([form, 2]) + next(iter(packed[name].values()))
    return seeds


def texts():
    """Of the parsers of text: URLs, headers, configuration."""
    segments = [("/c/o", 600, "ab" * 16), ("/c/p", 900, "cd" * 16)]
    slo = [{"name": name, "bytes": size, "hash": digest} for name, size, digest in segments]
    slo = json.dumps([slo[0], {**slo[1], "range": "0-399"}]).encode()
    segments = [("p/1", 400, "ab" * 16), ("p/2", 600, "cd" * 16)]
    page = json.dumps([{"name": name, "bytes": size, "hash": digest} for name, size, digest in segments]).encode()
    dlo = b"c/p%2F"
    flat = descriptor("monolithicFlat", 9).replace(b'SPARSE "disk.vmdk"', b'FLAT "d-flat.vmdk" 0')
    yaml = ("clouds:\n  c:\n    auth: {auth_url: 'http://k/v3', username: u, password: p, project_name: q}\n"
            "    region_name: R\n    regions: [A, {name: B}]\n    interface: internal\n    verify: true\n")
    openrc = ("OS_AUTH_URL=http://k/v3\nOS_USERNAME=u\nOS_PASSWORD=p\nOS_PROJECT_NAME=q\nOS_USER_DOMAIN_ID=default\n"
              "OS_IDENTITY_API_VERSION=3\n")
    return {
        "answers": {
            "range": b"\0bytes 100-199/1000", "none": b"\0bytes */1000", "digits": b"\x00120",
            "date": b"\0Sun, 06 Nov 1994 08:49:37 GMT", "redirect": b"\0//other/x?y#z",
            "slo": b"\1" + slo, "dlo": b"\1" + struct.pack("<H", len(dlo)) + dlo + page, "base64": b"\2bGFuZGZhbGw=",
        },
        "clouds": {"yaml": b"\0" + yaml.encode(), "openrc": b"\1" + openrc.encode(),
                   "v1": b"\1ST_AUTH=http://k/auth/v1.0\nST_USER=a:u\nST_KEY=k\n"},
        "config": {
            "sample": (ROOT / "examples/landfall.toml").read_bytes(),
            "cloud": b"[cloud.b]\nentry='b'\nclouds_file='/c'\n[catalog.g]\ntype='glance'\ncloud='b'\n[limits]\n"
            b"bandwidth='1GB'\n[handler.a]\nisolation='inline'\nx=[[1,2.5],{y='z'}]\nd=2026-01-02T03:04:05Z\n",
            "secret": b"[handler.a]\ncredential='inline'\nurl='https://u:p@h/'\n",
            "size": b"16TiB", "duration": b"1h 30m",
        },
        "manifest": {"sha1": manifest([("a", b"")], "SHA1"),
                     "several": manifest([("a b(1).ovf", b"1")], "SHA256") + manifest([("c", b"2")], "SHA512")},
        "ovf": {
            "one": ovf([("d.vmdk", "vmdk.html")], 1 << 20),
            "two": ovf([("a.vmdk", "vmdk"), ("b", "raw")], "${size}"),
        },
        "urls": {
            "file": b"file:///srv/images/a", "path": b"/srv/a", "s3": b"s3+https://a:b/c@h:80/p/bucket/key",
            "swift": b"swift+http://h/v1/AUTH_a/c/o/p",
            "keys": b"swift://p:u:k%40@h/v3/c/o",
            "config": b"swift+config://r/c/o",
            "segment": b"/c d/%2e%2e/o",
            "references": b"[DEFAULT]\nuser = a:b\n[r]\nkey = 'k'\nauth_address = http://k/v3\n",
        },
        "vmdk_descriptor": {
            **{kind: descriptor(kind, 4096) for kind in ("streamOptimized", "monolithicSparse", "custom")},
            "flat": flat + b"RW 7 ZERO\n",
            "left-behind": descriptor("monolithicSparse", 9) + b"\0\"16\"\n" + bytes(20),
        },
    }


def extents():
    def seed(kind, line, stored):
        return bytes([kind]) + struct.pack("<H", len(line)) + line + stored

    disk = raw_disk()
    sparse = vmdk_in_front(disk, compressed=False, redundant=True, end=False, text=False)
    flat = b'RW 3 FLAT "a-f001.vmdk" 1\nRW 130 FLAT "b" 0\nRW 5 ZERO'
    return {
        "flat": seed(1, flat, disk),
        "sparse": seed(0, f'RW {len(disk) // SECTOR} SPARSE "a-s001.vmdk"'.encode(), sparse),
        "huge": seed(0, b'RW 18446744073709551615 SPARSE "a"', b""),
    }


def all_seeds():
    """For each target the inputs, by names."""
    archives = {name: b"\1" + archive for name, archive in packages().items()}
    return {
        **compressed(), **texts(),
        "import": imports(), "inspect": inspected(), "journal": journals(), "openstack": openstack(),
        "ova": archives, "record": records(),
        "tar": {name: archive[: 6 * SECTOR] + bytes(2 * SECTOR) for name, archive in archives.items()} | archives,
        "vmdk": vmdks(), "vmdk_extent": extents(), "wire": wires(),
    }
