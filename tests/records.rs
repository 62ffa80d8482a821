//! Who may name what: the calling person, a record file, a record from elsewhere; and records that make no sense.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::answer::{Answer, CANARY};
use crate::support::case::Case;
use crate::support::command::Landfall;
use crate::support::disk::{assert_same_bytes, noisy_file};
use crate::support::mounts::Fs;
use crate::support::record::{record_of, sha512};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("records::paths_without_configuration", unconfigured),
        Case::new("records::bare_url_or_path", bare),
        Case::new("records::secrets_as_arguments_are_refused", secret_arguments),
        Case::new("records::malformed", malformed),
        Case::new("records::catalog_of_a_directory", catalog),
        Case::new("records::too_large", too_large),
    ]
}

/// A sandbox without configured stores.
fn bare_sandbox(world: &World) -> Sandbox<'_> {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let text = format!("state_dir = {:?}\n{}", sandbox.home("state"), world.mode.line());
    fs::write(sandbox.home("landfall.toml"), text).unwrap();
    sandbox
}

fn from_input(sandbox: &Sandbox<'_>, record: impl Into<Vec<u8>>, target: &str) -> Answer {
    sandbox.place("-", target).input(record).run()
}

fn unconfigured(world: &World) {
    let sandbox = bare_sandbox(world);
    let beneath = sandbox.home("images");
    fs::create_dir(&beneath).unwrap();
    fs::create_dir(beneath.join("deep")).unwrap();
    let (near, deep, far) = (beneath.join("near.raw"), beneath.join("deep/deep.raw"), sandbox.store("far.raw"));
    for (seed, file) in [&near, &deep, &far].into_iter().enumerate() {
        noisy_file(file, 4000, seed as u64);
    }
    let write = |file: &Path| {
        let path = beneath.join("image.json");
        fs::write(&path, record_of(file).to_string()).unwrap();
        path
    };
    sandbox.place(write(&near), "near").run().success();
    sandbox.place(write(&deep), "deep").run().success();
    sandbox.place(write(&far), "far").run().failure("denied", "outside-stores", "location");
    let mut record = record_of(&far);
    record["locations"][0]["url"] = json!(format!("file://{}/../../{}", beneath.display(), "x"));
    fs::write(beneath.join("image.json"), record.to_string()).unwrap();
    sandbox.place(beneath.join("image.json"), "far").run().failure("invalid", "path-not-clean", "location");
    // A record from standard input has no directory of its own.
    for file in [&near, &far] {
        from_input(&sandbox, record_of(file).to_string(), "piped").failure("denied", "outside-stores", "location");
    }
    sandbox.only(&["deep", "near"]);

    // Where the operator configured a store, its files are allowed to any record; the record's directory no longer is.
    sandbox.configure("", "");
    from_input(&sandbox, record_of(&far).to_string(), "piped").success();
    sandbox.only(&["deep", "near", "piped"]);
}

fn bare(world: &World) {
    let sandbox = bare_sandbox(world);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let hash = format!("sha512:{}", sha512(&file));
    let url = format!("file://{}", file.display());
    let place = |image: &str, target: &str| sandbox.place(image, target).args(["--hash", &hash]);

    for (image, target) in [(url.as_str(), "url"), (file.to_str().unwrap(), "path")] {
        let answer = place(image, target).run();
        assert_eq!(answer.success()["digest"], hash);
        assert_same_bytes(&file, &sandbox.out(target));
    }
    sandbox.place(&url, "unhashed").run().failure("unhashed", "unhashed", "request");
    sandbox.place(&url, "allowed").arg("--allow-unhashed").run().success();
    let upper = hash.to_uppercase().replace("SHA512", "sha512");
    sandbox.place(&url, "upper").args(["--hash", &upper]).run().success();
    let wrong = format!("sha512:{}", "0".repeat(128));
    sandbox.place(&url, "wrong").args(["--hash", &wrong]).run().failure("corrupt", "digest-mismatch", "location");
    for hash in ["sha512", "sha512:", "sha512:xyz", "sha256:00"] {
        sandbox.place(&url, "bad").args(["--hash", hash]).run().failure("invalid", "digest-value", "request");
    }
    for hash in ["crc32:00", ":00"] {
        let answer = sandbox.place(&url, "bad").args(["--hash", hash]).run();
        answer.failure("unsupported", "digest-algorithm", "request");
    }
    // Formats are raw and bare unless said.
    place(&url, "stated").args(["--disk-format", "raw", "--container-format", "bare"]).run().success();
    let claimed = place(&url, "claimed").args(["--disk-format", "qcow2", "--format", "as-is"]).run();
    claimed.failure("corrupt", "format-mismatch", "image");
    // Symbolic links that the caller names are the caller's own business; a missing file is named.
    place(&format!("{url}-missing"), "missing").run().failure("not-found", "no-such-file", "location");
    sandbox.only(&["allowed", "path", "stated", "upper", "url"]);
}

