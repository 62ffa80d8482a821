"""What selection by measurement is worth, in a simulated world that changes."""

import subprocess

from cases import Result

LIMIT = 1.05
NAMES = {"Oracle": "an oracle that knows all rates", "Fastest": "`fastest`", "Weights": "fixed weights",
         "RoundRobin": "taking turns", "Greedy": "the best average so far"}


def simulation(place):
    """placements from six sources that change, by one policy or another"""
    program = place.binary.parent / "examples" / "simulate"
    done = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True)
    seconds = {}
    for line in done.stdout.splitlines():
        weather, policy, total = line.split()
        seconds[weather, policy] = float(total)
    ratio = seconds["usual", "Fastest"] / seconds["usual", "Oracle"]
    beaten = all(seconds["usual", policy] > seconds["usual", "Fastest"] for policy in ("Weights", "RoundRobin", "Greedy"))
    computed = [
        (f"{weather} weather: {NAMES[policy]}", total, total / seconds[weather, "Oracle"])
        for (weather, policy), total in sorted(seconds.items(), key=lambda entry: entry[0] != ("usual", "Fastest"))
    ]
    return Result(
        "simulation",
        "Selection by measurement, simulated",
        "total seconds of `fastest` at most 1.05 x those of an oracle, and less than any other's, in usual weather",
        ratio <= LIMIT and beaten,
        ["100 nodes of 2,000 placements each, from the first on, cold; one placement in 90 s, 1.5 GB typically.",
         "Six sources: a store next door with a fifth of the images, three streams, one that must be unpacked, one slow line; outages twice a day, "
         "refusing or hanging.",
         "Usual weather: each source changes twice a day, typically by a factor of nearly two. Stormy, not judged: twelve times a day, by more than two.",
         f"`fastest` takes {ratio:.3f} x the oracle's seconds. Seeded: the same on every machine.",
         "Ratios are of seconds to those of the oracle in the same weather."],
        [["simulate"]],
        computed=computed,
    )


ALL = {"simulation": simulation}
