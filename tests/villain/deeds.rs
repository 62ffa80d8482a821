//! Every deed in every place, in a worker: which failure it is, what follows it, and how the command ends.

use serde_json::Value;

use crate::support::answer::{Answer, status_of};
use crate::support::command::Running;
use crate::support::world::World;

use super::lab::{DEEDS, Lab, Place, SIZE, Settings, is_endless};

/// What becomes of a deed.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The bytes are there, and are the right ones.
    Fine,
    /// Half of them are: the size of an unpacked disk is the unpacker's to say.
    Half,
    /// One of these failures, each a kind and a code.
    Fails(&'static [(&'static str, &'static str)]),
    /// Either of both, as it happens. Never wrong bytes.
    Either(&'static [(&'static str, &'static str)]),
}

use Fate::{Either, Fails, Fine, Half};

/// Deeds that take seconds.
const COSTLY: [&str; 2] = ["spin", "log-flood"];

/// What the bytes of the villain's overlong code become.
const LONG_CODE: &str = "31m------------text--31m------------text--31m";

fn fate(deed: &str, place: Place) -> Fate {
    use Place::{Create, Open, Read, Transfer, Unpack};
    match (deed, place) {
        ("segv" | "abort" | "stack-overflow" | "fork-crash", _) => Fails(&[("crashed", "worker-signal")]),
        ("exit" | "exit0", _) => Fails(&[("crashed", "worker-exit")]),
        ("raise-kill", _) => Fails(&[("crashed", "worker-killed")]),
        ("sleep" | "stop", Create) => Fails(&[("crashed", "setup-timeout")]),
        ("sleep" | "stop", _) => Fails(&[("crashed", "worker-hangs")]),
        ("spin", _) => Fails(&[("crashed", "worker-cpu")]),
        ("eat-memory", _) => Fails(&[("crashed", "worker-memory")]),
        ("garbage" | "huge", _) => Fails(&[("crashed", "wire-garbage")]),
        // What it runs into first is up to the C library and to chance: its thread, or the one that hears the agent.
        ("close-all", _) => Fails(&[
            ("crashed", "worker-deaf"),
            ("crashed", "worker-signal"),
            ("crashed", "worker-hangs"),
            ("crashed", "worker-mute"),
        ]),
        ("error-as-success", _) => Fails(&[("internal", "bad-error")]),
        // A passing fault, that is to be waited for until the end of days.
        ("message-long", _) => Fails(&[("unavailable", LONG_CODE)]),
        // Descriptors that are gone when the agent sends some.
        ("leak-fds", Open) => Fails(&[("crashed", "worker-deaf"), ("crashed", "worker-starved")]),
        ("leak-fds" | "leak-threads" | "fork" | "log-flood" | "fine", _) => Fine,
        ("scribble", Read) => {
            Either(&[("crashed", "ring-lied"), ("corrupt", "digest-mismatch"), ("corrupt", "short-body")])
        }
        ("scribble", _) => Either(&[("crashed", "ring-lied")]),
        ("claim" | "wrong-size", Read) => Fails(&[("corrupt", "short-body")]),
        ("claim" | "no-finish", _) => Fails(&[("crashed", "output-unfinished")]),
        ("wrong-size", Transfer) => Fails(&[("corrupt", "size-mismatch")]),
        ("wrong-size", Unpack) => Half,
        ("beyond", _) => Fails(&[("crashed", "output-overrun")]),
        // The host refuses, the villain is told, and goes on.
        ("adopt-odd" | "twice", _) => Fine,
        (deed, Create) => panic!("{deed} is not known"),
        (deed, place) => panic!("{deed} at {} is not known", place.name()),
    }
}

/// How a code is put to people, where there is no code: what a probe or a status said is only shown.
fn words(code: &str) -> &str {
    match code {
        "worker-signal" => "its worker was ended by SIG",
        "worker-exit" => "its worker ended itself with status",
        "worker-killed" => "killed from outside",
        "worker-hangs" => "did not stop within",
        "setup-timeout" => "was not ready within",
        "worker-cpu" => "used all its CPU time",
        "worker-memory" => "MiB that it may have",
        "wire-garbage" => "the other process sent",
        "worker-deaf" => "could not take the agent's orders",
        "worker-mute" => "closed its connection",
        "bad-error" => "unknown error kind 77",
        LONG_CODE => "\\u{1b}[31m",
        code => panic!("no words for {code}"),
    }
}

/// Every pair of a deed and a place is there once.
pub(super) fn counts() {
    let count = |place: Place| DEEDS.iter().filter(|(_, known)| known.has(place)).count();
    assert_eq!(Place::ALL.map(count), [21, 21, 21, 21, 24, 28, 28, 21], "as the head of villain.c has them");
    let source = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/plugins/villain.c")).unwrap();
    let table = source.split_once("deeds[] = {").unwrap().1.split_once("};").unwrap().0;
    let names: Vec<&str> = table.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(names, DEEDS.map(|(name, _)| name), "the villain's own table");
    for (deed, known) in DEEDS {
        Place::ALL.into_iter().filter(|&place| known.has(place)).for_each(|place| {
            fate(deed, place);
        });
    }
}

/// One command.
struct Job {
    deed: &'static str,
    alone: bool,
    target: String,
}

/// All deeds of one place: each with an honest attempt behind it, and alone.
pub(super) fn sweep(world: &World, place: Place) {
    let lab = Lab::new(world);
    let deeds: Vec<&'static str> =
        DEEDS.into_iter().filter(|(_, known)| known.has(place)).map(|(deed, _)| deed).collect();
    let start = |deed: &'static str, alone: bool| {
        let target = format!("{deed}-{alone}");
        let configured = matches!(place, Place::Create | Place::Status).then_some((deed, place));
        lab.configure(&Settings { honest: !alone, deed: configured, ..Settings::of(deed) });
        let command = match (configured, alone) {
            (Some(_), true) => lab.landfall("handlers").json(),
            _ => lab.place(&lab.record(deed, place, !alone), &target),
        };
        (Job { deed, alone, target }, command.spawn())
    };
    let mut wrong = Vec::new();
    let mut end = |(job, running): (Job, Running)| {
        let answer = running.finish();
        let found = match (place, job.alone) {
            (Place::Create | Place::Status, true) => configured(job.deed, place, &answer),
            (Place::Create | Place::Status, false) => expect(lab.take(&job.target, SIZE), "the placement"),
            (Place::Probe | Place::UnpackProbe, _) => probed(&lab, place, &job, &answer),
            _ => attempted(&lab, place, &job, &answer),
        };
        if let Err(problem) = found {
            wrong.push(format!("{} at {}, alone {}: {problem}: {answer:#?}", job.deed, place.name(), job.alone));
        }
    };
    // The endless ones wait together while the others run.
    let (endless, others): (Vec<_>, Vec<_>) = deeds.iter().partition(|deed| is_endless(deed));
    let endless: Vec<_> = endless.into_iter().flat_map(|deed| [false, true].map(|alone| start(deed, alone))).collect();
    let mut ran = endless.len();
    // Those that take seconds of CPU time are alone in few places only, unless there is time.
    let is_brief = world.rounds(0, 1) == 0 && !matches!(place, Place::Create | Place::Status | Place::Open);
    for deed in others {
        for alone in [false, true] {
            if alone && is_brief && COSTLY.contains(&deed) {
                continue;
            }
            end(start(deed, alone));
            ran += 1;
        }
    }
    endless.into_iter().for_each(&mut end);
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(ran, 2 * deeds.len() - if is_brief { COSTLY.len() } else { 0 });
    lab.assert_left(&[]);
}

