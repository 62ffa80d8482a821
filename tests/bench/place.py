"""Where the measuring is done: a directory with an XFS and an ext4 in it, and the means to run commands there."""

import json
import os
import random
import shlex
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
# The agent trusts that a file stays as it is only when its last change is this old.
SETTLED_SECONDS = 2.0
FILE_SYSTEMS = {
    # Discarding is left out: the device is a fresh file.
    "xfs": (["mkfs.xfs", "-q", "-K", "-m", "reflink=1"], 6 * GIB),
    "ext4": (["mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"], 8 * GIB),
}


@dataclass
class Sample:
    """One run of one command."""

    wall: float
    user: float
    system: float
    kibibytes: int

    @property
    def processor(self):
        return self.user + self.system


class Failed(Exception):
    """A command that was to be measured failed."""


class Place:
    """Mounts on entry, unmounts and removes on exit. Commands run in its directory, so that they can be shown as they are."""

    def __init__(self, binary):
        self.binary = binary
        self.mounted = []
        self.measured = {}

    def __enter__(self):
        # Not /tmp, which may be in memory.
        self.scratch = tempfile.TemporaryDirectory(prefix="landfall-bench-", dir="/var/tmp")
        self.directory = Path(self.scratch.name)
        try:
            self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            for directory in reversed(self.mounted):
                subprocess.run(["umount", directory], check=True)
        finally:
            self.scratch.cleanup()

    def _prepare(self):
        source = Path(__file__).resolve().parent / "measure.c"
        subprocess.run(["cc", "-O2", "-o", self.directory / "measure", source], check=True)
        for name, (maker, size) in FILE_SYSTEMS.items():
            self._mount(name, maker, size)

    def _mount(self, name, maker, size):
        image, directory = self.directory / f"{name}.img", self.directory / name
        directory.mkdir()
        with open(image, "wb") as file:
            # Allocated, so that the measured writes do not wait for the outer file system to find blocks.
            os.posix_fallocate(file.fileno(), 0, size)
        subprocess.run([*maker, image], check=True)
        # Direct, so that nothing is cached twice and a sync reaches the outer file system.
        found = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", image], check=True, stdout=subprocess.PIPE)
        device = found.stdout.decode().strip()
        try:
            subprocess.run(["mount", "-t", name, device, directory], check=True)
            self.mounted.append(directory)
            for part in ("store", "disks"):
                (directory / part).mkdir()
        finally:
            # The device goes with its mount, and the file with the device, even if this process is killed.
            subprocess.run(["losetup", "--detach", device], check=True)
            image.unlink()

    def once(self, key, measure):
        """What `measure` gave when it was first called for this key."""
        if key not in self.measured:
            self.measured[key] = measure()
        return self.measured[key]

    def backing(self):
        """The type of the file system that holds the loop devices' files."""
        command = ["df", "--output=fstype", self.directory]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1]

    def path(self, name):
        return self.directory / name

    def run(self, command):
        """Runs a command; gives what it printed and the sample. `landfall` is the one to be measured."""
        words = [str(self.binary) if word == "landfall" else str(word) for word in command]
        result, output = self.path("result.json"), self.path("output")
        subprocess.run([self.path("measure"), result, output, *words], check=True, cwd=self.directory)
        measured = json.loads(result.read_text())
        text = output.read_text()
        if measured["status"] != 0:
            raise Failed(f"status {measured['status']} of {shlex.join(words)}\n{text}")
        sample = Sample(measured["wall"], measured["user"], measured["system"], measured["kibibytes"])
        return text, sample

    def image(self, name, size, pieces, seed):
        """Makes a raw image: a hole but for `pieces` of (offset, length). The same bytes for the same seed."""
        noise = random.Random(seed)
        with open(self.path(name), "wb") as file:
            file.truncate(size)
            for offset, length in pieces:
                file.seek(offset)
                for _ in range(0, length, MIB):
                    file.write(noise.randbytes(min(MIB, length)))
            os.fsync(file.fileno())

    def compile(self, source, name, *flags):
        """Compiles a C file of this folder, or of the test plugins; gives the product's path."""
        tests = Path(__file__).resolve().parent.parent
        found = next(path for path in (tests / "bench" / source, tests / "plugins" / source) if path.exists())
        product = self.path(name)
        product.parent.mkdir(exist_ok=True)
        includes = [f"-I{tests.parent / 'handler-api' / 'include'}", f"-I{tests / 'plugins'}"]
        subprocess.run(["cc", "-std=c11", "-O2", *flags, *includes, "-o", product, found], check=True)
        return str(product)

    def plugins(self, names):
        """Compiles test plugins into a directory of their own."""
        for name in names:
            self.compile(f"{name}.c", f"plugins/{name}.so", "-fPIC", "-shared", "-fvisibility=hidden")

    def write(self, name, text):
        """Writes a small file."""
        self.path(name).write_text(text)

    def digest(self, image, algorithm):
        """The digest of a file, in hexadecimal digits."""
        command = ["openssl", "dgst", f"-{algorithm}", "-r", self.path(image)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[0]

    def record(self, name, image, algorithm, disk_format="raw", url=None):
        """Writes the record of an image with one location."""
        self._record(name, image, algorithm, disk_format, [{"url": url or f"file://{self.path(image)}", "metadata": {}}])

    def record_of_locations(self, name, image, algorithm, urls):
        """Writes the record of a raw image whose locations are in these stores."""
        locations = [{"url": url, "metadata": {"store": store}} for store, url in urls.items()]
        self._record(name, image, algorithm, "raw", locations)

    def _record(self, name, image, algorithm, disk_format, locations):
        record = {
            "id": "0c0f0e0a-6d0b-4d0c-8b0a-000000000001",
            "status": "active",
            "disk_format": disk_format,
            "container_format": "bare",
            "size": self.path(image).stat().st_size,
            "os_hash_algo": algorithm,
            "os_hash_value": self.digest(image, algorithm),
            "locations": locations,
        }
        self.path(name).write_text(json.dumps(record))

    def config(self, name, state, store, more=""):
        """Writes a configuration with one store."""
        self.path(name).write_text(
            f'node = "bench"\nstate_dir = "{self.path(state)}"\n'
            f'[[store]]\nid = "images"\ntype = "file"\nroot = "{self.path(store)}"\n{more}'
        )

    def remove(self, name):
        self.path(name).unlink()

    def forget(self, state):
        """Removes an agent's state: its next placement is its first."""
        directory = self.path(state)
        if directory.exists():
            for file in directory.iterdir():
                file.unlink()
            directory.rmdir()

    def warm(self, name):
        """Reads a file into the page cache."""
        with open(self.path(name), "rb", buffering=0) as file:
            while file.read(MIB):
                pass

    def quiet(self):
        """Leaves nothing to be written that an earlier run left."""
        os.sync()

    def settle(self, name):
        """Waits until a file's last change is old enough for its digest to be remembered."""
        left = self.path(name).stat().st_ctime + SETTLED_SECONDS + 0.1 - time.time()
        if left > 0:
            time.sleep(left)
