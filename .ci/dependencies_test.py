#!/usr/bin/env python3
"""Made-up packages for dependencies.py."""

import unittest

from dependencies import check, duplicates, licence_is_allowed

RULES = {"bans": {"deny": [{"crate": "ring", "reason": "one provider"}]}, "licenses": {"allow": ["Apache-2.0", "MIT"]}}
PUBLIC = "registry+https://example.org/public-index"


def package(name, source=None):
    return {"name": name, "version": "1.0.0"} | ({} if source is None else {"source": source})


class Dependencies(unittest.TestCase):
    def test_licence_expressions(self):
        allowed = {"Apache-2.0", "MIT", "Unicode-3.0"}
        for expression, met in [
            ("MIT", True),
            ("MIT/Apache-2.0", True),
            ("AGPL-3.0-only", False),
            ("MIT AND AGPL-3.0-only", False),
            ("AGPL-3.0-only OR MIT", True),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
            ("(MIT OR Apache-2.0) AND BSD-3-Clause", False),
            ("MIT OR AGPL-3.0-only AND GPL-2.0-only", True),
            ("Apache-2.0 WITH LLVM-exception", False),
            ("Apache-2.0 WITH LLVM-exception OR MIT", True),
        ]:
            with self.subTest(expression):
                self.assertEqual(licence_is_allowed(expression, allowed), met)
        for wrong in ["", "MIT OR", "(MIT", "MIT MIT"]:
            with self.subTest(wrong), self.assertRaises(ValueError):
                licence_is_allowed(wrong, allowed)

    def test_what_is_wrong_is_named(self):
        lock = {"package": [package("landfall"), package("ring", PUBLIC), package("forked", "git+https://example.org/x")]}
        licences = [
            package("ring") | {"license": "MIT"},
            package("one") | {"license": "MIT OR Apache-2.0"},
            package("two") | {"license": "AGPL-3.0-only"},
            package("three") | {"license": None},
        ]
        problems = check(lock, licences, RULES)
        self.assertEqual([problem.split()[0] for problem in problems], ["ring", "forked", "two", "three"])

    def test_nothing_wrong(self):
        # One that is only in the lock is not built.
        licences = [package("one") | {"license": "MIT"}, package("two") | {"license": "Apache-2.0"}]
        self.assertEqual(check({"package": [package("serde", PUBLIC), package("ring", PUBLIC)]}, licences, RULES), [])

    def test_a_licence_that_nothing_has(self):
        self.assertEqual(check({"package": []}, [package("one") | {"license": "MIT"}], RULES),
                         ["deny.toml allows Apache-2.0, which nothing has"])

    def test_duplicates(self):
        lock = {"package": [package("syn") | {"version": "2.0.0"}, package("syn"), package("serde")]}
        self.assertEqual(duplicates(lock), {"syn": ["2.0.0", "1.0.0"]})


if __name__ == "__main__":
    unittest.main()
