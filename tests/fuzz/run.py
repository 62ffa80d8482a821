#!/usr/bin/env python3
"""Fuzzes the targets with libFuzzer, keeps what reaches more of the code, and writes docs/fuzzing.md.

With the stable compiler: LLVM's coverage pass is asked for by its name, for the crates of the targets alone, not for
build scripts. Targets that are named are only run, nothing is kept and no document written, unless --keep says so: then
the document is written once every target has a result, of this run or an earlier one.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import seeds

HOME = Path(__file__).resolve().parent
ROOT = HOME.parents[1]
CORPUS = HOME / "corpus"
DOCUMENT = ROOT / "docs/fuzzing.md"
TRIPLE = f"{platform.machine()}-unknown-linux-gnu"

COVERAGE = ["-Cpasses=sancov-module"] + [
    f"-Cllvm-args=-sanitizer-coverage-{option}"
    for option in ("level=4", "inline-8bit-counters", "pc-table", "trace-compares")
]

# What an input may cost: bytes, memory in MiB, seconds.
RSS_MIB = 512
TIMEOUT = 10
# What is kept of a target's inputs; tests/fuzz/targets/tests/replay.rs holds it against the same.
FILE_MAX, BYTES_MAX, FILES_MAX = 64 << 10, 320 << 10, 100
# Executions after which the control must have found its way into a parser.
CONTROL_RUNS = 20000

PLANTED = "planted"

KIB = 1 << 10
# For each target: bytes of an input, dictionary, and what is fuzzed and held against what.
TARGETS = {
    "answers": (4 * KIB, "json", "`Content-Range`, `Retry-After`, `Location`, manifests of large objects: bounds"),
    "bzip2": (64 * KIB, None, "filter: the same however input and output are cut; never beyond the limit"),
    "clouds": (8 * KIB, None, "`clouds.yaml`, logins in the environment: the same each time"),
    "config": (8 * KIB, None, "`landfall.toml`: as it is shown, it means the same"),
    "gzip": (64 * KIB, None, "filter, as bzip2"),
    "import": (64 * KIB, "tar", "stored bytes to placed disks, all formats: nothing left behind; one thread and two"),
    "inspect": (64 * KIB, "vmdk", "the inspector: in pieces, read in place, and early: one verdict, bounded memory"),
    "journal": (8 * KIB, "json", "the journal of a kept stage: what is believed can be written again"),
    "manifest": (4 * KIB, "tar", "`.mf`: written out, it is read as the same"),
    "openstack": (8 * KIB, "json", "answers of Keystone and Glance: endpoints that are plain, places that stand once"),
    "ova": (64 * KIB, "tar", "tar, OVF, manifest and disks together: threads, file and stream alike"),
    "ovf": (32 * KIB, "ovf", "OVF descriptor: what is taken is within bounds, and the same each time"),
    "record": (8 * KIB, "json", "image record: written out, it is read as the same; no secret of a URL is shown"),
    "tar": (32 * KIB, "tar", "tar: members within the archive, disjoint, from a stream the same"),
    "urls": (1 * KIB, None, "locations of the file, S3 and Swift handlers: they lead nowhere else"),
    "vmdk": (64 * KIB, "vmdk", "VMDK in one file: threads, file and stream alike, and what its tables lead to"),
    "vmdk_descriptor": (8 * KIB, "descriptor", "VMDK descriptor: written out, it is read as the same"),
    "vmdk_extent": (64 * KIB, "descriptor", "lines of extents and the files behind them: threads and stream alike"),
    "wire": (40 * KIB, "json", "a worker's messages: taken or refused, and what was taken is taken again"),
    "xz": (64 * KIB, None, "filter, as bzip2, and with two threads"),
    "zstd": (64 * KIB, None, "filter, as bzip2"),
}


def build(folder):
    """Builds all targets; gives the folder of their binaries."""
    environment = {**os.environ, "RUSTFLAGS": " ".join(COVERAGE)}
    # A file of flags would be left out where the variable is set, and the variable where this one is.
    environment.pop("CARGO_ENCODED_RUSTFLAGS", None)
    command = ["cargo", "build", "--locked", "--release", "--target", TRIPLE, "--target-dir", folder]
    subprocess.run(command, cwd=HOME, env=environment, check=True)
    return Path(folder) / TRIPLE / "release"


def limits(name):
    size, dictionary, _ = TARGETS[name]
    options = [f"-rss_limit_mb={RSS_MIB}", f"-timeout={TIMEOUT}", f"-max_len={size}"]
    return options + ([f"-dict={HOME}/dictionaries/{dictionary}.dict"] if dictionary else [])


def libfuzzer(binary, arguments, scratch):
    """Runs a binary; gives its status, what it said, and its seconds of CPU."""
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with tempfile.TemporaryFile(dir=scratch) as said:
        child = subprocess.Popen(
            [str(binary), *map(str, arguments)], env=environment, cwd=scratch, stdout=subprocess.DEVNULL, stderr=said
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode(errors="replace")
    return child.returncode, text, usage.ru_utime + usage.ru_stime


def coverage(said):
    """The numbers of edges that were told of, first to last."""
    return [int(edges) for edges in re.findall(r"\bcov: (\d+)", said)]


def control(binaries, scratch):
    """Coverage is counted and leads somewhere: from no input, edges of a parser are found, and the planted fault is."""
    runs = [f"-runs={CONTROL_RUNS}", "-seed=1"]
    arguments = [*runs, "-max_len=256", f"-dict={HOME}/dictionaries/tar.dict"]
    status, said, _ = libfuzzer(binaries / "manifest", arguments, scratch)
    counters = re.search(r"\((\d+) inline 8-bit counters\)", said)
    edges = coverage(said)
    if status or not counters or not edges or edges[-1] <= edges[0]:
        sys.exit(f"the control fails: coverage is not counted, or leads nowhere\n{said[-2000:]}")
    arguments = ["-runs=10000000", "-max_len=16", f"-artifact_prefix={scratch}/"]
    status, said, _ = libfuzzer(binaries / PLANTED, arguments, scratch)
    found = list(scratch.glob("crash-*"))
    is_it = len(found) == 1 and found[0].read_bytes().startswith(b"fault")
    if not status or "the planted fault" not in said or not is_it:
        sys.exit(f"the control fails: a planted fault is not found\n{said[-2000:]}")
    found[0].unlink()
    return int(counters.group(1)), edges[0], edges[-1]


def files(folder):
    return sorted(path for path in folder.iterdir() if path.is_file())


def is_named(path):
    """Whether an input was put there for a reason; libFuzzer calls its own by their digests."""
    return not re.fullmatch(r"[0-9a-f]{40}", path.name)


def plant(name):
    """Writes the first inputs of a target that are not there."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed, data in seeds.all_seeds()[name].items():
        if not (folder / seed).exists():
            (folder / seed).write_bytes(data)


