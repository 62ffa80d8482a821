"""Writes down what was measured, on what, and with what."""

import json
import os
import platform
import shlex
import statistics
import subprocess
import time
from pathlib import Path

from cases import median

VERSIONS = [
    ["rustc", "--version"],
    ["cp", "--version"],
    ["openssl", "version"],
    ["mkfs.xfs", "-V"],
    ["mkfs.ext4", "-V"],
    ["cc", "--version"],
    ["python3", "--version"],
    ["nginx", "-v"],
    ["curl", "--version"],
    ["aria2c", "--version"],
    ["qemu-img", "--version"],
]


def first_line(command):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.splitlines()[0].strip()


class Machine:
    """What the measuring is done on, looked at before it begins."""

    def __init__(self, root):
        git = ["git", "-C", root]
        self.commit = first_line([*git, "rev-parse", "HEAD"])
        # What only the measuring itself writes is no change of what was measured.
        changes = [*git, "status", "--porcelain", "--", ":/", ":(exclude)docs/benchmarks.md"]
        if subprocess.run(changes, check=True, stdout=subprocess.PIPE).stdout:
            self.commit += ", with changes that were not committed"
        self.load = os.getloadavg()
        self.date = time.strftime("%Y-%m-%d", time.gmtime())
        self.backing = "?"

    def rows(self):
        facts = Path("/proc/cpuinfo").read_text()
        model = next(line.split(":")[1].strip() for line in facts.splitlines() if line.startswith("model name"))
        memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
        load = ", ".join(f"{value:.2f}" for value in self.load)
        return [
            ("commit", self.commit),
            ("date", self.date),
            ("processor", f"{model}, {os.cpu_count()} cores"),
            ("memory", f"{memory:.1f} GiB"),
            ("kernel", platform.release()),
            ("file systems", f"XFS (`reflink=1`) and ext4, each on a loop device with direct I/O over a file on {self.backing}"),
            ("load before the last run (1, 5, 15 min)", load),
            ("build", "`cargo build --locked --release -p landfall -p landfall-plugin-file -p landfall-plugin-net -p landfall-plugin-disk`"),
            ("versions", "; ".join(first_line(command) for command in VERSIONS)),
        ]


def milliseconds(seconds):
    return f"{seconds * 1e3:.1f}"


def mebibytes(sample):
    return f"{sample.kibibytes / 1024:.1f}"


def sides(result):
    return [peer for peer, _, _ in result.pairs], [ours for _, ours, _ in result.pairs]


def verdict(result):
    return "met" if result.met else "**missed**"


def summary(result):
    """For people who watch."""
    yield f"target: {result.target}: {verdict(result).strip('*')}"
    if result.pairs:
        peer, ours = sides(result)
        of = "" if result.of == "wall" else " of CPU"
        times = [milliseconds(median(side, result.of)) for side in (peer, ours)]
        yield f"peer {times[0]} ms{of}, ours {times[1]} ms{of} (medians of {len(peer)})"
    elif result.computed:
        yield f"{result.computed[0][2]:.3f} x the yardstick"
    else:
        yield f"at most {max(sample.kibibytes for _, sample in result.singles) / 1024:.1f} MiB"


def overview_row(result):
    if result.pairs:
        peer, ours = (median(side, result.of) for side in sides(result))
        of = "" if result.of == "wall" else " CPU"
        figures = f"{milliseconds(peer)}{of} | {milliseconds(ours)}{of} | {ours / peer:.2f}"
    elif result.computed:
        figures = f"- | - | {result.computed[0][2]:.3f}"
    else:
        most = max(sample.kibibytes for _, sample in result.singles) / 1024
        slowest = max(sample.wall for _, sample in result.singles)
        figures = f"- | {most:.1f} MiB | -" if most else f"- | {slowest * 1e3:.3f} | -"
    return f"| [{result.title}](#{result.name}) | {figures} | {result.target} | {verdict(result)} |"


