//! The command line, the configuration file, and who says what where.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::case::Case;
use crate::support::command::Landfall;
use crate::support::disk::noisy_file;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::sandbox::Sandbox;
use crate::support::schema;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("command_line::usage_errors", usage).mode_independent(),
        Case::new("command_line::help_names_every_option", help).mode_independent(),
        Case::new("command_line::configuration_errors_have_a_caret", config_errors).mode_independent(),
        Case::new("command_line::config_commands", config_commands).mode_independent(),
        Case::new("command_line::text_answers", text),
        Case::new("command_line::documents_follow_their_schema", schema_of_place),
        Case::new("command_line::answers_that_cannot_be_given", unanswered),
        Case::new("command_line::configuration_that_others_can_write", untrusted).needs(&[Need::Root]),
        Case::new("command_line::state_of_an_ordinary_user", ordinary_user).needs(&[Need::Root]),
        Case::new("command_line::an_id_without_a_catalog", no_catalog),
    ]
}

fn usage(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let binary = &world.install.landfall;
    let table: [&[&str]; 12] = [
        &[],
        &["--no-such-option"],
        &["no-such-command"],
        &["place"],
        &["place", "image.json"],
        &["place", "image.json", "--to"],
        &["place", "image.json", "--to", "a", "--no-such-option"],
        &["place", "image.json", "--to", "a", "--format", "qcow9"],
        &["place", "image.json", "--to", "a", "--access", "rwx"],
        &["place", "image.json", "--to", "a", "--progress", "loud"],
        &["remove"],
        &["move", "only-one"],
    ];
    for words in table {
        let answer = Landfall::new(binary).args(words).current_dir(&sandbox.out("")).run();
        answer.usage("--help");
        sandbox.only(&[]);
    }
    // What is missing is in the document too.
    let answer = Landfall::new(binary).args(["place", "image.json"]).json().current_dir(&sandbox.out("")).run();
    let message = answer.document()["error"]["message"].to_string();
    assert!(message.contains("--to <PATH>"), "{message}");
    let values: [&[&str]; 11] = [
        &["--mode", "9"],
        &["--mode", "rw"],
        &["--mode", "100000"],
        &["--owner", "root"],
        &["--owner", "1"],
        &["--owner", "1:x"],
        &["--owner=-1:0"],
        &["--size=-1"],
        &["--size", "big"],
        &["--deadline", "soon"],
        &["--to-dir", "also"],
    ];
    for words in values {
        let answer = sandbox.landfall("place").args(["image.json", "--to", "a"]).args(words).run();
        assert_eq!(answer.status, 2, "{words:?}: {answer:#?}");
        assert!(answer.stdout.is_empty(), "{answer:#?}");
        assert!(answer.stderr.contains(words[0].split('=').next().unwrap()), "{answer:#?}");
    }
}

fn help(world: &World) {
    let help = |words: &[&str]| {
        let answer = Landfall::new(&world.install.landfall).args(words).run();
        answer.success();
        answer.stdout
    };
    let top = help(&["--help"]);
    for command in ["place", "plan", "remove", "move", "placements", "history", "handlers", "config"] {
        assert!(top.contains(command), "{command} in {top}");
        assert!(help(&[command, "--help"]).contains("Usage:"));
    }
    for command in ["place", "plan"] {
        let text = help(&[command, "--help"]);
        for option in [
            "--to",
            "--to-dir",
            "--format",
            "--access",
            "--owner",
            "--mode",
            "--size",
            "--replace",
            "--allow-unhashed",
            "--deadline",
            "--config",
            "--json",
            "--progress",
            "--hash",
            "--disk-format",
            "--container-format",
        ] {
            assert!(text.contains(option), "{option} in the help of {command}: {text}");
        }
    }
    for words in
        [["handlers", "inspect"], ["handlers", "check"], ["config", "check"], ["config", "show"], ["config", "schema"]]
    {
        assert!(help(&[words[0], words[1], "--help"]).contains("Usage:"));
    }
    assert!(help(&["--version"]).contains("landfall"));
}

