//! Bodies in chunks, right and wrong.

use std::ops::Range;

use super::reply::{Act, as_usize};

/// The content in chunks of uneven sizes, without the last, empty one.
fn chunks(range: Range<u64>) -> Vec<Act> {
    const CHUNK: usize = 77_777;
    let ends = range.clone().step_by(CHUNK).map(|start| start..(start + CHUNK as u64).min(range.end));
    ends.flat_map(|chunk| {
        let size = format!("{:x};name=value\r\n", chunk.end - chunk.start);
        [Act::Send(size.into()), Act::Content(chunk), Act::Send(b"\r\n".to_vec())]
    })
    .collect()
}

/// A body in chunks as it should be, with trailers behind it.
pub(super) fn chunked(range: Range<u64>, trailers: &str) -> Vec<Act> {
    let end = Act::Send(format!("0\r\n{trailers}\r\n").into());
    chunks(range).into_iter().chain([end]).collect()
}

/// A body in chunks, and then something that is no chunk.
pub(super) fn chunked_then(range: Range<u64>, then: &str) -> Vec<Act> {
    chunks(range).into_iter().chain([Act::Send(then.into()), Act::Close]).collect()
}

/// The content as gzip: stored blocks, which every reader of gzip takes.
pub(super) fn gzipped(bytes: &[u8], range: Range<u64>) -> Vec<u8> {
    const BLOCK: usize = u16::MAX as usize;
    let data = &bytes[as_usize(&range)];
    let mut zipped = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];
    let blocks = data.len().div_ceil(BLOCK).max(1);
    for (number, block) in data.chunks(BLOCK).enumerate() {
        let length = u16::try_from(block.len()).unwrap();
        zipped.push(u8::from(number + 1 == blocks));
        zipped.extend_from_slice(&length.to_le_bytes());
        zipped.extend_from_slice(&(!length).to_le_bytes());
        zipped.extend_from_slice(block);
    }
    zipped.extend_from_slice(&crc32(data).to_le_bytes());
    zipped.extend_from_slice(&u32::try_from(data.len()).unwrap().to_le_bytes());
    zipped
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    let table: Vec<u32> = (0..256_u32).map(|byte| (0..8).fold(byte, |crc, _| step(crc))).collect();
    !bytes.iter().fold(u32::MAX, |crc, &byte| (crc >> 8) ^ table[((crc ^ u32::from(byte)) & 0xFF) as usize])
}
