#!/usr/bin/env python3
"""Holds the dependencies against deny.toml: banned packages, licences, sources. Packages in several versions are only
reported.

Banned and licensed are those that are built on the targets of deny.toml, with any feature of ours. Cargo.lock has more:
what features that nobody asks for would need.

cargo-deny does this and more, but takes longer to build than everything else together; this runs always.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# How Cargo.lock writes the one public registry, which cargo-deny allows without being told.
PUBLIC_REGISTRY = re.compile(r"^registry\+\S+-index$")


def licence_is_allowed(expression, allowed):
    """Whether an SPDX expression can be met with the allowed licences. `/` is what `OR` used to be."""
    tokens = re.findall(r"[()]|[\w.+-]+", expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        position += 1
        return tokens[position - 1]

    def operand():
        if peek() == "(":
            take()
            met = alternatives()
            if take() != ")":
                raise ValueError(expression)
            return met
        name = take()
        if peek() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in allowed

    def together():
        met = operand()
        while peek() == "AND":
            take()
            met = operand() and met
        return met

    def alternatives():
        met = together()
        while peek() == "OR":
            take()
            met = together() or met
        return met

    try:
        met = alternatives()
    except IndexError:
        raise ValueError(expression) from None
    if position != len(tokens):
        raise ValueError(expression)
    return met


def check(lock, packages, rules):
    """The problems, as lines. `packages` are those that are built."""
    problems = []
    banned = {entry["crate"]: entry["reason"] for entry in rules["bans"]["deny"]}
    for package in packages:
        if package["name"] in banned:
            problems.append(f"{package['name']} {package['version']} is banned: {banned[package['name']]}")
    for package in lock["package"]:
        name = f"{package['name']} {package['version']}"
        # A package without a source is in the workspace.
        source = package.get("source")
        if source is not None and not PUBLIC_REGISTRY.match(source):
            problems.append(f"{name} comes from {source}")
    allowed = set(rules["licenses"]["allow"])
    used = set()
    for package in packages:
        name, expression = f"{package['name']} {package['version']}", package["license"]
        if expression is None:
            problems.append(f"{name} names no licence")
        elif not licence_is_allowed(expression, allowed):
            problems.append(f"{name} has the licence {expression}, which deny.toml does not allow")
        else:
            used |= {licence for licence in allowed if licence in expression}
    problems += [f"deny.toml allows {licence}, which nothing has" for licence in sorted(allowed - used)]
    return problems


def built(targets):
    """Names and versions of the packages that are built."""
    found = set()
    for target in targets:
        command = ["cargo", "tree", "--locked", "--workspace", "--all-features", "--edges", "all", "--prefix", "none"]
        command += ["--format", "{p}", "--target", target]
        tree = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
        found |= {tuple(line.split()[:2]) for line in tree.splitlines() if line}
    return {(name, version.removeprefix("v")) for name, version in found}


def duplicates(lock):
    """Packages that are there in several versions."""
    versions = defaultdict(list)
    for package in lock["package"]:
        versions[package["name"]].append(package["version"])
    return {name: found for name, found in versions.items() if len(found) > 1}


def main():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", str(ROOT / "Cargo.toml")]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    used = built(rules["graph"]["targets"])
    packages = [package for package in metadata["packages"] if (package["name"], package["version"]) in used]
    problems = check(lock, packages, rules)
    for problem in problems:
        print(f"error: {problem}")
    for name, versions in duplicates({"package": packages}).items():
        print(f"warning: {name} is there in several versions: {', '.join(versions)}")
    print(f"{len(packages)} packages of {len(lock['package'])}, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