/// No byte of the villain's goes beyond the end of a disk that is larger than any message.
pub(super) fn beyond(world: &World) {
    let lab = Lab::new(world);
    lab.configure(&Settings::calm());
    let size = 32 << 20;
    let answer = lab.place(&lab.record_of_size("beyond", Place::Transfer, false, size), "disk").run();
    answer.success();
    assert!(answer.stderr.contains("1 files, 0 took it"), "the kernel refuses it: {answer:#?}");
    assert!(lab.take("disk", size), "{answer:#?}");
    lab.assert_left(&[]);
}

/// Whatever is done to the slots of a ring, and whenever, what is placed is the image.
pub(super) fn scribbled(world: &World) {
    let lab = Lab::new(world);
    lab.configure(&Settings::calm());
    for round in 0..world.rounds(10, 200) {
        let size = 1 << (10 + round % 12);
        let answer = lab.place(&lab.record_of_size("scribble", Place::Read, false, size), "disk").run();
        assert_eq!(lab.take("disk", size), answer.status == 0, "{answer:#?}");
        if answer.status != 0 {
            let error = &answer.document()["error"];
            let Either(failures) = fate("scribble", Place::Read) else { panic!("it is not known how it ends") };
            assert!(is_one_of(error, failures), "{answer:#?}");
        }
    }
    lab.assert_left(&[]);
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("not as it must be: {what}")) }
}

