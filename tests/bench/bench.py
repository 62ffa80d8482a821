#!/usr/bin/env python3
"""`make bench`: measures landfall against what people use today, in pairs, and writes docs/benchmarks.md.

Real XFS and ext4 on loop devices, mounted where nobody else sees them. Whole processes are measured, from start to end, with
all their children. Both sides of a pair leave their result as durable as the other; they take turns in going first. A missed
target is written down as missed.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import agents
import cases
import clouds
import downloads
import images
import report
import measured
import rules
import workers
from place import Failed, Place

ALL = cases.ALL | workers.ALL | downloads.ALL | clouds.ALL | images.ALL | agents.ALL | rules.ALL | measured.ALL
ROOT = Path(__file__).resolve().parent.parent.parent
INSIDE = "LANDFALL_BENCH_INSIDE"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=Path, help="the released agent, with its plugins beside it")
    parser.add_argument("--results", required=True, type=Path, help="a folder for what each case came to")
    parser.add_argument("--case", help=f"only these, and only print: {', '.join(ALL)}")
    parser.add_argument("--keep", action="store_true", help="with --case: write them down beside what the others came to before")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, to mount file systems")
    chosen = arguments.case.split(",") if arguments.case else list(ALL)
    unknown = [name for name in chosen if name not in ALL]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(ALL)}")
    if os.environ.get(INSIDE) != "1":
        # A mount namespace of our own: nobody sees the mounts, and they are gone when this process is, whatever ends it.
        os.environ[INSIDE] = "1"
        inside = ["unshare", "--mount", "--propagation", "private", sys.executable, "-B", *sys.argv]
        os.execvp(inside[0], inside)
    # Cleaning up is in `finally` blocks; the default action of this signal would skip them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    machine = report.Machine(ROOT)
    kept = report.Kept(arguments.results.resolve(), ROOT / "docs" / "benchmarks.md")
    writes = arguments.keep or not arguments.case
    failed = []
    with Place(arguments.binary.resolve()) as place:
        machine.backing = place.backing()
        for name in chosen:
            print(f"{name}: {ALL[name].__doc__.splitlines()[0]}", flush=True)
            if writes:
                kept.forget(name)
            load = os.getloadavg()[0]
            try:
                result = ALL[name](place)
            except (Failed, subprocess.CalledProcessError) as error:
                print(f"  failed: {error}", flush=True)
                failed.append(name)
                continue
            result.load = load
            for line in report.summary(result):
                print(f"  {line}", flush=True)
            if writes:
                kept.keep(machine, result)
            else:
                print("\n".join(report.section(machine, result)))
    if failed:
        sys.exit(f"bench: failed: {', '.join(failed)}")
    if writes:
        write_down(machine, kept)


def write_down(machine, kept):
    cases = {name: kept.find(name) for name in ALL}
    missing = [name for name, case in cases.items() if case is None]
    if missing:
        sys.exit(f"bench: not measured yet, so nothing is written down: {', '.join(missing)}")
    (ROOT / "docs" / "benchmarks.md").write_text(report.document(machine, cases.values()))
    print("written: docs/benchmarks.md")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error}")
