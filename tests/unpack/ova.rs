//! OVA archives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{COMPRESSIONS, DISK_BYTES, WAYS, Workshop, case, succeed};
use crate::support::case::Case;
use crate::support::disk::{assert_same_bytes, noise};
use crate::support::left_over::assert_only;
use crate::support::needs::find_program;
use crate::support::ova;
use crate::support::world::World;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("ova_of_one_disk", one_disk),
        case("ova_of_two_disks", two_disks),
        case("ova_compressed", compressed),
        case("ova_orders_of_members", orders),
        case("ova_manifest_that_is_wrong", wrong_manifest),
        case("ova_of_split_disks", split),
        case("ova_of_split_disks_side_by_side", side_by_side),
    ]
}

/// Makes `image.ova` of these files of the store, in this order, with `tar`.
fn archive(shop: &Workshop<'_>, members: &[&str]) -> PathBuf {
    let to = shop.sandbox.store("image.ova");
    ova::archive(&to, shop.sandbox.store_dir(), members, "ustar");
    to
}

/// Writes the OVF and the manifest of these members.
fn describe(shop: &Workshop<'_>, disks: &[(&str, u64)], algorithm: &str) {
    let listed: Vec<_> = disks.iter().map(|(name, bytes)| (*name, *bytes, ova::VMDK)).collect();
    fs::write(shop.sandbox.store("image.ovf"), ova::ovf(&listed)).unwrap();
    let names: Vec<&str> = std::iter::once("image.ovf").chain(disks.iter().map(|(name, _)| *name)).collect();
    let manifest = ova::manifest(shop.sandbox.store_dir(), &names, algorithm);
    fs::write(shop.sandbox.store("image.mf"), manifest).unwrap();
}

fn form() -> Value {
    json!({ "disk_format": "vmdk", "container_format": "ova" })
}

fn one_disk(world: &World) {
    let shop = Workshop::new(world);
    for subformat in ["streamOptimized", "monolithicSparse"] {
        shop.convert("disk1.vmdk", "vmdk", &format!("subformat={subformat}"));
        for algorithm in ["SHA1", "SHA256", "SHA512"] {
            describe(&shop, &[("disk1.vmdk", DISK_BYTES)], algorithm);
            let ova = archive(&shop, &["image.ovf", "image.mf", "disk1.vmdk"]);
            for way in WAYS {
                shop.placed(&shop.record(&ova, way, &form()), &["ova"]);
            }
        }
    }
}

