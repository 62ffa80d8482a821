//! That no secret key and no signature is shown or left, whether a placement succeeds or fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::json;

use crate::support::left_over;
use crate::support::seeded::Content;
use crate::support::world::World;

use super::bucket::{ACCESS, Bucket, Form, IMAGE, private};
use super::front::{Front, Manner};

const SMALL: Content = Content::new(3 << 20, 90);
/// Longer than a program takes to start on a busy machine.
const BOUND: Duration = Duration::from_secs(60);
const WRONG: &str = "wr0ng-but-secret";

/// What is searched for.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    fn held(&self, bytes: &[u8]) -> Vec<&str> {
        let holds = |secret: &&String| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        self.0.iter().filter(holds).map(String::as_str).collect()
    }

    /// In files beneath a directory, with their names.
    fn in_files(&self, dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(self.in_files(&path));
            } else {
                let held = fs::read(&path).map(|bytes| self.held(&bytes).join(", ")).unwrap_or_default();
                found.extend((!held.is_empty()).then(|| format!("{}: {held}", path.display())));
            }
        }
        found
    }

    /// In a process's arguments and environment.
    fn in_process(&self, process: Pid) -> Vec<String> {
        let of = |place| {
            let bytes = fs::read(format!("/proc/{process}/{place}")).unwrap_or_default();
            let held = self.held(&bytes).join(", ");
            (!held.is_empty()).then(|| format!("{place} of {process}: {held}"))
        };
        ["cmdline", "environ"].into_iter().filter_map(of).collect()
    }
}

/// A way to have keys.
struct Way {
    name: &'static str,
    url: String,
    section: String,
    works: bool,
}

pub(super) fn kept(world: &World) {
    let bucket = Bucket::new(world);
    bucket.put("small", SMALL, Form::Whole);
    let mut front = Front::start(&bucket, "front", Manner::Open);
    let host = front.authority();
    let inline = |secret: &str| {
        format!("access_key = {ACCESS:?}\nsecret_key = {secret:?}\nhosts = [{host:?}]\nbuckets = [\"*\"]")
    };
    let bare = front.url(&bucket.bare_url("small"));
    let in_url = |secret: &str| front.url(&bucket.url_with(secret, "small"));
    let (good, wrong) = (bucket.secret.as_str(), WRONG);
    let mut shown = Vec::new();
    for (name, secret, works) in [("good keys", good, true), ("wrong keys", wrong, false)] {
        for (url, section) in [
            (in_url(secret), String::new()),
            (bare.clone(), bucket.keys(secret, &host, "*")),
            (bare.clone(), inline(secret)),
        ] {
            let way = Way { name, url, section, works };
            shown.extend(run(&bucket, &way));
        }
    }

    let mut secrets = Secrets(vec![good.to_owned(), wrong.to_owned()]);
    let mut held = Front::start(&bucket, "held", Manner::Held);
    bucket.put("image", IMAGE, Form::InParts);
    bucket.configure("", "[limits]\nresume_bytes = \"1MiB\"\n");
    let record = IMAGE.record(&[held.url(&bucket.url("image"))]);
    let (running, _) = bucket.midway(bucket.place(&record), IMAGE);
    let bin = world.install.landfall.parent().unwrap();
    // Other tests have agents too.
    let is_its = |process: &Pid| *process == running.pid() || is_child(*process, running.pid());
    let at_work: Vec<Pid> = left_over::processes(bin).into_iter().map(|(process, _)| process).filter(is_its).collect();
    assert!(at_work.len() >= world.expected(1, 2), "the agent, and its worker where it has one: {at_work:?}");
    let in_processes: Vec<String> = at_work.iter().flat_map(|process| secrets.in_process(*process)).collect();
    assert_eq!(in_processes, [""; 0]);
    held.kill();
    held.start_again(Manner::Open);
    let answer = running.finish();
    bucket.arrived(IMAGE, &answer);
    shown.push(("in the middle".to_owned(), answer.text()));

    let logs = [front.finish(), held.finish()];
    let signed = logs.iter().flat_map(|log| log.requests()).filter_map(|request| signature(&request.uri));
    // Those of one second are the same.
    let signatures: BTreeSet<String> = signed.collect();
    assert!(signatures.len() >= 2, "they were in use");
    secrets.0.extend(signatures.iter().cloned());
    secrets.0.push("X-Amz-Signature=".to_owned());
    for (what, text) in &shown {
        assert_eq!(secrets.held(text.as_bytes()), [""; 0], "{what}: {text}");
    }
    let (state, out) = (bucket.sandbox.home("state"), bucket.sandbox.out_dir());
    assert_eq!([secrets.in_files(&state), secrets.in_files(out)].concat(), [""; 0]);

    // What is planted is found.
    for secret in [good, wrong, signatures.first().expect("there are some")] {
        assert_eq!(secrets.held(format!("before {secret} after").as_bytes()), [secret]);
        let planted = state.join("planted");
        fs::write(&planted, format!("\0{secret}\n")).unwrap();
        assert_eq!(secrets.in_files(&state).len(), 1);
        fs::remove_file(planted).unwrap();
        for (argument, variable) in [(secret, ""), ("", secret)] {
            let mut planted = Command::new("cat");
            let mut process =
                planted.args(["-", argument]).env("PLANTED", variable).stdin(Stdio::piped()).spawn().unwrap();
            let id = Pid::from_raw(i32::try_from(process.id()).unwrap());
            let end = Instant::now() + BOUND;
            let mut found = Vec::new();
            // It takes a moment to become that program.
            while found.is_empty() && Instant::now() < end {
                thread::yield_now();
                found = secrets.in_process(id);
            }
            process.kill().unwrap();
            process.wait().unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
        }
    }
}

/// In every way that things are shown; as it is, and with another digest in the record.
fn run(bucket: &Bucket<'_>, way: &Way) -> Vec<(String, String)> {
    bucket.configure(&way.section, "[limits]\nresume_bytes = \"1MiB\"\n");
    private(&bucket.sandbox.home("landfall.toml"));
    let mut shown = Vec::new();
    let good = SMALL.record(std::slice::from_ref(&way.url));
    let mut bad = good.clone();
    bad["os_hash_value"] = json!("0".repeat(64));
    let mut keep = |what: &str, text: String| shown.push((format!("{}: {what}", way.name), text));
    for (what, record, works) in [("image", &good, way.works), ("wrong digest", &bad, false)] {
        let path = bucket.sandbox.record("image.json", record);
        let command = |name: &str| bucket.sandbox.landfall(name).arg(&path).arg("--to").arg(bucket.sandbox.out("disk"));
        for (progress, json) in [("json", true), ("bar", false)] {
            let command = command("place").args(["--progress", progress]).for_terminal();
            let answer = if json { command.json() } else { command }.run();
            assert_eq!(answer.status == 0, works, "{}, {what}: {answer:#?}", way.name);
            keep(what, answer.text());
            // The next one may find it in its way.
            let _ = fs::remove_file(bucket.sandbox.out("disk"));
        }
        keep("plan", command("plan").json().run().text());
        keep("plan", command("plan").run().text());
    }
    for words in [&["history"][..], &["placements"], &["config", "show"], &["config", "check"]] {
        let answer = bucket.sandbox.landfall(words[0]).args(&words[1..]).run();
        assert_eq!(answer.status, 0, "{answer:#?}");
        keep(words[0], answer.text());
    }
    shown
}

/// What signs a request.
fn signature(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("X-Amz-Signature=")?;
    rest.split('&').next().map(str::to_owned)
}

fn is_child(process: Pid, of: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|parent| parent.trim() == of.to_string()))
}
