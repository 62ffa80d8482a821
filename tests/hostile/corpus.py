"""Hostile images and the legal ones beside them: what each is, what its record says, and what must come of it."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from classes import CLASSES

# How many cases are the most valuable ones, which every run tries in every way.
FIRST = 25

HOLE = 64 << 10

VMDK = {"disk_format": "vmdk", "container_format": "bare"}
OVA = {"disk_format": "vmdk", "container_format": "ova"}
RAW = {"disk_format": "raw", "container_format": "bare"}


def as_is(disk_format: str) -> dict:
    """The record of a disk for which there is no unpacker."""
    return {"disk_format": disk_format, "container_format": "bare"}


def corrupt(code: str) -> str:
    """What bytes end in that contradict themselves, their digest being right: no other copy is better."""
    return f"corrupt {code} image"


def limit(code: str) -> str:
    """What they end in that are more than may be."""
    return f"limit {code} image"


def unsupported(code: str) -> str:
    """What they end in that no handler here takes, and another one might."""
    return f"unsupported {code} handler"


@dataclass(frozen=True)
class Terms:
    """What the record and the node say, beside the bytes."""

    record: dict
    # Placed as it is stored.
    as_is: bool = False
    # Placed into a directory.
    directory: bool = False
    # Lines of `[limits]`, and of handlers' tables: handler and line.
    limits: tuple[str, ...] = ()
    handlers: tuple[tuple[str, str], ...] = ()


@dataclass
class Corpus:
    """Writes images into `folder`, each content once."""

    folder: Path
    # Absolute path of a file that must never be opened, name of one beside the images, port that nobody may connect to.
    canary: str
    sibling: str
    port: int
    controls: list[dict] = field(default_factory=list)
    cases: list[dict] = field(default_factory=list)
    _heavy: dict = field(default_factory=dict)
    _files: dict[str, str] = field(default_factory=dict)

    def control(self, name: str, data: bytes, terms: Terms, *disks: bytes) -> str:
        """A legal image, and the disks that it is; placed as it is stored, it is its own disk."""
        wanted = (data,) if terms.as_is else disks
        entry = self._entry(name, data, terms)
        entry["disks"] = [{"bytes": len(disk), "sha512": hashlib.sha512(disk).hexdigest()} for disk in wanted]
        assert entry["disks"], f"{name} has no disk"
        self._add(self.controls, entry)
        return name

    def case(
        self, group: str, name: str, data: bytes, terms: Terms, control: str, expected: str, *, first: bool = False
    ) -> None:
        """A hostile image of a class, and the error that it must end in: kind, code and scope."""
        assert group in CLASSES, group
        entry = self._entry(f"{group}/{name}", data, terms)
        # A corpus of what is legal would pass every test of refusals.
        legal = next(legal for legal in self.controls if legal["name"] == control)
        differs = (entry[key] != legal[key] for key in ("sha512", "record", "limits", "handlers"))
        assert any(differs), f"{name} is {control}"
        kind, code, scope = expected.split()
        entry |= {"class": group, "control": control, "first": first, "kind": kind, "code": code, "scope": scope}
        self._add(self.cases, entry)

    def write(self) -> None:
        """Writes the list, once every class has a case."""
        missing = set(CLASSES) - {case["class"] for case in self.cases}
        assert not missing, f"classes without a case: {sorted(missing)}"
        unused = {control["name"] for control in self.controls} - {case["control"] for case in self.cases}
        assert not unused, f"controls of no case: {sorted(unused)}"
        first = sum(case["first"] for case in self.cases)
        assert first == FIRST, f"{first} cases are the first {FIRST}"
        listed = {"classes": list(CLASSES), "controls": self.controls, "cases": self.cases, "heavy": self._heavy}
        (self.folder / "cases.json").write_text(json.dumps(listed, indent=1), encoding="utf-8")

    def _entry(self, name: str, data: bytes, terms: Terms) -> dict:
        digest = hashlib.sha512(data).hexdigest()
        return {
            "name": name,
            "file": self._file(name, data, digest),
            "size": len(data),
            "sha512": digest,
            "record": terms.record,
            "as_is": terms.as_is,
            "directory": terms.directory,
            "limits": list(terms.limits),
            "handlers": list(terms.handlers),
        }

    def _file(self, name: str, data: bytes, digest: str) -> str:
        if digest not in self._files:
            file = re.sub(r"[^A-Za-z0-9.-]", "-", name)
            images = self.folder / "images"
            assert not (images / file).exists(), file
            _write(images / file, data)
            self._files[digest] = file
        return self._files[digest]

    def heavy(self, data: bytes, terms: Terms) -> None:
        """A legal image that is allowed more memory than a hostile one may take: the meter must see that."""
        self._heavy = self._entry("heavy", data, terms)

    @staticmethod
    def _add(entries: list[dict], entry: dict) -> None:
        assert all(entry["name"] != other["name"] for other in entries), f"{entry['name']} is there twice"
        entries.append(entry)


def _write(path: Path, data: bytes) -> None:
    """Zeros are left out: most images have many."""
    with path.open("wb") as file:
        for at in range(0, len(data), HOLE):
            piece = data[at : at + HOLE]
            if piece != bytes(len(piece)):
                file.seek(at)
                file.write(piece)
        file.truncate(len(data))
