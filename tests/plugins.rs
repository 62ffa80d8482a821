//! Plugins that load, plugins that do not, and that `landfall handlers` says what became of each.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::c_plugin::{PluginDir, Product, compile};
use crate::support::case::Case;
use crate::support::disk::noisy_file;
use crate::support::gate::record_of_x;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::record::digest;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// The product's own handlers, in the order of their files.
const OWN: [&str; 11] = ["vmdk", "ova", "gzip", "zstd", "xz", "bzip2", "file", "http", "swift", "s3", "glance"];

pub(crate) fn cases() -> Vec<Case> {
    let cc = [Need::Program("cc")];
    vec![
        Case::new("plugins::tables", tables).needs(&cc),
        Case::new("plugins::files_that_are_no_plugins", no_plugins).needs(&cc),
        Case::new("plugins::trust", trust).needs(&cc),
        Case::new("plugins::allowed_digests", allowed).needs(&cc),
        Case::new("plugins::duplicate_handlers", duplicates).needs(&cc),
        Case::new("plugins::guard_pages_are_real", guard_pages).needs(&cc),
        Case::new("plugins::structs_of_sources", source_structs).needs(&cc),
        Case::new("plugins::examples_place", examples).needs(&cc),
        Case::new("plugins::inspect_and_check", inspect_and_check).needs(&cc),
        Case::new("plugins::none_at_all", none),
        Case::new("plugins::environment_is_not_searched", environment).needs(&cc),
        Case::new("plugins::where_they_run", isolation).needs(&cc).mode_independent(),
    ]
}

const TABLE: &str = "tests/plugins/table.c";

/// What `landfall handlers --json` says of this file: nothing when it is loaded with all its handlers, else the code.
fn verdict(document: &Value, file: &Path) -> Option<String> {
    let reports = document["plugins"].as_array().unwrap_or_else(|| panic!("{document:#}"));
    let report = reports
        .iter()
        .find(|report| report["path"] == file.to_str().unwrap())
        .unwrap_or_else(|| panic!("{} in {document:#}", file.display()));
    if report["outcome"] == "skipped" {
        return Some(report["code"].as_str().expect("a code").to_owned());
    }
    assert_eq!(report["outcome"], "loaded", "{report:#}");
    let skipped = report["handlers"].as_array().unwrap().iter().find(|handler| !handler["skipped"].is_null());
    skipped.map(|handler| handler["skipped"]["code"].as_str().expect("a code").to_owned())
}

fn handler_ids(document: &Value) -> Vec<&str> {
    document["handlers"].as_array().unwrap().iter().map(|handler| handler["info"]["id"].as_str().unwrap()).collect()
}

/// Where each handler runs, by its id.
fn isolations(document: &Value) -> BTreeMap<&str, &str> {
    let ids = handler_ids(document).into_iter();
    ids.zip(document["handlers"].as_array().unwrap().iter().map(|handler| handler["isolation"].as_str().unwrap()))
        .collect()
}

/// Both forms of `landfall handlers`, which must agree; gives the document.
fn listed(sandbox: &Sandbox<'_>, file: &Path, expected: Option<&str>) -> Value {
    let answer = sandbox.landfall("handlers").json().run();
    let document = answer.success().clone();
    assert_eq!(verdict(&document, file).as_deref(), expected, "{}: {document:#}", file.display());
    assert!(handler_ids(&document).contains(&"file"), "the others are loaded: {document:#}");
    let mode = sandbox.world.expected("inline", "worker");
    assert!(isolations(&document).values().all(|&found| found == mode), "all run in {mode}: {document:#}");
    let text = sandbox.landfall("handlers").run();
    text.success();
    let name = file.to_str().unwrap();
    assert!(text.stdout.contains(name), "{text:#?}");
    if let Some(code) = expected {
        assert!(text.stdout.contains(&format!("({code})")), "{code} in {text:#?}");
    }
    document
}

