//! Many jobs of one agent, most of them the villain's: what the agent holds afterwards is what it held before.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use landfall_handler_api::{Error, ErrorKind, HandlerInfo, HandlerKind, Location, OutputMeta, Request, Result};
use serde_json::json;

use super::{WorkerHandler, WorkerSettings};
use crate::cancel::Cancel;
use crate::plugin::{ByteSink, CallContext, Handler, Input, Output, Outputs, PluginIdentity};

const SIZE: u64 = 256 << 10;
/// Set in the process that a test starts to be alone in.
const ALONE: &str = "LANDFALL_TEST_ALONE";
/// Longer than threads that are about to end take to do so.
const BOUND: Duration = Duration::from_secs(60);
/// What the C library and the allocator may keep for the next job, in KiB.
const KEPT: u64 = 16 << 10;

/// What the villain does, and whether an operation survives it.
const DEEDS: [(&str, bool); 26] = [
    ("segv", false),
    ("abort", false),
    ("stack-overflow", false),
    ("exit", false),
    ("exit0", false),
    ("raise-kill", false),
    ("stop", false),
    ("spin", false),
    ("sleep", false),
    ("eat-memory", false),
    ("fork-crash", false),
    ("close-all", false),
    ("garbage", false),
    ("huge", false),
    ("error-as-success", false),
    ("message-long", false),
    ("leak-fds", true),
    ("leak-threads", true),
    ("fork", true),
    ("fine", true),
    ("scribble", true),
    ("claim", true),
    ("wrong-size", true),
    ("beyond", true),
    ("adopt-odd", true),
    ("no-finish", true),
];

#[test]
fn jobs_leave_nothing_in_the_agent() {
    // The agent ends every child that it did not start itself as an orphan's, and other tests have children.
    if std::env::var_os(ALONE).is_none() {
        return run_alone("worker::tests::jobs_leave_nothing_in_the_agent");
    }
    let jobs = if std::env::var_os("LANDFALL_FULL").is_some_and(|full| full == "1") { 500 } else { 50 };
    let directory = tempfile::tempdir().unwrap();
    let plugin = compile(directory.path());
    let workshop = Workshop { agent: agent(), plugin, directory };
    // Once round, so that what is made once is made.
    DEEDS.into_iter().enumerate().for_each(|(number, (deed, survives))| workshop.job(number, deed, survives));
    let before = workshop.settled(|_| true);
    for number in 0..jobs {
        let (deed, survives) = DEEDS[number % DEEDS.len()];
        workshop.job(number, deed, survives);
    }
    let after = workshop.settled(|now| now.held == before.held);
    assert_eq!(after.held, before.held, "after {jobs} jobs");
    assert!(after.resident <= before.resident + KEPT, "{} KiB and then {} KiB", before.resident, after.resident);
}

fn run_alone(test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ALONE, "1").output().unwrap();
    let [said, noise] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success() && said.contains("1 passed"), "{:?}\n{said}\n{noise}", output.status);
}

fn compile(into: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = into.join("villain.so");
    let status = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Werror",
            "-O1",
            "-fPIC",
            "-fvisibility=hidden",
            "-shared",
        ])
        .arg("-I")
        .arg(root.join("handler-api/include"))
        .arg("-o")
        .arg(&out)
        .arg(root.join("tests/plugins/villain.c"))
        .status()
        .expect("this test needs a C compiler called cc");
    assert!(status.success(), "cc failed");
    out
}

/// The product's binary, which the build put beside the folder of the tests: today's, as its list of sources has it.
fn agent() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let binary = tests.parent().and_then(Path::parent).unwrap().join("landfall");
    let changed = |path: &Path| -> Option<SystemTime> { path.metadata().and_then(|meta| meta.modified()).ok() };
    let listing = std::fs::read_to_string(binary.with_extension("d")).unwrap_or_default();
    let sources = listing.split_once(": ").map(|(_, sources)| sources.trim()).unwrap_or_default();
    let is_new = |source: &str| changed(Path::new(source)).is_some_and(|source| Some(source) <= changed(&binary));
    let stale: Vec<&str> = sources.split(' ').filter(|source| !is_new(source)).collect();
    assert!(stale.is_empty(), "{} is not built of {stale:?}; build it first: cargo build", binary.display());
    binary
}

