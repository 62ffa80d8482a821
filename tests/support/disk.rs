//! Disks with known bytes, and what became of them: contents, holes, shared extents.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use rustix::fs::SeekFrom;

use super::needs::find_program;
use super::record::sha512;

/// Holes are never finer than this in what is placed.
pub(crate) const GRAIN: u64 = 64 << 10;

/// Bytes that do not repeat, the same ones for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Writes a file of `len` bytes that do not repeat.
pub(crate) fn noisy_file(path: &Path, len: usize, seed: u64) {
    fs::write(path, noise(len, seed)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Writes a file of `size` bytes that is a hole but for these pieces of data.
pub(crate) fn sparse_file(path: &Path, size: u64, pieces: &[(u64, usize)]) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (index, (offset, len)) in pieces.iter().enumerate() {
        file.write_all_at(&noise(*len, index as u64 + 1), *offset).unwrap();
    }
    file.sync_all().unwrap();
}

/// Overwrites bytes in place.
pub(crate) fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
    file.sync_all().unwrap();
}

/// Fails unless both files have the same bytes.
#[track_caller]
pub(crate) fn assert_same_bytes(one: &Path, other: &Path) {
    let sizes = (one.metadata().unwrap().len(), other.metadata().unwrap().len());
    assert_eq!(sizes.0, sizes.1, "sizes of {} and {}", one.display(), other.display());
    assert_eq!(sha512(one), sha512(other), "bytes of {} and {}", one.display(), other.display());
}

/// The pieces of a file that hold data, as (offset, length).
pub(crate) fn data_pieces(path: &Path) -> Vec<(u64, u64)> {
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(at)) else { break };
        let end = rustix::fs::seek(&file, SeekFrom::Hole(start)).unwrap();
        pieces.push((start, end - start));
        at = end;
    }
    pieces
}

/// Bytes that the file takes on its file system.
pub(crate) fn allocated(path: &Path) -> u64 {
    path.metadata().unwrap().blocks() * 512
}

/// Fails unless every hole of the file is at least one grain, or ends the file.
#[track_caller]
pub(crate) fn assert_coarse_holes(path: &Path) {
    let size = path.metadata().unwrap().len();
    let mut before = 0;
    for (start, len) in data_pieces(path) {
        let hole = start - before;
        assert!(hole == 0 || hole >= GRAIN, "a hole of {hole} bytes at {before} in {}", path.display());
        before = start + len;
    }
    assert!(before <= size.next_multiple_of(1 << 12), "data beyond the end of {}", path.display());
}

/// How many extents of the file there are, and how many of them are shared with another file, by FIEMAP.
pub(crate) fn extents(path: &Path) -> (usize, usize) {
    let filefrag = find_program("filefrag").expect("e2fsprogs is installed");
    let output = Command::new(filefrag).args(["-s", "-v"]).arg(path).output().unwrap();
    assert!(output.status.success(), "filefrag: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.trim_start().split(':').next().is_some_and(|first| first.parse::<u32>().is_ok()))
        .collect();
    let shared = rows.iter().filter(|row| row.contains("shared")).count();
    (rows.len(), shared)
}