def fuzz(name, binary, seconds, scratch):
    """Fuzzes one target; gives what is told of it, and the folder of new inputs."""
    new = scratch / f"new-{name}"
    new.mkdir()
    found = HOME / "artifacts" / name
    found.mkdir(parents=True, exist_ok=True)
    before = set(files(found))
    arguments = [f"-max_total_time={seconds}", "-print_final_stats=1", "-reload=0", f"-artifact_prefix={found}/"]
    began = time.monotonic()
    status, said, processor = libfuzzer(binary, [*arguments, *limits(name), new, CORPUS / name], scratch)
    seconds = round(time.monotonic() - began)
    stat = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", said)}
    findings = sorted(set(files(found)) - before)
    if status and not findings:
        sys.exit(f"{name} ended with status {status}\n{said[-4000:]}")
    if findings:
        # What the oracle or the panic said comes before libFuzzer's own report.
        at = re.search(r"panicked at|ERROR: libFuzzer|$", said).start()
        print(said[max(0, at - 200) : at + 1500], file=sys.stderr)
    executed = stat.get("number_of_executed_units") or int((re.findall(r"^#(\d+)\s", said, re.M) or [0])[-1])
    return {
        "seconds": seconds,
        "processor": round(processor),
        "executions": executed,
        "edges": (coverage(said) or [0])[-1],
        "peak": stat.get("peak_rss_mb", 0),
        "findings": [str(path.relative_to(ROOT)) for path in findings],
        "commit": commit(),
    }, new


