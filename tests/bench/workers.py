"""What workers cost: each case runs the same handlers inside the agent, or a plain program, as its peer."""

import os
import struct
import subprocess
import threading
import time

from cases import Result, expect, judged, measure_pairs, median
from place import GIB, MIB, Sample

STORE = "ext4/store"
DISK = "ext4/disks/ours.raw"
MEMORY_LIMIT_KIBIBYTES = 64 << 10
PLUGINS = ("seeded", "serve", "shuffle")


def prepare(place):
    """Compiles the test plugins and writes a configuration for each place to run them."""
    place.plugins(PLUGINS)
    for isolation in ("inline", "worker"):
        place.write(
            f"{isolation}.toml",
            f'node = "bench"\nstate_dir = "{place.path("ext4/state")}"\nisolation = "{isolation}"\n'
            f'plugin_dirs = ["{place.path("plugins")}"]\n[handler.serve]\nroot = "{place.path(STORE)}"\n',
        )


def command(isolation, image, *more):
    return ["landfall", "--config", f"{isolation}.toml", "place", image, "--to", DISK, "--progress", "none", "--json", *more]


def placed(place, words, **wanted):
    """One placement, whose target is removed."""
    place.quiet()
    text, sample = place.run(words)
    expect(text, **wanted)
    place.remove(DISK)
    return sample


def worker_start(place):
    """a job of 1 MiB in a worker and in the agent"""
    prepare(place)
    image = f"seeded://bench/{MIB}/1"
    commands = {isolation: command(isolation, image, "--allow-unhashed") for isolation in ("inline", "worker")}
    pairs = measure_pairs(
        25,
        lambda: placed(place, commands["inline"], method="stream"),
        lambda: placed(place, commands["worker"], method="stream"),
    )
    place.forget("ext4/state")
    return Result(
        "worker_start",
        "A job of 1 MiB in a worker, against the same in the agent",
        "at most 10 ms more than in the agent",
        judged(pairs, 1, 0.010),
        [
            "The source makes up its bytes; it is opened and read once. Both sides sync the disk, its directory and the ledger.",
            "The worker's side starts a process, which loads the plugin and makes the handler; the agent's side has done both.",
        ],
        list(commands.values()),
        pairs,
    )


def ring(place):
    """1 GiB from a source in a worker to a disk on ext4"""
    prepare(place)
    program = place.compile("write.c", "write")
    peer_command = [program, "ext4/disks/peer.raw", "ext4/disks", GIB, 1]
    ours_command = command("worker", f"seeded://bench/{GIB}/1", "--allow-unhashed")

    def peer():
        place.quiet()
        sample = place.run(peer_command)[1]
        place.remove("ext4/disks/peer.raw")
        return sample

    # Nobody verifies here, so this is looked at once.
    place.run(peer_command)
    place.run(ours_command)
    subprocess.run(["cmp", place.path("ext4/disks/peer.raw"), place.path(DISK)], check=True)
    place.remove("ext4/disks/peer.raw")
    place.remove(DISK)
    pairs = measure_pairs(9, peer, lambda: placed(place, ours_command, method="stream", verified="no"))
    place.forget("ext4/state")
    return Result(
        "ring",
        "1 GiB from a source in a worker, through the ring and the agent, to a disk on ext4",
        "at least 0.8 x the rate of a plain `write` of the same bytes, so at most 1.25 x its time",
        judged(pairs, 1.25),
        [
            "Both sides make up the same bytes and write all of them; the peer with `write` from one buffer, in one process.",
            "Both sync the file and its directory; ours also syncs its ledger.",
        ],
        [["write", *peer_command[1:]], ours_command],
        pairs,
    )