fn tables(world: &World) {
    // Each in a directory of its own, since a duplicate is another matter.
    let table = [
        ("PLAIN", None),
        ("SHORT", None),
        ("LONG", None),
        ("GUARD_PAGE", None),
        ("LOW_FLAG", None),
        ("NOISY_CONSTRUCTOR", None),
        ("TOO_SHORT", Some("struct-too-short")),
        ("ODD_SIZE", Some("struct-too-short")),
        ("OTHER_MINOR", Some("abi-minor")),
        ("OTHER_MAJOR", Some("abi-major")),
        ("BAD_MAGIC", Some("bad-magic")),
        ("HIGH_FLAG", Some("unknown-flags")),
        ("NULL_TABLE", Some("no-table")),
        ("NULL_HANDLERS", Some("bad-handlers")),
        ("NULL_HANDLER", Some("null-struct")),
        ("MANY_HANDLERS", Some("bad-handlers")),
        ("NULL_INFO", Some("null-text")),
        ("INFO_NOT_JSON", Some("bad-info")),
        ("INFO_NOT_UTF8", Some("not-utf8")),
        ("BAD_ID", Some("bad-info")),
        ("NO_FUNCTION", Some("bad-info")),
        ("DELETES_WITHOUT", Some("bad-info")),
        ("BAD_NAME", Some("bad-name")),
        ("BAD_THREADS", Some("bad-thread-model")),
        ("TWICE", Some("duplicate-handler")),
        // What they ask for is a process of their own.
        ("PANIC_ABORTS", world.expected(Some("panic-aborts-inline"), None)),
        ("WORKER_ONLY", world.expected(Some("worker-only"), None)),
        ("ABORT_IN_CONSTRUCTOR", Some("crashed-while-loading")),
        ("EXIT_IN_CONSTRUCTOR", Some("crashed-while-loading")),
        ("CRASH_IN_CREATE", Some("crashed-while-loading")),
        ("CRASH_IN_DESTROY", Some("crashed-while-loading")),
        ("CRASH_IN_ENTRY", Some("crashed-while-loading")),
        ("CREATE_FAILS", Some("bad-config")),
        ("CREATE_LIES", Some("no-instance")),
    ];
    let sandbox = Sandbox::on(world, Fs::Temp);
    let mut wrong = Vec::new();
    for (case, expected) in table {
        let dir = PluginDir::new(&sandbox, case);
        let file = dir.add(world, "table.so", TABLE, &[&format!("CASE={case}")]);
        sandbox.configure(&dir.line(), "");
        let answer = sandbox.landfall("handlers").json().run();
        let found = verdict(answer.success(), &file);
        if found.as_deref() != expected {
            wrong.push(format!("{case}: {found:?}, expected {expected:?}"));
            continue;
        }
        let document = listed(&sandbox, &file, expected);
        let usable = expected.is_none() || case == "TWICE";
        assert_eq!(handler_ids(&document).contains(&"table"), usable, "{case}: {document:#}");

        // What works in spite of a bad plugin: everything else. What a good one offers: its bytes.
        let source = sandbox.store("disk.raw");
        noisy_file(&source, 4000, 1);
        sandbox.place(sandbox.record_of_file(&source), case).run().success();
        let record = json!({
            "disk_format": "raw", "container_format": "bare", "size": 5, "os_hash_algo": "sha256",
            // SHA-256 of "table".
            "os_hash_value": "0d4fc4a78d3706edccafb665a8b2fdd9309e82c78625bb0f2b8e7bb9e1c4d21c",
            "locations": [{ "url": "table://x" }],
        });
        let path = sandbox.record("table.json", &record);
        let placed = sandbox.place(&path, &format!("{case}-table")).run();
        if usable {
            assert_eq!(placed.success()["method"], "stream", "{placed:#?}");
        } else {
            placed.failure("unsupported", "no-handler", "request");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn no_plugins(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let whole = PluginDir::new(&sandbox, "whole");
    let good = whole.add(world, "good.so", TABLE, &[]);
    let bytes = fs::read(&good).unwrap();
    let dir = PluginDir::new(&sandbox, "odd");
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("empty.so", b"");
    write("text.so", b"#!/bin/sh\nexit 0\n");
    write("header.so", &bytes[..64]);
    // Cut where the linker maps pages that are not there any more.
    write("half.so", &bytes[..bytes.len() / 2]);
    // Another machine's: the second byte of the machine in the ELF header.
    let mut foreign = bytes.clone();
    foreign[18..20].copy_from_slice(&[0xf3, 0x7f]);
    write("foreign.so", &foreign);
    write("left-over.so~", &bytes);
    write("readme.txt", b"not a plugin");
    fs::create_dir(dir.path().join("directory.so")).unwrap();
    nix::unistd::mkfifo(&dir.path().join("fifo.so"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    dir.add(world, "no-entry.so", TABLE, &["WITHOUT_ENTRY"]);
    sandbox.configure(&dir.line(), "");
    let table = [
        ("empty.so", "not-elf"),
        ("text.so", "not-elf"),
        ("header.so", "dlopen-failed"),
        ("half.so", "crashed-while-loading"),
        ("foreign.so", "dlopen-failed"),
        ("directory.so", "not-a-regular-file"),
        ("fifo.so", "not-a-regular-file"),
        ("no-entry.so", "no-entry-symbol"),
    ];
    for (name, code) in table {
        let document = listed(&sandbox, &dir.path().join(name), Some(code));
        let count = document["plugins"].as_array().unwrap().len();
        assert_eq!(
            count,
            table.len() + 3,
            "the product's own three, these, and nothing that is not *.so: {document:#}"
        );
    }
}

fn trust(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::new(&sandbox, "trusted");
    let file = dir.add(world, "table.so", TABLE, &[]);
    sandbox.configure(&dir.line(), "");
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    listed(&sandbox, &file, None);

    mode(&file, 0o757);
    listed(&sandbox, &file, Some("world-writable"));
    mode(&file, 0o6755);
    listed(&sandbox, &file, Some("set-id"));
    mode(&file, 0o755);
    if nix::unistd::geteuid().is_root() {
        mode(&file, 0o775);
        listed(&sandbox, &file, Some("group-writable"));
        mode(&file, 0o755);
        std::os::unix::fs::chown(&file, Some(1000), None).unwrap();
        listed(&sandbox, &file, Some("untrusted-owner"));
        std::os::unix::fs::chown(&file, Some(0), None).unwrap();
    }
    listed(&sandbox, &file, None);
    // A directory that everybody can write to: nothing in it is looked at.
    mode(dir.path(), 0o1777);
    listed(&sandbox, dir.path(), Some("world-writable"));
    mode(dir.path(), 0o755);
    // A link, even to a plugin that is fine.
    let other = PluginDir::new(&sandbox, "links");
    symlink(&file, other.path().join("link.so")).unwrap();
    sandbox.configure(&other.line(), "");
    listed(&sandbox, &other.path().join("link.so"), Some("symlink"));
    // A directory that is not there is nothing to tell about.
    sandbox.configure(&format!("plugin_dirs = [{:?}]\n", sandbox.home("nowhere")), "");
    listed(&sandbox, &world.install.file_plugin, None);
}

fn allowed(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::new(&sandbox, "plugins");
    let file = dir.add(world, "table.so", TABLE, &[]);
    let sums = [&file, &world.install.file_plugin].map(|file| digest::<sha2::Sha256>(file));
    sandbox.configure(&format!("{}plugin_sha256 = [{:?}, {:?}]\n", dir.line(), sums[0], sums[1]), "");
    listed(&sandbox, &file, None);
    sandbox.configure(&format!("{}plugin_sha256 = [{:?}]\n", dir.line(), sums[1]), "");
    listed(&sandbox, &file, Some("not-allowed"));
    // The file that was scanned before and changed since is another file.
    sandbox.configure(&dir.line(), "");
    listed(&sandbox, &file, None);
    dir.add(world, "table.so", TABLE, &["CASE=ABORT_IN_CONSTRUCTOR"]);
    listed(&sandbox, &file, Some("crashed-while-loading"));
    dir.add(world, "table.so", TABLE, &[]);
    listed(&sandbox, &file, None);
}

fn duplicates(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::new(&sandbox, "twins");
    dir.add(world, "a.so", TABLE, &[]);
    let second = dir.add(world, "b.so", TABLE, &[]);
    sandbox.configure(&dir.line(), "");
    let document = listed(&sandbox, &second, Some("duplicate-handler"));
    assert_eq!(verdict(&document, &dir.path().join("a.so")), None, "the first is used");
    assert_eq!(handler_ids(&document).iter().filter(|&&id| id == "table").count(), 1);
}

/// What would happen to a host that read beyond the end of a struct: without this, the test of the short structs that lie
/// before a guard page would say nothing.
fn guard_pages(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::new(&sandbox, "guard");
    let plugin = dir.add(world, "guard.so", TABLE, &["CASE=GUARD_PAGE"]);
    let reader = sandbox.home("reader");
    compile(world, "tests/plugins/reader.c", &reader, Product::Program, &[]);
    let read = |word: &str| Command::new(&reader).arg(&plugin).arg(word).output().unwrap().status;
    assert!(read("within").success());
    let beyond = read("beyond");
    let signal = std::os::unix::process::ExitStatusExt::signal(&beyond);
    assert_eq!(signal, Some(nix::sys::signal::Signal::SIGSEGV as i32), "{beyond:?}");
    sandbox.configure(&dir.line(), "");
    listed(&sandbox, &plugin, None);
}

fn source_structs(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::new(&sandbox, "edges");
    dir.add(world, "edges.so", "tests/plugins/edges.c", &[]);
    sandbox.configure(&dir.line(), "");
    for edge in ["long", "guard"] {
        let record = record_of_x(&format!("edges://{edge}"), 5, true);
        sandbox.place_value(&record, edge).success();
        assert_eq!(fs::read(sandbox.out(edge)).unwrap(), b"xxxxx");
    }
}

fn examples(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::new(&sandbox, "hello-c");
    dir.add(world, "hello_c.so", "examples/hello-handler-c/hello.c", &[]);
    sandbox.configure(&format!("plugin_dirs = [{:?}, {:?}]\n", world.install.hello_dir, dir.path()), "");
    for (scheme, handler) in [("hello", "hello"), ("hello-c", "hello-c")] {
        let record = record_of_x(&format!("{scheme}://xxxxx"), 5, true);
        let answer = sandbox.place_value(&record, scheme);
        let document = answer.success();
        assert_eq!((&document["handler"], &document["method"]), (&json!(handler), &json!("stream")), "{document:#}");
        assert_eq!(fs::read(sandbox.out(scheme)).unwrap(), b"xxxxx");
        let wrong = record_of_x(&format!("{scheme}://xxxxy"), 5, true);
        sandbox.place_value(&wrong, "wrong").failure("corrupt", "digest-mismatch", "location");
    }
    sandbox.only(&["hello", "hello-c"]);
}

fn inspect_and_check(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::new(&sandbox, "plugins");
    let good = dir.add(world, "hello_c.so", "examples/hello-handler-c/hello.c", &[]);
    let aborts = dir.add(world, "aborts.so", TABLE, &["CASE=ABORT_IN_CONSTRUCTOR"]);
    let minor = dir.add(world, "minor.so", TABLE, &["CASE=OTHER_MINOR"]);
    let handlers = |word: &str, file: &Path| sandbox.landfall("handlers").arg(word).arg(file);

    for (file, id) in [(good.as_path(), "hello-c"), (world.install.file_plugin.as_path(), "file")] {
        let answer = handlers("inspect", file).json().run();
        let document = answer.success();
        assert_eq!(document["plugin"]["handlers"][0]["info"]["id"], id, "{document:#}");
        assert!(handlers("inspect", file).run().success().is_null());
        let answer = handlers("check", file).json().run();
        let findings = answer.success()["findings"].as_array().unwrap().clone();
        assert!(findings.len() >= 5 && findings.iter().all(|finding| finding["outcome"] != "failed"), "{findings:#?}");
    }
    let hello = world.install.hello_dir.join("libhello_handler.so");
    handlers("check", &hello).json().run().success();

    for (file, code) in [(&aborts, "crashed-while-loading"), (&minor, "abi-minor")] {
        let answer = handlers("inspect", file).json().run();
        answer.failure("unsupported", code, "request");
        let answer = handlers("check", file).run();
        assert_eq!(answer.status, 11, "{answer:#?}");
        assert!(answer.stdout.contains("FAILED") && answer.stdout.contains(code), "{answer:#?}");
        handlers("check", file).json().run().failure("invalid", "check-failed", "request");
    }
    for (case, said) in [
        ("CRASH_IN_CREATE", "FAILED handshake: create of its handler table ended the process with SIGABRT"),
        ("CRASH_IN_DESTROY_NULL", "FAILED destroy-null table: it ended the process with SIGABRT"),
        ("PRINTS", "FAILED silence"),
        ("LEAKS", "FAILED conduct"),
        ("PANIC_ABORTS", "[panic-aborts-inline]"),
        ("WORKER_ONLY", "[worker-only]"),
    ] {
        let file = dir.add(world, "case.so", TABLE, &[&format!("CASE={case}")]);
        let answer = handlers("check", &file).run();
        assert_eq!(answer.status, 11, "{case}: {answer:#?}");
        assert!(answer.stdout.contains(said), "{case}: {answer:#?}");
    }
    // With a location that is there, everything that can be tried is.
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 400_000, 1);
    for (file, url) in
        [(&good, "HELLO-C://some text".to_owned()), (&world.install.file_plugin, source.display().to_string())]
    {
        let answer = handlers("check", file).arg("--url").arg(url).json().run();
        let findings = answer.success()["findings"].as_array().unwrap().clone();
        for check in ["open-url", "read-whole", "read-offset", "read-past-end", "read-two-at-once"] {
            let found = findings.iter().find(|finding| finding["check"] == check);
            assert_eq!(found.unwrap()["outcome"], "ok", "{check} in {findings:#?}");
        }
    }
    check_deletions(world, &sandbox, &dir);
    let missing = handlers("inspect", &dir.path().join("missing.so")).json().run();
    missing.failure("unsupported", "unreadable", "request");
}

/// What `check --delete` says of one that deletes, and of one that only says so.
fn check_deletions(world: &World, sandbox: &Sandbox<'_>, dir: &PluginDir) {
    let check = |file: &Path, url: &str, more: &[&str]| {
        let answer = sandbox.landfall("handlers").arg("check").arg(file).arg("--url").arg(url).args(more).json().run();
        let document: Value = serde_json::from_str(&answer.stdout).unwrap();
        let findings = document["findings"].as_array().unwrap().iter();
        let of_deleting = findings.filter(|finding| finding["check"].as_str().unwrap().starts_with("delete"));
        let outcome = |finding: &Value| format!("{} {}", finding["check"], finding["outcome"]).replace('"', "");
        of_deleting.map(outcome).collect::<Vec<_>>()
    };
    let kept = ["delete-probe ok", "delete ok", "delete-gone ok", "delete-again ok"];
    let honest = dir.add(world, "deletes.so", TABLE, &["CASE=DELETES"]);
    assert_eq!(check(&honest, "table://x", &["--delete"]), kept);
    assert_eq!(check(&honest, "table://x", &[]), ["delete skip"]);
    let liar = dir.add(world, "liar.so", TABLE, &["CASE=DELETES_NOTHING"]);
    assert_eq!(
        check(&liar, "table://x", &["--delete"]),
        ["delete-probe ok", "delete ok", "delete-gone failed", "delete-again ok"]
    );
    let shown = sandbox.landfall("handlers").arg("inspect").arg(&honest).run();
    assert!(shown.stdout.contains("deletes stored bytes"), "{shown:#?}");
    let [copy, beside] = ["copy.raw", "beside.raw"].map(|name| sandbox.store(name));
    noisy_file(&copy, 10_000, 1);
    noisy_file(&beside, 10_000, 1);
    let url = copy.display().to_string();
    assert_eq!(check(&world.install.file_plugin, &url, &[]), ["delete skip"]);
    assert!(copy.exists());
    assert_eq!(check(&world.install.file_plugin, &url, &["--delete"]), kept);
    assert!(!copy.exists() && beside.exists());
}

fn none(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    // A copy of the binary alone, away from every plugin.
    let lone = sandbox.home("landfall");
    fs::copy(&world.install.landfall, &lone).unwrap();
    let config = sandbox.home("landfall.toml");
    let line = |command: &str| crate::support::command::Landfall::new(&lone).arg(command).arg("--config").arg(&config);
    let answer = line("handlers").json().run();
    assert!(handler_ids(answer.success()).is_empty(), "{answer:#?}");
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 4000, 1);
    let record = sandbox.record_of_file(&source);
    let answer = line("place").arg(record).arg("--to").arg(sandbox.out("disk")).json().run();
    answer.failure("unsupported", "no-handlers", "request");
    sandbox.only(&[]);
}

fn environment(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let dir = PluginDir::new(&sandbox, "planted");
    dir.add(world, "libplanted.so", TABLE, &[]);
    let names = ["LD_LIBRARY_PATH", "LANDFALL_PLUGIN_DIRS", "LANDFALL_PLUGINS", "LANDFALL_HANDLERS", "IMGH_PATH"];
    let mut line = sandbox.landfall("handlers").json().current_dir(dir.path());
    for name in names {
        line = line.env(name, dir.path());
    }
    let answer = line.run();
    assert_eq!(handler_ids(answer.success()), OWN, "{answer:#?}");
}

/// What nobody chose, what the file chooses for all, and what is chosen for one handler.
fn isolation(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let plain = PluginDir::new(&sandbox, "plain");
    plain.add(world, "table.so", TABLE, &[]);
    let isolated = PluginDir::new(&sandbox, "isolated");
    isolated.add(world, "table.so", TABLE, &["CASE=WORKER_ONLY"]);
    let table = [
        ("auto", "", ["inline", "inline"], ["inline", "worker"]),
        ("worker", "", ["worker", "worker"], ["worker", "worker"]),
        ("inline", "", ["inline", "inline"], ["inline", "none"]),
        ("auto", "[handler.table]\nisolation = \"worker\"\n", ["inline", "worker"], ["inline", "worker"]),
        ("worker", "[handler.table]\nisolation = \"inline\"\n", ["worker", "inline"], ["worker", "none"]),
        ("inline", "[handler.table]\nisolation = \"auto\"\n", ["inline", "inline"], ["inline", "worker"]),
    ];
    for (top, section, with_plain, with_isolated) in table {
        for (dir, expected) in [(&plain, with_plain), (&isolated, with_isolated)] {
            sandbox.configure(&format!("{}isolation = {top:?}\n", dir.line()), section);
            let answer = sandbox.landfall("handlers").json().run();
            let found = isolations(answer.success());
            let found = ["file", "table"].map(|id| *found.get(id).unwrap_or(&"none"));
            assert_eq!(found, expected, "{top} {section}: {answer:#?}");
        }
    }
    // `auto` is what happens when nobody chooses.
    std::fs::write(sandbox.home("landfall.toml"), isolated.line()).unwrap();
    let answer = sandbox.landfall("handlers").json().env("XDG_STATE_HOME", sandbox.home("xdg")).run();
    let isolated = OWN.into_iter().chain(["table"]).map(|id| (id, "worker"));
    let mut expected: BTreeMap<_, _> = isolated.collect();
    expected.insert("file", "inline");
    assert_eq!(isolations(answer.success()), expected, "{answer:#?}");
}
