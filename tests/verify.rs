//! Size and digest: what counts as verified, and what is refused.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::case::Case;
use crate::support::disk::{assert_same_bytes, noise, noisy_file, sparse_file};
use crate::support::mounts::Fs;
use crate::support::record::{digest, record_of};
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("verify::wrong_digests_are_refused", wrong_digests),
        Case::new("verify::each_algorithm", each_algorithm),
        Case::new("verify::md5_counts_only_when_configured", md5),
        Case::new("verify::unhashed_needs_permission", unhashed),
        Case::new("verify::sizes_that_lie", lying_sizes),
        Case::new("verify::a_location_has_its_own_form", own_form),
        Case::new("verify::format_must_agree_with_the_bytes", formats),
    ];
    for fs in [Fs::Xfs, Fs::Btrfs, Fs::Ext4, Fs::Tmpfs] {
        cases.push(Case::new(format!("verify::odd_sizes_on_{}", fs.name()), move |world| odd_sizes(world, fs)).on(fs));
    }
    for fs in [Fs::Xfs, Fs::Ext4] {
        let name = format!("verify::past_4_gib_on_{}", fs.name());
        cases.push(Case::new(name, move |world| past_4_gib(world, fs)).on(fs));
    }
    cases
}

fn odd_sizes(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    for size in [0, 1, 511, 4096, 4097, 65_535, 65_537, 1_048_577] {
        let name = format!("disk-{size}");
        let source = sandbox.store(&name);
        noisy_file(&source, size, size as u64);
        let answer = sandbox.place(sandbox.record_of_file(&source), &name).run();
        assert_eq!(answer.success()["targets"][0]["bytes"], size, "{answer:#?}");
        assert_same_bytes(&source, &sandbox.out(&name));
    }
}

fn past_4_gib(world: &World, fs: Fs) {
    let sandbox = Sandbox::on(world, fs);
    let source = sandbox.store("far.raw");
    sparse_file(&source, (4 << 30) + 4097, &[(0, 4096), ((4 << 30) - 100, 200), ((4 << 30) + 4000, 97)]);
    let record = sandbox.record_of_file(&source);
    sandbox.place(&record, "disk").run().success();
    let read = |path: &Path, at: u64, len: usize| {
        let mut bytes = vec![0; len];
        fs::File::open(path).unwrap().read_exact_at(&mut bytes, at).unwrap();
        bytes
    };
    let disk = sandbox.out("disk");
    assert_eq!(disk.metadata().unwrap().len(), (4 << 30) + 4097);
    for (at, len) in [(0, 8192), ((4 << 30) - 200, 400), ((4 << 30) + 3900, 197), (2 << 30, 4096)] {
        assert!(read(&disk, at, len) == read(&source, at, len), "bytes at {at}");
    }
}

/// A record that is this source's, changed.
fn changed(source: &Path, changes: &Value) -> Value {
    let mut record = record_of(source);
    for (key, value) in changes.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

fn wrong_digests(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 70_000, 1);
    let right = record_of(&source)["os_hash_value"].as_str().unwrap().to_owned();
    let off_by_one = format!("{}{}", if right.starts_with('0') { '1' } else { '0' }, &right[1..]);
    let table = [
        (json!({ "os_hash_value": off_by_one }), ["corrupt", "digest-mismatch", "location"]),
        (json!({ "os_hash_value": off_by_one.to_uppercase() }), ["corrupt", "digest-mismatch", "location"]),
        (json!({ "os_hash_value": &right[1..] }), ["invalid", "digest-value", "image"]),
        (json!({ "os_hash_value": "" }), ["invalid", "digest-value", "image"]),
        (json!({ "os_hash_value": right.replace(&right[..1], "g") }), ["invalid", "digest-value", "image"]),
        (json!({ "os_hash_algo": null }), ["invalid", "digest-value", "image"]),
        (json!({ "os_hash_algo": "sha256" }), ["invalid", "digest-value", "image"]),
        (json!({ "os_hash_algo": "crc32" }), ["unsupported", "digest-algorithm", "image"]),
        (
            json!({ "os_hash_algo": "sha1", "os_hash_value": "0".repeat(40) }),
            ["unsupported", "digest-algorithm", "image"],
        ),
        (json!({ "os_hash_algo": "" }), ["unsupported", "digest-algorithm", "image"]),
        (json!({ "os_hash_value": null }), ["unhashed", "unhashed", "request"]),
    ];
    for (changes, [kind, code, scope]) in table {
        let answer = sandbox.place_value(&changed(&source, &changes), "disk");
        answer.failure(kind, code, scope);
        sandbox.only(&[]);
    }
    assert!(sandbox.placements().is_empty());

    // Case is no difference.
    for value in [right.clone(), right.to_uppercase()] {
        let name = if value == right { "lower" } else { "upper" };
        let record = changed(&source, &json!({ "os_hash_value": value, "os_hash_algo": "SHA512" }));
        sandbox.place_value(&record, name).success();
    }
    sandbox.only(&["lower", "upper"]);
}

