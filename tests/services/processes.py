"""Starts and ends services. Each is a session of its own, known by its first process: number and start time."""

import http.client
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field

from installation import Failed, environment

# Longer than a start or an end takes on a busy machine.
BOUND = 120
# Of one look whether a service answers: one that is half up accepts and never answers.
LOOK = 5


@dataclass
class Program:
    """How a service is started, and where it says that it is up; without a path it is up once it accepts."""

    words: list
    path: str | None = None
    directory: str = "/"
    environment: dict = field(default_factory=dict)

    def __post_init__(self):
        self.words = [str(word) for word in self.words]


def stat_of(pid):
    """State, session and start time, or none when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name before the parenthesis can hold anything.
            fields = file.read().rpartition(") ")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[3]), int(fields[19])


def is_running(service):
    found = stat_of(service["pid"]) if service.get("pid") else None
    return found is not None and found[0] not in "ZX" and found[2] == service["started"]


def members(service):
    """The processes of its session that have not ended."""
    leader = stat_of(service["pid"])
    if leader is not None and leader[2] != service["started"]:
        # The number is somebody else's by now, which it cannot become while the session has a process.
        return []
    found = []
    for name in os.listdir("/proc"):
        one = stat_of(name) if name.isdigit() else None
        if one is not None and one[0] not in "ZX" and one[1] == service["pid"]:
            found.append(int(name))
    return found


def start(state, name, program):
    """Starts one that does not run; `await_all` then waits for it."""
    service = state.service(name)
    # What is left of a session whose first process has ended would hold the port.
    kill(state, name)
    with open(state.path("log") / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            program.words,
            cwd=program.directory,
            env=environment(**program.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    service.update(pid=process.pid, started=stat_of(process.pid)[2])
    state.save()


def kill(state, name):
    """Ends it at once, whatever it does; the caller finds it gone."""
    service = state.service(name)
    if not service.get("pid"):
        return
    end = time.monotonic() + BOUND
    while left := members(service):
        # The first process first: it would start others in place of those that end.
        for pid in sorted(left, key=lambda pid: pid != service["pid"]):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if time.monotonic() > end:
            raise Failed(f"{name} does not end: {left}")
        time.sleep(0.01)
    try:
        os.waitpid(service["pid"], 0)
    except ChildProcessError:
        pass
    del service["pid"], service["started"]
    state.save()


def await_all(state, programs):
    """Waits until each of these services answers."""
    end = time.monotonic() + BOUND
    for name, program in programs.items():
        service = state.service(name)
        while not answers(service["port"], program.path):
            if not is_running(service):
                raise Failed(f"{name} has ended:\n{last_words(state, name)}")
            if time.monotonic() > end:
                raise Failed(f"{name} does not answer after {BOUND} s:\n{last_words(state, name)}")
            time.sleep(0.02)


def answers(port, path):
    try:
        if path is None:
            socket.create_connection(("127.0.0.1", port), timeout=LOOK).close()
            return True
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LOOK)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < 500
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def last_words(state, name):
    log = state.path("log") / f"{name}.log"
    return log.read_text(encoding="utf-8", errors="replace")[-3000:] if log.exists() else ""