fn two_disks(world: &World) {
    let shop = Workshop::new(world);
    shop.convert("disk1.vmdk", "vmdk", "subformat=streamOptimized");
    let second = shop.sandbox.home("second.raw");
    let mut bytes = noise(300_000, 9);
    bytes.resize(3 << 20, 0);
    fs::write(&second, bytes).unwrap();
    let qemu = find_program("qemu-img").unwrap();
    let mut convert = Command::new(qemu);
    convert.args(["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]);
    succeed(convert.arg(&second).arg(shop.sandbox.store("disk2.vmdk")));
    describe(&shop, &[("disk1.vmdk", DISK_BYTES), ("disk2.vmdk", 3 << 20)], "SHA256");
    let ova = archive(&shop, &["image.ovf", "image.mf", "disk1.vmdk", "disk2.vmdk"]);
    for way in WAYS {
        let record = shop.record(&ova, way, &form());
        // Under one name there is room for one.
        shop.refused(&record, ["unsupported", "several-disks", "image"]);
        let path = shop.sandbox.record("image.json", &record);
        let place =
            || shop.sandbox.landfall("place").arg(&path).arg("--to-dir").arg(shop.sandbox.out("vm")).json().run();
        shop.configure("disks = 1", "");
        place().failure("limit", "ovf-too-many-disks", "image");
        shop.sandbox.only(&[]);
        shop.configure("", "");
        let answer = place();
        let targets: Vec<_> =
            answer.success()["targets"].as_array().unwrap().iter().map(|target| &target["bytes"]).collect();
        assert_eq!(targets, [&json!(DISK_BYTES), &json!(3 << 20)]);
        let vm = shop.sandbox.out("vm");
        assert_only(&vm, &["disk-0.raw", "disk-1.raw", "disks.json"]);
        assert_same_bytes(&shop.disk, &vm.join("disk-0.raw"));
        assert_same_bytes(&second, &vm.join("disk-1.raw"));
        let document: Value = serde_json::from_slice(&fs::read(vm.join("disks.json")).unwrap()).unwrap();
        let expected = json!({
            "file": "disk-1.raw", "bytes": 3 << 20, "format": "raw", "name": "vmdisk1", "member": "disk2.vmdk",
            "stored_format": "vmdk", "controller": "3", "unit": 1, "boot_order": null,
        });
        assert_eq!(document["disks"][1], expected);
        let machine = &document["machine"];
        assert_eq!(
            (&machine["name"], &machine["vcpus"], &machine["memory_bytes"]),
            (&json!("appliance"), &json!(2), &json!(512 << 20))
        );
        shop.sandbox.landfall("remove").arg(&vm).json().run().success();
        shop.sandbox.only(&[]);
    }
}

fn compressed(world: &World) {
    let shop = Workshop::new(world);
    shop.convert("disk1.vmdk", "vmdk", "subformat=streamOptimized");
    describe(&shop, &[("disk1.vmdk", DISK_BYTES)], "SHA256");
    let ova = archive(&shop, &["image.ovf", "image.mf", "disk1.vmdk"]);
    for compression in COMPRESSIONS {
        let file = shop.compress(&ova, compression);
        for way in WAYS {
            let mut form = form();
            form["compression"] = json!(compression);
            shop.placed(&shop.record(&file, way, &form), &[compression, "ova"]);
        }
    }
}

/// The descriptor may come after the disks: the archive is then spooled, and unpacked from there.
fn orders(world: &World) {
    let shop = Workshop::new(world);
    shop.convert("disk1.vmdk", "vmdk", "subformat=streamOptimized");
    describe(&shop, &[("disk1.vmdk", DISK_BYTES)], "SHA256");
    let orders: [&[&str]; 5] = [
        &["image.ovf", "disk1.vmdk", "image.mf"],
        &["disk1.vmdk", "image.ovf", "image.mf"],
        &["image.mf", "disk1.vmdk", "image.ovf"],
        &["image.mf", "image.ovf", "disk1.vmdk"],
        &["image.ovf", "disk1.vmdk"],
    ];
    let place = |members: &[&str]| {
        let ova = archive(&shop, members);
        for way in WAYS {
            shop.placed(&shop.record(&ova, way, &form()), &["ova"]);
        }
        ova
    };
    for members in orders {
        place(members);
    }
    // A manifest that comes last with SHA-512 is enforced as well.
    describe(&shop, &[("disk1.vmdk", DISK_BYTES)], "SHA512");
    place(orders[0]);
    let manifest = shop.sandbox.store("image.mf");
    let text = fs::read_to_string(&manifest).unwrap();
    let (head, last) = text.trim_end().split_at(text.trim_end().len() - 1);
    fs::write(&manifest, format!("{head}{}\n", if last == "0" { "1" } else { "0" })).unwrap();
    let ova = archive(&shop, orders[0]);
    for way in WAYS {
        shop.refused(&shop.record(&ova, way, &form()), ["corrupt", "manifest-digest-mismatch", "image"]);
    }
}

fn wrong_manifest(world: &World) {
    let shop = Workshop::new(world);
    shop.convert("disk1.vmdk", "vmdk", "subformat=streamOptimized");
    describe(&shop, &[("disk1.vmdk", DISK_BYTES)], "SHA256");
    let right = fs::read_to_string(shop.sandbox.store("image.mf")).unwrap();
    let wrong_digest = right.replacen("= ", "= f", 1).replacen(|digit: char| digit.is_ascii_digit(), "1", 0);
    let flipped: String = {
        let at = right.rfind("= ").unwrap() + 2;
        let digit = if right.as_bytes()[at] == b'0' { "1" } else { "0" };
        format!("{}{digit}{}", &right[..at], &right[at + 1..])
    };
    let missing = right.lines().next().unwrap().to_owned() + "\n";
    let extra = format!("{right}SHA256(other.vmdk)= {}\n", "0".repeat(64));
    for (manifest, code) in [
        (flipped, "manifest-digest-mismatch"),
        (wrong_digest, "manifest-invalid"),
        (missing, "manifest-unlisted-file"),
        (extra, "manifest-missing-file"),
        ("SHA256 image.ovf\n".to_owned(), "manifest-invalid"),
    ] {
        fs::write(shop.sandbox.store("image.mf"), manifest).unwrap();
        for members in [["image.ovf", "image.mf", "disk1.vmdk"], ["image.ovf", "disk1.vmdk", "image.mf"]] {
            let ova = archive(&shop, &members);
            for way in WAYS {
                let record = shop.record(&ova, way, &form());
                shop.configure("", "");
                shop.refused(&record, ["corrupt", code, "image"]);
                shop.configure("", "[handler.ova]\nmanifest = \"ignore\"\n");
                shop.placed(&record, &["ova"]);
            }
        }
    }
    let ova = archive(&shop, &["image.ovf", "disk1.vmdk"]);
    shop.configure("", "[handler.ova]\nmanifest = \"require\"\n");
    shop.refused(&shop.record(&ova, "stream", &form()), ["denied", "manifest-required", "location"]);
}

/// Forms of a disk in several files, and what qemu-img calls the first of these.
const SPLIT: [(&str, &str); 3] = [
    ("monolithicFlat", "disk1-flat.vmdk"),
    ("twoGbMaxExtentFlat", "disk1-f001.vmdk"),
    ("twoGbMaxExtentSparse", "disk1-s001.vmdk"),
];

/// Writes the manifest of these members, which are all but itself.
fn vouch(shop: &Workshop<'_>, members: &[&str]) {
    let manifest = ova::manifest(shop.sandbox.store_dir(), members, "SHA256");
    fs::write(shop.sandbox.store("image.mf"), manifest).unwrap();
}

/// The disk's descriptor and its extents are members; a stream is spooled where an extent comes first.
fn split(world: &World) {
    let shop = Workshop::new(world);
    fs::write(shop.sandbox.store("image.ovf"), ova::ovf(&[("disk1.vmdk", DISK_BYTES, ova::VMDK)])).unwrap();
    for (subformat, extent) in SPLIT {
        shop.convert("disk1.vmdk", "vmdk", &format!("subformat={subformat}"));
        vouch(&shop, &["image.ovf", "disk1.vmdk", extent]);
        for members in [
            ["image.ovf", "image.mf", "disk1.vmdk", extent],
            ["image.ovf", extent, "disk1.vmdk", "image.mf"],
            [extent, "disk1.vmdk", "image.mf", "image.ovf"],
        ] {
            let ova = archive(&shop, &members);
            for (way, threads) in WAYS.into_iter().zip([1, 8]) {
                shop.configure("", &format!("[handler.ova]\nthreads = {threads}\n"));
                shop.placed(&shop.record(&ova, way, &form()), &["ova"]);
            }
        }
        shop.configure("", "");
        let ova = archive(&shop, &["image.ovf", "image.mf", "disk1.vmdk", extent]);
        for compression in COMPRESSIONS {
            let file = shop.compress(&ova, compression);
            let mut form = form();
            form["compression"] = json!(compression);
            for way in WAYS {
                shop.placed(&shop.record(&file, way, &form), &[compression, "ova"]);
            }
        }

        let refused = |members: &[&str], code: &str| {
            let ova = archive(&shop, members);
            for way in WAYS {
                shop.refused(&shop.record(&ova, way, &form()), ["corrupt", code, "image"]);
            }
        };
        refused(&["image.ovf", "disk1.vmdk"], "ova-extent-missing");
        let (path, short) = (shop.sandbox.store(extent), subformat != "twoGbMaxExtentSparse");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - (64 << 10)]).unwrap();
        refused(&["image.ovf", "disk1.vmdk", extent], if short { "ova-extent-size" } else { "unexpected-end" });
        let mut changed = whole;
        let last = changed.len() - 1;
        changed[last] ^= 1;
        fs::write(&path, &changed).unwrap();
        refused(&["image.ovf", "image.mf", "disk1.vmdk", extent], "manifest-digest-mismatch");
        refused(&["image.ovf", "disk1.vmdk", extent, "image.mf"], "manifest-digest-mismatch");
        // A name leads to the archive alone: not to the same file in the store.
        let text = String::from_utf8_lossy(&fs::read(shop.sandbox.store("disk1.vmdk")).unwrap()).into_owned();
        let outside = text.replace(extent, &path.display().to_string());
        fs::write(shop.sandbox.store("disk1.vmdk"), outside).unwrap();
        let ova = archive(&shop, &["image.ovf", "disk1.vmdk", extent]);
        for way in WAYS {
            shop.refused(&shop.record(&ova, way, &form()), ["unsupported", "vmdk-other-files", "handler"]);
        }
    }
}

