//! Disk formats, containers and compressions, unpacked while they arrive, from a file and from a stream.
//!
//! What is valid is made by `qemu-img`, `tar` and the compressions' own programs; what is not, by changing that.

mod ova;
mod readers;
mod vmdk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::c_plugin::PluginDir;
use crate::support::case::Case;
use crate::support::disk::{assert_coarse_holes, assert_same_bytes, noise};
use crate::support::mounts::Fs;
use crate::support::needs::{Need, find_program};
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

const NEEDS: [Need; 6] = [
    Need::Program("cc"),
    Need::Program("qemu-img"),
    Need::Program("gzip"),
    Need::Program("zstd"),
    Need::Program("xz"),
    Need::Program("bzip2"),
];
const COMPRESSIONS: [&str; 4] = ["gzip", "zstd", "xz", "bzip2"];
/// How an image is reached: as a file of a store, or through a source without a descriptor.
const WAYS: [&str; 2] = ["file", "stream"];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("compressed_raw", compressed_raw),
        case("compressed_is_gzip_unless_said_otherwise", usual_compression),
        case("wrong_compressions", wrong_compressions),
        case("more_than_a_disk_may_have", too_large),
        case("a_filter_without_end", endless),
        case("as_is", as_is),
        case("size_as_is", size_as_is),
        case("short_of_space", short_of_space),
    ];
    cases.extend(vmdk::cases());
    cases.extend(ova::cases());
    cases.extend(readers::cases());
    cases
}

fn case(name: &str, run: fn(&World)) -> Case {
    Case::new(format!("unpack::{name}"), run).on(Fs::Ext4).needs(&NEEDS)
}

/// A sandbox with a disk, and the means to make images of it.
struct Workshop<'w> {
    sandbox: Sandbox<'w>,
    dir: PluginDir,
    disk: PathBuf,
}

/// Bytes of the disk: not a whole number of grains.
const DISK_BYTES: u64 = (5 << 20) + 512 * 77;

impl<'w> Workshop<'w> {
    fn new(world: &'w World) -> Self {
        let sandbox = Sandbox::on(world, Fs::Ext4);
        let dir = PluginDir::new(&sandbox, "plugins");
        dir.add(world, "serve.so", "tests/plugins/serve.c", &[]);
        let disk = sandbox.home("disk.raw");
        // Noise, text that deflates well, and zeros of every length.
        let mut bytes = vec![0; usize::try_from(DISK_BYTES).unwrap()];
        for (at, len) in [(0, 300_000), (1 << 20, 70_000), ((2 << 20) + 5000, 1000), (4 << 20, 1_087_000)] {
            bytes[at..at + len].copy_from_slice(&noise(len, at as u64 + 1));
        }
        for at in (3 << 20..(3 << 20) + 200_000).step_by(8) {
            bytes[at..at + 8].copy_from_slice(b"landfall");
        }
        fs::write(&disk, bytes).unwrap();
        let workshop = Self { sandbox, dir, disk };
        workshop.configure("", "");
        workshop
    }

    fn configure(&self, limits: &str, handlers: &str) {
        let tables =
            format!("[handler.serve]\nroot = {:?}\n{handlers}\n[limits]\n{limits}\n", self.sandbox.store_dir());
        self.sandbox.configure(&self.dir.line(), &tables);
    }

    /// Makes an image of the disk in the store with `qemu-img`.
    fn convert(&self, name: &str, format: &str, options: &str) -> PathBuf {
        let to = self.sandbox.store(name);
        let mut command = Command::new(find_program("qemu-img").unwrap());
        command.args(["convert", "-f", "raw", "-O", format]);
        if !options.is_empty() {
            command.args(["-o", options]);
        }
        succeed(command.arg(&self.disk).arg(&to));
        to
    }