fn config_errors(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let record = sandbox.record_of_file(&file);
    let table = [
        ("colour = 1\n", "colour"),
        ("node = 5\n", "node"),
        ("node = \"x\n", "node"),
        ("route = \"sideways\"\n", "sideways"),
        ("selection = [\"wait\"]\n", "wait"),
        ("selection = []\n", "selection"),
        ("allow_unhashed = \"yes\"\n", "allow_unhashed"),
        ("[[store]]\nid = \"a\"\ntype = \"file\"\n", "store"),
        ("[[store]]\nid = \"a\"\ntype = \"tape\"\nroot = \"/a\"\n", "tape"),
        ("[[store]]\nid = \"a\"\ntype = \"file\"\nroot = \"relative\"\n", "relative"),
        ("[[store]]\nid = \"a\"\ntype = \"file\"\nroot = \"/a\"\nhard_link = true\n", "hard_link"),
        ("[limits]\ndisk_bytes = \"many\"\n", "many"),
        ("[handler.file]\nisolation = \"outside\"\n", "outside"),
    ];
    for (text, named) in table {
        fs::write(sandbox.home("landfall.toml"), text).unwrap();
        let check = sandbox.landfall("config").arg("check").run();
        let placed = sandbox.place(&record, "disk").run();
        let error = placed.document();
        assert_eq!((&error["ok"], &error["error"]["code"]), (&false.into(), &"config".into()), "{placed:#?}");
        for answer in [check, placed, sandbox.landfall("placements").run()] {
            assert_eq!(answer.status, 2, "{answer:#?}");
            assert!(answer.stderr.contains(named), "{named} is named: {answer:#?}");
            assert!(answer.stderr.contains("landfall.toml:"), "the place is named: {answer:#?}");
            assert!(answer.stderr.contains('^'), "there is a caret: {answer:#?}");
        }
        sandbox.only(&[]);
    }
    fs::remove_file(sandbox.home("landfall.toml")).unwrap();
    sandbox.landfall("placements").run().usage("landfall.toml");
}

fn config_commands(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let config = |word: &str| {
        let answer = sandbox.landfall("config").arg(word).run();
        answer.success();
        answer.stdout
    };
    config("check");
    let shown = config("show");
    assert!(shown.contains("novahost1") && shown.contains("stage_keep"), "defaults are shown: {shown}");
    // What is shown is a configuration, and means the same.
    fs::write(sandbox.home("landfall.toml"), &shown).unwrap();
    assert_eq!(config("show"), shown);
    let schema: Value = serde_json::from_str(&config("schema")).unwrap();
    for key in ["node", "handlers", "plugin_dirs", "route", "selection", "state_dir", "store", "limits", "catalog"] {
        assert!(schema["properties"][key].is_object(), "{key} in the schema");
    }
}

fn text(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let record = sandbox.record_of_file(&file);
    let line = |command: &str| sandbox.landfall(command).arg(&record).arg("--to").arg(sandbox.out("disk"));

    let planned = line("plan").run();
    planned.success();
    assert!(planned.stdout.contains("weight 0") && planned.stdout.contains("disk.raw"), "{planned:#?}");
    sandbox.only(&[]);
    let placed = line("place").run();
    placed.success();
    assert!(placed.stdout.contains(sandbox.out("disk").to_str().unwrap()), "{placed:#?}");
    let refused = line("place").run();
    assert_eq!(refused.status, 20, "{refused:#?}");
    assert!(refused.stdout.is_empty(), "{refused:#?}");
    assert!(refused.stderr.contains("exists"), "{refused:#?}");
}

