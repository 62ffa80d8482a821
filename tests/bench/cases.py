"""What is measured: each case prepares its images, runs its pairs and says what its target is."""

import json
import statistics
import subprocess
from dataclasses import dataclass, field

from place import GIB, MIB

LIMIT_KIBIBYTES = 32 << 10


@dataclass
class Result:
    """What came of a case."""

    name: str
    title: str
    target: str
    met: bool
    conditions: list
    commands: list = field(default_factory=list)
    # Pairs of (peer, ours, whether ours went first).
    pairs: list = field(default_factory=list)
    # Of cases without a peer: (what, sample).
    singles: list = field(default_factory=list)
    # Of what no clock measures: (what, seconds that were computed, times those of the yardstick); the first is what the target is about.
    computed: list = field(default_factory=list)
    # What of the samples the target is about: `wall` or `processor`.
    of: str = "wall"
    # Of the machine, over the minute before it began.
    load: float = 0.0


def median(samples, of="wall"):
    return statistics.median(getattr(sample, of) for sample in samples)


def measure_pairs(count, peer, ours):
    """`count` pairs, after one that does not count. Who goes first alternates."""
    pairs = []
    for number in range(count + 1):
        ours_first = number % 2 == 1
        if ours_first:
            mine = ours()
            other = peer()
        else:
            other = peer()
            mine = ours()
        if number > 0:
            pairs.append((other, mine, ours_first))
    return pairs


def judged(pairs, factor, more=0.0, of="wall"):
    """Whether our median keeps to `factor` times the peer's, and `more` seconds."""
    return median([ours for _, ours, _ in pairs], of) <= factor * median([peer for peer, _, _ in pairs], of) + more


def expect(text, **wanted):
    """Holds the agent's answer against what the case means to measure."""
    answer = json.loads(text)
    found = {key: answer[key] for key in wanted}
    if found != wanted:
        raise SystemExit(f"bench: {wanted} was to be measured, this is {found}:\n{text}")


def place_command(config, record, target):
    return ["landfall", "--config", config, "place", record, "--to", target, "--progress", "none", "--json"]


def reflink(place):
    """second placement of a 1 GiB image on XFS"""
    place.image("xfs/store/image.raw", GIB, [(0, GIB)], seed=1)
    place.record("reflink.json", "xfs/store/image.raw", "sha512")
    place.config("reflink.toml", "xfs/state", "xfs/store")
    ours_command = place_command("reflink.toml", "reflink.json", "xfs/disks/ours.raw")
    peer_script = 'cp --reflink=always "$1" "$2" && sync "$2" "$3"'
    peer_command = ["sh", "-c", peer_script, "sh", "xfs/store/image.raw", "xfs/disks/peer.raw", "xfs/disks"]
    place.settle("xfs/store/image.raw")
    expect(place.run(ours_command)[0], method="reflink", verified="computed")
    place.remove("xfs/disks/ours.raw")

    def peer():
        place.quiet()
        _, sample = place.run(peer_command)
        place.remove("xfs/disks/peer.raw")
        return sample

    def ours():
        place.quiet()
        text, sample = place.run(ours_command)
        expect(text, method="reflink", verified="remembered")
        place.remove("xfs/disks/ours.raw")
        return sample

    pairs = measure_pairs(25, peer, ours)
    place.forget("xfs/state")
    return Result(
        "reflink",
        "Second placement of a 1 GiB image on XFS: a clone, its digest remembered",
        "at most 2 x (`cp --reflink=always`, then fsync of file and directory) + 5 ms",
        judged(pairs, 2, 0.005),
        [
            "The image is 1 GiB of random bytes. Its digest is known from a first placement, which is not measured.",
            "Both sides sync the file and its directory; ours also syncs its ledger, on the same file system.",
            "Everything is synced before each run, outside the time. What is read of the image is in the page cache.",
        ],
        [peer_command, ours_command],
        pairs,
    )