fn secret_arguments(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let urls = [
        format!("swift+https://account:user:{CANARY}@127.0.0.1/v1/container/object"),
        format!("https://user:{CANARY}@127.0.0.1/disk.raw"),
        format!("https://{CANARY}@127.0.0.1/disk.raw"),
        format!("https://127.0.0.1/disk.raw?temp_url_sig={CANARY}&temp_url_expires=1"),
        format!("https://127.0.0.1/disk.raw?X-Amz-Signature={CANARY}"),
        format!("s3://access:{CANARY}@127.0.0.1/bucket/key"),
    ];
    for url in &urls {
        for command in ["place", "plan"] {
            let line = || sandbox.landfall(command).arg(url).arg("--to").arg(sandbox.out("disk"));
            // Every answer is searched for the secret.
            line().json().run().failure("invalid", "secret-in-argument", "request");
            let answer = line().run();
            assert_eq!(answer.status, 11, "{answer:#?}");
            assert!(answer.stderr.contains("record file") && answer.stderr.contains("(-)"), "a hint: {answer:#?}");
        }
    }
    sandbox.only(&[]);
    // Given in a record, such a URL is fine; here it leads to this machine.
    for url in &urls {
        let record = json!({ "disk_format": "raw", "container_format": "bare", "locations": [{ "url": url }] });
        let answer = sandbox.place("-", "disk").arg("--allow-unhashed").input(record.to_string()).run();
        answer.failure("denied", "address-refused", "location");
    }
}

fn malformed(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let good = record_of(&file);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("not JSON", b"image".to_vec()),
        ("cut off", good.to_string().as_bytes()[..200].to_vec()),
        ("two documents", format!("{good}{good}").into_bytes()),
        ("not UTF-8", b"{\"id\": \"\xff\xfe\"}".to_vec()),
        ("a list", b"[]".to_vec()),
        ("deep", deep.into_bytes()),
        ("a URL that is no text", json!({ "locations": [{ "url": 5 }] }).to_string().into_bytes()),
        ("locations that are no list", json!({ "locations": { "url": "file:///x" } }).to_string().into_bytes()),
        ("an id that is no text", json!({ "id": 7, "locations": [] }).to_string().into_bytes()),
    ];
    for (what, bytes) in table {
        let answer = from_input(&sandbox, bytes.clone(), "disk");
        assert_eq!(answer.status, 11, "{what}: {answer:#?}");
        answer.failure("invalid", "record", "request");
        let path = sandbox.home("image.json");
        fs::write(&path, bytes).unwrap();
        sandbox.place(&path, "disk").run().failure("invalid", "record", "request");
        sandbox.only(&[]);
    }
    let path = sandbox.home("no-such.json");
    sandbox.place(&path, "disk").run().failure("not-found", "enoent", "request");
    sandbox.place(sandbox.store_dir(), "disk").run().failure("io", "os-error", "request");
    // Nobody writes to it: that must not be waited for.
    let fifo = sandbox.home("fifo.json");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    sandbox.place(&fifo, "disk").run().failure("invalid", "record", "request");
    for locations in [json!([]), Value::Null] {
        let mut record = good.clone();
        record["locations"] = locations;
        sandbox.place_value(&record, "disk").failure("not-found", "no-locations", "request");
    }
    // Unknown members, and nulls where Glance has them, are no fault.
    let mut record = good.clone();
    record["hw_disk_bus"] = json!("virtio");
    record["tags"] = Value::Null;
    record["locations"][0]["odd"] = json!({ "x": 1 });
    record["locations"][0]["metadata"] = Value::Null;
    sandbox.place_value(&record, "good").success();
}

fn catalog(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let dir = sandbox.home("records");
    fs::create_dir(&dir).unwrap();
    let record = record_of(&file);
    let id = record["id"].as_str().unwrap();
    fs::write(dir.join(format!("{id}.json")), record.to_string()).unwrap();
    fs::write(sandbox.home("secret.json"), record.to_string()).unwrap();
    sandbox.configure("", &format!("[catalog.local]\ntype = \"directory\"\npath = {dir:?}\n"));
    sandbox.place(id, "disk").run().success();
    let missing = "00000000-0000-0000-0000-000000000000";
    sandbox.place(missing, "missing").run().failure("not-found", "image", "request");
    // An id is a name, not a way through directories.
    for id in ["../secret", "..", ".", "a/b", ""] {
        let answer = Landfall::run(sandbox.place(id, "escaped"));
        assert_ne!(answer.status, 0, "{id}: {answer:#?}");
        assert!(!sandbox.out("escaped").exists());
    }
    sandbox.only(&["disk"]);
}

fn too_large(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 4000, 1);
    let mut record = record_of(&file);
    sandbox.configure("", "[limits]\nrecord_bytes = \"64KiB\"\nlocations = 5\ndisk_bytes = 3999\n");
    sandbox.place_value(&record, "disk").failure("limit", "disk-bytes", "location");
    record["size"] = Value::Null;
    sandbox.place_value(&record, "disk").failure("limit", "disk-bytes", "location");
    sandbox.configure("", "[limits]\nrecord_bytes = \"64KiB\"\nlocations = 5\n");
    record["locations"] = json!(vec![record["locations"][0].clone(); 6]);
    sandbox.place_value(&record, "disk").failure("limit", "record-locations", "request");
    record["locations"] = json!(vec![record["locations"][0].clone(); 5]);
    sandbox.place_value(&record, "five").success();
    record["filler"] = json!("x".repeat(70_000));
    sandbox.place_value(&record, "disk").failure("limit", "record-bytes", "request");
    from_input(&sandbox, record.to_string(), "disk").failure("limit", "record-bytes", "request");
    sandbox.only(&["five"]);
}