/// What one process holds, at rest.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    /// Descriptors by what they are, without their numbers.
    descriptors: BTreeMap<String, usize>,
    threads: usize,
    children: Vec<String>,
    /// Shared memory of workers.
    lanes: usize,
    /// Names where the jobs' files are.
    files: usize,
}

struct Now {
    held: Held,
    /// KiB.
    resident: u64,
}

struct Workshop {
    agent: PathBuf,
    plugin: PathBuf,
    directory: tempfile::TempDir,
}

impl Workshop {
    /// What there is, once `wanted` says so or it has had its time.
    fn settled(&self, wanted: impl Fn(&Now) -> bool) -> Now {
        let end = Instant::now() + BOUND;
        loop {
            let now = self.now();
            if wanted(&now) || Instant::now() > end {
                return now;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn now(&self) -> Now {
        let list = |path: &str| -> Vec<PathBuf> {
            std::fs::read_dir(path).unwrap().filter_map(|entry| Some(entry.ok()?.path())).collect()
        };
        let mut descriptors = BTreeMap::new();
        for descriptor in list("/proc/self/fd") {
            // The one that lists them is gone by now.
            let Ok(target) = std::fs::read_link(&descriptor) else { continue };
            let name: String = target.to_string_lossy().chars().filter(|c| !c.is_ascii_digit()).collect();
            *descriptors.entry(name).or_default() += 1;
        }
        let threads = list("/proc/self/task");
        let children = |thread: &PathBuf| std::fs::read_to_string(thread.join("children")).unwrap_or_default();
        let children: String = threads.iter().map(children).collect();
        let children = children.split_ascii_whitespace().map(str::to_owned).collect();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let files = std::fs::read_dir(self.directory.path()).unwrap().count();
        let lanes = maps.lines().filter(|line| line.contains("memfd:landfall")).count();
        Now {
            held: Held { descriptors, threads: threads.len(), children, lanes, files },
            resident: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }

    /// One job: a handler, an operation, and its end.
    fn job(&self, number: usize, deed: &str, survives: bool) {
        let outcome = self.operate(number, deed);
        if deed == "fine" {
            outcome.unwrap_or_else(|error| panic!("{deed}, job {number}: {error} ({})", error.code()));
        } else if let Err(error) = outcome {
            assert!(error.kind() != ErrorKind::Crashed || !error.code().is_empty(), "{deed}: {error}");
        } else {
            assert!(survives, "{deed}, job {number}: it went well");
        }
    }

    fn operate(&self, number: usize, deed: &str) -> Result<()> {
        let endless = ["stop", "spin", "sleep", "close-all"].contains(&deed);
        let (stall, grace) = if endless { (200, 100) } else { (60_000, 5_000) };
        let call = CallContext::quiet(Cancel::new()?, Duration::from_millis(stall));
        let make = |id: &str, kind: HandlerKind| {
            let identity = PluginIdentity { name: "villain".into(), version: "0".into(), path: self.plugin.clone() };
            let settings = WorkerSettings {
                agent: self.agent.clone(),
                memory: 192 << 20,
                cpu: Duration::from_secs(60),
                grace: Duration::from_millis(grace),
            };
            let plugin = File::open(&self.plugin).unwrap();
            WorkerHandler::new(HandlerInfo::new(id).kinds(&[kind]), identity, plugin, json!({}), true, settings)
        };
        let request = |scheme: &str, place: &str| {
            let mut request = Request::default();
            request.location = Some(Location::from_url(format!("{scheme}://{deed}/{SIZE}{place}")));
            request.limits.disk_bytes = 4 * SIZE;
            request
        };
        let bytes_only = ["scribble", "claim", "wrong-size"].contains(&deed);
        let writes_only = ["beyond", "adopt-odd", "no-finish"].contains(&deed);
        let outputs = Arc::new(Files(self.directory.path().join("disk")));
        // Each deed comes to another place each time round.
        let outcome = match (number + number / DEEDS.len()) % 5 {
            0 if !bytes_only && !writes_only => {
                make("villain", HandlerKind::Source).probe_one(&call, &request("villain", "/at=probe")).map(drop)
            }
            1 if !bytes_only && !writes_only => {
                make("villain", HandlerKind::Source).open(&call, &request("villain", "")).map(drop)
            }
            2 if !writes_only => {
                let source = make("villain", HandlerKind::Source).open(&call, &request("villain", "/at=read"))?;
                let sink = Arc::new(Mutex::new(Sink::default()));
                let outcome = source.read(&call, 0..SIZE, sink.clone());
                assert!(sink.lock().unwrap().count <= SIZE);
                outcome
            }
            3 => {
                let mut request = Request::default();
                let image = json!({ "deed": format!("{deed}/{SIZE}/at=unpack") });
                request.image = Arc::new(serde_json::from_value(image).unwrap());
                request.limits.disk_bytes = 4 * SIZE;
                let input = Arc::new(Zeros::default());
                make("villain-unpack", HandlerKind::Unpack).unpack(&call, &request, input, outputs).map(drop)
            }
            _ => make("villain-transfer", HandlerKind::Transfer).transfer(
                &call,
                &request("villain-transfer", ""),
                outputs,
            ),
        };
        let _ = std::fs::remove_file(self.directory.path().join("disk"));
        outcome
    }
}

/// Takes bytes and forgets them.
#[derive(Default)]
struct Sink {
    room: Vec<u8>,
    count: u64,
}

impl ByteSink for Sink {
    fn reserve(&mut self, want: usize) -> Result<&mut [u8]> {
        self.room.resize(want.min(64 << 10), 0);
        Ok(&mut self.room)
    }

    fn commit(&mut self, filled: usize) -> Result<()> {
        self.count += filled as u64;
        Ok(())
    }
}

/// An input without a descriptor, so that it goes through a lane. Counts what was shown of it.
#[derive(Default)]
struct Zeros(AtomicU64);

impl Input for Zeros {
    fn size(&self) -> Option<u64> {
        Some(SIZE)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        Ok(buffer.len().min(usize::try_from(SIZE.saturating_sub(offset)).unwrap()))
    }

    fn show_next(&self, take: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<bool> {
        let piece = [0; 10_000];
        let shown = self.0.fetch_add(piece.len() as u64, Ordering::Relaxed);
        let left = usize::try_from(SIZE.saturating_sub(shown)).unwrap();
        take(&piece[..left.min(piece.len())])?;
        Ok(left > piece.len())
    }
}

/// Outputs that are files of this name.
struct Files(PathBuf);

impl Outputs for Files {
    fn open(&self, _: u32, size: u64, _: OutputMeta) -> Result<Arc<dyn Output>> {
        let file = File::create(&self.0).map_err(|error| Error::os(&error, "make a file"))?;
        file.set_len(size).map_err(|error| Error::os(&error, "size a file"))?;
        Ok(Arc::new(OneFile(file)))
    }
}

struct OneFile(File);

impl Output for OneFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.0.write_all_at(bytes, offset).map_err(|error| Error::os(&error, "write"))
    }

    fn zero(&self, _: u64, _: u64) -> Result<()> {
        Ok(())
    }

    fn adopt(&self, _: OwnedFd, _: u64, _: u64, _: u64) -> Result<()> {
        Ok(())
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.0.set_len(size).map_err(|error| Error::os(&error, "size a file"))
    }

    fn finish(&self) -> Result<()> {
        Ok(())
    }

    fn descriptor(&self) -> Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned().map_err(|error| Error::os(&error, "duplicate a descriptor"))
    }
}