fn each_algorithm(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 70_001, 2);
    let table = [
        ("sha512", digest::<sha2::Sha512>(&source)),
        ("sha384", digest::<sha2::Sha384>(&source)),
        ("sha256", digest::<sha2::Sha256>(&source)),
        ("sha224", digest::<sha2::Sha224>(&source)),
    ];
    for (algorithm, value) in table {
        let good = changed(&source, &json!({ "os_hash_algo": algorithm, "os_hash_value": value }));
        let answer = sandbox.place_value(&good, algorithm);
        assert_eq!(answer.success()["digest"], format!("{algorithm}:{value}"), "{answer:#?}");
        let bad = changed(&source, &json!({ "os_hash_algo": algorithm, "os_hash_value": "0".repeat(value.len()) }));
        sandbox.place_value(&bad, "bad").failure("corrupt", "digest-mismatch", "location");
    }
    sandbox.only(&["sha224", "sha256", "sha384", "sha512"]);
}

fn md5(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 70_001, 3);
    let value = digest::<md5::Md5>(&source);
    let none = json!({ "os_hash_algo": null, "os_hash_value": null });
    let mut by_checksum = changed(&source, &none);
    by_checksum["checksum"] = json!(value);
    let by_hash = changed(&source, &json!({ "os_hash_algo": "md5", "os_hash_value": value }));

    for record in [&by_checksum, &by_hash] {
        let answer = sandbox.place_value(record, "refused");
        answer.failure("unhashed", "unhashed", "request");
    }
    sandbox.configure("legacy_md5 = true\n", "");
    for (record, name) in [(&by_checksum, "checksum"), (&by_hash, "hash")] {
        let answer = sandbox.place_value(record, name);
        let document = answer.success();
        assert_eq!(document["digest"], format!("md5:{value}"));
        assert_eq!(document["verified"], "legacy-md5", "{document:#}");
    }
    by_checksum["checksum"] = json!("0".repeat(32));
    sandbox.place_value(&by_checksum, "wrong").failure("corrupt", "digest-mismatch", "location");
    // A real digest beside it is the one that counts.
    let mut both = record_of(&source);
    both["checksum"] = json!("0".repeat(32));
    sandbox.place_value(&both, "both").success();
    both["locations"][0]["checksum"] = json!("0".repeat(32));
    assert_eq!(sandbox.place_value(&both, "both-there").success()["verified"], "computed");
    both["locations"][0]["checksum"] = json!(value);
    both["os_hash_value"] = json!("0".repeat(128));
    sandbox.place_value(&both, "weaker").failure("corrupt", "digest-mismatch", "location");
    sandbox.only(&["both", "both-there", "checksum", "hash"]);
}

fn unhashed(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 4097, 4);
    let record = changed(&source, &json!({ "os_hash_algo": null, "os_hash_value": null }));
    let path = sandbox.record("unhashed.json", &record);

    sandbox.place(&path, "refused").run().failure("unhashed", "unhashed", "request");
    let allowed = |answer: crate::support::answer::Answer| {
        let document = answer.success();
        assert_eq!(document["verified"], "no", "{document:#}");
        assert!(document["digest"].is_null(), "{document:#}");
    };
    allowed(sandbox.place(&path, "by-flag").arg("--allow-unhashed").run());
    sandbox.configure("allow_unhashed = true\n", "");
    allowed(sandbox.place(&path, "by-config").run());
    sandbox.only(&["by-config", "by-flag"]);
}

fn lying_sizes(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = sandbox.store("disk.raw");
    noisy_file(&source, 10_000, 5);
    for size in [0_u64, 1, 9_999, 10_001, 1 << 40] {
        let record = changed(&source, &json!({ "size": size }));
        sandbox.place_value(&record, "disk").failure("corrupt", "size-mismatch", "location");
        sandbox.only(&[]);
    }
    for size in [json!(-1), json!(1.5), json!("10000"), json!(1e30)] {
        let record = changed(&source, &json!({ "size": size }));
        sandbox.place_value(&record, "disk").failure("invalid", "record", "request");
        sandbox.only(&[]);
    }
    // Without a size the digest alone decides.
    sandbox.place_value(&changed(&source, &json!({ "size": null })), "unsized").success();
    sandbox.only(&["unsized"]);
}

