//! Raw disks: copied as they are, without their zeros.

use landfall_handler_api::{Error, ErrorKind, Result};
use landfall_handler_vmdk::Means;
use landfall_unpack::{Coding, Crew, Disk, Stored, WINDOW};

/// Bytes at the start that are looked at for what they are.
const HEAD: usize = 64 << 10;

/// Copies all of `stored`, whose size is known, to the disk that `open` gives for that size. `open` is called after the
/// first bytes were looked at.
pub(crate) fn unpack<D: Disk>(stored: &dyn Stored, means: &Means, open: impl FnOnce(u64) -> Result<D>) -> Result<D> {
    let size = stored.size().unwrap_or_default();
    let mut head = [0; HEAD];
    let known = stored.read_at(&mut head, 0)?;
    let head = head.get(..known).unwrap_or_default();
    check(head)?;
    let disk = open(size)?;
    Crew::run(means.threads, &disk, 0..size, |crew| {
        let mut offset = 0;
        while offset < size {
            let length = usize::try_from(size.saturating_sub(offset)).unwrap_or(WINDOW).min(WINDOW);
            let mut job = crew.job(offset);
            let mut room = job.room(offset, length, Coding::Plain, length);
            let mut from = offset;
            if offset == 0 {
                let (first, rest) = room.split_at_mut(known.min(length));
                first.copy_from_slice(head);
                (room, from) = (rest, known as u64);
            }
            stored.read_at(room, from)?;
            crew.submit(job)?;
            offset = offset.saturating_add(length as u64);
        }
        Ok(())
    })?;
    Ok(disk)
}

/// Refuses what is a VMDK: the descriptor has called it raw, and a later reader that looks for itself would not.
///
/// Marks: VMware "Virtual Disk Format 5.0" for sparse extents; QEMU's block/vmdk for those of ESX; a descriptor is text
/// that begins with the comment `# Disk DescriptorFile`, after blank lines and other comments, with a `version=` line
/// in that place, or assigns a `createType` before the first NUL. What a NUL stops is what stops its readers.
fn check(head: &[u8]) -> Result<()> {
    let magics: [&[u8]; 3] = [b"KDMV", b"COWD", &0xcafe_babe_u64.to_le_bytes()];
    if magics.iter().any(|magic| head.starts_with(magic)) || begins_as_descriptor(head) || has_create_type(head) {
        let message = "a disk that the OVF descriptor calls raw is a VMDK";
        return Err(Error::new(ErrorKind::Corrupt, "ovf-format-mismatch", message));
    }
    Ok(())
}

fn begins_as_descriptor(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    for line in lines.filter(|line| !line.is_empty()) {
        let Some(mut comment) = line.strip_prefix(b"#") else { return assigns(line, b"version") };
        while let Some(rest) = comment.strip_prefix(b"#") {
            comment = rest;
        }
        let words = word(comment.trim_ascii_start(), b"disk").and_then(|rest| word(rest, b"descriptorfile"));
        if words.is_some() {
            return true;
        }
    }
    false
}

fn has_create_type(head: &[u8]) -> bool {
    let text = head.split(|byte| *byte == 0).next().unwrap_or_default();
    (0..text.len()).any(|at| text.get(at..).is_some_and(|rest| assigns(rest, b"createtype")))
}

/// Whether `text` begins with `key`, in any case, and an equals sign.
fn assigns(text: &[u8], key: &[u8]) -> bool {
    word(text, key).is_some_and(|rest| rest.starts_with(b"="))
}

/// What follows `word`, and blanks after it, where `text` begins with it in any case.
fn word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then(|| rest.trim_ascii_start())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::cast_possible_truncation)]
mod tests {
    use std::sync::Mutex;

    use landfall_unpack::BLOCK;
    use proptest::prelude::*;

    use super::*;
    use crate::tests::host::{Bytes, Memory, terms};

    /// A disk that notes what is written.
    struct Notes(Mutex<Vec<(u64, usize)>>);

    impl Disk for Notes {
        fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
            self.0.lock().unwrap().push((offset, bytes.len()));
            Ok(())
        }
    }

    #[test]
    fn blocks_of_zeros_are_holes() {
        let mut bytes = vec![0; 40 * BLOCK + 100];
        let full = [0, 1, 5, 16, 31, 32, 40];
        for at in full {
            bytes[at * BLOCK + 17] = 1;
        }
        let notes = unpack(&Bytes(&bytes), &terms().means, |size| {
            assert_eq!(size, bytes.len() as u64);
            Ok(Notes(Mutex::default()))
        });
        let mut written = Vec::new();
        for (offset, length) in notes.unwrap().0.into_inner().unwrap() {
            let first = offset as usize / BLOCK;
            written.extend(first..first + length.div_ceil(BLOCK));
        }
        written.sort_unstable();
        assert_eq!(written, full);
    }

    #[test]
    fn a_vmdk_is_not_raw() {
        let long = format!("{}\n# Disk DescriptorFile", "#".repeat(HEAD - 40));
        for vmdk in [
            "KDMV",
            "COWD\0",
            "\u{feff}\n  \n# Disk DescriptorFile\nversion=1\n\0\0",
            "# disk descriptorfile",
            "##  Disk\tDescriptorFile",
            "# a comment\n# Disk DescriptorFile",
            "\n#\nversion = 1",
            "CREATETYPE=\"monolithicFlat\"",
            "a=b\ncreateType = \"custom\"",
            &long,
        ] {
            let error = check(vmdk.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupt, "ovf-format-mismatch"), "{vmdk:?}");
        }
        assert!(check(&0xcafe_babe_u64.to_le_bytes()).is_err());
        for raw in ["", "\0KDMV", "KDM", "#!/bin/sh\nexit", "text", "a\0createType=", "# Disk\nDescriptor", "DISK"] {
            assert!(check(raw.as_bytes()).is_ok(), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_what_went_in(
            blocks in proptest::collection::vec((0_u8..2, 0..BLOCK), 0..40),
            tail in 0..BLOCK,
        ) {
            let mut bytes = vec![0; blocks.len() * BLOCK + tail];
            for (number, (value, at)) in blocks.iter().enumerate() {
                bytes[number * BLOCK + at] = *value;
            }
            let disk = unpack(&Bytes(&bytes), &terms().means, |size| Ok(Memory::new(size))).unwrap();
            prop_assert!(disk.bytes() == bytes);
        }
    }
}
