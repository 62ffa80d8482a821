//! Members in any order, disks of any size, read in any way.

use landfall_handler_api::ErrorKind;
use proptest::prelude::*;
use serde_json::json;

use super::host::{Way, backward_vmdk, run, run_with, terms, vmdk};
use super::package::{Disk, Tar, VMDK, line, noise, ovf};
use crate::config::ManifestPolicy;

#[test]
fn a_package_in_the_usual_order_is_read_once() {
    let disk = noise(1, 3_000_000);
    let file = vmdk(&disk);
    let descriptor = ovf(&[Disk::new("a-disk1.vmdk", disk.len(), VMDK)]);
    let manifest = line("SHA256", "a.ovf", descriptor.as_bytes()) + &line("SHA256", "a-disk1.vmdk", &file);
    let package = Tar::default()
        .file("a.ovf", descriptor.as_bytes())
        .file("a.mf", manifest.as_bytes())
        .file("a.cert", b"not in the manifest")
        .file("a-disk1.vmdk", &file)
        .end();
    assert!(run(&package).unwrap() == [disk]);

    for way in Way::ALL {
        let (host, outcome) = run_with(&package, way, &terms());
        outcome.unwrap();
        assert!(host.notes.into_inner().unwrap().is_empty());
        assert!(host.done.into_inner() >= 3_000_000);
        let finished = host.finished.into_inner().unwrap();
        let meta = &finished[&0].meta;
        assert_eq!(meta.name.as_deref(), Some("disk0"));
        let disk = json!({
            "member": "a-disk1.vmdk", "stored_format": "vmdk", "controller": "3", "unit": 0, "boot_order": null,
        });
        let machine = json!({
            "name": "A & B", "vcpus": 2, "memory_bytes": 512 << 20, "firmware": null,
            "networks": [{"name": "VM Network", "adapters": []}],
            "controllers": [{"id": "3", "bus": "scsi", "model": "lsilogic", "number": 0}],
        });
        assert_eq!(json!(meta.extra), disk);
        assert_eq!(json!(*host.machines.lock().unwrap()), json!([machine]));
    }
}

#[test]
fn outputs_are_numbered_by_the_disk_section() {
    let (first, second) = (noise(1, 70_000), noise(2, 130_000));
    let disks = [
        Disk::new("x.vmdk", first.len(), VMDK),
        Disk { name: None, capacity: 4096, format: VMDK },
        Disk::new("y.img", second.len(), "raw"),
    ];
    let package = Tar::default()
        .file("p.ovf", ovf(&disks).as_bytes())
        .file("y.img", &second)
        .file("extra.iso", b"nobody asks for it")
        .file("x.vmdk", &vmdk(&first))
        .end();
    assert!(run(&package).unwrap() == [first, vec![0; 4096], second]);
    let (host, outcome) = run_with(&package, Way::Stream, &terms());
    outcome.unwrap();
    assert_eq!(host.notes.lock().unwrap().len(), 1);
    let finished = host.finished.into_inner().unwrap();
    assert!(finished[&1].meta.extra["stored_format"].is_null());
}

#[test]
fn what_has_gone_by_is_read_again_where_that_is_possible() {
    let disk = noise(3, 1_200_000);
    let descriptor = ovf(&[Disk::new("d.vmdk", disk.len(), VMDK)]);
    let manifest = line("SHA1", "p.ovf", descriptor.as_bytes()) + &line("SHA1", "d.vmdk", &backward_vmdk(&disk));
    let disk_first = Tar::default()
        .file("d.vmdk", &backward_vmdk(&disk))
        .file("p.mf", manifest.as_bytes())
        .file("p.ovf", descriptor.as_bytes())
        .end();
    let backward = Tar::default()
        .file("p.ovf", descriptor.as_bytes())
        .file("p.mf", manifest.as_bytes())
        .file("d.vmdk", &backward_vmdk(&disk))
        .end();
    // Bytes that turn out to be readable again are not hashed twice.
    let host = super::host::Host::default();
    crate::unpack::unpack(&super::host::Bytes(&disk_first), &terms(), &host).unwrap();
    assert!(host.finished.into_inner().unwrap()[&0].bytes == disk);

    for package in [disk_first, backward] {
        for way in Way::ALL {
            let (host, outcome) = run_with(&package, way, &terms());
            if way == Way::Ranged {
                outcome.unwrap();
                assert!(host.finished.into_inner().unwrap()[&0].bytes == disk);
            } else {
                let error = outcome.unwrap_err();
                assert_eq!((error.kind(), error.code()), (ErrorKind::Unsupported, "input-forward-only"));
                assert!(host.finished.into_inner().unwrap().is_empty());
            }
        }
    }
}