def pairs_table(result):
    yield "| pair | first | peer ms | peer CPU ms | ours ms | ours CPU ms | ours MiB | ratio |"
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for number, (peer, ours, ours_first) in enumerate(result.pairs, 1):
        times = [milliseconds(value) for value in (peer.wall, peer.processor, ours.wall, ours.processor)]
        ratio = f"{ours.wall / peer.wall:.2f}"
        yield f"| {number} | {'ours' if ours_first else 'peer'} | {' | '.join(times)} | {mebibytes(ours)} | {ratio} |"
    peer, ours = sides(result)
    medians = [
        milliseconds(median(side, of)) for side, of in ((peer, "wall"), (peer, "processor"), (ours, "wall"), (ours, "processor"))
    ]
    memory = f"{max(sample.kibibytes for sample in ours) / 1024:.1f}"
    ratio = statistics.median(ours.wall / peer.wall for peer, ours, _ in result.pairs)
    yield f"| median | | {' | '.join(medians)} | {memory} (most) | {ratio:.2f} (of pairs) |"


def singles_table(result):
    yield "| what | ms | CPU ms | MiB |"
    yield "| --- | ---: | ---: | ---: |"
    for what, sample in result.singles:
        yield f"| {what} | {sample.wall * 1e3:.{3 if sample.wall < 1e-2 else 1}f} | {milliseconds(sample.processor)} | {mebibytes(sample)} |"


def computed_table(result):
    yield "| what | seconds, computed | ratio |"
    yield "| --- | ---: | ---: |"
    for what, seconds, ratio in result.computed:
        yield f"| {what} | {seconds:,.0f} | {ratio:.3f} |"


def table(result):
    if result.pairs:
        return pairs_table(result)
    return computed_table(result) if result.computed else singles_table(result)


def section(machine, result):
    yield from [f'<a name="{result.name}"></a>', f"## {result.title}", ""]
    yield from [f"Target: {result.target}: {verdict(result)}.", ""]
    yield from (f"- {condition}" for condition in result.conditions)
    yield f"- Measured at {machine.commit}, {machine.date}; load before it {result.load:.2f}."
    yield from ["", "```sh", *(shlex.join(str(word) for word in command) for command in result.commands), "```", ""]
    yield from table(result)


class Kept:
    """Sections of cases that were measured, in files: what stays of a run that ends early, and of cases that are not run again."""

    def __init__(self, folder, written):
        self.folder = folder
        self.written = written
        folder.mkdir(parents=True, exist_ok=True)

    def _file(self, name):
        return self.folder / f"{name}.json"

    def forget(self, name):
        self._file(name).unlink(missing_ok=True)

    def keep(self, machine, result):
        kept = {"row": overview_row(result), "section": list(section(machine, result))}
        self._file(result.name).write_text(json.dumps(kept))

    def find(self, name):
        """Row of the overview, and section; none for a case that has to be measured first."""
        try:
            kept = json.loads(self._file(name).read_text())
        except FileNotFoundError:
            return self._written(name)
        return kept["row"], kept["section"]

    def _written(self, name):
        """The same from the document, where it has the case: in a fresh clone the rest of it stays."""
        lines = self.written.read_text().splitlines() if self.written.exists() else []
        row = next((line for line in lines if line.startswith("| [") and f"](#{name})" in line), None)
        if row is None:
            return None
        begin = lines.index(f'<a name="{name}"></a>')
        rest = lines[begin + 1 :]
        end = next((at for at, line in enumerate(rest) if line.startswith("<a name=")), len(rest))
        section_lines = lines[begin : begin + 1 + end]
        while not section_lines[-1]:
            section_lines.pop()
        return row, section_lines


def document(machine, cases):
    """Of rows and sections in their order."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`, and by nothing else. `make bench CASE=NAME` runs one case and only prints; with `KEEP=1`, its section here"
        " is written anew.",
        "",
        "Whole processes are measured from start to end, with all their children; CPU is user and system time. Pairs alternate in"
        " who goes first; one pair before the first is thrown away. Targets are held against the medians of wall time, unless they say otherwise.",
        "",
        "| case | peer ms | ours ms | ratio | target | |",
        "| --- | ---: | ---: | ---: | --- | --- |",
        *(row for row, _ in cases),
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in machine.rows()),
    ]
    for _, section_lines in cases:
        lines += ["", *section_lines]
    return "\n".join(lines) + "\n"
