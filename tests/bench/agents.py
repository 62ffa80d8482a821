"""What calls of the agent cost: many placements one after the other, and many callers at once."""

import http.client
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

from cases import Result, judged
from place import MIB, Sample
from server import Server

CLIENT = Path(__file__).resolve().parent.parent.parent / "examples" / "agent" / "landfall_client.py"
MANY = 10_000
# What the agent may have grown by after the first tenth of them.
GROWTH_KIBIBYTES = 8 << 10
CALLERS = 64
STORM_SIZE = 256 * MIB
# Of all connections together: the image takes some seconds, as it does from afar.
STORM_RATE = 64 * MIB
IMAGE = "image"


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("agent")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


class Agent:
    """The agent, from when it serves until it has stopped."""

    def __init__(self, place, more):
        self.place = place
        place.path("records").mkdir(exist_ok=True)
        self.socket = place.path("agent.sock")
        place.config(
            "agent.toml",
            "xfs/state",
            "xfs/store",
            f'[catalog.images]\ntype = "directory"\npath = "{place.path("records")}"\n'
            f'[handler.http]\nallow_addresses = ["loopback"]\n[agent]\nsocket = "{self.socket}"\n{more}',
        )

    def __enter__(self):
        command = [self.place.binary, "--config", self.place.path("agent.toml"), "agent"]
        # Nobody reads the log; a pipe would be full after a while.
        self.child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(1000):
            if self.socket.exists():
                return self
            time.sleep(0.01)
        raise SystemExit("bench: the agent does not serve")

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait()

    def kibibytes(self):
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))


def call(connection, path, request):
    connection.request("POST", path, json.dumps(request))
    answer = json.load(connection.getresponse())
    if not answer["ok"]:
        raise SystemExit(f"bench: the agent refuses: {answer}")
    return answer


def record(place, url=None):
    place.record(f"records/{IMAGE}.json", "xfs/store/image.raw", "sha512", url=url)
    path = place.path(f"records/{IMAGE}.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": IMAGE}))


def agent_many(place):
    """10,000 placements by reflink on XFS through the agent, one after the other"""
    place.path("records").mkdir(exist_ok=True)
    place.image("xfs/store/image.raw", 64 * MIB, [(0, 64 * MIB)], seed=7)
    place.settle("xfs/store/image.raw")
    record(place)
    times, memory, descriptors = [], [], []
    with Agent(place, "") as agent:
        connection = Connection(agent.socket)
        target = str(place.path("xfs/disks/ours.raw"))
        request = {"image": {"id": IMAGE}, "to": target}
        for number in range(MANY + 1):
            began = time.monotonic()
            answer = call(connection, "/v0/place", request)
            took = time.monotonic() - began
            if number:
                times.append(took)
                if answer["method"] != "reflink":
                    raise SystemExit(f"bench: {answer['method']} was measured")
            call(connection, "/v0/remove", {"path": target})
            if number in (MANY // 10, MANY):
                memory.append(agent.kibibytes())
                descriptors.append(agent.descriptors())
        connection.close()
    times.sort()
    share = {name: times[int(len(times) * part)] for name, part in (("p50", 0.50), ("p99", 0.99))}
    flat = memory[1] - memory[0] <= GROWTH_KIBIBYTES and descriptors[0] == descriptors[1]
    left = os.listdir(place.path("xfs/disks"))
    place.remove("xfs/store/image.raw")
    place.forget("xfs/state")
    return Result(
        "agent_many",
        "10,000 placements of a 64 MiB image by reflink on XFS through the agent",
        "memory flat: at most 8 MiB more after the last than after the 1,000th; no descriptor and no file more",
        flat and not left,
        [
            "One caller, one connection. Each call verifies (the digest is remembered), clones, syncs file, directory and ledger; the removal "
            "between two calls is not counted.",
            f"Memory of the agent: {memory[0]} KiB after 1,000, {memory[1]} KiB after 10,000. Descriptors: {descriptors[0]} and {descriptors[1]}.",
        ],
        [["POST", "/v0/place", json.dumps({"image": {"id": IMAGE}, "to": "xfs/disks/ours.raw"})]],
        singles=[(f"{name} of {MANY} calls", Sample(wall, 0.0, 0.0, memory[1])) for name, wall in share.items()],
    )


def callers(place, agent, names):
    """One process for each name, all at once; gives the time until the last was answered."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    running = []
    for name in names:
        request = json.dumps({"image": {"id": IMAGE}, "to": str(place.path(f"xfs/disks/{name}"))})
        words = ["/usr/bin/python3", "-B", CLIENT, "--socket", agent.socket, "--tries", "1", "place", request]
        running.append(subprocess.Popen(words, stdout=subprocess.PIPE))
    for child in running:
        answer = json.loads(child.communicate()[0])
        if not answer["ok"]:
            raise SystemExit(f"bench: the agent refuses: {answer}")
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for name in names:
        place.remove(f"xfs/disks/{name}")
    return Sample(wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime, agent.kibibytes())


def agent_storm(place):
    """64 processes at once for one image that is not there"""
    place.path("records").mkdir(exist_ok=True)
    place.image("xfs/store/image.raw", STORM_SIZE, [(0, STORM_SIZE)], seed=8)
    names = [f"disk-{number}" for number in range(CALLERS)]
    pairs = []
    limits = f"[limits]\nbandwidth = {STORM_RATE}\n"
    with Server(place, "server", "xfs/store") as server:
        record(place, url=server.url("image.raw"))

        def fresh():
            place.warm("xfs/store/image.raw")
            place.quiet()
            return Agent(place, limits)

        for number in range(6):
            with fresh() as agent:
                single = callers(place, agent, names[:1])
                # The image is held: these are the copies.
                copies = callers(place, agent, names[1:])
            with fresh() as agent:
                storm = callers(place, agent, names)
            allowed = Sample(1.3 * single.wall + copies.wall, single.user + copies.user, single.system + copies.system, copies.kibibytes)
            if number:
                pairs.append((allowed, storm, False))
    place.remove("xfs/store/image.raw")
    place.forget("xfs/state")
    single = statistics.median(peer.wall for peer, _, _ in pairs)
    return Result(
        "agent_storm",
        "64 processes at once for one image of 256 MiB that is not there, on XFS",
        "the last answer within 1.3 x a single call, plus the copies (the other side of each pair: 1.3 x one call, and 63 calls for what is held)",
        judged(pairs, 1.0),
        [
            "The image comes by HTTP at 64 MiB a second, with SHA-512. Each caller is a process of the Python client; CPU time is theirs alone.",
            f"The agent is started anew for each run. What was allowed is {single:.2f} s.",
        ],
        [["landfall_client.py", "--socket", "agent.sock", "place", json.dumps({"image": {"id": IMAGE}, "to": "xfs/disks/disk-N"})]],
        pairs,
    )


ALL = {"agent_many": agent_many, "agent_storm": agent_storm}