    /// Compresses a file of the store; gives the new one.
    fn compress(&self, file: &Path, compression: &str) -> PathBuf {
        let to = file.with_extension(format!("{}.{compression}", file.extension().unwrap().to_string_lossy()));
        let output = Command::new(find_program(compression).unwrap()).arg("-c").arg(file).output().unwrap();
        assert!(output.status.success(), "{compression}: {output:?}");
        fs::write(&to, output.stdout).unwrap();
        to
    }

    /// The true record of a file of the store, reached in this way.
    fn record(&self, file: &Path, way: &str, form: &Value) -> Value {
        let mut record = record_of(file);
        for (key, value) in form.as_object().unwrap() {
            record[key] = value.clone();
        }
        if way == "stream" {
            let name = file.file_name().unwrap().to_string_lossy();
            record["locations"] = json!([{ "url": format!("serve://node/{name}") }]);
        }
        record
    }

    /// Places an image of the disk, and checks what came of it and what is said of it.
    #[track_caller]
    fn placed(&self, record: &Value, handlers: &[&str]) {
        let answer = self.sandbox.place_value(record, "disk");
        let document = answer.success();
        assert_eq!(
            (&document["method"], &document["verified"]),
            (&json!("unpack"), &json!("computed")),
            "{document:#}"
        );
        assert_eq!(document["attempts"][0]["handlers"].as_array().unwrap()[1..], *handlers, "{document:#}");
        assert_eq!(document["targets"][0]["bytes"], DISK_BYTES, "{document:#}");
        assert_eq!(document["attempts"][0]["bytes"], record["size"], "{document:#}");
        let target = self.sandbox.out("disk");
        assert_same_bytes(&self.disk, &target);
        assert_coarse_holes(&target);
        self.sandbox.only(&["disk"]);
        fs::remove_file(target).unwrap();
    }

    /// Places an image that cannot be placed.
    #[track_caller]
    fn refused(&self, record: &Value, expected: [&str; 3]) -> Answer {
        let answer = self.sandbox.place_value(record, "disk");
        let [kind, code, scope] = expected;
        answer.failure(kind, code, scope);
        self.sandbox.only(&[]);
        answer
    }
}

#[track_caller]
fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn compressed_raw(world: &World) {
    let shop = Workshop::new(world);
    let raw = shop.sandbox.store("disk.raw");
    fs::copy(&shop.disk, &raw).unwrap();
    for compression in COMPRESSIONS {
        let file = shop.compress(&raw, compression);
        for way in WAYS {
            let record = shop.record(&file, way, &json!({ "compression": compression }));
            shop.placed(&record, &[compression]);
            let record =
                shop.record(&file, way, &json!({ "container_format": "compressed", "compression": compression }));
            shop.placed(&record, &[compression]);
        }
    }
}

fn usual_compression(world: &World) {
    let shop = Workshop::new(world);
    let raw = shop.sandbox.store("disk.raw");
    fs::copy(&shop.disk, &raw).unwrap();
    let compressed = json!({ "container_format": "compressed" });
    let gzip = shop.compress(&raw, "gzip");
    shop.placed(&shop.record(&gzip, "stream", &compressed), &["gzip"]);
    let xz = shop.compress(&raw, "xz");
    shop.refused(&shop.record(&xz, "stream", &compressed), ["corrupt", "bad-magic", "image"]);
    // A URL without a record says it with options.
    let hash = format!("sha512:{}", crate::support::record::sha512(&xz));
    let words = ["--hash", &hash, "--compression", "xz"];
    shop.sandbox.place(&xz, "disk").args(words).run().success();
    assert_same_bytes(&shop.disk, &shop.sandbox.out("disk"));
}

