//! Every kind of error, every scope, every exit status: what is tried next, and what the caller hears.

use landfall_handler_api::{ErrorKind, Scope};
use serde_json::{Value, json};

use crate::support::answer::{STATUS, status_of};
use crate::support::c_plugin::PluginDir;
use crate::support::case::Case;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

const CC: [Need; 1] = [Need::Program("cc")];

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("errors::statuses_are_those_of_the_kinds", |_| statuses()).mode_independent(),
        Case::new("errors::each_kind_and_scope_from_a_source", |world| sweep(world, "fault-source")).needs(&CC),
        Case::new("errors::each_kind_and_scope_from_a_transfer", |world| sweep(world, "fault-transfer")).needs(&CC),
        Case::new("errors::the_last_failure_is_the_answer", last).needs(&CC),
        Case::new("errors::handlers_that_break_the_contract", broken).needs(&CC),
        Case::new("errors::transfers_that_break_the_contract", broken_transfers).needs(&CC),
        Case::new("errors::texts_from_a_handler_are_tamed", hostile_text).needs(&CC),
    ]
}

fn statuses() {
    assert_eq!(STATUS.len(), ErrorKind::ALL.len());
    let mut numbers = ErrorKind::ALL.map(|kind| status_of(kind.name()));
    numbers.sort_unstable();
    assert_eq!(numbers.to_vec(), (10..=23).collect::<Vec<_>>(), "the tests know every kind, each with its own status");
}

/// SHA-256 of what both fault handlers serve as five bytes, "abcde".
const ABCDE: &str = "36bbe50ed96841d10443bcb670d6554f0a34b761be67ec9c4a8ad2c0c44ca42c";

/// Every placement tries every handler: none is left out because it crashed on the image before.
const NO_BENCH: &str = "[limits]\nbench = \"0s\"\n";

/// The record of an image whose size nobody says.
fn unsized_record(urls: &[String]) -> Value {
    let mut record = record(urls);
    record["size"] = Value::Null;
    record
}

fn record(urls: &[String]) -> Value {
    json!({
        "id": "faulty",
        "disk_format": "raw",
        "container_format": "bare",
        "size": 5,
        "os_hash_algo": "sha256",
        "os_hash_value": ABCDE,
        "locations": urls.iter().map(|url| json!({ "url": url })).collect::<Vec<_>>(),
    })
}

fn with_faults(world: &World) -> Sandbox<'_> {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::with_faults(&sandbox);
    let top = format!("{}handlers = [\"fault-source\", \"fault-transfer\"]\n", dir.line());
    sandbox.configure(&top, &format!("{NO_BENCH}grace = \"300ms\"\n"));
    sandbox
}

/// `handler` fails at its first location, its second one and another handler's are good.
fn sweep(world: &World, handler: &str) {
    let sandbox = with_faults(world);
    let own_good = if handler == "fault-source" { "fault-source://text/abcde" } else { "fault-transfer://whole/5" };
    let other = if handler == "fault-source" { "fault-transfer://whole/5" } else { "fault-source://text/abcde" };
    // The failing handler is asked first.
    let others_name = if handler == "fault-source" { "fault-transfer" } else { "fault-source" };
    let dir = sandbox.home("faults");
    let top = format!("plugin_dirs = [{dir:?}]\nhandlers = [{handler:?}, {others_name:?}]\n");
    sandbox.configure(&top, NO_BENCH);

    let mut cases = 0;
    for kind in ErrorKind::ALL {
        for scope in std::iter::once(None).chain(Scope::ALL.map(Some)) {
            let number = scope.map_or(0, Scope::number);
            let meant = scope.unwrap_or_else(|| kind.default_scope());
            let bad = format!("{handler}://error/{}/{number}/planted-code", kind.number());
            let name = format!("disk-{cases}");
            let urls = [bad.clone(), own_good.to_owned(), other.to_owned()];
            let answer = sandbox.place_value(&record(&urls), &name);
            let document = answer.document();
            let attempts = document["attempts"].as_array().unwrap();
            let first = ["kind", "code", "scope"].map(|key| attempts[0][key].as_str().unwrap_or_default());
            // Nobody cancelled it, and targets and digests are the host's: a handler that says so has a bug.
            let (told, code, meant) = match kind {
                ErrorKind::Cancelled => (ErrorKind::Internal, "not-cancelled", Scope::Handler),
                ErrorKind::Exists | ErrorKind::Unhashed => (ErrorKind::Internal, "bad-error", Scope::Handler),
                kind => (kind, "planted-code", meant),
            };
            assert_eq!(first, [told.name(), code, meant.name()], "{answer:#?}");
            match meant {
                Scope::Location | Scope::Handler => {
                    let (by, from) = if meant == Scope::Location { (handler, own_good) } else { (others_name, other) };
                    answer.success();
                    assert_eq!((attempts.len(), &document["handler"]), (2, &json!(by)), "{answer:#?}");
                    assert_eq!(document["locations"], json!([from]), "{answer:#?}");
                    assert_eq!(std::fs::read(sandbox.out(&name)).unwrap(), b"abcde");
                    std::fs::remove_file(sandbox.out(&name)).unwrap();
                }
                Scope::Image | Scope::Request | Scope::Node => {
                    answer.failure(told.name(), code, meant.name());
                    assert_eq!(attempts.len(), 1, "{answer:#?}");
                }
            }
            sandbox.only(&[]);
            // Alone, it is the answer, whatever its scope.
            let answer = sandbox.place_value(&record(&[bad]), &name);
            answer.failure(told.name(), code, meant.name());
            sandbox.only(&[]);
            cases += 1;
        }
    }
    assert_eq!(cases, 14 * 6);
}