fn own_form(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let (image, other) = (sandbox.store("image.raw"), sandbox.store("other.raw"));
    noisy_file(&image, 5_000, 6);
    noisy_file(&other, 6_000, 7);
    let other_record = record_of(&other);
    let mut record = record_of(&image);
    let mut location = json!({
        "url": format!("file://{}", other.display()),
        "size": 6_000,
        "os_hash_algo": "sha512",
        "os_hash_value": other_record["os_hash_value"],
    });
    record["locations"] = json!([location]);
    let answer = sandbox.place_value(&record, "own");
    answer.success();
    assert_same_bytes(&other, &sandbox.out("own"));

    location["size"] = json!(5_000);
    record["locations"] = json!([location]);
    sandbox.place_value(&record, "size").failure("corrupt", "size-mismatch", "location");

    // A location in another form without a digest of its own has none: the image's is that of other bytes.
    let mut raw_copy = json!({ "url": format!("file://{}", image.display()), "disk_format": "raw" });
    record["disk_format"] = json!("qcow2");
    record["locations"] = json!([raw_copy]);
    sandbox.place_value(&record, "no-digest").failure("unhashed", "unhashed", "request");
    raw_copy["os_hash_algo"] = json!("sha512");
    raw_copy["os_hash_value"] = record_of(&image)["os_hash_value"].clone();
    record["locations"] = json!([raw_copy]);
    sandbox.place_value(&record, "raw-copy").success();
    assert_same_bytes(&image, &sandbox.out("raw-copy"));
    sandbox.only(&["own", "raw-copy"]);
}

fn formats(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let magic = |name: &str, bytes: &[u8]| {
        let path = sandbox.store(name);
        let mut content = noise(70_000, 8);
        content[..bytes.len()].copy_from_slice(bytes);
        fs::write(&path, content).unwrap();
        path
    };
    // A header of version 3 as the specification has it: 64 KiB clusters, one of them, no extensions.
    let header = |backing_offset: u64| {
        let mut header = [0; 112];
        header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        header[8..16].copy_from_slice(&backing_offset.to_be_bytes());
        header[20..24].copy_from_slice(&16_u32.to_be_bytes());
        header[24..32].copy_from_slice(&65_536_u64.to_be_bytes());
        header[96..100].copy_from_slice(&4_u32.to_be_bytes());
        header[100..104].copy_from_slice(&104_u32.to_be_bytes());
        header
    };
    let qcow2 = magic("qcow2", &header(0));
    let backed = magic("backed", &header(4096));
    let vmdk = magic("vmdk", b"KDMV\x01\0\0\0");
    let descriptor = magic("descriptor", b"# Disk DescriptorFile\nversion=1\n");
    let padded = magic("padded", &[&b"# Disk DescriptorFile\nversion=1\n"[..], &[0; 480]].concat());
    for source in [&qcow2, &vmdk, &descriptor, &padded] {
        sandbox.place_value(&record_of(source), "disk").failure("corrupt", "format-mismatch", "image");
        sandbox.only(&[]);
    }
    let noise_file = magic("noise", b"");
    let claims = changed(&noise_file, &json!({ "disk_format": "qcow2" }));
    let path = sandbox.record("claims.json", &claims);
    sandbox.place(&path, "disk").args(["--format", "as-is"]).run().failure("corrupt", "format-mismatch", "image");
    sandbox.only(&[]);

    // Anything but raw to raw waits for unpackers; as it is, it can be placed.
    let path = sandbox.record("true.json", &changed(&qcow2, &json!({ "disk_format": "qcow2" })));
    sandbox.place(&path, "disk").run().failure("unsupported", "no-unpacker", "image");
    sandbox.only(&[]);
    let answer = sandbox.place(&path, "disk").args(["--format", "as-is"]).run();
    assert_eq!(answer.success()["targets"][0]["format"], "qcow2");
    assert_same_bytes(&qcow2, &sandbox.out("disk"));
    let path = sandbox.record("backed.json", &changed(&backed, &json!({ "disk_format": "qcow2" })));
    sandbox.place(&path, "other").args(["--format", "as-is"]).run().failure("corrupt", "format-reference", "image");
    sandbox.only(&["disk"]);
}
