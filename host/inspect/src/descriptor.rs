//! The text descriptor of VMDK: a file of lines that names the files with the data.
//!
//! It has no magic number, and its readers recognise it differently: qemu by a `version=` line after comments and
//! blank lines, oslo.utils by a `createType` in text, VMware by the comment in its first line. Whatever one of them
//! would take for a descriptor is one here, because it can name any file of the host.
//!
//! The price is that some bytes may not be called raw. It is nil for disks: every boot sector, partition table, LUKS
//! or LVM label and file system has a NUL in its first sector (ext and btrfs even begin with a run of them) before any
//! text of a guest's file, and neither rule looks past that.

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether `head`, the start of an image, begins like a text descriptor.
pub(crate) fn is_descriptor(head: &[u8]) -> bool {
    opens_like_one(head) || assigns_create_type(head)
}

/// Whether the comments at the start name a descriptor, or the first line that is no comment gives its version.
///
/// What is in a comment does not count, not even NUL: qemu's probe does not look at it either.
fn opens_like_one(head: &[u8]) -> bool {
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    for line in text.split(|byte| *byte == b'\n') {
        let line = trim_start(line);
        if line.is_empty() {
            continue;
        }
        if !line.starts_with(b"#") {
            return assigns(line, b"version");
        }
        if names_descriptor(line) {
            return true;
        }
    }
    false
}

/// Whether a comment is the one with which descriptors begin, `# Disk DescriptorFile`.
fn names_descriptor(comment: &[u8]) -> bool {
    let text = without_leading(comment, |byte| byte == b'#' || is_blank(byte));
    starts_with_word(text, b"disk")
        .map(trim_start)
        .is_some_and(|rest| starts_with_word(rest, b"descriptorfile").is_some())
}

/// Whether `createType` is assigned in the text with which `head` begins.
///
/// The text ends at the first NUL, as it does for oslo.utils and qemu. Bytes before the assignment that are partly
/// control codes and partly beyond ASCII are no text but a compressed stream which happens to quote a descriptor.
fn assigns_create_type(head: &[u8]) -> bool {
    const KEY: &[u8] = b"createtype";
    let text = head.split(|byte| *byte == 0).next().unwrap_or(head);
    let mut control = false;
    let mut beyond_ascii = false;

    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        if assigns(rest, KEY) {
            return true;
        }
        control |= byte.is_ascii_control() && !byte.is_ascii_whitespace();
        beyond_ascii |= !byte.is_ascii();
        if control && beyond_ascii {
            return false;
        }
        rest = after;
    }
    false
}

/// Whether `text` begins with `key`, in any case, and an equals sign.
fn assigns(text: &[u8], key: &[u8]) -> bool {
    starts_with_word(text, key).is_some_and(|rest| trim_start(rest).starts_with(b"="))
}

/// What follows `word` if `text` begins with it, in any case.
fn starts_with_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

fn trim_start(text: &[u8]) -> &[u8] {
    without_leading(text, is_blank)
}

/// What is left without the bytes at the start for which `skip` holds.
fn without_leading(text: &[u8], skip: impl Fn(u8) -> bool) -> &[u8] {
    let end = text.iter().position(|byte| !skip(*byte));
    end.and_then(|at| text.get(at..)).unwrap_or_default()
}

/// A blank within a line. A carriage return is one: it ends no comment for qemu.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}
