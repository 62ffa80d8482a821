"""Writes tar archives in which every field can be changed. POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar's
manual, "Basic Tar Format"."""

BLOCK = 512
END = bytes(2 * BLOCK)

# Where the fields are, and their bytes.
FIELDS = {
    "name": (0, 100),
    "mode": (100, 8),
    "uid": (108, 8),
    "gid": (116, 8),
    "size": (124, 12),
    "mtime": (136, 12),
    "checksum": (148, 8),
    "kind": (156, 1),
    "link": (157, 100),
    "magic": (257, 8),
    "prefix": (345, 155),
    "padding": (500, 12),
}


def header(name: str | bytes, size: int | bytes, kind: bytes = b"0", **fields: bytes) -> bytes:
    """One header; the checksum is right unless it is given, and so is how the size is written."""
    values = {
        "name": name.encode() if isinstance(name, str) else name,
        "mode": b"0000644\0",
        "uid": b"0000100\0",
        "gid": b"0000100\0",
        "size": b"%011o\0" % size if isinstance(size, int) else size,
        "mtime": b"14000000000\0",
        "kind": kind,
        "magic": b"ustar\x0000",
    } | fields
    block = bytearray(BLOCK)
    block[148:156] = b" " * 8
    for field, value in values.items():
        if field != "checksum":
            at, length = FIELDS[field]
            assert len(value) <= length, field
            block[at : at + length] = value.ljust(length, b"\0")
    block[148:156] = fields.get("checksum", b"%06o\0 " % sum(block)).ljust(8, b"\0")
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def member(name: str | bytes, data: bytes, kind: bytes = b"0", **fields: bytes) -> bytes:
    """A header and the bytes that follow it."""
    return header(name, len(data), kind, **fields) + padded(data)


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    """PAX records for what follows."""
    return member("PaxHeaders/records", b"".join(records), kind)


def record(keyword: str, value: str | bytes) -> bytes:
    """A PAX record, which begins with its own length."""
    value = value.encode() if isinstance(value, str) else value
    body = b" " + keyword.encode() + b"=" + value + b"\n"
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body


def archive(*members: bytes) -> bytes:
    """Members and the end of the archive."""
    return b"".join(members) + END
