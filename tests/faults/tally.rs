//! How many cases ran, told once at the end of a run.

use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Default)]
struct Tally {
    swept: BTreeMap<String, (usize, usize)>,
    cuts: BTreeMap<String, usize>,
    notes: Vec<String>,
}

static TALLY: Mutex<Option<Tally>> = Mutex::new(None);

fn change(action: impl FnOnce(&mut Tally)) {
    let mut tally = TALLY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    action(tally.get_or_insert_default());
}

/// An operation was swept: so many hits of points, so many cases.
pub(super) fn swept(operation: String, hits: usize, cases: usize) {
    change(|tally| {
        tally.swept.insert(operation, (hits, cases));
    });
}

/// An operation's power was cut this many times.
pub(super) fn cut(operation: String, cases: usize) {
    change(|tally| {
        tally.cuts.insert(operation, cases);
    });
}

/// Something else that is worth a line.
pub(super) fn note(line: String) {
    change(|tally| tally.notes.push(line));
}

/// Prints what ran; nothing when nothing did.
pub(crate) fn tell() {
    let Some(tally) = TALLY.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() else { return };
    for (operation, (hits, cases)) in &tally.swept {
        println!("fault sweep: {operation}: {cases} cases at {hits} points met");
    }
    for (operation, cases) in &tally.cuts {
        println!("power cuts: {operation}: {cases} cases");
    }
    for note in &tally.notes {
        println!("{note}");
    }
    let swept: usize = tally.swept.values().map(|(_, cases)| cases).sum();
    let cuts: usize = tally.cuts.values().sum();
    println!(
        "fault sweep: {swept} cases in {} operations; power cuts: {cuts} cases in {} operations",
        tally.swept.len(),
        tally.cuts.len()
    );
}
