"""What the operator's rules cost."""

import subprocess

from cases import Result
from place import Sample

LIMIT = 200e-6


def rules(place):
    """ten rules over ten locations"""
    program = place.binary.parent / "examples" / "ten_by_ten"
    done = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True)
    times = sorted(int(line) * 1e-9 for line in done.stdout.split())
    shares = [("p50", times[len(times) // 2]), ("p99", times[len(times) * 99 // 100])]
    return Result(
        "rules",
        "Ten rules in CEL over ten locations",
        "p50 under 0.2 ms",
        shares[0][1] < LIMIT,
        [f"{len(times)} evaluations in one process, after as many to warm up; attributes of node, image and locations are given anew to each."],
        [["ten_by_ten"]],
        singles=[(f"{name} of {len(times)} evaluations", Sample(wall, wall, 0.0, 0)) for name, wall in shares],
    )


ALL = {"rules": rules}
