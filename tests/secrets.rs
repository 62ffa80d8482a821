//! A secret in a record is found nowhere afterwards: no output, no ledger, no file.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::answer::{CANARY, has_secret};
use crate::support::case::Case;
use crate::support::disk::noisy_file;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("secrets::canary_in_urls", urls).needs(&[Need::Program("cc")]),
        Case::new("secrets::canary_in_the_configuration", configuration),
        Case::new("secrets::names_cannot_write_log_lines", names),
    ]
}

/// URLs with the canary where a secret can be, some badly quoted.
fn planted() -> Vec<String> {
    let c = CANARY;
    vec![
        format!("swift+https://u:{c}@h.example/v1/c/o"),
        format!("swift+https://account:user:{c}@auth.example/v1/c/o"),
        format!("https://user:{c}@127.0.0.1/disk.raw"),
        format!("https://{c}@127.0.0.1/disk.raw"),
        format!("https://127.0.0.1/disk.raw?temp_url_sig={c}&temp_url_expires=1"),
        format!("https://127.0.0.1/disk.raw?{c}"),
        format!("https://127.0.0.1/disk.raw#{c}"),
        format!("s3://access:{c}/with/slashes@host/bucket/key"),
        format!("https://user:{c}?question@127.0.0.1/disk.raw"),
        format!("https://user:{c}#hash@127.0.0.1/disk.raw"),
        format!("https://user:a@b{c}@127.0.0.1/disk.raw"),
        format!("https:/user:{c}@127.0.0.1/disk.raw"),
        format!("user:{c}@127.0.0.1"),
        format!("fault-source://user:{c}@host/error"),
    ]
}

/// The files beneath a directory that hold the canary.
pub(crate) fn files_with_secret(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with_secret(&path));
        } else if has_secret(&String::from_utf8_lossy(&fs::read(&path).unwrap())) {
            found.push(path);
        }
    }
    found
}

fn urls(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = crate::support::c_plugin::PluginDir::with_faults(&sandbox);
    sandbox.configure(&dir.line(), "");
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let mut record = record_of(&file);
    let good = record["locations"][0].clone();
    let mut locations: Vec<_> = planted().iter().map(|url| json!({ "url": url, "metrics": { "weight": 9 } })).collect();
    locations.push(good);
    record["locations"] = json!(locations);
    record["direct_url"] = json!(planted()[0]);
    let path = sandbox.record("image.json", &record);

    // Placed in spite of them, and every one of them alone refused; every answer is searched by the runner.
    sandbox.place(&path, "disk").args(["--progress", "json"]).run().success();
    let text = |command: &str| sandbox.landfall(command).arg(&path).arg("--to").arg(sandbox.out("text"));
    sandbox.plan(&path, "planned").run().success();
    text("plan").run().success();
    text("place").args(["--progress", "bar"]).for_terminal().run().success();
    for url in planted() {
        record["locations"] = json!([{ "url": url }]);
        let alone = sandbox.record("alone.json", &record);
        for json in [true, false] {
            let line = sandbox.landfall("place").arg(&alone).arg("--to").arg(sandbox.out("refused"));
            let answer = if json { line.json() } else { line }.run();
            assert_ne!(answer.status, 0, "{answer:#?}");
        }
        // In a record that is no record, nothing of it is repeated either.
        let broken = format!("{{\"locations\": [{{\"url\": \"{url}\", \"size\": \"{CANARY}\"}}]}}");
        let answer = sandbox.place("-", "refused").input(broken).run();
        answer.failure("invalid", "record", "request");
    }
    for command in ["placements", "history"] {
        sandbox.landfall(command).run().success();
        sandbox.landfall(command).json().run().success();
    }

    // The records have it, as the search must find; nothing else that was written has.
    let expected = [sandbox.home("alone.json"), sandbox.home("image.json")];
    let mut found = files_with_secret(sandbox.home("").as_path());
    found.sort();
    assert_eq!(found, expected, "only the records hold the secret");
    assert_eq!(files_with_secret(sandbox.out_dir()), Vec::<std::path::PathBuf>::new());
    assert!(has_secret(&fs::read_to_string(&path).unwrap()), "the search finds what is there");
}

fn configuration(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let section = format!("[handler.file]\npassword = \"{CANARY}\"\n[handler.other]\napi_token = \"{CANARY}\"\n");
    sandbox.configure("", &section);
    // The file handler has no password, which only itself knows.
    for (words, status) in
        [(&["config", "show"][..], 0), (&["config", "check"], 2), (&["handlers"], 0), (&["placements"], 0)]
    {
        let answer = sandbox.landfall(words[0]).args(&words[1..]).run();
        assert_eq!(answer.status, status, "{answer:#?}");
    }
    sandbox.landfall("handlers").json().run().success();
    // An error in the very line does not show it.
    for wrong in ["password = \"{}\" x", "password = \"{}", "api_token = {}"] {
        let line = wrong.replace("{}", CANARY);
        sandbox.configure("", &format!("[handler.file]\n{line}\n"));
        let answer = sandbox.landfall("config").arg("check").run();
        assert_eq!(answer.status, 2, "{answer:#?}");
    }
}

fn names(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let hostile = "x\n2026-01-01 landfall: all is well\u{1b}[2J\u{7}\r\u{9b}31m\u{202e}";
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let mut record = record_of(&file);
    for key in ["id", "name", "owner", "disk_format", "container_format", "os_hash_algo", "status"] {
        record[key] = json!(hostile);
    }
    record["locations"][0]["url"] = json!(format!("file://{hostile}"));
    record["locations"][0]["metadata"] = json!({ "store": hostile, hostile: hostile });
    let mut bad_status = record["locations"][0].clone();
    bad_status["status"] = json!(hostile);
    let bad_scheme = json!({ "url": format!("sch{hostile}eme://{hostile}"), "metrics": { "weight": hostile } });
    record["locations"] = json!([record["locations"][0], bad_status, bad_scheme]);

    // Every answer is searched for control characters by the runner; direction marks are as bad.
    let clean = |text: &str| {
        assert!(!text.contains('\u{202e}'), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01 landfall: all")), "a forged line: {text}");
    };
    let mut good = record_of(&file);
    good["id"] = json!(hostile);
    good["name"] = json!(hostile);
    for (number, record) in [&record, &good].into_iter().enumerate() {
        let path = sandbox.record("image.json", record);
        for command in ["plan", "place"] {
            for format in ["as-is", "raw"] {
                for json in [true, false] {
                    let name = format!("disk-{number}-{format}-{json}");
                    let line = sandbox.landfall(command).arg(&path).arg("--to").arg(sandbox.out(&name));
                    let line = line.args(["--format", format, "--progress", "json"]);
                    let answer = if json { line.json() } else { line }.run();
                    assert_eq!(answer.status == 0, number == 1, "{answer:#?}");
                    clean(&answer.text());
                }
            }
        }
    }
    let argument = sandbox.landfall("place").arg(format!("/nowhere/{hostile}")).arg("--to").arg(sandbox.out(hostile));
    clean(&argument.json().run().text());
    for command in ["placements", "history"] {
        let answer = sandbox.landfall(command).run();
        answer.success();
        clean(&answer.stdout);
        let answer = sandbox.landfall(command).json().run();
        answer.success();
        clean(&answer.stdout);
    }
}
