//! Prints as JSON what the inspector says of a file: `inspect FILE disk_format container_format`.
//!
//! `verdict` is "ok" or the code of the disagreement, `message` what it says to people, `formats` what was detected,
//! `virtual_size` the bytes of the disk or null.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use landfall_inspect::{Inspector, agree, detect, inspect_at};

/// Odd on purpose: no part of any format ends with one.
const CHUNK_BYTES: usize = 100_003;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, disk_format, container_format] = arguments.as_slice() else {
        return Err("usage: inspect FILE disk_format container_format".into());
    };

    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let window = inspect_at(size, |offset, into| file.read_at(into, offset))?;

    let (mut inspector, mut chunk) = (Inspector::new(), vec![0; CHUNK_BYTES]);
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        inspector.feed(&chunk[..count]);
    }
    if inspector.finish() != window {
        return Err("what passed is not what is there: did the file change?".into());
    }

    let (verdict, message) = match agree(&window, disk_format, container_format) {
        Ok(()) => ("ok", String::new()),
        Err(error) => (error.code(), error.to_string()),
    };
    let virtual_size = window.virtual_size().map_or_else(|| "null".to_owned(), |bytes| bytes.to_string());
    let (formats, message) = (json_string(&detect(&window).to_string()), json_string(&message));
    let answer = format!("\"verdict\": \"{verdict}\", \"formats\": {formats}, \"virtual_size\": {virtual_size}");
    writeln!(std::io::stdout(), "{{{answer}, \"message\": {message}}}")?;
    Ok(())
}

/// A string of JSON. RFC 8259, section 7.
fn json_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    quoted.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    quoted.push('"');
    quoted
}
