//! What is fuzzed: every parser of bytes that others write, and the way from stored bytes to a placed disk.
//!
//! A target takes any bytes and judges what comes of them: that nothing panics or hangs goes without saying, so each
//! holds the outcome against another way to it. `tests/fuzz` links each with libFuzzer; a test here replays the kept
//! corpus.

mod answers;
mod clouds;
mod config;
mod filters;
mod import;
mod inspect;
mod journal;
mod knobs;
mod manifest;
mod memory;
mod openstack;
mod ova;
mod ovf;
mod record;
mod reference;
mod tar;
mod urls;
mod verdict;
mod vmdk;
mod vmdk_descriptor;
mod vmdk_extent;
mod wire;

/// A target: any bytes; panics where it finds a fault.
pub type Run = fn(&[u8]);

/// All targets, by the names of their binaries and of their folders in the corpus.
pub const ALL: &[(&str, Run)] = &[
    ("answers", answers::run),
    ("bzip2", filters::bzip2),
    ("clouds", clouds::run),
    ("config", config::run),
    ("gzip", filters::gzip),
    ("import", import::run),
    ("inspect", inspect::run),
    ("journal", journal::run),
    ("manifest", manifest::run),
    ("openstack", openstack::run),
    ("ova", ova::run),
    ("ovf", ovf::run),
    ("record", record::run),
    ("tar", tar::run),
    ("urls", urls::run),
    ("vmdk", vmdk::run),
    ("vmdk_descriptor", vmdk_descriptor::run),
    ("vmdk_extent", vmdk_extent::run),
    ("wire", wire::run),
    ("xz", filters::xz),
    ("zstd", filters::zstd),
];

/// The name of a target that is none of them.
pub const PLANTED: &str = "planted";

/// A target with a fault, which whoever fuzzes or replays it must find.
pub fn planted(data: &[u8]) {
    assert!(!data.starts_with(b"fault"), "the planted fault");
}

/// The target of this name; panics where there is none.
pub fn target(name: &str) -> Run {
    let found = ALL.iter().chain(&[(PLANTED, planted as Run)]).find(|(known, _)| *known == name);
    found.map(|(_, run)| *run).unwrap_or_else(|| panic!("there is no target {name}"))
}