/// Two disks of three extents each, whose members come in turns. qemu-img reads both as well.
fn side_by_side(world: &World) {
    const SECTOR: usize = 512;
    let shop = Workshop::new(world);
    let qemu = |arguments: &[&str], paths: [&Path; 2]| {
        let mut command = Command::new(find_program("qemu-img").unwrap());
        succeed(command.args(arguments).args(paths));
    };
    let whole = fs::read(&shop.disk).unwrap();
    let mut members = vec!["image.ovf".to_owned(), "disk1.vmdk".to_owned(), "disk2.vmdk".to_owned()];
    // Flat extents may begin within a block of the disk, sparse ones only with a grain.
    for (number, kind, type_name, cuts) in [
        (1, "FLAT", "twoGbMaxExtentFlat", [0, 4001, 4008, whole.len() / SECTOR]),
        (2, "SPARSE", "twoGbMaxExtentSparse", [0, 128 * 13, 128 * 60, whole.len() / SECTOR]),
    ] {
        let mut text = format!("# Disk DescriptorFile\nversion=1\nCID={number}\nparentCID=ffffffff\n");
        text.push_str(&format!("createType=\"{type_name}\"\n"));
        for (part, cut) in cuts.windows(2).enumerate() {
            let name = format!("disk{number}-{part}.vmdk");
            let path = shop.sandbox.store(&name);
            let piece = shop.sandbox.home("piece");
            fs::write(&piece, &whole[cut[0] * SECTOR..cut[1] * SECTOR]).unwrap();
            match kind {
                "FLAT" => drop(fs::copy(&piece, &path).unwrap()),
                _ => qemu(&["convert", "-f", "raw", "-O", "vmdk"], [&piece, &path]),
            }
            let offset = if kind == "FLAT" { " 0" } else { "" };
            text.push_str(&format!("RW {} {kind} \"{name}\"{offset}\n", cut[1] - cut[0]));
            members.insert(3 + part, name);
        }
        let descriptor = shop.sandbox.store(&format!("disk{number}.vmdk"));
        fs::write(&descriptor, text).unwrap();
        let theirs = shop.sandbox.home("theirs.raw");
        qemu(&["convert", "-f", "vmdk", "-O", "raw"], [&descriptor, &theirs]);
        assert_same_bytes(&shop.disk, &theirs);
    }
    let disks = [("disk1.vmdk", DISK_BYTES, ova::VMDK), ("disk2.vmdk", DISK_BYTES, ova::VMDK)];
    fs::write(shop.sandbox.store("image.ovf"), ova::ovf(&disks)).unwrap();
    members.swap(3, 8);
    let mut members: Vec<&str> = members.iter().map(String::as_str).collect();
    vouch(&shop, &members);
    members.push("image.mf");
    let ova = archive(&shop, &members);
    for way in WAYS {
        let record = shop.sandbox.record("image.json", &shop.record(&ova, way, &form()));
        let vm = shop.sandbox.out("vm");
        shop.sandbox.landfall("place").arg(&record).arg("--to-dir").arg(&vm).json().run().success();
        assert_only(&vm, &["disk-0.raw", "disk-1.raw", "disks.json"]);
        assert_same_bytes(&shop.disk, &vm.join("disk-0.raw"));
        assert_same_bytes(&shop.disk, &vm.join("disk-1.raw"));
        shop.sandbox.landfall("remove").arg(&vm).json().run().success();
        shop.sandbox.only(&[]);
    }
}
