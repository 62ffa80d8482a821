use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::job::Coding;
use crate::window::BLOCK;

/// A disk in memory that remembers its writes.
#[derive(Default)]
struct Memory {
    bytes: Mutex<Vec<u8>>,
    writes: Mutex<Vec<Range<u64>>>,
    /// Offset of a write that fails.
    full_at: Option<u64>,
    panics: bool,
}

impl Memory {
    fn of(size: usize) -> Self {
        Self { bytes: Mutex::new(vec![0; size]), ..Self::default() }
    }

    /// The bytes, and what was written, merged where it is adjacent.
    fn into_parts(self) -> (Vec<u8>, Vec<Range<u64>>) {
        let mut writes = self.writes.into_inner().unwrap();
        writes.sort_by_key(|range| range.start);
        (self.bytes.into_inner().unwrap(), writes)
    }
}

impl Disk for Memory {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        assert!(!self.panics, "a disk that panics");
        if self.full_at.is_some_and(|at| at == offset) {
            return Err(Error::new(ErrorKind::NoSpace, "enospc", "full"));
        }
        assert_eq!(bytes.as_ptr().align_offset(4096), (4096 - offset as usize % 4096) % 4096);
        self.bytes.lock().unwrap()[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        self.writes.lock().unwrap().push(offset..offset + bytes.len() as u64);
        Ok(())
    }
}

/// A zlib stream of stored blocks.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let (mut a, mut b) = (1_u32, 0_u32);
    let mut stream = vec![0x78, 1];
    let mut chunks = bytes.chunks(65_535).peekable();
    while let Some(chunk) = chunks.next() {
        stream.push(u8::from(chunks.peek().is_none()));
        stream.extend((chunk.len() as u16).to_le_bytes());
        stream.extend((!(chunk.len() as u16)).to_le_bytes());
        stream.extend(chunk);
        for byte in chunk {
            a = (a + u32::from(*byte)) % 65_521;
            b = (b + a) % 65_521;
        }
    }
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}

fn add(job: &mut Job, offset: u64, len: usize, coding: Coding, stored: &[u8]) {
    assert!(job.takes(offset, len));
    job.room(offset, len, coding, stored.len()).copy_from_slice(stored);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any pieces in any order of windows give the disk, whatever the number of threads; every write is of whole blocks
    /// that are not all zero, and none of them touches the next one in its window.
    #[test]
    fn pieces_come_together(
        units in proptest::collection::vec(0_u8..4, 1..600),
        tail in 1_usize..=4096,
        threads in 1_usize..6,
        backwards: bool,
    ) {
        const UNIT: usize = 8192;
        let size = (units.len() - 1) * UNIT + tail;
        let mut want = vec![0; size];
        for (at, unit) in units.iter().enumerate().filter(|(_, unit)| **unit >= 2) {
            let end = ((at + 1) * UNIT).min(size);
            want[at * UNIT..end].fill(at as u8 | 1);
            prop_assert!(*unit < 4);
        }
        let disk = Memory::of(size);
        let mut windows: Vec<_> = (0..size.div_ceil(WINDOW)).collect();
        if backwards {
            windows.reverse();
        }
        Crew::run(threads, &disk, 0..size as u64, |crew| {
            for window in windows {
                let mut job = crew.job((window * WINDOW) as u64 + 1);
                assert_eq!(job.window(), (window * WINDOW) as u64);
                // 0: no piece; 1: zeros; 2: plain; 3: inflated, whose last one is stored with more than is wanted.
                for (at, unit) in units.iter().enumerate().skip(window * (WINDOW / UNIT)).take(WINDOW / UNIT) {
                    let (from, len) = (at * UNIT, UNIT.min(size - at * UNIT));
                    let mut bytes = want[from..from + len].to_vec();
                    match unit {
                        0 => continue,
                        1 | 2 => add(&mut job, from as u64, len, Coding::Plain, &bytes),
                        _ => {
                            bytes.resize(UNIT, 7);
                            add(&mut job, from as u64, len, Coding::Zlib { whole: UNIT }, &deflated(&bytes));
                        }
                    }
                }
                crew.submit(job).unwrap();
            }
            Ok(())
        }).unwrap();

        let (bytes, writes) = disk.into_parts();
        prop_assert!(bytes == want);
        for write in &writes {
            prop_assert_eq!(write.start % BLOCK as u64, 0);
            prop_assert!(write.end % BLOCK as u64 == 0 || write.end == size as u64);
            for block in want[write.start as usize..write.end as usize].chunks(BLOCK) {
                prop_assert!(block.iter().any(|byte| *byte != 0));
            }
        }
        for pair in writes.windows(2) {
            prop_assert!(pair[0].end < pair[1].start || pair[1].start % WINDOW as u64 == 0);
        }
    }

    /// Of a part of a disk nothing outside is touched, wherever it begins and ends.
    #[test]
    fn a_part_stays_within_its_bounds(start in 0..2 * WINDOW, len in 1..WINDOW, fill in 1..=u8::MAX) {
        let (end, size) = (start + len, 4 * WINDOW);
        let disk = Memory::of(size);
        Crew::run(2, &disk, start as u64..end as u64, |crew| {
            let mut at = start;
            while at < end {
                let mut job = crew.job(at as u64);
                let next = (job.window() as usize + WINDOW).min(end);
                add(&mut job, at as u64, next - at, Coding::Plain, &vec![fill; next - at]);
                crew.submit(job)?;
                at = next;
            }
            Ok(())
        }).unwrap();
        let (bytes, writes) = disk.into_parts();
        prop_assert!(writes.iter().all(|write| write.start >= start as u64 && write.end <= end as u64));
        let mut want = vec![0; size];
        want[start..end].fill(fill);
        prop_assert!(bytes == want);
    }
}