def shuffled(place, name, blocks):
    """Writes an image in the form that the test unpacker reads: blocks in reverse order, each with its checksum."""
    noise = os.urandom(256 * 1024)
    digest = fnv(noise)
    with open(place.path(name), "wb") as file:
        size = blocks * len(noise)
        file.write(struct.pack("<8sQQQ", b"LFSHUFL1", size, len(noise), blocks).ljust(4096, b"\0"))
        for index in reversed(range(blocks)):
            file.write(struct.pack("<QQQQ", index, 0, digest, 0))
            file.write(noise)
        os.fsync(file.fileno())
    return size


def fnv(data):
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return digest


def chain_record(place):
    stored = f"{STORE}/shuffled.img"
    size = shuffled(place, stored, 4096)
    place.record("chain.json", stored, "sha256", disk_format="shuffled", url="serve://bench/shuffled.img")
    place.settle(stored)
    return size


def chain(place):
    """1 GiB from a source in one worker through an unpacker in another"""
    prepare(place)
    size = chain_record(place)
    commands = {isolation: command(isolation, "chain.json") for isolation in ("inline", "worker")}

    def run(isolation):
        place.warm(f"{STORE}/shuffled.img")
        return placed(place, commands[isolation], method="unpack", verified="computed")

    pairs = measure_pairs(7, lambda: run("inline"), lambda: run("worker"))
    place.forget("ext4/state")
    allowed = 0.250 * size / 1e9
    met = median([ours for _, ours, _ in pairs], "processor") <= median([peer for peer, _, _ in pairs], "processor") + allowed
    return Result(
        "chain",
        "1 GiB from a source in one worker, through the agent, to an unpacker in another",
        "at most 250 ms of CPU a GB more than all of it in the agent (held against the medians of CPU time)",
        met,
        [
            "The source reads a file from the page cache and gives no descriptor; the unpacker checks each block and writes it to its"
            " place. The agent computes the SHA-256 of the stored bytes.",
            "CPU time is that of the agent and of all workers.",
        ],
        list(commands.values()),
        pairs,
        of="processor",
    )


def together(place):
    """peak memory of the agent and all its workers"""
    prepare(place)
    chain_record(place)
    jobs = {
        "source in a worker, 1 GiB, several ranges at once": command("worker", f"seeded://bench/{GIB}/1", "--allow-unhashed"),
        "source and unpacker in workers, 1 GiB": command("worker", "chain.json"),
    }
    singles = []
    for what, words in jobs.items():
        for _ in range(3):
            place.quiet()
            singles.append((what, run_together(place, words)))
            place.remove(DISK)
    place.forget("ext4/state")
    return Result(
        "together",
        "Peak memory of the agent and all its workers",
        "at most 64 MiB together",
        all(sample.kibibytes <= MEMORY_LIMIT_KIBIBYTES for _, sample in singles),
        [
            "The sum over all processes of the proportional set size (`smaps_rollup`), in which memory that two share counts once,"
            " looked at every 5 ms; the largest sum.",
        ],
        list(jobs.values()),
        singles=singles,
    )


def run_together(place, words):
    """Runs a command and looks at the memory of it and its descendants all the time."""
    words = [str(place.binary) if word == "landfall" else str(word) for word in words]
    most = 0
    ended = threading.Event()
    began = time.monotonic()
    with subprocess.Popen(words, cwd=place.directory, stdout=subprocess.DEVNULL) as process:
        def look():
            nonlocal most
            while not ended.wait(0.005):
                most = max(most, sum(proportional(pid) for pid in family(process.pid)))

        looker = threading.Thread(target=look)
        looker.start()
        # The usage of this very child, and of those that it waited for.
        _, status, used = os.wait4(process.pid, 0)
        ended.set()
        looker.join()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"bench: status {process.returncode} of {words}")
    return Sample(time.monotonic() - began, used.ru_utime, used.ru_stime, most)


def family(pid):
    """A process and its descendants, as far as they still live."""
    found = [pid]
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as children:
                for child in children.read().split():
                    found += family(int(child))
    except OSError:
        pass
    return found


def proportional(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0)
    except OSError:
        return 0


ALL = {case.__name__: case for case in (worker_start, ring, chain, together)}
