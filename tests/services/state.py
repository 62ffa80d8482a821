"""What is known of the services of one folder: ports, processes, accounts. Kept in its file services.json."""

import fcntl
import json
import os
import random
import shutil
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

from installation import Failed

# Below the ports that the kernel gives to those who ask for none, above those that tests choose for servers of their own: the
# port of a service that a test has killed stays its own.
PORTS = range(32_000, 32_768)

ALL = (
    "memcached",
    "swift-account",
    "swift-container",
    "swift-object",
    "swift-proxy",
    "swift-proxy-short",
    "swift-proxy-keystone",
    "keystone",
    "keystone-short",
    "glance",
    "glance-hidden",
)
# What `up` starts by these names, and what each of them stands on.
GROUPS = {
    "swift": ("memcached", "swift-account", "swift-container", "swift-object", "swift-proxy"),
    "keystone": ("keystone", "swift-proxy-keystone"),
    "glance": ("glance",),
}
BENEATH = {"swift": (), "keystone": ("swift",), "glance": ("keystone", "swift")}


class State:
    """The folder of one set of services."""

    def __init__(self, folder):
        self.dir = Path(folder).resolve()
        self.file = self.dir / "services.json"
        self.document = {"services": {}}

    @contextmanager
    def locked(self, create=False):
        """Holds the folder while it is changed; the document is today's within."""
        if create:
            self.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not self.file.exists():
            raise Failed(f"{self.dir} has no services: `up` makes them")
        with open(self.dir / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.file.exists():
                self.document = json.loads(self.file.read_text(encoding="utf-8"))
            yield self

    def save(self):
        """Nobody reads half of it. Where the folder has been removed there is nobody who would read it."""
        fresh = self.file.with_suffix(".new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
                json.dump(self.document, out, indent=1)
            fresh.replace(self.file)
        except FileNotFoundError:
            if self.dir.exists():
                raise

    def service(self, name):
        return self.document["services"][name]

    def port(self, name):
        return self.service(name)["port"]

    def url(self, name):
        return f"http://127.0.0.1:{self.port(name)}"

    def has_memcached(self):
        return self.document["memcached"] is not None

    def memcached_address(self):
        return f"127.0.0.1:{self.port('memcached')}"

    def token_cache(self):
        """The line of those who ask Keystone about tokens. One that asked each time would spend most of its time so."""
        if self.has_memcached():
            return f"memcached_servers = {self.memcached_address()}"
        # In each process it would be another one, which nobody could empty.
        return "token_cache_time = -1"

    def path(self, *names):
        """A folder of the state, made where it is missing."""
        folder = self.dir.joinpath(*names)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def choose(self, token_life):
        """Ports and what else is chosen once for the folder."""
        refuse_without_attributes(self.dir)
        ports = free_ports(len(ALL))
        self.document = {
            "services": {name: {"port": port, "url": f"http://127.0.0.1:{port}"} for name, port in zip(ALL, ports)},
            "short_token_life": token_life,
            "memcached": shutil.which("memcached", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"),
        }


def free_ports(count):
    """Distinct ports that nobody listens on; where two look at once, they look in different places."""
    found, held = [], []
    first = random.SystemRandom().randrange(len(PORTS))
    for step in range(len(PORTS)):
        taken = socket.socket()
        held.append(taken)
        try:
            taken.bind(("127.0.0.1", PORTS[(first + step) % len(PORTS)]))
        except OSError:
            continue
        found.append(taken.getsockname()[1])
        if len(found) == count:
            break
    for taken in held:
        taken.close()
    if len(found) < count:
        raise Failed(f"no {count} free ports from {PORTS.start} to {PORTS.stop - 1}")
    return found


def refuse_without_attributes(folder):
    """Swift keeps what it knows of an object in the file's extended attributes."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            os.setxattr(file.name, "user.landfall", b"x" * 512)
        except OSError as error:
            raise Failed(f"{folder}: no extended attributes of users: {error.strerror}") from error
