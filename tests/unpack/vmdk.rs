//! VMware's virtual disks.

use std::fs;

use serde_json::json;

use super::{COMPRESSIONS, WAYS, Workshop, case};
use crate::support::case::Case;
use crate::support::world::World;

/// What `qemu-img` makes that is in one file and has its own tables.
const IN_ONE_FILE: [&str; 2] = ["streamOptimized", "monolithicSparse"];
/// What it makes that needs other files.
const IN_SEVERAL: [&str; 3] = ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"];

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("vmdk_in_one_file", in_one_file),
        case("vmdk_compressed", compressed),
        case("vmdk_of_several_files", of_several_files),
        case("vmdk_changed", changed),
        case("vmdk_changed_in_front_of_a_good_one", changed_in_front),
        case("vmdk_claimed_to_be_raw", claimed_raw),
        case("vmdk_nested", nested),
    ]
}

fn in_one_file(world: &World) {
    let shop = Workshop::new(world);
    for subformat in IN_ONE_FILE {
        let file = shop.convert("disk.vmdk", "vmdk", &format!("subformat={subformat}"));
        for way in WAYS {
            for threads in [1, 2, 8] {
                shop.configure("", &format!("[handler.vmdk]\nthreads = {threads}\n"));
                shop.placed(&shop.record(&file, way, &json!({ "disk_format": "vmdk" })), &["vmdk"]);
            }
        }
    }
}

fn compressed(world: &World) {
    let shop = Workshop::new(world);
    for subformat in IN_ONE_FILE {
        let file = shop.convert("disk.vmdk", "vmdk", &format!("subformat={subformat}"));
        for compression in COMPRESSIONS {
            let file = shop.compress(&file, compression);
            let form = json!({ "disk_format": "vmdk", "compression": compression });
            for way in WAYS {
                shop.placed(&shop.record(&file, way, &form), &[compression, "vmdk"]);
            }
        }
    }
}

fn of_several_files(world: &World) {
    let shop = Workshop::new(world);
    for subformat in IN_SEVERAL {
        let file = shop.convert("disk.vmdk", "vmdk", &format!("subformat={subformat}"));
        let mut padded = fs::read(&file).unwrap();
        padded.resize(64 << 10, 0);
        fs::write(shop.sandbox.store("padded.vmdk"), padded).unwrap();
        for name in ["disk.vmdk", "padded.vmdk"] {
            for way in WAYS {
                let file = shop.sandbox.store(name);
                let vmdk = shop.record(&file, way, &json!({ "disk_format": "vmdk" }));
                shop.refused(&vmdk, ["unsupported", "vmdk-other-files", "handler"]);
                // Nor is a text that names other files a raw disk.
                let raw = shop.record(&file, way, &json!({}));
                shop.refused(&raw, ["corrupt", "format-mismatch", "image"]);
            }
        }
    }
}

/// Every eleventh byte, changed: an error, or the exact disk, the same in every way.
fn changed(world: &World) {
    let shop = Workshop::new(world);
    for subformat in IN_ONE_FILE {
        let file = shop.convert("disk.vmdk", "vmdk", &format!("subformat={subformat}"));
        let bytes = fs::read(&file).unwrap();
        let mut refused = 0;
        let places: Vec<usize> = (0..2048).step_by(131).chain((2048..bytes.len()).step_by(bytes.len() / 8)).collect();
        for at in &places {
            let mut changed = bytes.clone();
            changed[*at] ^= 0x55;
            fs::write(&file, &changed).unwrap();
            let record = |way| shop.record(&file, way, &json!({ "disk_format": "vmdk" }));
            let codes = WAYS.map(|way| {
                let answer = shop.sandbox.place_value(&record(way), "disk");
                let code = answer.document()["error"]["code"].as_str().unwrap_or("placed").to_owned();
                if answer.status == 0 {
                    fs::remove_file(shop.sandbox.out("disk")).unwrap();
                }
                shop.sandbox.only(&[]);
                code
            });
            assert_eq!(codes[0], codes[1], "{subformat} at {at}");
            refused += usize::from(codes[0] != "placed");
        }
        assert!(refused * 3 > places.len(), "{subformat}: {refused} of {} were refused", places.len());
    }
}

/// What an unpacker says of bytes that are not the image rules out neither it nor the next location.
fn changed_in_front(world: &World) {
    let shop = Workshop::new(world);
    let good = shop.convert("disk.vmdk", "vmdk", "subformat=streamOptimized");
    let bytes = fs::read(&good).unwrap();
    // Signature, version, flags, grain size, table size, overhead; and grains.
    let places = [0, 4, 8, 20, 44, 71, 70_000];
    let (mut unsupported, mut kinds) = (0, Vec::new());
    for at in places {
        let mut bad = bytes.clone();
        bad[at] ^= 0x40;
        let bad_file = shop.sandbox.store("bad.vmdk");
        fs::write(&bad_file, &bad).unwrap();
        for way in WAYS {
            let form = json!({ "disk_format": "vmdk" });
            let mut record = shop.record(&good, way, &form);
            let first = shop.record(&bad_file, way, &form)["locations"][0].clone();
            record["locations"] = json!([first, record["locations"][0]]);
            let answer = shop.sandbox.place_value(&record, "disk");
            let document = answer.success();
            let attempts = document["attempts"].as_array().unwrap();
            assert_eq!(
                (&attempts[0]["code"], attempts.len()),
                (&json!("digest-mismatch"), 2),
                "{at} {way}: {document:#}"
            );
            crate::support::disk::assert_same_bytes(&shop.disk, &shop.sandbox.out("disk"));
            fs::remove_file(shop.sandbox.out("disk")).unwrap();
            // The control: what the unpacker itself says of those bytes, where they are said to be the image.
            let alone = shop.sandbox.place_value(&shop.record(&bad_file, way, &form), "disk");
            let kind = alone.document()["error"]["kind"].as_str().unwrap_or("none").to_owned();
            unsupported += usize::from(kind == "unsupported");
            kinds.push(kind);
        }
    }
    assert!(unsupported >= 2, "{kinds:?}");
    shop.sandbox.only(&[]);
}

fn claimed_raw(world: &World) {
    let shop = Workshop::new(world);
    for subformat in IN_ONE_FILE {
        let file = shop.convert("disk.vmdk", "vmdk", &format!("subformat={subformat}"));
        for way in WAYS {
            shop.refused(&shop.record(&file, way, &json!({})), ["corrupt", "format-mismatch", "image"]);
        }
    }
    let raw = shop.sandbox.store("disk.raw");
    fs::copy(&shop.disk, &raw).unwrap();
    for way in WAYS {
        let record = shop.record(&raw, way, &json!({ "disk_format": "vmdk" }));
        shop.refused(&record, ["corrupt", "vmdk-magic", "image"]);
    }
}

/// A disk that is itself in a format, inside of another: a guest could have written it, and whoever probes would follow it.
fn nested(world: &World) {
    let shop = Workshop::new(world);
    for inner in ["qcow2", "vmdk"] {
        let file = shop.convert("inner", inner, "");
        let bytes = fs::read(&file).unwrap();
        fs::write(&shop.disk, bytes).unwrap();
        let outer = shop.convert("outer.vmdk", "vmdk", "subformat=streamOptimized");
        for way in WAYS {
            let record = shop.record(&outer, way, &json!({ "disk_format": "vmdk" }));
            shop.refused(&record, ["corrupt", "format-mismatch", "image"]);
        }
        let shop_again = Workshop::new(world);
        fs::copy(&shop_again.disk, &shop.disk).unwrap();
    }
}
