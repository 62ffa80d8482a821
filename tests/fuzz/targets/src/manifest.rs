//! A manifest: what was understood of it, written out, is understood as the same.

use std::fmt::Write;

use landfall_handler_ova::fuzzing::manifest;

use crate::verdict::verdict;

pub(crate) fn run(data: &[u8]) {
    let Ok(lines) = verdict(manifest(data)) else { return };
    let mut written = String::new();
    for (name, algorithm, digest) in &lines {
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\n', '\0']), "{name:?}");
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(written, "{algorithm}({name})= {hex}").expect("a string takes everything");
    }
    assert_eq!(verdict(manifest(written.as_bytes())).as_ref(), Ok(&lines), "as it is written");
    let doubled = written.lines().next().map(|line| format!("{written}{line}\n"));
    if let Some(doubled) = doubled {
        assert!(manifest(doubled.as_bytes()).is_err(), "a line is there twice");
    }
}