/// Every answer of `place --json` in these tests is held against the schema by the runner; here is what that is worth.
fn schema_of_place(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let placed = sandbox.place(sandbox.record_of_file(&file), "disk").run();
    let document = placed.success();
    assert_eq!(document["schema"], "landfall.place/0");
    assert_eq!(schema::faults_of_place(document), Vec::<String>::new());
    let changes: [fn(&mut Value); 6] = [
        |document| document["ok"] = json!("yes"),
        |document| document["surplus"] = json!(1),
        |document| document["targets"][0]["bytes"] = json!(-1.5),
        |document| document["attempts"][0]["handlers"] = json!("file"),
        |document| document["error"] = json!({ "kind": "odd", "code": "x", "scope": "node", "message": "x" }),
        |document| drop(document.as_object_mut().unwrap().remove("attempts")),
    ];
    for change in changes {
        let mut wrong = document.clone();
        change(&mut wrong);
        assert_ne!(schema::faults_of_place(&wrong), Vec::<String>::new(), "{wrong:#}");
    }
    // The others say what they are, too.
    let named = [
        ("placements", "landfall.placements/0"),
        ("history", "landfall.history/0"),
        ("handlers", "landfall.handlers/0"),
    ];
    for (command, name) in named {
        let answer = sandbox.landfall(command).json().run();
        assert_eq!(answer.success()["schema"], name);
    }
    let plan = sandbox.plan(sandbox.record_of_file(&file), "other").run();
    assert_eq!(plan.success()["schema"], "landfall.plan/0");
}

fn unanswered(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let record = sandbox.record_of_file(&file);
    let full = ["sh", "-c", "exec \"$@\" > /dev/full", "sh"];
    // The disk is there and the ledger knows it, but the caller was not told.
    let line = |name: &str| sandbox.landfall("place").arg(&record).arg("--to").arg(sandbox.out(name)).under(&full);
    for (name, line) in [("text", line("text")), ("json", line("json").arg("--json"))] {
        let answer = line.run();
        assert_eq!(answer.status, 18, "{answer:#?}");
        assert!(answer.stderr.contains("was placed"), "{answer:#?}");
        assert!(sandbox.placements().contains(&sandbox.out(name)));
    }
    for command in ["placements", "history", "handlers"] {
        let answer = sandbox.landfall(command).under(&full).run();
        assert_eq!(answer.status, 17, "{answer:#?}");
    }
}

fn untrusted(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let config = sandbox.home("landfall.toml");
    let mode = |mode| fs::set_permissions(&config, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o646);
    let answer = sandbox.landfall("placements").run();
    assert_eq!(answer.status, 2, "{answer:#?}");
    assert!(answer.stderr.contains("landfall.toml"), "{answer:#?}");
    mode(0o644);
    std::os::unix::fs::chown(&config, Some(1000), None).unwrap();
    assert_eq!(sandbox.landfall("placements").run().status, 2);
    std::os::unix::fs::chown(&config, Some(0), None).unwrap();
    sandbox.landfall("placements").run().success();
}

fn ordinary_user(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    sandbox.give_to_nobody();
    fs::write(sandbox.home("landfall.toml"), world.mode.line()).unwrap();
    let file = sandbox.home("disk.raw");
    noisy_file(&file, 4000, 1);
    let record = sandbox.record_of_file(&file);
    let placed = sandbox.place(&record, "disk").env("XDG_STATE_HOME", sandbox.home("xdg")).unprivileged().run();
    placed.success();
    assert!(sandbox.home("xdg/landfall").is_dir());
    let state = sandbox.home("xdg/landfall").metadata().unwrap().permissions().mode();
    assert_eq!(state & 0o077, 0, "nobody else looks into it");
    let placed = sandbox.place(&record, "other").env("HOME", sandbox.home("")).unprivileged().run();
    placed.success();
    assert!(sandbox.home(".local/state/landfall").is_dir());
}

fn no_catalog(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let id = sandbox.place("8bcd4b5a-6c5b-4c5f-9f3e-0e0d6c1a7a01", "disk").run();
    id.failure("invalid", "no-catalog", "request");
    sandbox.only(&[]);
}