fn last(world: &World) {
    let sandbox = with_faults(world);
    let error =
        |kind: ErrorKind, scope: u32, code: &str| format!("fault-source://error/{}/{scope}/{code}", kind.number());
    let table = [
        // After several failures of single locations: the last.
        (
            vec![
                error(ErrorKind::NotFound, 0, "one"),
                error(ErrorKind::Denied, 0, "two"),
                error(ErrorKind::Io, 0, "three"),
            ],
            ["io", "three", "location"],
            3,
        ),
        // What stops the plan, though something would come after it.
        (
            vec![
                error(ErrorKind::NotFound, 0, "one"),
                error(ErrorKind::Limit, 3, "two"),
                error(ErrorKind::Io, 0, "three"),
            ],
            ["limit", "two", "image"],
            2,
        ),
        // What rules out the only handler.
        (
            vec![
                error(ErrorKind::NotFound, 0, "one"),
                error(ErrorKind::Crashed, 0, "two"),
                error(ErrorKind::Io, 0, "three"),
            ],
            ["crashed", "two", "handler"],
            2,
        ),
        // Words of the host's own have no power in a plugin's mouth: no attempt is made again for ever, and nothing passes
        // for a mistake in the configuration.
        (vec![error(ErrorKind::Unavailable, 1, "link-refused")], ["unavailable", "link-refused", "location"], 1),
        (vec![error(ErrorKind::Invalid, 4, "config")], ["invalid", "plugin-config", "request"], 1),
    ];
    for (urls, [kind, code, scope], tried) in table {
        let answer = sandbox.place_value(&record(&urls), "disk");
        let document = answer.failure(kind, code, scope);
        assert_eq!(document["attempts"].as_array().unwrap().len(), tried, "{answer:#?}");
        sandbox.only(&[]);
        let told = document["excluded"].as_array().unwrap().iter().any(|one| {
            one["handler"] == "fault-source" && one["reason"].as_str().is_some_and(|reason| reason.contains("ruled"))
        });
        assert_eq!(told, scope == "handler", "what an earlier failure ruled out is told: {answer:#?}");
    }
}

