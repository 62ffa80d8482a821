//! Every fault at every point that a call through the agent meets: the disk is there and exact or it is not there, and the same
//! call made once more places it.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{add_image, configure};
use crate::faults::FaultBuild;
use crate::support::agent::Agent;
use crate::support::case::Case;
use crate::support::disk::noisy_file;
use crate::support::fault_server::FaultServer;
use crate::support::left_over::names;
use crate::support::mounts::Fs;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;
use crate::support::world::{World, is_full};

const SMALL: Content = Content::new(300_000, 302);

pub(super) fn cases() -> Vec<Case> {
    let case = |name: &str, fs: Fs, call: Call| {
        Case::new(format!("agent::sweep_{name}_on_{}", fs.name()), move |world| sweep(world, fs, call))
            .on(fs)
            .mode_independent()
    };
    vec![
        case("clone_of_the_store_s_file", Fs::Xfs, Call::Store),
        case("stream_that_is_cloned", Fs::Xfs, Call::Stream),
        case("stream_that_is_copied", Fs::Ext4, Call::Stream),
        case("stream_that_is_handed_over", Fs::Ext4, Call::Alone),
        case("group", Fs::Xfs, Call::Group),
        case("replacement", Fs::Ext4, Call::Replace),
        case("removal", Fs::Ext4, Call::Remove),
        case("move", Fs::Ext4, Call::Move),
    ]
}

/// What is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Store,
    Stream,
    /// Nothing is held for others: the only caller gets the staged disk itself.
    Alone,
    Group,
    Replace,
    Remove,
    Move,
}

impl Call {
    fn request(self, sandbox: &Sandbox<'_>) -> (&'static str, Value) {
        let image = |id: &str| json!({ "id": id });
        let disk = sandbox.out("disk");
        match self {
            Self::Store => ("/v0/place", json!({ "image": image("store"), "to": disk })),
            Self::Stream | Self::Alone => ("/v0/place", json!({ "image": image("small"), "to": disk })),
            Self::Group => {
                let member = |name: &str, id: &str| json!({ "name": name, "image": image(id) });
                ("/v0/place", json!({ "group": [member("a", "small"), member("b", "store")], "to_dir": disk }))
            }
            Self::Replace => ("/v0/place", json!({ "image": image("small"), "to": disk, "replace": true })),
            Self::Remove => ("/v0/remove", json!({ "path": disk })),
            Self::Move => ("/v0/move", json!({ "from": disk, "to": sandbox.out("moved") })),
        }
    }

    /// What stands there before.
    fn prepare(self, agent: &Agent, sandbox: &Sandbox<'_>) {
        if matches!(self, Self::Replace | Self::Remove | Self::Move) {
            let reply = agent.place(&json!({ "image": { "id": "store" }, "to": sandbox.out("disk") }));
            assert_eq!(reply.status, 200, "{:#}", reply.document);
        }
    }

    /// What is wrong with what stands there: done, or as it was.
    fn fault(self, place: &Place<'_>, done: bool) -> Option<String> {
        let sandbox = &place.sandbox;
        let is = |name: &str, content: &[u8]| fs::read(sandbox.out(name)).is_ok_and(|found| found == content);
        let (store, small) = (&place.store, &place.small);
        let good = match (self, done) {
            (Self::Store, true) | (Self::Replace | Self::Remove | Self::Move, false) => is("disk", store),
            (Self::Stream | Self::Alone | Self::Replace, true) => is("disk", small),
            (Self::Group, true) => is("disk/disk-0.raw", small) && is("disk/disk-1.raw", store),
            (Self::Move, true) => is("moved", store),
            (Self::Remove, true) | (_, false) => !sandbox.out("disk").exists(),
        };
        let expected: &[&str] = match (self, done) {
            (Self::Move, true) => &["moved"],
            (Self::Remove, true) => &[],
            (Self::Replace | Self::Remove | Self::Move, false) | (_, true) => &["disk"],
            (_, false) => &[],
        };
        let left: Vec<String> = names(sandbox.out_dir()).into_iter().filter(|name| !name.starts_with('.')).collect();
        (!good || left != expected)
            .then(|| format!("done {done}: {left:?} stand there, not {expected:?} as they should be"))
    }
}

/// A node whose agent is built with fault points, and images.
struct Place<'w> {
    sandbox: Sandbox<'w>,
    build: &'static FaultBuild,
    store: Vec<u8>,
    small: Vec<u8>,
    trace: PathBuf,
    _server: FaultServer,
}

