#!/usr/bin/env python3
"""Made-up logs for tally.py."""

import unittest

from tally import tally

UNIT = """
     Running unittests src/lib.rs (target/ci/deps/landfall-0123456789abcdef)

running 3 tests
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s
"""
END_TO_END = """
     Running tests/main.rs (target/ci/deps/e2e-0123456789abcdef)

running 10 tests
test result: ok. 9 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 9.00s

skipped places_on_btrfs: needs btrfs: mkfs.btrfs is not installed
9 passed, 0 failed, 1 skipped
"""
DOC = """
   Doc-tests landfall_select

running 1 test
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s
"""


def stage(name, text, outcome="ok"):
    return f"== {name}\n{text}\n== {name}: {outcome}, 3 s\n"


class Tally(unittest.TestCase):
    def check(self, log, *counts):
        self.assertEqual(tally(log.splitlines(keepends=True)), counts)

    def test_an_empty_log(self):
        self.check("", 0, 0, 0)

    def test_every_runner_counts_once(self):
        self.check(stage("tests", UNIT + END_TO_END + DOC), 12, 0, 2)

    def test_the_order_of_runners_is_all_the_same(self):
        self.check(stage("tests", END_TO_END + DOC + UNIT), 12, 0, 2)

    def test_a_plain_line_knows_more_than_the_result_line_before_it(self):
        log = END_TO_END.replace("9 passed, 0 failed, 1 skipped", "9 passed, 1 failed, 0 skipped")
        self.check(stage("tests", log, "FAILED (status 101)"), 9, 1, 0)

    def test_failures_add_up(self):
        log = UNIT.replace("ok. 2 passed; 0 failed", "FAILED. 1 passed; 1 failed")
        self.check(stage("tests", log + END_TO_END + DOC, "FAILED (status 101)"), 11, 1, 2)

    def test_a_runner_that_died_is_a_failure(self):
        died = "     Running tests/main.rs (target/ci/deps/e2e-0123456789abcdef)\nerror: signal: 9, SIGKILL\n"
        self.check(stage("tests", UNIT + died + DOC, "FAILED (status 101)"), 3, 1, 1)

    def test_a_stage_that_failed_without_a_runner_is_a_failure(self):
        self.check(stage("format", "Diff in src/lib.rs", "FAILED (status 1)") + stage("tests", UNIT), 2, 1, 1)

    def test_a_stage_that_never_ended_is_a_failure(self):
        self.check("== build\n" + stage("tests", UNIT), 2, 1, 1)
        self.check("== build\nCompiling", 0, 1, 0)

    def test_sums_of_others_are_not_added_again(self):
        self.check(stage("tests", UNIT) + "total: 2 passed, 0 failed, 1 skipped\n", 2, 0, 1)

    def test_words_in_a_line_are_no_result(self):
        self.check("it said 9 passed, 0 failed\n  9 passed, 0 failed\n9 passed, 0 failed and more\n", 0, 0, 0)

    def test_result_lines_that_nobody_announced(self):
        line = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n"
        self.check(line + line, 4, 0, 0)

    def test_a_plain_line_without_skips_and_with_colours(self):
        self.check("\x1b[32m4 passed, 0 failed\x1b[0m\r\n", 4, 0, 0)

    def test_a_colon_in_output_closes_no_stage(self):
        self.check("== tests\n== other: ok, 1 s\n" + UNIT + "== tests: ok, 3 s\n", 2, 0, 1)


if __name__ == "__main__":
    unittest.main()
