//! Each deed is seen to happen where nothing holds it back (`plugins/unconfined.c`): what a worker survives is real.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::c_plugin::{PluginDir, Product, compile};
use crate::support::mounts::Fs;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

use super::lab::{DEEDS, SIZE, villain};

/// Where the deed is done, and what tells that it was.
fn control(deed: &str) -> (&'static str, fn(&Value) -> bool) {
    fn number(seen: &Value, name: &str) -> u64 {
        seen[name].as_u64().unwrap_or_else(|| panic!("no {name} in {seen}"))
    }
    fn ended(seen: &Value, how: &str, numbers: &[u64]) -> bool {
        seen["ended"] == how && numbers.contains(&number(seen, "number"))
    }
    // Signals: 6 SIGABRT, 9 SIGKILL, 11 SIGSEGV, 14 SIGALRM, 19 SIGSTOP, 24 SIGXCPU.
    match deed {
        "segv" => ("open", |seen| ended(seen, "signal", &[11])),
        "abort" => ("open", |seen| ended(seen, "signal", &[6])),
        "stack-overflow" => ("open", |seen| ended(seen, "signal", &[11]) && number(seen, "most_rss_kib") > 8 << 10),
        "exit" => ("open", |seen| ended(seen, "exit", &[3])),
        "exit0" => ("open", |seen| ended(seen, "exit", &[0])),
        "raise-kill" => ("open", |seen| ended(seen, "signal", &[9])),
        "stop" => ("open", |seen| ended(seen, "stop", &[19])),
        // Where others take the CPU, it is the time that ends it.
        "spin" => ("open", |seen| ended(seen, "signal", &[14, 24])),
        "sleep" => ("open", |seen| ended(seen, "signal", &[14])),
        "eat-memory" => ("open", |seen| ended(seen, "signal", &[6]) && number(seen, "most_rss_kib") > 256 << 10),
        "leak-fds" => ("open", |seen| number(seen, "descriptors") == 4096),
        "leak-threads" => ("open", |seen| number(seen, "threads") == 51),
        "fork" => ("open", |seen| number(seen, "children") == 1),
        "fork-crash" => ("open", |seen| ended(seen, "signal", &[11]) && number(seen, "children") == 1),
        // The first three, and one that is kept out of its reach.
        "close-all" => ("open", |seen| number(seen, "descriptors") == 4),
        "garbage" => ("open", |seen| number(seen, "socket_bytes") == 1000),
        "huge" => ("open", |seen| number(seen, "socket_bytes") > 64 << 10),
        "log-flood" => ("open", |seen| number(seen, "log_lines") == 100_000),
        "message-long" => ("open", |seen| {
            [number(seen, "returned"), number(seen, "code_bytes"), number(seen, "message_bytes")] == [5, 48, 1024]
        }),
        "error-as-success" => ("open", |seen| number(seen, "returned") == 77 && number(seen, "message_bytes") == 0),
        "fine" => ("open", |seen| number(seen, "returned") == 0 && number(seen, "sink_bytes") == SIZE),
        "scribble" => ("read", |seen| seen["mapping_changed"] == true),
        "claim" => ("read", |seen| number(seen, "returned") == 0 && number(seen, "sink_bytes") == 0),
        "wrong-size" => ("read", |seen| number(seen, "said_bytes") == SIZE && number(seen, "sink_bytes") == SIZE / 2),
        "beyond" => ("transfer", |seen| number(seen, "file_bytes") == SIZE + (1 << 20) + 1),
        "adopt-odd" => ("transfer", |seen| number(seen, "adoptions") == 2),
        "twice" => ("transfer", |seen| number(seen, "outputs") == 2),
        "no-finish" => ("transfer", |seen| number(seen, "outputs") == 1 && number(seen, "finishes") == 0),
        deed => panic!("no control for {deed}"),
    }
}

pub(super) fn all(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let library = villain(world, PluginDir::new(&sandbox, "villain").path());
    let program = sandbox.home("unconfined");
    compile(world, "tests/plugins/unconfined.c", &program, Product::Program, &[]);
    let start = |deed: &str, place: &str| -> Child {
        Command::new(&program)
            .arg(&library)
            .args([deed, place])
            .arg(sandbox.home(&format!("{deed}-{place}.bin")))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let end = |child: Child| -> Value {
        let output = child.wait_with_output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    };
    // It takes as long as it may, and none of the others' time.
    let sleep = start("sleep", "open");
    let (mut seen_to, mut wrong) = (1, Vec::new());
    let fine = ["open", "read", "transfer"].map(|place| (place, end(start("fine", place))));
    let mut look = |deed: &str, seen: &Value| {
        let (place, happened) = control(deed);
        let unharmed = &fine.iter().find(|(of, _)| *of == place).unwrap().1;
        if !happened(seen) {
            wrong.push(format!("{deed} did not happen at {place}: {seen}"));
        } else if deed != "fine" && unharmed["returned"] == 0 && seen["ended"].is_null() && happened(unharmed) {
            wrong.push(format!("what tells of {deed} tells of no deed as well: {unharmed}"));
        }
    };
    for (deed, _) in DEEDS.into_iter().filter(|(deed, _)| *deed != "sleep") {
        look(deed, &end(start(deed, control(deed).0)));
        seen_to += 1;
    }
    look("sleep", &end(sleep));
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(seen_to, 28);
}