#[test]
fn the_earliest_job_s_error_is_told() {
    for threads in [1, 2, 8] {
        for _ in 0..20 {
            let disk = Memory { full_at: Some(30 * WINDOW as u64), ..Memory::of(40 * WINDOW) };
            let told = Crew::run(threads, &disk, 0..40 * WINDOW as u64, |crew| {
                for at in 0..40 {
                    let mut job = crew.job(at * WINDOW as u64);
                    let mut stored = deflated(&[1; 512]);
                    match at {
                        17 => stored.push(0),
                        18 => stored[0] = 0,
                        _ => {}
                    }
                    let len = if at == 19 { 511 } else { 512 };
                    add(&mut job, at * WINDOW as u64, len, Coding::Zlib { whole: len }, &stored);
                    if let Err(told) = crew.submit(job) {
                        assert!(["inflate-trailing", "inflate-failed", "inflates-past"].contains(&told.code()));
                        break;
                    }
                }
                Err::<(), _>(Error::new(ErrorKind::Corrupt, "found-later", ""))
            });
            assert_eq!(told.unwrap_err().code(), "inflate-trailing");
        }
    }
}

#[test]
fn what_is_wrong_is_told_whoever_finds_it() {
    let told = |disk: Memory, len: usize, fed: Result<u8>| {
        Crew::run(2, &disk, 0..WINDOW as u64, |crew| {
            let mut job = crew.job(0);
            add(&mut job, 0, len, Coding::Zlib { whole: len }, &deflated(&[1; 512]));
            crew.submit(job)?;
            fed
        })
    };
    let later = || Error::new(ErrorKind::Corrupt, "found-later", "");
    let code = |told: Result<u8>| told.unwrap_err().code().to_owned();
    assert_eq!(told(Memory::of(WINDOW), 512, Ok(7)).unwrap(), 7);
    assert_eq!(code(told(Memory::of(WINDOW), 512, Err(later()))), "found-later");
    assert_eq!(code(told(Memory::of(WINDOW), 513, Ok(7))), "inflates-short");
    assert_eq!(code(told(Memory::of(WINDOW), 511, Ok(7))), "inflates-past");
    assert_eq!(code(told(Memory { full_at: Some(0), ..Memory::of(WINDOW) }, 512, Err(later()))), "enospc");
    let panicked = told(Memory { panics: true, ..Memory::of(WINDOW) }, 512, Err(later())).unwrap_err();
    assert_eq!((panicked.kind(), panicked.code()), (ErrorKind::Crashed, "unpack-panicked"));
}

#[test]
fn a_job_that_no_unpacker_may_make_is_refused() {
    for (first, second) in [(0..1024, 1023..2048), (512..1024, 0..512), (0..1024, WINDOW as u64 - 1..WINDOW as u64 + 1)]
    {
        let disk = Memory::of(2 * WINDOW);
        let told = Crew::run(1, &disk, 0..2 * WINDOW as u64, |crew| {
            let mut job = crew.job(0);
            for range in [&first, &second] {
                let len = (range.end - range.start) as usize;
                job.room(range.start, len, Coding::Plain, len).fill(1);
            }
            crew.submit(job)
        });
        assert_eq!(told.unwrap_err().code(), "bad-job");
        assert!(disk.into_parts().1.is_empty());
    }
}

#[test]
fn only_the_part_within_bounds_is_written() {
    let disk = Memory { bytes: Mutex::new(vec![9; 3 * WINDOW]), ..Memory::default() };
    let (from, to) = (WINDOW as u64 - 4096, 2 * WINDOW as u64 + 512);
    Crew::run(2, &disk, from..to, |crew| {
        for at in [from, WINDOW as u64, 2 * WINDOW as u64] {
            let len = (to.min((at / WINDOW as u64 + 1) * WINDOW as u64) - at) as usize;
            let mut job = crew.job(at);
            job.room(at, len, Coding::Plain, len).fill(1);
            crew.submit(job)?;
        }
        Ok(())
    })
    .unwrap();
    let (bytes, _) = disk.into_parts();
    let want = [vec![9; from as usize], vec![1; (to - from) as usize], vec![9; 3 * WINDOW - to as usize]].concat();
    assert!(bytes == want);
}