/// Whether an entry of `attempts`, or an error, is one of these failures.
fn is_one_of(found: &Value, failures: &[(&str, &str)]) -> bool {
    failures.iter().any(|(kind, code)| found["kind"] == *kind && found["code"] == *code)
}

/// An operation that an attempt is made of: the failure is in the attempt, and alone it is the answer.
fn attempted(lab: &Lab<'_>, place: Place, job: &Job, answer: &Answer) -> Result<(), String> {
    let document = answer.document();
    let attempts = document["attempts"].as_array().unwrap();
    let fate = fate(job.deed, place);
    let failures = match fate {
        Fine | Half => &[],
        Fails(failures) | Either(failures) => failures,
    };
    let failed = !attempts[0]["kind"].is_null();
    expect(!matches!(fate, Fails(_)) || failed, "the first attempt fails")?;
    expect(!failed || is_one_of(&attempts[0], failures), "the failure of the first attempt")?;
    let size = if matches!(fate, Half) { SIZE / 2 } else { SIZE };
    let exact = lab.take(&job.target, size);
    if failed && job.alone {
        let error = &document["error"];
        expect(is_one_of(error, failures) && attempts.len() == 1 && !exact, "the answer")?;
        return expect(answer.status == status_of(error["kind"].as_str().unwrap()), "the exit status");
    }
    expect(answer.status == 0 && exact, "the bytes")?;
    expect(attempts.len() == if failed { 2 } else { 1 }, "the number of attempts")?;
    let honest = if place == Place::Unpack { "honest-unpack" } else { "file" };
    let last = attempts[attempts.len() - 1]["handlers"].as_array().unwrap().last().unwrap().as_str().unwrap();
    expect((last == honest) == failed, "who brought them")
}

/// A probe: a handler that cannot be asked is left out, and the reason told.
fn probed(lab: &Lab<'_>, place: Place, job: &Job, answer: &Answer) -> Result<(), String> {
    let document = answer.document();
    let exact = lab.take(&job.target, SIZE);
    let Fails(failures) = fate(job.deed, place) else {
        let by = document["attempts"][0]["handlers"].as_array().unwrap().last().unwrap().as_str().unwrap();
        return expect(answer.status == 0 && exact && by.starts_with("villain"), "the placement by the villain");
    };
    let told = |reason: &str| failures.iter().any(|(_, code)| reason.contains(words(code)));
    let reasons: Vec<&str> =
        document["excluded"].as_array().unwrap().iter().filter_map(|excluded| excluded["reason"].as_str()).collect();
    if job.alone {
        expect(reasons.iter().any(|reason| told(reason)), "the reason")?;
        expect(told(document["error"]["message"].as_str().unwrap_or_default()), "the answer's reason")?;
        let error = &document["error"];
        let crashed = failures.iter().any(|(kind, _)| *kind == "crashed");
        expect(!crashed || is_one_of(error, failures), "the answer")?;
        let kind = if crashed { "crashed" } else { "unsupported" };
        return expect(answer.status == status_of(kind) && !exact, "the exit status");
    }
    expect(reasons.iter().any(|reason| told(reason)), "the reason")?;
    expect(answer.status == 0 && exact, "the bytes")?;
    expect(document["attempts"].as_array().unwrap().len() == 1, "the number of attempts")
}

/// What `landfall handlers` says of a handler whose configuration orders a deed.
fn configured(deed: &str, place: Place, answer: &Answer) -> Result<(), String> {
    let document = answer.document();
    expect(answer.status == 0, "the exit status")?;
    let listed = document["handlers"].as_array().unwrap().iter().find(|handler| handler["info"]["id"] == "villain");
    let said = listed.and_then(|handler| handler["status"].as_str()).unwrap_or_default();
    if (deed, place) == ("leak-fds", Place::Create) {
        // It is made, and there is nothing left to be asked with.
        return expect(said.contains("Too many open files"), "its status");
    }
    let Fails(failures) = fate(deed, place) else { return expect(listed.is_some() && said.is_empty(), "it is ready") };
    if place == Place::Status {
        return expect(failures.iter().any(|(_, code)| said.contains(words(code))), "its status");
    }
    let reports = document["plugins"].as_array().unwrap().iter().filter_map(|report| report["handlers"].as_array());
    let skipped =
        reports.flatten().find(|handler| handler["id"] == "villain").map(|handler| &handler["skipped"]["code"]);
    expect(
        listed.is_none() && failures.iter().any(|(_, code)| skipped.is_some_and(|skipped| skipped == code)),
        "its report",
    )
}
