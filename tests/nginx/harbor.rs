//! What these tests have in common: an image, servers that have it, and a node that may download from the loopback.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::access_log::AccessLog;
use crate::support::answer::Answer;
use crate::support::command::{Landfall, Running};
use crate::support::mounts::Fs;
use crate::support::nginx::{Nginx, Site};
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::World;

pub(super) const MIB: u64 = 1 << 20;
/// Not a multiple of anything.
pub(super) const IMAGE: Content = Content::new(24 * MIB + 4321, 31);
/// What a server may have sent that nobody took, of one request: what the buffers of both ends hold.
pub(super) const ON_THE_WAY: u64 = 1 << 20;

/// A place that serves the first megabyte of each request at once and then so slowly that no test waits for the end.
pub(super) const HELD: &str = "limit_rate_after 1m; limit_rate 128k;";

/// A sandbox, and servers in it.
pub(super) struct Harbor<'w> {
    pub(super) sandbox: Sandbox<'w>,
    image: Content,
}

impl<'w> Harbor<'w> {
    pub(super) fn new(world: &'w World) -> Self {
        Self::with(world, IMAGE)
    }

    /// The same with another image.
    pub(super) fn with(world: &'w World, image: Content) -> Self {
        let harbor = Self { sandbox: Sandbox::on(world, Fs::Temp), image };
        harbor.configure("", "");
        harbor
    }

    /// Lets records name the loopback, with more lines of the handler's section and more tables.
    pub(super) fn configure(&self, handler: &str, tables: &str) {
        let section = format!("[handler.http]\nallow_addresses = [\"loopback\"]\n{handler}\n{tables}\n");
        self.sandbox.configure("", &section);
    }

    /// A server that has the image as `disk.raw`.
    pub(super) fn server(&self, name: &str, site: Site) -> Nginx {
        let server = Nginx::start(&self.sandbox, name, site);
        fs::write(server.file("disk.raw"), self.image.bytes()).unwrap();
        server
    }

    /// A command that places the image from these locations.
    pub(super) fn place(&self, urls: &[String]) -> Landfall {
        self.place_record(&self.image.record(urls))
    }

    pub(super) fn place_record(&self, record: &Value) -> Landfall {
        let path = self.sandbox.record("image.json", record);
        self.sandbox.place(path, "disk").args(["--progress", "json"])
    }

    /// Places the image, whose bytes must be exact.
    #[track_caller]
    pub(super) fn exact(&self, urls: &[String]) -> Answer {
        let answer = self.place(urls).run();
        self.arrived(&answer);
        answer
    }

    /// Fails unless the target has exactly the image's bytes and there is nothing else. Takes it away.
    #[track_caller]
    pub(super) fn arrived(&self, answer: &Answer) {
        answer.success();
        let disk = self.sandbox.out("disk");
        self.image.assert_at(&disk);
        self.sandbox.only(&["disk"]);
        fs::remove_file(disk).unwrap();
    }

    /// Fails unless the image is refused with this error, and nothing is left of it.
    #[track_caller]
    pub(super) fn fails(&self, urls: &[String], kind: &str, code: &str) -> Answer {
        let answer = self.place(urls).run();
        answer.failure(kind, code, "location");
        self.sandbox.only(&[]);
        answer
    }

    /// Starts to place the image and waits until a part of it is there, but not all: gives how much of it.
    pub(super) fn halfway(&self, urls: &[String]) -> (Running, u64) {
        self.midway(self.place(urls))
    }

    pub(super) fn midway(&self, command: Landfall) -> (Running, u64) {
        let running = command.spawn();
        let line = running.line(|line| done(line).is_some_and(|done| done >= MIB)).expect("a part arrives");
        let done = done(&line).unwrap();
        assert!(done < self.image.size, "all of it is there: {done}");
        (running, done)
    }
}

/// How much is there, if the line of progress says so.
fn done(line: &str) -> Option<u64> {
    let event: Value = serde_json::from_str(line).ok()?;
    (event["event"] == "bytes").then(|| event["done"].as_u64()).flatten()
}

/// The codes of the attempts that read this location.
pub(super) fn codes(answer: &Answer, url: &str) -> Vec<Option<String>> {
    let attempts = answer.document()["attempts"].as_array().unwrap();
    let names = |tried: &&Value| tried["locations"].as_array().unwrap().contains(&json!(url));
    attempts.iter().filter(names).map(|tried| tried["code"].as_str().map(str::to_owned)).collect()
}

/// Puts another file in the place of what is served, as an upload does: the old one stays what it was for who has it open.
pub(super) fn replace(file: &Path, bytes: &[u8]) {
    let new = file.with_extension("new");
    fs::write(&new, bytes).unwrap();
    // Servers tell versions apart by whole seconds.
    let later = SystemTime::now() + Duration::from_secs(10);
    fs::File::options().append(true).open(&new).and_then(|file| file.set_modified(later)).unwrap();
    fs::rename(new, file).unwrap();
}

/// Counts that are planted: without this, a log that is misread would look like a server that was treated well.
pub(super) fn counting(_: &World) {
    let line = |status: u16, range: &str, sent: u64, connection: u64, uri: &str| {
        format!(
            r#"{{"status":"{status}","method":"GET","uri":"{uri}","range":"{range}","sent":"{sent}","connection":"{connection}"}}"#
        )
    };
    let log = |lines: &[String]| AccessLog::parse(&lines.join("\n"));
    let once = log(&[line(206, "bytes=0-99", 100, 1, "/a"), line(206, "bytes=100-199", 100, 2, "/a")]);
    assert_eq!((once.bytes(), once.again(), once.connections()), (200, 0, 2));
    let twice = log(&[line(206, "bytes=0-99", 100, 1, "/a"), line(206, "bytes=50-", 100, 1, "/b")]);
    assert_eq!((twice.bytes(), twice.again(), twice.connections()), (200, 50, 1));
    assert_eq!((twice.of("/b").bytes(), twice.of("/b").again(), twice.requests().len()), (100, 0, 2));
    // An error's body is no part of the file, and a range that was not heeded begins at the start.
    let others =
        log(&[line(503, "bytes=0-", 500, 1, "/a"), line(200, "bytes=10-", 70, 2, "/a"), line(200, "", 30, 2, "/a")]);
    assert_eq!((others.bytes(), others.again(), others.with_status(503), others.connections()), (100, 30, 1, 1));
    let inside = log(&[line(206, "bytes=0-", 300, 1, "/a"), line(206, "bytes=100-199", 100, 2, "/a")]);
    assert_eq!(inside.again(), 100);
}