fn wrong_compressions(world: &World) {
    let shop = Workshop::new(world);
    let raw = shop.sandbox.store("disk.raw");
    fs::copy(&shop.disk, &raw).unwrap();
    for compression in COMPRESSIONS {
        let file = shop.compress(&raw, compression);
        for way in WAYS {
            // Bytes of no format are a raw disk: nothing tells them from one. But it is said.
            let plain = shop.record(&file, way, &json!({}));
            let answer = shop.sandbox.place_value(&plain, "disk");
            let notes = answer.success()["notes"].to_string();
            assert!(notes.contains(&format!("begin as {compression} does")), "{notes}");
            fs::remove_file(shop.sandbox.out("disk")).unwrap();
            for other in COMPRESSIONS.iter().filter(|other| **other != compression) {
                let record = shop.record(&file, way, &json!({ "compression": other }));
                shop.refused(&record, ["corrupt", "bad-magic", "image"]);
            }
            let record = shop.record(&raw, way, &json!({ "compression": compression }));
            shop.refused(&record, ["corrupt", "bad-magic", "image"]);
        }
        let cut = shop.sandbox.store("cut");
        let bytes = fs::read(&file).unwrap();
        fs::write(&cut, &bytes[..bytes.len() - 7]).unwrap();
        let record = shop.record(&cut, "stream", &json!({ "compression": compression }));
        shop.refused(&record, ["corrupt", "unexpected-end", "image"]);
        fs::write(&cut, [&bytes[..], b"more"].concat()).unwrap();
        let record = shop.record(&cut, "stream", &json!({ "compression": compression }));
        shop.refused(&record, ["corrupt", "trailing-data", "image"]);
        // The digest is that of the stored bytes: another file of the same content is not the image.
        let mut record = shop.record(&file, "stream", &json!({ "compression": compression }));
        record["os_hash_value"] = record_of(&raw)["os_hash_value"].clone();
        shop.refused(&record, ["corrupt", "digest-mismatch", "location"]);
    }
    for (form, kind, code) in [
        (json!({ "compression": "lz4" }), "unsupported", "no-filter"),
        (json!({ "compression": "LZ 4" }), "invalid", "record-format"),
        (json!({ "container_format": "compressed", "compression": "none" }), "invalid", "record-format"),
    ] {
        shop.refused(&shop.record(&raw, "file", &form), [kind, code, "image"]);
    }
}

fn too_large(world: &World) {
    let shop = Workshop::new(world);
    let zeros = shop.sandbox.store("zeros.raw");
    fs::File::create(&zeros).unwrap().set_len(64 << 20).unwrap();
    for compression in COMPRESSIONS {
        let file = shop.compress(&zeros, compression);
        let record = shop.record(&file, "stream", &json!({ "compression": compression }));
        shop.configure("disk_bytes = \"63MiB\"", "");
        shop.refused(&record, ["limit", "disk-bytes", "image"]);
        shop.configure("disk_bytes = \"64MiB\"", "");
        let answer = shop.sandbox.place_value(&record, "disk");
        assert_eq!(answer.success()["targets"][0]["bytes"], 64 << 20);
        fs::remove_file(shop.sandbox.out("disk")).unwrap();
    }
}

/// A filter of somebody else's that looks at no limit has one all the same, in front of the stage and of an unpacker.
fn endless(world: &World) {
    let shop = Workshop::new(world);
    shop.dir.add(world, "endless.so", "tests/plugins/endless.c", &[]);
    let raw = shop.sandbox.store("disk.raw");
    fs::copy(&shop.disk, &raw).unwrap();
    let file = shop.compress(&raw, "zstd");
    let configure = |bytes: &str| {
        let top = format!("{}\nhandlers = [\"file\", \"serve\", \"endless\", \"vmdk\"]", shop.dir.line());
        let root = shop.sandbox.store_dir();
        let tables =
            format!("[handler.serve]\nroot = {root:?}\n[handler.endless]\n{bytes}\n[limits]\ndisk_bytes = \"64MiB\"\n");
        shop.sandbox.configure(&format!("{top}\n"), &tables);
    };
    for way in WAYS {
        let raw = shop.record(&file, way, &json!({ "compression": "zstd" }));
        for (bytes, fits) in [("bytes = 67108864", true), ("bytes = 67108865", false), ("", false)] {
            configure(bytes);
            if fits {
                shop.sandbox.place_value(&raw, "disk").success();
                let disk = fs::read(shop.sandbox.out("disk")).unwrap();
                assert!(disk.len() == 64 << 20 && disk.iter().all(|byte| *byte == b'x'));
                fs::remove_file(shop.sandbox.out("disk")).unwrap();
            } else {
                shop.refused(&raw, ["limit", "disk-bytes", "image"]);
            }
        }
        let vmdk = shop.record(&file, way, &json!({ "disk_format": "vmdk", "compression": "zstd" }));
        shop.refused(&vmdk, ["corrupt", "vmdk-magic", "image"]);
    }
}

