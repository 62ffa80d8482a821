#!/usr/bin/env python3
"""Adds up what test runners printed: reads a log, prints `N passed, N failed, N skipped`. `tally.py LOG [--failed]`

A log has stages (`== NAME` to `== NAME: ok, 12 s`, see stages.sh) and in them runners, each announced by cargo
(`     Running ...`, `   Doc-tests ...`) or by nobody. A runner closes with cargo's `test result:` line, with a plain line
`N passed, N failed, N skipped`, or with both: then the plain line counts, since it knows more of what was skipped.

The sum must not look better than the run was. So a runner that cargo announced and that closed with neither line counts as
one failure, and so does a stage that failed although no runner in it did: a build or a lint.
"""

import re
import sys

OPENED = re.compile(r"^== ([^:]+)$")
CLOSED = re.compile(r"^== ([^:]+): (ok|FAILED)\b")
ANNOUNCED = re.compile(r"^\s*(?:Running (?:unittests |.*\()|Doc-tests )")
LIBTEST = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
# A word with a colon before it makes it somebody's sum, which is not to be added again.
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")
# Colours, which cargo prints where it is told to.
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Runner:
    """One test program, or what else prints counts."""

    def __init__(self, announced):
        self.announced = announced
        self.libtest = None
        self.plain = None

    def counts(self):
        counts = self.plain or self.libtest
        if counts is None:
            return (0, 1, 0) if self.announced else (0, 0, 0)
        return counts


class Stage:
    """A stage, or what stands outside of any."""

    def __init__(self):
        self.runners = [Runner(announced=False)]
        self.failed = False

    def counts(self):
        passed, failed, skipped = (sum(column) for column in zip(*(runner.counts() for runner in self.runners)))
        return passed, max(failed, 1) if self.failed else failed, skipped


def tally(lines):
    """(passed, failed, skipped) of a log."""
    stages = [Stage()]
    open_name = None
    for line in lines:
        line = ESCAPE.sub("", line.rstrip("\r\n"))
        stage = stages[-1]
        if match := CLOSED.match(line):
            if match[1] == open_name:
                stage.failed = match[2] == "FAILED"
                stages.append(Stage())
                open_name = None
        elif match := OPENED.match(line):
            # A stage that another one interrupts has not ended well.
            stage.failed |= open_name is not None
            stages.append(Stage())
            open_name = match[1]
        elif ANNOUNCED.match(line):
            stage.runners.append(Runner(announced=True))
        elif match := LIBTEST.match(line):
            runner = stage.runners[-1]
            if runner.libtest is not None:
                # Of a runner that nobody announced.
                runner = Runner(announced=False)
                stage.runners.append(runner)
            runner.libtest = tuple(int(number) for number in match.groups())
        elif match := PLAIN.match(line):
            stage.runners[-1].plain = tuple(int(number or 0) for number in match.groups())
    stages[-1].failed |= open_name is not None
    return tuple(sum(column) for column in zip(*(stage.counts() for stage in stages)))


def main():
    known_failed = "--failed" in sys.argv[2:]
    with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
        passed, failed, skipped = tally(log)
    # What failed before its first stage has left no trace in the log.
    failed = max(failed, 1) if known_failed else failed
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
