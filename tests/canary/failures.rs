//! Downloads that fail, each in its own way, with secrets in everything that they are told.

use std::net::TcpListener;

use nix::sys::signal::{Signal, kill};
use serde_json::json;

use crate::support::c_plugin::PluginDir;
use crate::support::mode::Mode;
use crate::support::nginx::Site;
use crate::support::world::World;

use super::aviary::{Aviary, HELD, IMAGE};

pub(super) fn all(world: &World) {
    let aviary = Aviary::new(world);
    let signature = aviary.canary("redirect signature").quoted();
    let to_file = format!("return 302 file://user:{signature}@host/x?signature={signature};");
    let site = Site::new()
        .place("/401/", "return 401;")
        .place("/404/", "return 404;")
        .place("/out/", &to_file)
        .place("/held/", HELD)
        .tls("expired", aviary.certificates.server("expired"));
    let server = aviary.server("server", site);
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap()
    };
    let from = |url: &str| aviary.secret(url);
    let urls = [
        ("401", from(&server.url("/401/disk.raw")), "http-401"),
        ("404", from(&server.url("/404/disk.raw")), "http-404"),
        ("refused", from(&format!("http://{closed}/disk.raw")), "connect-refused"),
        ("redirect", from(&server.url("/out/")), "redirect-refused"),
        ("TLS", from(&server.tls_url("expired", "/disk.raw")), "tls-certificate"),
        ("silence", from(&format!("http://{}/disk.raw", silent.local_addr().unwrap())), "stalled"),
        ("scheme", from(&format!("gopher://{}/disk.raw", server.address())), "no-attempt"),
    ];
    for (what, url, code) in &urls {
        // Only who says nothing at all is to be found too slow, not who is slow on a busy machine.
        aviary.configure("", if *what == "silence" { "stall = \"200ms\"" } else { "" });
        let answers = aviary.run_all_ways(what, &aviary.record(url));
        // With the words of the failure, which name the location.
        let document = answers[2].stdout.as_str();
        assert!(document.contains(&format!("\"{code}\"")) || *what == "scheme", "{what}: {:#?}", answers[2]);
        assert_ne!((answers[2].status, answers[3].status), (0, 0), "{what}: {:#?}", answers[2]);
    }

    let mut wrong = IMAGE.record(&[from(&server.url("/disk.raw"))]);
    wrong["os_hash_value"] = json!("0".repeat(64));
    let answers = aviary.run_all_ways("digest", &aviary.keep(&wrong));
    assert!(answers[2].stdout.contains("\"digest-mismatch\""), "{:#?}", answers[2]);

    // No record, and secrets where none belong.
    let mut bad = IMAGE.record(&[from(&server.url("/disk.raw"))]);
    bad["size"] = json!(format!("{} ", aviary.canary("password").text()));
    let answers = aviary.run_all_ways("record", &aviary.keep(&bad));
    assert_eq!(answers[2].status, 11, "{:#?}", answers[2]);
    let path = aviary.sandbox.home("image.json");
    std::fs::write(&path, format!("{{\"locations\": [{{\"url\": \"{}\"", aviary.secret("http://h/x"))).unwrap();
    aviary.run_all_ways("broken record", &path);

    // A URL with a secret is no argument.
    let answer = aviary.place("-").input(format!("\"{}\"", from(&server.url("/disk.raw")))).run();
    aviary.assert_clean("input", &answer);

    aviary.configure("", "");
    let held = aviary.record(&from(&server.url("/held/disk.raw")));
    let answer = aviary.place(&held).args(["--deadline", "700ms"]).run();
    assert_eq!(answer.status, 19, "{answer:#?}");
    aviary.assert_clean("deadline", &answer);
    let running = aviary.halfway(aviary.place(&held));
    running.signal(Signal::SIGTERM);
    let answer = running.finish();
    assert_eq!(answer.status, 19, "{answer:#?}");
    aviary.assert_clean("terminated", &answer);
    if world.mode == Mode::Worker {
        let running = aviary.halfway(aviary.place(&held));
        let worker = aviary.processes().into_iter().find(|(process, _)| *process != running.pid()).expect("a worker").0;
        kill(worker, Signal::SIGKILL).unwrap();
        let answer = running.finish();
        assert!(answer.stdout.contains("\"worker-killed\""), "{answer:#?}");
        aviary.assert_clean("worker", &answer);
    }
    aviary.ask_everything();
}

/// A plugin that dies with the secret in its memory. In the agent nothing could be said of it afterwards.
pub(super) fn crashed(world: &World) {
    let aviary = Aviary::new(world);
    let plugins = PluginDir::new(&aviary.sandbox, "villains");
    plugins.add(world, "villain.so", "tests/plugins/villain.c", &[]);
    aviary.sandbox.configure(&plugins.line(), "[limits]\nbench = \"0s\"\n");
    for deed in ["segv", "abort", "message-long", "log-flood"] {
        let url = format!("villain://{deed}/{}/at=open#{}", IMAGE.size, aviary.canary("fragment").quoted());
        let record = aviary.record(&url);
        aviary.run_all_ways(deed, &record);
    }
    aviary.ask_everything();
}
