//! Replays the kept corpus: what once was found, and what every part of the parsers is reached by.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;

use landfall_fuzz_targets::{ALL, PLANTED, Run, planted};
use libtest_mimic::{Arguments, Failed, Trial};

/// Bytes of a kept input, of all that a target has, and how many.
const FILE_MAX: u64 = 64 << 10;
const BYTES_MAX: u64 = 320 << 10;
const FILES_MAX: usize = 100;

fn main() {
    let mut trials: Vec<Trial> =
        ALL.iter().map(|(name, run)| Trial::test(format!("corpus::{name}"), || whole_corpus(name, *run))).collect();
    trials.push(Trial::test("every_target_has_binary_and_corpus", every_target_has_binary_and_corpus));
    trials.push(Trial::test("a_replay_finds_a_planted_fault", a_replay_finds_a_planted_fault));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// `tests/fuzz`.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in a folder").to_owned()
}

fn names(folder: &Path) -> Result<BTreeSet<String>, Failed> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// How many inputs of a folder were run, and which the target did not stand.
fn replay(run: Run, folder: &Path) -> Result<(usize, Vec<String>), Failed> {
    let (mut count, mut failed) = (0, Vec::new());
    for name in names(folder)? {
        let input = fs::read(folder.join(&name))?;
        count += 1;
        if catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
            failed.push(name);
        }
    }
    Ok((count, failed))
}

fn whole_corpus(name: &str, run: Run) -> Result<(), Failed> {
    let folder = home().join("corpus").join(name);
    let kept = names(&folder)?;
    let mut bytes = 0;
    for file in &kept {
        let size = fs::metadata(folder.join(file))?.len();
        bytes += size;
        if size > FILE_MAX {
            return Err(format!("{name}/{file} has {size} bytes").into());
        }
    }
    if kept.is_empty() || kept.len() > FILES_MAX || bytes > BYTES_MAX {
        return Err(format!("{name} has {} inputs of {bytes} bytes", kept.len()).into());
    }
    // A thread of its own, so that what a target keeps for its thread is gone when that ends.
    let replayed = thread::spawn(move || replay(run, &folder)).join();
    let (count, failed) = replayed.map_err(|_| "the replay ended early")??;
    if count != kept.len() || !failed.is_empty() {
        return Err(format!("of {} inputs {count} were run, and these failed: {failed:?}", kept.len()).into());
    }
    Ok(())
}

fn every_target_has_binary_and_corpus() -> Result<(), Failed> {
    let targets: BTreeSet<String> = ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(targets.len(), ALL.len());
    assert_eq!(names(&home().join("corpus"))?, targets);
    let mut binaries = targets;
    binaries.insert(PLANTED.to_owned());
    let files: BTreeSet<String> = binaries.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&home().join("bins"))?, files);
    let manifest = fs::read_to_string(home().join("Cargo.toml"))?;
    assert_eq!(manifest.matches("[[bin]]").count(), binaries.len());
    for name in binaries {
        assert!(manifest.contains(&format!("\"{name}\"\npath = \"bins/{name}.rs\"")), "{name} is no binary");
        let text = fs::read_to_string(home().join(format!("bins/{name}.rs")))?;
        assert!(text.contains(&format!("target(\"{name}\")")), "{name}.rs is of another target");
    }
    Ok(())
}

fn a_replay_finds_a_planted_fault() -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/planted");
    let (count, failed) = replay(planted, &folder)?;
    assert_eq!((count, failed), (2, vec!["faulty".to_owned()]));
    Ok(())
}
