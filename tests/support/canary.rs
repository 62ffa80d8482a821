//! Secrets that are planted to be searched for: random, so that they are found nowhere by chance.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// One secret.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    /// Its place, for messages, which must not hold the secret themselves.
    pub(crate) name: &'static str,
    /// The parts around a character that a URL cannot hold as it is. Each is a secret by itself.
    halves: [String; 2],
}

impl Canary {
    pub(crate) fn new(name: &'static str) -> Self {
        let mut random = [0; 24];
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).unwrap();
        let text: String = random.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect();
        Self { name, halves: [text[..12].to_owned(), text[12..].to_owned()] }
    }

    /// The secret that a key in PEM is: two pieces of its body.
    pub(crate) fn of_key(pem: &str) -> Self {
        let line = pem.lines().find(|line| !line.starts_with('-')).expect("a line of the key");
        // What is the same in all keys of its kind comes first.
        let end = line.len();
        Self { name: "client key", halves: [line[end - 24..end - 12].to_owned(), line[end - 12..].to_owned()] }
    }

    /// The secret.
    pub(crate) fn text(&self) -> String {
        self.halves.join("/")
    }

    /// The secret as a URL has it.
    pub(crate) fn quoted(&self) -> String {
        self.halves.join("%2F")
    }

    /// What bytes hold that hold a part of it: plain, or inside of something in base64.
    fn needles(&self) -> impl Iterator<Item = Vec<u8>> {
        let of = |half: &String| {
            let half = half.as_bytes().to_vec();
            let encoded = (0..3).map({
                let half = half.clone();
                move |shift| base64_core(&half, shift)
            });
            std::iter::once(half).chain(encoded).collect::<Vec<_>>()
        };
        self.halves.iter().flat_map(of)
    }
}

/// A search for several canaries at once; images are searched too, so it has to be quick.
pub(crate) struct Search {
    needles: Vec<(Vec<u8>, &'static str)>,
    /// By two bytes: whether a needle begins with them.
    begins: Vec<bool>,
}

impl Search {
    pub(crate) fn new(canaries: &[Canary]) -> Self {
        let of = |canary: &Canary| canary.needles().map(|needle| (needle, canary.name)).collect::<Vec<_>>();
        let needles: Vec<_> = canaries.iter().flat_map(of).collect();
        let mut begins = vec![false; 1 << 16];
        for (needle, _) in &needles {
            begins[pair(needle)] = true;
        }
        Self { needles, begins }
    }

    /// The names of the canaries that the bytes hold, percent-encoded or not.
    pub(crate) fn held(&self, bytes: &[u8]) -> Vec<&'static str> {
        let mut found = BTreeSet::new();
        self.look(bytes, &mut found);
        if bytes.contains(&b'%') {
            self.look(&unquoted(bytes), &mut found);
        }
        found.into_iter().collect()
    }

    fn look(&self, bytes: &[u8], found: &mut BTreeSet<&'static str>) {
        for at in 1..bytes.len() {
            if self.begins[pair(&bytes[at - 1..])] {
                let here = self.needles.iter().filter(|(needle, _)| bytes[at - 1..].starts_with(needle));
                found.extend(here.map(|(_, name)| *name));
            }
        }
    }

    /// Which files beneath `dir` hold a canary, with its name. With `others`, only files that others can read.
    pub(crate) fn files(&self, dir: &Path, others: bool) -> Vec<(PathBuf, &'static str)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.unwrap().path();
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let mode = metadata.permissions().mode();
            if metadata.is_dir() && (!others || mode & 0o001 != 0) {
                found.extend(self.files(&path, others));
            } else if metadata.is_file() && (!others || mode & 0o004 != 0) {
                let bytes = fs::read(&path).unwrap_or_default();
                found.extend(self.held(&bytes).into_iter().map(|name| (path.clone(), name)));
            }
        }
        found.sort();
        found
    }
}

fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Every `%XX` as its byte.
fn unquoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// The characters that `text` alone decides in the base64 of anything that holds it `shift` bytes after a group's start.
fn base64_core(text: &[u8], shift: usize) -> Vec<u8> {
    let padded: Vec<u8> = std::iter::repeat_n(0, shift).chain(text.iter().copied()).collect();
    base64(&padded)[(shift * 8).div_ceil(6)..padded.len() * 8 / 6].to_vec()
}

/// Without padding characters.
pub(crate) fn base64(bytes: &[u8]) -> Vec<u8> {
    let group = |group: &[u8]| {
        let number = (0..3).fold(0_usize, |number, at| number << 8 | usize::from(*group.get(at).unwrap_or(&0)));
        (0..=group.len()).map(move |at| BASE64[number >> (18 - 6 * at) & 63]).collect::<Vec<u8>>()
    };
    bytes.chunks(3).flat_map(group).collect()
}
