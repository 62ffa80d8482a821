"""The programs of the services: a virtual environment that uv fills, and databases that are made once.

Everything lies in a private folder, under the hash of what it is made from: a changed lock gives a new installation, and runs
that still use the old one are not disturbed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
INSIDE = HERE / "inside"
LOCK = HERE / "requirements.lock"
# Longer than a slow index and a busy machine take.
BOUND = 600


class Failed(Exception):
    """Something that a person can be told in one paragraph."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def base():
    """The folder of all installations."""
    named = os.environ.get("LANDFALL_SERVICES")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "landfall-services"


def environment(**more):
    """The environment of everything that is run here."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "PYTHON"))}
    # A proxy of the machine would be asked for the loopback too. Without bytecode each start reads a thousand modules anew;
    # what forbids it was left out above.
    env.update(no_proxy="127.0.0.1,localhost", NO_PROXY="127.0.0.1,localhost", **more)
    return env


def run(words, **options):
    """Runs a program to its end; gives what it printed."""
    env = options.pop("env", None) or environment()
    try:
        done = subprocess.run(
            [str(word) for word in words],
            env=env,
            timeout=BOUND,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            **options,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{words[0]} took longer than {BOUND} s") from error
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, words))}: status {done.returncode}\n{done.stdout[-4000:]}")
    return done.stdout


class Packages:
    """A virtual environment of what a lock lists, under `name`, whether it is there or not; `files` are what else it is made from."""

    def __init__(self, name, lock, files=()):
        digest = hashlib.sha256(f"{name}{sys.version_info[:2]}".encode())
        for file in [lock, *files]:
            digest.update(file.read_bytes())
        self.lock = lock
        self.root = base() / digest.hexdigest()[:16]
        self.venv = self.root / "venv"
        self.stamp = self.root / "complete"

    def is_there(self):
        return self.stamp.exists()

    def program(self, name):
        return self.venv / "bin" / name

    def install(self):
        """Makes it unless it is there. Of two at once, one makes it and the other waits."""
        self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.root.parent / "lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.is_there():
                # What is there without its stamp was given up half-way.
                shutil.rmtree(self.root, ignore_errors=True)
                self.root.mkdir(mode=0o700)
                self._make()
                self.stamp.touch()

    def _make(self):
        began = time.monotonic()
        uv = shutil.which("uv") or self._fetched_uv()
        env = environment(UV_CACHE_DIR=str(self.root.parent / "uv-cache"))
        run([uv, "venv", "--quiet", "--python", sys.executable, self.venv], env=env)
        run([uv, "pip", "install", "--quiet", "--python", self.program("python"), "-r", self.lock], env=env)
        say(f"packages: {time.monotonic() - began:.1f} s")

    def _fetched_uv(self):
        """uv in an environment of its own, from the index that pip is set up for."""
        own = self.root.parent / "uv"
        if not (own / "bin" / "uv").exists():
            run([sys.executable, "-m", "venv", "--clear", own])
            run([own / "bin" / "python", "-m", "pip", "install", "--quiet", "uv"])
        return own / "bin" / "uv"


class Installation(Packages):
    """What the services are."""

    def __init__(self):
        super().__init__("services", LOCK, sorted(INSIDE.glob("*.py")))
        self.databases = self.root / "databases"

    def _make(self):
        super()._make()
        began = time.monotonic()
        self.databases.mkdir(mode=0o700)
        run([self.program("python"), INSIDE / "make_databases.py", self.databases])
        say(f"databases: {time.monotonic() - began:.1f} s")