/// Places from each location alone; collects what does not fail as expected. `read-error`, `huge` and `twice` have sizes of
/// their own, which the record leaves open.
fn expect(sandbox: &Sandbox<'_>, scheme: &str, table: &[(&str, [&str; 3])]) {
    let mut wrong = Vec::new();
    for (verb, expected) in table {
        let urls = [format!("{scheme}://{verb}")];
        let own_size = ["read-error", "huge", "twice"].iter().any(|own| verb.starts_with(own));
        let answer = sandbox.place_value(&if own_size { unsized_record(&urls) } else { record(&urls) }, "disk");
        let error = &answer.document()["error"];
        let found = ["kind", "code", "scope"].map(|key| error[key].as_str().unwrap_or("none"));
        if found != *expected {
            wrong.push(format!("{verb}: {found:?}, expected {expected:?}: {}", error["message"]));
        }
        if answer.status == 0 {
            std::fs::remove_file(sandbox.out("disk")).unwrap();
        }
        sandbox.only(&[]);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn broken(world: &World) {
    let sandbox = with_faults(world);
    let table = [
        ("bare-error/3", ["not-found", "unexplained", "location"]),
        ("bare-error/14", ["internal", "unexplained", "handler"]),
        ("bare-error/99", ["internal", "bad-error", "handler"]),
        ("size/4/abcde", ["corrupt", "size-mismatch", "location"]),
        ("size/6/abcdef", ["corrupt", "size-mismatch", "location"]),
        ("size/5/abcd", ["corrupt", "short-body", "location"]),
        ("more/3/abcde", ["internal", "beyond-range", "handler"]),
        ("text/abcdX", ["corrupt", "digest-mismatch", "location"]),
        ("stream/abcd", ["corrupt", "short-body", "location"]),
        ("stream/abcdef", ["corrupt", "long-body", "location"]),
        ("fd/abcd", ["corrupt", "size-mismatch", "location"]),
        ("read-error/5/0/planted", ["unavailable", "planted", "location"]),
        ("over-commit/abcde", ["internal", "bad-argument", "handler"]),
        ("bad-fd", ["internal", "bad-source", "handler"]),
        ("no-read", ["internal", "bad-source", "handler"]),
        ("no-source", ["internal", "null-struct", "handler"]),
        ("short-source", ["internal", "struct-too-short", "handler"]),
        ("bad-size", ["internal", "bad-source", "handler"]),
        ("bad-validator", ["invalid", "not-utf8", "location"]),
    ];
    expect(&sandbox, "fault-source", &table);
    // The same handler does well where its source does: by reads, as a stream of unknown size, from a descriptor.
    for (verb, method) in [("text", "stream"), ("stream", "stream"), ("fd", "copy")] {
        let answer = sandbox.place_value(&record(&[format!("fault-source://{verb}/abcde")]), verb);
        assert_eq!(answer.success()["method"], method, "{answer:#?}");
        assert_eq!(std::fs::read(sandbox.out(verb)).unwrap(), b"abcde");
    }
}

fn broken_transfers(world: &World) {
    let sandbox = with_faults(world);
    let table = [
        ("whole/4", ["corrupt", "size-mismatch", "location"]),
        ("whole/6", ["corrupt", "size-mismatch", "location"]),
        ("beyond/5", ["limit", "output-bounds", "handler"]),
        ("unfinished/5", ["crashed", "output-unfinished", "handler"]),
        ("after-finish/5", ["internal", "output-finished", "handler"]),
        ("no-output", ["crashed", "output-unfinished", "handler"]),
        ("reopen/5", ["internal", "output-opened-twice", "handler"]),
        ("huge", ["limit", "disk-bytes", "location"]),
        ("nulls", ["unavailable", "nulls-refused", "location"]),
        ("twice/5", ["unavailable", "first-try", "location"]),
    ];
    expect(&sandbox, "fault-transfer", &table);
    // A failed try leaves no byte behind in what the next one publishes. In a worker each try is the first of its process.
    let next = world.expected("fault-transfer://twice/5", "fault-transfer://whole/5");
    let urls = ["fault-transfer://twice/5", next].map(str::to_owned);
    let answer = sandbox.place_value(&unsized_record(&urls), "disk");
    let document = answer.success();
    assert_eq!((document["attempts"].as_array().unwrap().len(), &document["method"]), (2, &json!("transfer")));
    assert_eq!(std::fs::read(sandbox.out("disk")).unwrap(), b"abcde");
    // A write beyond the end does not happen, whatever the handler makes of the refusal.
    sandbox.place_value(&record(&["fault-transfer://beyond-ignored/5".to_owned()]), "beyond").success();
    assert_eq!(std::fs::read(sandbox.out("beyond")).unwrap(), b"abcde");
}

fn hostile_text(world: &World) {
    let sandbox = with_faults(world);
    // Every answer is searched for control characters.
    for verb in ["log", "unterminated/3"] {
        for scheme in ["fault-source", "fault-transfer"] {
            let path = sandbox.record("image.json", &record(&[format!("{scheme}://{verb}")]));
            for json in [true, false] {
                let line = sandbox.landfall("place").arg(&path).arg("--to").arg(sandbox.out("disk"));
                let answer = if json { line.json() } else { line }.run();
                assert_ne!(answer.status, 0, "{answer:#?}");
            }
        }
    }
    sandbox.landfall("history").run().success();
    sandbox.landfall("history").json().run().success();
    sandbox.only(&[]);
}
