//! Writes handlers' bytes to a stage, in the agent and in workers alike: large aligned blocks past the page cache, where
//! the file system has that.
//!
//! What is placed is read by a guest later, if at all, and not by us: the copy into the page cache and its way out cost two
//! to five times the CPU time of the same bytes written straight from the handler's memory.

use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use landfall_handler_api::Result;
use rustix::fs::OFlags;

use super::written;

/// Memory, offset and length are multiples of this. No block device of today has larger logical blocks.
const ALIGNMENT: usize = 4096;
/// Fewer bytes go through the page cache, which gathers them into larger writes.
const DIRECT_LEAST: usize = 64 * 1024;

/// A stage that is written by a handler.
#[derive(Debug)]
pub(crate) struct StageWriter {
    file: File,
    /// The same file, opened to be written past the page cache; none where that does not work.
    direct: OnceLock<Option<File>>,
    refused: AtomicBool,
}

impl StageWriter {
    /// Writes `file`, a regular file that is open for reading and writing.
    pub(crate) fn new(file: File) -> Self {
        Self { file, direct: OnceLock::new(), refused: AtomicBool::new(false) }
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let (blocks, rest) = bytes.split_at(aligned(bytes, offset));
        if !blocks.is_empty()
            && let Some(direct) = self.direct()
        {
            match written::write(direct, blocks, offset) {
                Ok(()) => return written::write(&self.file, rest, offset.saturating_add(blocks.len() as u64)),
                // The file system wants larger blocks, or takes it for this file only to refuse it now.
                Err(error) if error.os_errno() == Some(libc::EINVAL) => self.refused.store(true, Ordering::Relaxed),
                Err(error) => return Err(error),
            }
        }
        written::write(&self.file, bytes, offset)
    }

    fn direct(&self) -> Option<&File> {
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        let open = || written::reopen(&self.file, OFlags::RDWR | OFlags::DIRECT).ok().map(File::from);
        self.direct.get_or_init(open).as_ref()
    }
}

/// How many of the first bytes may be written past the page cache: whole blocks of aligned memory to aligned places.
fn aligned(bytes: &[u8], offset: u64) -> usize {
    let fits = bytes.as_ptr().align_offset(ALIGNMENT) == 0 && offset.is_multiple_of(ALIGNMENT as u64);
    let whole = bytes.len() & !(ALIGNMENT.saturating_sub(1));
    if fits && whole >= DIRECT_LEAST { whole } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn bytes_arrive_however_they_lie_in_memory_and_file() {
        let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        file.set_len(8 << 20).unwrap();
        let writer = StageWriter::new(file);
        let memory: Vec<u8> = (0..3_u32 << 20).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        let mut expected = vec![0; 8 << 20];
        for (from, len, offset) in [
            (start, 1 << 20, 0_usize),
            (start + 1, 200_000, 1 << 20),
            (start, DIRECT_LEAST - 1, 2 << 20),
            (start, DIRECT_LEAST, 3 << 20),
            (start, DIRECT_LEAST + 4097, 4 << 20),
            (start, 300_000, (5 << 20) + 512),
            (start, 0, 0),
        ] {
            writer.write(&memory[from..from + len], offset as u64).unwrap();
            expected[offset..offset + len].copy_from_slice(&memory[from..from + len]);
        }
        let mut found = vec![0; 8 << 20];
        writer.file().read_exact_at(&mut found, 0).unwrap();
        assert!(found == expected);
    }

    #[test]
    fn only_whole_aligned_blocks_pass_the_page_cache() {
        let memory = vec![0; 1 << 20];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        for (from, len, offset, direct) in [
            (start, 2 * DIRECT_LEAST, 0, 2 * DIRECT_LEAST),
            (start, 2 * DIRECT_LEAST + 511, 4096, 2 * DIRECT_LEAST),
            (start, DIRECT_LEAST - 1, 0, 0),
            (start + 512, 2 * DIRECT_LEAST, 0, 0),
            (start, 2 * DIRECT_LEAST, 512, 0),
        ] {
            assert_eq!(aligned(&memory[from..from + len], offset), direct, "{from} {len} {offset}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn what_passes_the_page_cache_is_aligned_at_both_ends(
            shift in prop_oneof![Just(0_usize), 0..ALIGNMENT],
            len in 0..4 * DIRECT_LEAST,
            offset in prop_oneof![(0..u64::MAX / ALIGNMENT as u64).prop_map(|block| block * ALIGNMENT as u64), any::<u64>()],
        ) {
            let memory = vec![0_u8; 4 * DIRECT_LEAST + 2 * ALIGNMENT];
            let from = memory.as_ptr().align_offset(ALIGNMENT) + shift;
            let direct = aligned(&memory[from..from + len], offset);
            let fits = shift == 0 && offset % ALIGNMENT as u64 == 0;
            let expected = if fits { len / ALIGNMENT * ALIGNMENT } else { 0 };
            prop_assert_eq!(direct, if expected < DIRECT_LEAST { 0 } else { expected });
        }
    }
}
