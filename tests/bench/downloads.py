"""What downloads cost: an nginx on the same machine, against what people download with today."""

import subprocess

from cases import Result, expect, judged, measure_pairs
from place import GIB, MIB
from server import Server
from workers import MEMORY_LIMIT_KIBIBYTES, run_together

SIZE = GIB
# Of each connection to a server that bounds it: what one connection fetches in 16 s.
PACE = 8 * MIB
PACED_SIZE = 16 * PACE
# Connections that a bounded server serves at once, of the cases with two servers.
CONNECTIONS = 2
MANY = 16
MANY_SIZE = 64 * MIB
STORE = "ext4/store"
OURS = "ext4/disks/ours.raw"
PEER = "ext4/disks/peer.raw"

SAME = "Both sides sync the file; ours also syncs the directory and its ledger. What is served is in the page cache."
APART = "nginx runs on the same machine, and what it needs is counted for neither side."


def prepare(place, name, size, seed):
    """An image of random bytes to be served, and the configuration of a node that says nothing of downloads."""
    place.image(f"{STORE}/{name}", size, [(0, size)], seed)
    config(place, "downloads.toml", "")


def config(place, name, more):
    place.write(name, f'node = "bench"\nstate_dir = "{place.path("ext4/state")}"\n{more}')


def command(image, *more, settings="downloads.toml", to=OURS):
    return ["landfall", "--config", settings, "place", image, "--to", to, "--progress", "none", "--json", *more]


def runner(place, words, target, image, **wanted):
    """One side of a pair: runs the words, whose target is removed."""

    def run():
        place.warm(f"{STORE}/{image}")
        place.quiet()
        text, sample = place.run(words)
        if wanted:
            expect(text, **wanted)
        place.remove(target)
        return sample

    return run


def same_bytes(place, words, target, image):
    """Looked at once: the cases without a digest would not notice."""
    place.run(words)
    subprocess.run(["cmp", place.path(f"{STORE}/{image}"), place.path(target)], check=True)
    place.remove(target)


def finish(place, *images):
    for image in images:
        place.remove(f"{STORE}/{image}")
    place.forget("ext4/state")


def download(place):
    """1 GiB by HTTP without a digest, against aria2"""
    return unhashed(
        place,
        "download",
        'aria2c --no-conf --quiet -x16 -s16 --file-allocation=none -d "${2%/*}" -o "${2##*/}" "$1" && sync "$2"',
        1.05,
        "wall",
        "at most 1.05 x (`aria2c -x16 -s16`, then `sync FILE`)",
    )


def download_processor(place):
    """the CPU time of 1 GiB by HTTP without a digest, against curl"""
    return unhashed(
        place,
        "download_processor",
        'curl -s -S -f -o "$2" "$1" && sync "$2"',
        1.0,
        "processor",
        "at most the CPU time of `curl -o`, then `sync FILE` (held against the medians of CPU time)",
    )


def unhashed(place, name, peer_script, factor, of, target):
    prepare(place, "image.raw", SIZE, seed=4)
    with Server(place, "server", STORE) as server:
        url = server.url("image.raw")
        peer_command = ["sh", "-c", peer_script, "sh", url, PEER]
        ours_command = command(url, "--allow-unhashed")
        same_bytes(place, peer_command, PEER, "image.raw")
        same_bytes(place, ours_command, OURS, "image.raw")
        pairs = measure_pairs(
            7,
            runner(place, peer_command, PEER, "image.raw"),
            runner(place, ours_command, OURS, "image.raw", method="stream", verified="no"),
        )
    finish(place, "image.raw")
    title = "CPU time of a download of 1 GiB, unverified" if of == "processor" else "Download of 1 GiB, unverified"
    conditions = ["The image is 1 GiB of random bytes. Ours downloads in a worker, with all defaults.", SAME, APART]
    return Result(
        name, title, target, judged(pairs, factor, of=of), conditions, [peer_command, ours_command], pairs, of=of
    )


def download_digest(place):
    """1 GiB by HTTP with its SHA-512, against curl and then openssl"""
    prepare(place, "image.raw", SIZE, seed=4)
    with Server(place, "server", STORE) as server:
        url = server.url("image.raw")
        script = 'curl -s -S -f -o "$2" "$1" && openssl dgst -sha512 "$2" && sync "$2"'
        peer_command = ["sh", "-c", script, "sh", url, PEER]
        ours_command = command(url, "--hash", f"sha512:{place.digest(f'{STORE}/image.raw', 'sha512')}")
        pairs = measure_pairs(
            7,
            runner(place, peer_command, PEER, "image.raw"),
            runner(place, ours_command, OURS, "image.raw", method="stream", verified="computed"),
        )
    finish(place, "image.raw")
    return Result(
        "download_digest",
        "Download of 1 GiB with its SHA-512",
        "at most 0.7 x (`curl -o f`, then `openssl dgst -sha512 f`, then `sync f`)",
        judged(pairs, 0.7),
        ["The image is 1 GiB of random bytes. Ours downloads in a worker, with all defaults.", SAME, APART],
        [peer_command, ours_command],
        pairs,
    )


