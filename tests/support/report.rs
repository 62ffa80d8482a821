//! What is printed after a run: every skipped test with its reason, and one line that counts.

use std::collections::BTreeMap;
use std::path::Path;

/// Tests that cannot run here, by name, with the reason.
pub(crate) type Skips = BTreeMap<String, String>;

/// The tests that may be skipped, from lines `test-name: reason`; comments start with `#`.
pub(crate) fn may_skip(file: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, reason) =
                line.split_once(": ").unwrap_or_else(|| panic!("{}: no reason: {line}", file.display()));
            (name.to_owned(), reason.trim().to_owned())
        })
        .collect()
}

/// Prints the skips and the counting line; gives the number of failures, unexplained skips among them.
pub(crate) fn close(
    passed: u64,
    failed: u64,
    skipped: &Skips,
    strict: bool,
    allowed: &BTreeMap<String, String>,
) -> u64 {
    let mut unexplained = 0;
    for (name, reason) in skipped {
        println!("skipped {name}: {reason}");
        if strict && !allowed.contains_key(name) {
            println!("FAILED {name}: skipped, and tests/may-skip.txt does not say why that is right");
            unexplained += 1;
        }
    }
    let failures = failed + unexplained;
    println!("{passed} passed, {failures} failed, {} skipped", skipped.len() as u64 - unexplained);
    failures
}