fn as_is(world: &World) {
    let shop = Workshop::new(world);
    let vmdk = shop.convert("disk.vmdk", "vmdk", "subformat=streamOptimized");
    let file = shop.compress(&vmdk, "gzip");
    let record = shop.record(&file, "file", &json!({ "disk_format": "vmdk", "compression": "gzip" }));
    let path = shop.sandbox.record("image.json", &record);
    shop.sandbox.place(&path, "disk").args(["--format", "as-is"]).run().success();
    assert_same_bytes(&file, &shop.sandbox.out("disk"));
    fs::remove_file(shop.sandbox.out("disk")).unwrap();
    let wrong = shop.record(&file, "file", &json!({ "disk_format": "vmdk", "compression": "xz" }));
    let path = shop.sandbox.record("image.json", &wrong);
    let answer = shop.sandbox.place(&path, "disk").args(["--format", "as-is"]).run();
    answer.failure("corrupt", "compression-mismatch", "image");
    shop.sandbox.only(&[]);
}

/// What an image says of the size of its disk matters also where nobody unpacks it.
fn size_as_is(world: &World) {
    let shop = Workshop::new(world);
    let huge = shop.sandbox.store("huge");
    let qemu = find_program("qemu-img").unwrap();
    for (format, options) in
        [("qcow2", "preallocation=off"), ("vmdk", "subformat=monolithicSparse"), ("vdi", "static=off")]
    {
        let mut command = Command::new(&qemu);
        succeed(command.args(["create", "-q", "-f", format, "-o", options]).arg(&huge).arg("1T"));
        for way in WAYS {
            let place = |virtual_size: u64, limit: &str| {
                shop.configure(&format!("disk_bytes = {limit:?}"), "");
                let mut record = shop.record(&huge, way, &json!({ "disk_format": format }));
                record["virtual_size"] = json!(virtual_size);
                let path = shop.sandbox.record("image.json", &record);
                shop.sandbox.place(&path, "disk").args(["--format", "as-is"]).run()
            };
            place(1 << 40, "1TiB").success();
            fs::remove_file(shop.sandbox.out("disk")).unwrap();
            place(1 << 40, "1023GiB").failure("limit", "disk-bytes", "image");
            place((1 << 40) - 512, "1TiB").failure("corrupt", "virtual-size-mismatch", "image");
            shop.sandbox.only(&[]);
        }
    }
}

fn short_of_space(world: &World) {
    let shop = Workshop::new(world);
    // A disk that is far larger than the file system, and has next to nothing in it.
    let empty = shop.sandbox.store("empty.raw");
    fs::File::create(&empty).unwrap().set_len(200 << 30).unwrap();
    let to = shop.sandbox.store("empty.vmdk");
    let qemu = find_program("qemu-img").unwrap();
    succeed(
        Command::new(qemu)
            .args(["create", "-q", "-f", "vmdk", "-o", "subformat=monolithicSparse"])
            .arg(&to)
            .arg("200G"),
    );
    let record = shop.record(&to, "file", &json!({ "disk_format": "vmdk" }));
    shop.refused(&record, ["no-space", "space-short", "node"]);
    shop.configure("overcommit = true", "");
    let answer = shop.sandbox.place_value(&record, "disk");
    assert_eq!(answer.success()["targets"][0]["bytes"], 200_u64 << 30);
    assert!(crate::support::disk::allocated(&shop.sandbox.out("disk")) < 1 << 20);
}
