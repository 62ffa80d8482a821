//! What a plugin left behind, and which of its handlers was tried out when it did.

use std::fs::File;
use std::os::unix::fs::FileExt;

use landfall_handler_api::crossing::clean_text;

use super::super::inline::flush_streams;
use super::findings::Outcome;
use super::surroundings::Surroundings;

/// Bytes shown of what a plugin printed.
const SHOWN: usize = 200;

/// What is looked at after each handler.
pub(super) struct Traces {
    before: Surroundings,
    /// Standard output.
    printed: File,
    seen: u64,
    printers: Vec<String>,
    /// What is not as it was, each with the handler that was tried out.
    pub(super) changes: Vec<String>,
    /// Handlers that left descriptors open.
    pub(super) openers: Vec<String>,
}

impl Traces {
    pub(super) fn new(printed: File) -> Self {
        let before = Surroundings::look();
        Self { before, printed, seen: 0, printers: Vec::new(), changes: Vec::new(), openers: Vec::new() }
    }

    /// Looks, after a handler was tried out.
    pub(super) fn note(&mut self, handler: &str, left_open: bool) {
        flush_streams();
        let printed = self.printed.metadata().map_or(0, |metadata| metadata.len());
        if printed > self.seen {
            push_once(&mut self.printers, handler);
        }
        self.seen = printed;
        if left_open {
            push_once(&mut self.openers, handler);
        }
        for change in self.before.changed() {
            self.changes.push(format!("{change} ({handler})"));
        }
        self.before = Surroundings::look();
    }

    /// Whether nothing was printed to standard output.
    pub(super) fn silence(&self) -> Outcome {
        flush_streams();
        let mut text = vec![0; SHOWN];
        match (self.printed.metadata().map(|metadata| metadata.len()), self.printed.read_at(&mut text, 0)) {
            (Ok(0), _) => Outcome::ok("nothing was printed to standard output"),
            (Ok(count), Ok(filled)) => {
                let text = clean_text(text.get(..filled).unwrap_or_default(), SHOWN);
                let who = named(&self.printers);
                Outcome::failed(format!("it printed {count} bytes to standard output{who}: {text}"))
            }
            (Err(error), _) | (_, Err(error)) => Outcome::failed(format!("look at what was printed: {error}")),
        }
    }
}

/// Handlers, for people.
pub(super) fn named(handlers: &[String]) -> String {
    if handlers.is_empty() { String::new() } else { format!(" ({})", handlers.join(", ")) }
}

fn push_once(handlers: &mut Vec<String>, handler: &str) {
    if !handlers.iter().any(|known| known == handler) {
        handlers.push(handler.to_owned());
    }
}