def download_lanes(place):
    """128 MiB from a server that bounds each connection, over many and over one"""
    prepare(place, "paced.raw", PACED_SIZE, seed=5)
    config(place, "one.toml", "[limits]\nconnections_per_origin = 1\n")
    with Server(place, "server", STORE, pace=PACE) as server:
        url = server.url("paced.raw")
        commands = [command(url, "--allow-unhashed", settings=name) for name in ("one.toml", "downloads.toml")]
        same_bytes(place, commands[1], OURS, "paced.raw")
        pairs = measure_pairs(3, *(runner(place, words, OURS, "paced.raw", method="stream") for words in commands))
    finish(place, "paced.raw")
    return Result(
        "download_lanes",
        "Download from a server that bounds the rate of each connection: all connections, against one",
        "at least 7 x as fast as over one connection",
        judged(pairs, 1 / 7),
        [
            f"The server gives each connection {PACE // MIB} MiB/s, evenly, whatever is asked for on it; the image has"
            f" {PACED_SIZE // MIB} MiB of random bytes.",
            "The peer is ours with `limits.connections_per_origin = 1`; ours has the default, 16.",
        ],
        commands,
        pairs,
    )


def download_combined(place):
    """128 MiB from two bounded servers at the same time, against one of them"""
    prepare(place, "paced.raw", PACED_SIZE, seed=5)
    bound = f"limit_conn connections {CONNECTIONS}; limit_conn_status 503;"
    stores = "".join(f'[[store]]\nid = "{name}"\ntype = "http"\ncombine = true\n' for name in ("one", "two"))
    config(place, "combined.toml", f'[handler.http]\nallow_addresses = ["loopback"]\n{stores}')
    servers = [Server(place, f"server-{name}", STORE, PACE, bound) for name in ("one", "two")]
    with servers[0] as one, servers[1] as two:
        urls = {"one": one.url("paced.raw"), "two": two.url("paced.raw")}
        place.record_of_locations("one.json", f"{STORE}/paced.raw", "sha256", {"one": urls["one"]})
        place.record_of_locations("both.json", f"{STORE}/paced.raw", "sha256", urls)
        commands = [command(record, settings="combined.toml") for record in ("one.json", "both.json")]
        pairs = measure_pairs(3, *(runner(place, words, OURS, "paced.raw", verified="computed") for words in commands))
    finish(place, "paced.raw")
    return Result(
        "download_combined",
        "Download from two servers at the same time, against one of them",
        "at least 1.8 x as fast as from one",
        judged(pairs, 1 / 1.8),
        [
            f"Each server gives each connection {PACE // MIB} MiB/s, evenly, and answers 503 beyond {CONNECTIONS} requests at once."
            f" The image has {PACED_SIZE // MIB} MiB of random bytes and a SHA-256.",
            "The peer is ours with a record of one location. The stores have `combine = true`.",
        ],
        commands,
        pairs,
    )


def download_memory(place):
    """peak memory of the agent and its worker while they download"""
    prepare(place, "image.raw", SIZE, seed=4)
    singles = []
    with Server(place, "server", STORE) as server:
        url = server.url("image.raw")
        digest = place.digest(f"{STORE}/image.raw", "sha512")
        jobs = {
            "1 GiB, unverified": command(url, "--allow-unhashed"),
            "1 GiB with its SHA-512": command(url, "--hash", f"sha512:{digest}"),
        }
        for what, words in jobs.items():
            for _ in range(3):
                place.quiet()
                singles.append((what, run_together(place, words)))
                place.remove(OURS)
    finish(place, "image.raw")
    return Result(
        "download_memory",
        "Peak memory of the agent and its worker while they download",
        "at most 64 MiB together",
        all(sample.kibibytes <= MEMORY_LIMIT_KIBIBYTES for _, sample in singles),
        [
            "The sum over all processes of the proportional set size (`smaps_rollup`), in which memory that two share counts once,"
            " looked at every 5 ms; the largest sum.",
        ],
        list(jobs.values()),
        singles=singles,
    )


def download_many(place):
    """the CPU time of 16 downloads at once, against one after the other"""
    prepare(place, "many.raw", MANY_SIZE, seed=6)
    numbers = " ".join(str(number) for number in range(MANY))
    one = '"$1" --config downloads.toml place "$2" --to ext4/disks/$n.raw --allow-unhashed --progress none --json'
    scripts = {
        "one after the other": f"for n in {numbers}; do {one} || exit; done",
        "at once": f'for n in {numbers}; do {one} & all="$all $!"; done; for one in $all; do wait $one || exit; done',
    }
    with Server(place, "server", STORE) as server:
        commands = [["sh", "-c", script, "sh", "landfall", server.url("many.raw")] for script in scripts.values()]

        def run(words):
            place.warm(f"{STORE}/many.raw")
            place.quiet()
            _, sample = place.run(words)
            for number in range(MANY):
                place.remove(f"ext4/disks/{number}.raw")
            return sample

        pairs = measure_pairs(5, lambda: run(commands[0]), lambda: run(commands[1]))
    finish(place, "many.raw")
    return Result(
        "download_many",
        f"CPU time of {MANY} downloads of {MANY_SIZE // MIB} MiB at once, against one after the other",
        "at most 1.1 x the CPU time of one after the other (held against the medians of CPU time)",
        judged(pairs, 1.1, of="processor"),
        ["All download from one server, as processes of one node, which share its limits. Unverified."],
        commands,
        pairs,
        of="processor",
    )


ALL = {
    case.__name__: case
    for case in (
        download,
        download_processor,
        download_digest,
        download_lanes,
        download_combined,
        download_memory,
        download_many,
    )
}