impl<'w> Place<'w> {
    fn new(world: &'w World, fs: Fs, call: Call) -> Self {
        let sandbox = Sandbox::on(world, fs);
        let plugins = world.install.file_plugin.parent().unwrap();
        configure(&sandbox, if call == Call::Alone { "linger = \"0s\"" } else { "" }, "");
        let path = sandbox.home("landfall.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("plugin_dirs = [{plugins:?}]\n{text}")).unwrap();
        let source = sandbox.store("store.raw");
        noisy_file(&source, 400_000, 9);
        let mut record = record_of(&source);
        record["id"] = "store".into();
        fs::write(sandbox.home("records/store.json"), record.to_string()).unwrap();
        let server = FaultServer::honest(SMALL);
        add_image(&sandbox, "small", SMALL, &server);
        let trace = sandbox.home("trace");
        let build = FaultBuild::get(world);
        Self { build, store: fs::read(&source).unwrap(), small: SMALL.bytes(), trace, _server: server, sandbox }
    }

    fn agent(&self, faults: &str) -> Agent {
        // What was met before is met before the agent serves.
        let _ = fs::remove_file(&self.trace);
        Agent::start_with(
            &self.sandbox,
            &self.build.landfall,
            &[("LANDFALL_FAULTS", faults), ("LANDFALL_FAULT_TRACE", self.trace.to_str().unwrap())],
        )
    }

    fn met(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.trace).unwrap_or_default();
        text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    /// Takes away what an earlier case left.
    fn clear(&self, agent: &Agent) {
        for name in ["disk", "moved"] {
            let reply = agent.ask("POST", "/v0/remove", Some(&json!({ "path": self.sandbox.out(name) })));
            assert!([200, 403, 404].contains(&reply.status), "{:#}", reply.document);
        }
        assert!(self.sandbox.placements().is_empty());
        assert_eq!(names(self.sandbox.out_dir()), Vec::<String>::new());
    }
}

/// A fault: at the `hit`-th time that `point` is met, this happens.
struct Fault {
    point: String,
    hit: usize,
    deed: &'static str,
}

/// What may happen at a point: the process dies there, before or after, or the call fails.
fn deeds() -> &'static [&'static str] {
    if is_full() { &["kill-before", "kill-after", "eio", "enospc"] } else { &["kill-before", "kill-after", "eio"] }
}

fn sweep(world: &World, fs: Fs, call: Call) {
    let place = Place::new(world, fs, call);
    // The first one lays out its ledger and scans plugins.
    drop(place.agent(""));
    let faults = {
        let agent = place.agent("");
        call.prepare(&agent, &place.sandbox);
        let before = place.met();
        let (path, request) = call.request(&place.sandbox);
        let reply = agent.ask("POST", path, Some(&request));
        assert_eq!(reply.status, 200, "{:#}", reply.document);
        assert_eq!(call.fault(&place, true), None);
        let all = place.met();
        place.clear(&agent);
        let hit = |index: usize| all[..=index].iter().filter(|point| **point == all[index]).count();
        let of = |index: usize| deeds().iter().map(move |deed| (index, *deed));
        // Of what is met again and again the first, the second and the last time.
        let last = |index: usize| !all[index + 1..].contains(&all[index]);
        let indices = (before.len()..all.len()).filter(|&index| hit(index) <= 2 || last(index)).flat_map(of);
        indices.map(|(index, deed)| Fault { point: all[index].clone(), hit: hit(index), deed }).collect::<Vec<_>>()
    };
    assert!(faults.len() >= 4 * deeds().len(), "too little is met");
    let (mut ran, mut killed, mut wrong) = (0, 0, Vec::new());
    for fault in &faults {
        match run(&place, call, fault) {
            Ok(died) => killed += usize::from(died),
            Err(violation) => wrong.push(format!("{}#{}={}: {violation}", fault.point, fault.hit, fault.deed)),
        }
        ran += 1;
    }
    assert_eq!(ran, faults.len());
    assert!(wrong.is_empty(), "{} of {ran} cases are wrong\n{}", wrong.len(), wrong.join("\n"));
    let kills = faults.iter().filter(|fault| fault.deed.starts_with("kill")).count();
    assert_eq!(killed, kills, "every kill hits");
}

/// Gives whether the agent died.
fn run(place: &Place<'_>, call: Call, fault: &Fault) -> Result<bool, String> {
    let mut agent = {
        // Prepared without the fault, whose hits are counted from the agent's start: they are the same each time.
        let agent = place.agent(&format!("{}#{}={}", fault.point, fault.hit, fault.deed));
        call.prepare(&agent, &place.sandbox);
        agent
    };
    let (path, request) = call.request(&place.sandbox);
    let first = agent.try_ask("POST", path, Some(&request));
    let died = first.is_none();
    if died {
        agent.kill_dead();
        agent = place.agent("");
    }
    let done = first.as_ref().is_some_and(|reply| reply.status == 200);
    if let Some(reply) = first.as_ref().filter(|_| !done) {
        let error = &reply.document["error"];
        if !error["code"].is_string() || reply.status == 500 {
            return Err(format!("an answer without a good reason: {reply:?}"));
        }
    }
    // Whoever was told nothing finds it done or not; whoever was told finds what was said.
    let seen = [true, false].into_iter().find(|&done| call.fault(place, done).is_none());
    match seen {
        None => return Err(format!("{first:?}: neither done nor as it was: {:?}", names(place.sandbox.out_dir()))),
        Some(seen) if !died && seen != done && !stays(call, fault) => {
            return Err(format!("{first:?}: the answer says done {done}, the disk {seen}"));
        }
        Some(_) => {}
    }
    // Once more, and it is done: what was done before is found.
    let again = agent.ask("POST", path, Some(&request));
    let is_found =
        matches!(call, Call::Remove | Call::Move) && seen == Some(true) && (400..500).contains(&again.status);
    if again.status != 200 && !is_found {
        return Err(format!("after {first:?} again: {again:?}"));
    }
    if let Some(wrong) = call.fault(place, true) {
        return Err(format!("after {first:?} and {again:?}: {wrong}"));
    }
    place.clear(&agent);
    Ok(died)
}

/// A disk that took another's place stays, though the directory could not be synced or the ledger did not take it: the other
/// is gone. What was removed or moved is, too, though the rest failed.
fn stays(call: Call, fault: &Fault) -> bool {
    matches!(call, Call::Replace | Call::Remove | Call::Move) && fault.deed != "kill-before"
}