def keep(name, binary, new, scratch):
    """Keeps the inputs that have a name, and of the others as few and as small as reach everything."""
    folder = CORPUS / name
    merged = scratch / f"merged-{name}"
    merged.mkdir()
    for path in filter(is_named, files(folder)):
        shutil.copy(path, merged)
    status, said, _ = libfuzzer(binary, ["-set_cover_merge=1", *limits(name), merged, folder, new], scratch)
    if status:
        sys.exit(f"the corpus of {name} cannot be merged\n{said[-4000:]}")
    kept = list(filter(is_named, files(merged)))
    bytes_kept = sum(path.stat().st_size for path in kept)
    # Where these are still too many, some of each size.
    others = sorted(set(files(merged)) - set(kept), key=lambda path: (path.stat().st_size, path.name))
    others = others[:: max(1, -(-len(others) // max(1, FILES_MAX - len(kept))))]
    for path in others:
        size = path.stat().st_size
        if size <= FILE_MAX and bytes_kept + size <= BYTES_MAX and len(kept) < FILES_MAX:
            kept.append(path)
            bytes_kept += size
    for path in files(folder):
        path.unlink()
    for path in kept:
        shutil.copy(path, folder)


def corpus(name):
    kept = files(CORPUS / name)
    return len(kept), sum(path.stat().st_size for path in kept)


def machine():
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))
    model = models[0].strip() if models else platform.machine()
    return f"{os.cpu_count()} x {model}, {memory / (1 << 20):.0f} GiB, Linux {platform.release()}"


def output_of(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def commit():
    # What a run keeps is no change of what is fuzzed.
    kept = [f":!{path.relative_to(ROOT)}" for path in (CORPUS, DOCUMENT)]
    changed = output_of("git", "status", "--porcelain", "--untracked-files=no", "--", ".", *kept)
    return output_of("git", "rev-parse", "--short=12", "HEAD") + (", with changes" if changed else "")


def document(results, counted):
    counters, first, last = counted
    lines = [
        "# Fuzzing",
        "",
        "Written by `make fuzz` (`tests/fuzz/run.py`), which runs each target with libFuzzer and LLVM's coverage, with",
        "overflow checks and debug assertions, keeps the inputs that reach more in `tests/fuzz/corpus`, and fails",
        "where something is found. `make test` replays what is kept. `make fuzz TARGET=name SECONDS=20` runs one",
        "target and writes nothing, but with `KEEP=1` its line here; `make properties` runs the property tests with",
        "many cases.",
        "",
        f"An input has {TIMEOUT} s and the process {RSS_MIB} MiB. Beside that, and panics, each target judges what",
        "comes of its bytes: by another way to the same, by writing out what was read, or by what must hold of every",
        "answer. The decoders of xz and zstd are C, whose coverage is not counted: only our own code leads the way.",
        "",
        f"- {output_of('rustc', '--version')}",
        f"- {machine()}",
        f"- Control: of {counters} counters, {CONTROL_RUNS} executions of `manifest` without any input reached first",
        f"  {first}, then {last}; a planted fault was found",
        "",
        "| target | what, and held against what | s | CPU s | executions | per CPU s | edges | MiB | kept | bytes "
        "| findings | commit |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --- |",
    ]
    for name, result in results.items():
        count, size = corpus(name)
        rate = result["executions"] // max(1, result["processor"])
        numbers = [result[key] for key in ("seconds", "processor", "executions")]
        numbers += [rate, result["edges"], result["peak"], count, size]
        cells = [f"`{name}`", TARGETS[name][2], *map(str, numbers), str(len(result["findings"])), result["commit"]]
        lines.append(f"| {' | '.join(cells)} |")
    inputs = [path for name in TARGETS for path in files(CORPUS / name)]
    kept = [f"`{path.relative_to(CORPUS)}`" for path in inputs if path.name.startswith("found-")]
    lines += ["", "Inputs that showed a fault, kept since it was mended: " + (", ".join(kept) or "none") + ".", ""]
    DOCUMENT.write_text("\n".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=900, help="for each target")
    parser.add_argument("--target", type=lambda names: names.split(","), help="these alone, NAME,...")
    parser.add_argument("--keep", action="store_true", help="keep what comes of the targets that are named")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets that run at the same time")
    parser.add_argument("--target-dir", default=str(ROOT / "target/fuzz"), help="where it is built")
    arguments = parser.parse_args()
    if {path.stem for path in (HOME / "bins").iterdir()} != {*TARGETS, PLANTED}:
        sys.exit("the binaries are not the targets that are listed here")
    names = arguments.target or list(TARGETS)
    if unknown := set(names) - set(TARGETS):
        sys.exit(f"no such target: {', '.join(sorted(unknown))}")
    keeps = arguments.keep or not arguments.target

    folder = Path(arguments.target_dir).resolve()
    binaries = build(str(folder))
    results = folder / "results"
    results.mkdir(exist_ok=True)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="landfall-fuzz-", dir=memory) as scratch:
        scratch = Path(scratch)
        counted = control(binaries, scratch)
        print(f"control: {counted[0]} counters, from {counted[1]} to {counted[2]} edges", flush=True)

        def run(name):
            plant(name)
            result, new = fuzz(name, binaries / name, arguments.seconds, scratch)
            if keeps:
                keep(name, binaries / name, new, scratch)
                (results / f"{name}.json").write_text(json.dumps(result))
            shutil.rmtree(new)
            rate = result["executions"] // max(1, result["seconds"])
            numbers = f"{rate} a second, {result['edges']} edges, {result['peak']} MiB"
            print(f"{name}: {result['executions']} executions, {numbers}", *result["findings"], flush=True)
            return result

        with ThreadPoolExecutor(arguments.jobs) as pool:
            ran = list(pool.map(run, names))
    kept = {name: results / f"{name}.json" for name in TARGETS}
    if keeps and all(path.exists() for path in kept.values()):
        document({name: json.loads(path.read_text()) for name, path in kept.items()}, counted)
    sys.exit(1 if any(result["findings"] for result in ran) else 0)


if __name__ == "__main__":
    main()
