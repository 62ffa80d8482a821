//! Hostile images: a corpus that scripts of the tests' own make, class by class. Each image ends in one named error, the
//! same for any way to its bytes, number of threads and place of the plugins, and within bounds of memory and time. Nothing
//! is published, and nothing is read or written but the image. Beside each there is a legal one, which is placed.

mod controls;
mod corpus;
mod meter;
mod sweep;
mod watch;

use crate::support::case::Case;
use crate::support::mounts::Fs;
use crate::support::needs::Need;

/// The classes, and how many cases each has.
const CLASSES: [(&str, usize); 41] = [
    ("text-descriptor", 30),
    ("extents", 26),
    ("parent", 16),
    ("footer", 22),
    ("grain-twice", 12),
    ("grain-out-of-range", 14),
    ("grain-inflates", 38),
    ("cut-short", 25),
    ("entries-astray", 37),
    ("capacity", 14),
    ("qcow2-references", 16),
    ("tables-loop", 11),
    ("wrong-format", 26),
    ("nested", 33),
    ("pax", 25),
    ("names-twice", 9),
    ("special-entries", 30),
    ("manifest", 61),
    ("xml", 40),
    ("vmdk-header", 42),
    ("vmdk-text", 24),
    ("vmdk-markers", 31),
    ("tar-header", 32),
    ("member-names", 15),
    ("ovf-references", 31),
    ("ovf-numbers", 23),
    ("vmdk-in-ova", 14),
    ("split-in-ova", 59),
    ("qcow2-header", 25),
    ("qcow2-tables", 9),
    ("encrypted", 6),
    ("vhd", 25),
    ("vhdx", 40),
    ("vdi", 12),
    ("probed-formats", 13),
    ("partitions", 14),
    ("polyglot", 9),
    ("compressed-damage", 82),
    ("compressed-bomb", 10),
    ("compressed-window", 18),
    ("record", 17),
];
/// The most valuable cases, and the legal images.
const FIRST: usize = 25;
const CONTROLS: usize = 53;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = CLASSES
        .into_iter()
        .map(|(class, _)| {
            Case::new(format!("hostile::{}", class.replace('-', "_")), move |world| sweep::class(world, class))
        })
        .collect();
    cases.extend([
        Case::new("hostile::the_corpus_is_whole", controls::corpus).mode_independent(),
        Case::new("hostile::the_meter_sees_memory_and_time", controls::meter),
        Case::new("hostile::the_watch_sees_reading_and_writing", controls::watch),
        Case::new("hostile::the_sweep_sees_what_is_wrong", controls::sweep),
    ]);
    cases.into_iter().map(|case| case.on(Fs::Ext4).needs(&[Need::Program("cc"), Need::Program("python3")])).collect()
}