#[test]
fn whoever_must_stop_stops() {
    let disk = noise(4, 5_000_000);
    let package = Tar::default()
        .file("p.ovf", ovf(&[Disk::new("d.img", disk.len(), "raw")]).as_bytes())
        .file("d.img", &disk)
        .end();
    let host = super::host::Host::default();
    host.stop_at.store(4, std::sync::atomic::Ordering::Relaxed);
    let error = crate::unpack::unpack(&super::host::Bytes(&package), &terms(), &host).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(host.finished.into_inner().unwrap().is_empty());
}

#[derive(Debug, Clone, Copy)]
enum Listing {
    None,
    Right(&'static str),
    Wrong(&'static str),
}

fn listing() -> impl Strategy<Value = Listing> {
    let algorithm = prop_oneof![Just("SHA1"), Just("SHA256"), Just("SHA512")];
    prop_oneof![Just(Listing::None), algorithm.clone().prop_map(Listing::Right), algorithm.prop_map(Listing::Wrong),]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_order_gives_the_same_disks(
        sizes in proptest::collection::vec((1_usize..200_000, any::<bool>()), 1..4),
        keys in proptest::collection::vec(any::<u32>(), 8),
        listing in listing(),
    ) {
        let contents: Vec<_> = sizes.iter().enumerate().map(|(seed, (size, _))| noise(seed as u64, *size)).collect();
        let disks: Vec<_> = sizes.iter().enumerate().map(|(number, (size, is_vmdk))| {
            Disk::new(&format!("disk{number}.bin"), *size, if *is_vmdk { VMDK } else { "raw" })
        }).collect();
        let mut files = vec![("p.ovf".to_owned(), ovf(&disks).into_bytes()), ("p.nvram".to_owned(), noise(9, 9000))];
        for ((disk, bytes), (_, is_vmdk)) in disks.iter().zip(&contents).zip(&sizes) {
            files.push((disk.name.clone().unwrap(), if *is_vmdk { vmdk(bytes) } else { bytes.clone() }));
        }
        let manifest = |algorithm, change: Option<usize>| {
            let bytes = |at, bytes: &[u8]| if change == Some(at) { noise(77, 3) } else { bytes.to_vec() };
            let lines = files.iter().enumerate().map(|(at, (name, file))| line(algorithm, name, &bytes(at, file)));
            lines.collect::<String>().into_bytes()
        };
        match listing {
            Listing::None => {}
            Listing::Right(algorithm) => files.push(("p.mf".to_owned(), manifest(algorithm, None))),
            Listing::Wrong(algorithm) => {
                let change = keys[7] as usize % files.len();
                files.push(("p.mf".to_owned(), manifest(algorithm, Some(change))));
            }
        }
        let mut order: Vec<_> = files.iter().zip(&keys).collect();
        order.sort_by_key(|(_, key)| **key);
        let package = order.iter().fold(Tar::default(), |tar, ((name, bytes), _)| tar.file(name, bytes)).end();
        let at = |name: &str| order.iter().position(|((found, _), _)| found == name);
        let back = disks.iter().any(|disk| at(disk.name.as_ref().unwrap()) < at("p.ovf"));

        for way in Way::ALL {
            let (host, outcome) = run_with(&package, way, &terms());
            let code = outcome.as_ref().err().map_or("", |error| error.code());
            if back && way != Way::Ranged {
                prop_assert_eq!(code, "input-forward-only");
            } else if matches!(listing, Listing::Wrong(_)) {
                prop_assert_eq!(code, "manifest-digest-mismatch");
            } else {
                prop_assert_eq!(code, "");
                let finished = host.finished.into_inner().unwrap();
                prop_assert!(finished.into_values().map(|disk| disk.bytes).collect::<Vec<_>>() == contents);
            }
            let ignoring = crate::operation::Terms { manifest: ManifestPolicy::Ignore, ..terms() };
            let (_, outcome) = run_with(&package, way, &ignoring);
            prop_assert_eq!(outcome.is_err(), back && way != Way::Ranged);
        }
    }
}
