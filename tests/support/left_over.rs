//! What a command left on the disk.

use std::fs;
use std::path::Path;

/// The names in a directory, hidden ones included, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Fails unless the directory holds exactly these names: no stage, no partial file, nothing more.
#[track_caller]
pub(crate) fn assert_only(dir: &Path, expected: &[&str]) {
    let mut expected: Vec<String> = expected.iter().map(|&name| name.to_owned()).collect();
    expected.sort();
    assert_eq!(names(dir), expected, "names in {}", dir.display());
}