def first(place):
    """first placement of a 1 GiB image on XFS, with its SHA-512"""
    place.image("xfs/store/image.raw", GIB, [(0, GIB)], seed=1)
    place.record("first.json", "xfs/store/image.raw", "sha512")
    place.config("first.toml", "xfs/state", "xfs/store")
    ours_command = place_command("first.toml", "first.json", "xfs/disks/ours.raw")
    peer_command = ["openssl", "dgst", "-sha512", "xfs/store/image.raw"]
    place.settle("xfs/store/image.raw")

    def peer():
        place.quiet()
        place.warm("xfs/store/image.raw")
        return place.run(peer_command)[1]

    def ours():
        place.forget("xfs/state")
        place.quiet()
        place.warm("xfs/store/image.raw")
        text, sample = place.run(ours_command)
        expect(text, method="reflink", verified="computed")
        place.remove("xfs/disks/ours.raw")
        return sample

    pairs = measure_pairs(7, peer, ours)
    place.forget("xfs/state")
    return Result(
        "first",
        "First placement of a 1 GiB image on XFS: a clone, and its SHA-512 computed",
        "at most 1.2 x `openssl dgst -sha512` of the file",
        judged(pairs, 1.2),
        [
            "The image is 1 GiB of random bytes, read into the page cache before each run, on both sides.",
            "Ours starts without any state each time: it makes its ledger, looks into its plugin, clones, hashes, syncs and"
            " publishes. The peer only reads and hashes.",
            "The image's last change is over two seconds old, as it must be for its digest to be remembered.",
        ],
        [peer_command, ours_command],
        pairs,
    )


def sparse(place):
    """sparse copy of a 4 GiB image with 25 % data on ext4"""
    size = 4 * GIB
    place.image("ext4/store/image.raw", size, [(at, MIB) for at in range(0, size, 4 * MIB)], seed=2)
    place.record("sparse.json", "ext4/store/image.raw", "sha256")
    place.config("sparse.toml", "ext4/state", "ext4/store", 'verify = "never"\n')
    ours_command = place_command("sparse.toml", "sparse.json", "ext4/disks/ours.raw")
    peer_script = 'cp --sparse=always "$1" "$2" && sync "$2"'
    peer_command = ["sh", "-c", peer_script, "sh", "ext4/store/image.raw", "ext4/disks/peer.raw"]
    place.settle("ext4/store/image.raw")

    def peer():
        place.quiet()
        place.warm("ext4/store/image.raw")
        _, sample = place.run(peer_command)
        place.remove("ext4/disks/peer.raw")
        return sample

    def ours():
        place.quiet()
        place.warm("ext4/store/image.raw")
        text, sample = place.run(ours_command)
        expect(text, method="copy", verified="no")
        place.remove("ext4/disks/ours.raw")
        return sample

    # Nobody verifies here, so this is looked at once.
    place.run(ours_command)
    subprocess.run(["cmp", place.path("ext4/store/image.raw"), place.path("ext4/disks/ours.raw")], check=True)
    place.remove("ext4/disks/ours.raw")
    # More than for other long ones: now and then fresh pages cost a virtual machine twice as much.
    pairs = measure_pairs(11, peer, ours)
    place.remove("ext4/store/image.raw")
    place.forget("ext4/state")
    return Result(
        "sparse",
        "Sparse copy of a 4 GiB image with 25 % data on ext4, unverified",
        "at most 1.05 x (`cp --sparse=always`, then `sync FILE`)",
        judged(pairs, 1.05),
        [
            "The image has 1 MiB of random bytes in each 4 MiB; the rest is holes. The store says `verify = \"never\"`, so that"
            " both sides do the same work.",
            "The image is in the page cache before each run; everything older is synced, outside the time.",
            "Ours also syncs the directory and its ledger.",
        ],
        [peer_command, ours_command],
        pairs,
    )


def memory(place):
    """peak memory of placements with a digest, by image size"""
    place.config("memory.toml", "ext4/state", "ext4/store")
    singles, commands = [], []
    for gibibytes in (1, 4, 16):
        image, record, target = "ext4/store/memory.raw", f"memory-{gibibytes}.json", "ext4/disks/ours.raw"
        size = gibibytes * GIB
        place.image(image, size, [(at, 4 * MIB) for at in range(0, size, size // 16)], seed=3)
        place.record(record, image, "sha256")
        command = place_command("memory.toml", record, target)
        commands.append(command)
        place.settle(image)
        for _ in range(3):
            place.forget("ext4/state")
            text, sample = place.run(command)
            expect(text, method="copy", verified="computed")
            place.remove(target)
            singles.append((f"{gibibytes} GiB", sample))
        place.remove(image)
    place.forget("ext4/state")
    return Result(
        "memory",
        "Peak memory of a first placement on ext4: a copy, and its digest computed",
        "at most 32 MiB at any image size",
        all(sample.kibibytes <= LIMIT_KIBIBYTES for _, sample in singles),
        [
            "Each image has 64 MiB of random bytes in 16 places; the rest is holes. The digest is a SHA-256.",
            "Peak resident memory of the largest process of the command.",
        ],
        commands,
        singles=singles,
    )


ALL = {case.__name__: case for case in (reflink, first, sparse, memory)}
