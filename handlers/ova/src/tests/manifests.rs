//! Manifests that are right, and all the ways to be wrong.

use landfall_handler_api::ErrorKind;
use proptest::prelude::*;

use super::host::{Way, code, run, run_with, terms, vmdk};
use super::package::{Disk, Tar, VMDK, header, line, noise, ovf};
use crate::config::ManifestPolicy;
use crate::manifest::MANIFEST_MAX;
use crate::operation::Terms;

struct Parts {
    descriptor: String,
    disk: Vec<u8>,
}

fn parts() -> Parts {
    let disk = noise(1, 100_000);
    Parts { descriptor: ovf(&[Disk::new("d.vmdk", disk.len(), VMDK)]), disk: vmdk(&disk) }
}

/// Packages with this manifest, before and after the disk.
fn packages(manifest: &[u8]) -> [Vec<u8>; 2] {
    let Parts { descriptor, disk } = parts();
    let early = Tar::default().file("p.ovf", descriptor.as_bytes()).file("p.mf", manifest).file("d.vmdk", &disk);
    let late = Tar::default().file("p.ovf", descriptor.as_bytes()).file("d.vmdk", &disk).file("p.mf", manifest);
    [early.end(), late.end()]
}

#[test]
fn a_manifest_that_is_not_right_fails_the_package_wherever_it_is() {
    let Parts { descriptor, disk } = parts();
    let (ovf, other) = (line("SHA256", "p.ovf", descriptor.as_bytes()), line("SHA256", "p.ovf", b"other"));
    let (file, changed) = (line("SHA256", "d.vmdk", &disk), line("SHA256", "d.vmdk", b""));
    let mixed = line("SHA1", "p.ovf", descriptor.as_bytes()) + &line("SHA512", "d.vmdk", &disk);
    for (manifest, expected) in [
        (format!("{ovf}{file}"), ""),
        (format!("{file}{ovf}").replace('\n', "\r\n"), ""),
        (format!("{ovf}{file}").replace('(', " (").replace("=", " ="), ""),
        (mixed, ""),
        (format!("{ovf}{changed}"), "manifest-digest-mismatch"),
        (format!("{other}{file}"), "manifest-digest-mismatch"),
        (ovf.clone(), "manifest-unlisted-file"),
        (file.clone(), "manifest-unlisted-file"),
        (String::new(), "manifest-unlisted-file"),
        (format!("{ovf}{}", file.replace("d.vmdk", "D.vmdk")), "manifest-unlisted-file"),
        (format!("{ovf}{file}{}", line("SHA1", "gone.iso", b"")), "manifest-missing-file"),
        (format!("{ovf}{file}{}", line("SHA1", "p.mf", b"")), "manifest-invalid"),
        (format!("{ovf}{file}{file}"), "manifest-invalid"),
        (format!("{ovf}{file}\n"), "manifest-invalid"),
        (format!("{ovf}{}", file.replace("SHA256(", "SHA256 d.vmdk(")), "manifest-invalid"),
        (format!("{ovf}{}", file.replace(")=", ")")), "manifest-invalid"),
    ] {
        for package in packages(manifest.as_bytes()) {
            assert_eq!(code(&package), expected, "{manifest}");
        }
    }
}

#[test]
fn a_certificate_need_not_be_listed_but_is_checked_if_it_is() {
    let Parts { descriptor, disk } = parts();
    let lines = line("SHA1", "p.ovf", descriptor.as_bytes()) + &line("SHA1", "d.vmdk", &disk);
    let package = |manifest: &str| {
        let tar = Tar::default().file("p.cert", b"certificate").file("p.ovf", descriptor.as_bytes());
        tar.file("d.vmdk", &disk).file("p.mf", manifest.as_bytes()).end()
    };
    assert_eq!(code(&package(&lines)), "");
    assert_eq!(code(&package(&(lines.clone() + &line("SHA1", "p.cert", b"certificate")))), "");
    assert_eq!(code(&package(&(lines + &line("SHA1", "p.cert", b"another")))), "manifest-digest-mismatch");
}

#[test]
fn every_member_is_protected_not_only_the_disks() {
    let Parts { descriptor, disk } = parts();
    let lines = line("SHA1", "p.ovf", descriptor.as_bytes()) + &line("SHA1", "d.vmdk", &disk);
    let package = |manifest: &str| {
        let tar = Tar::default().file("p.ovf", descriptor.as_bytes()).file("d.vmdk", &disk);
        tar.file("p.iso", &noise(5, 3_000_000)).file("p.mf", manifest.as_bytes()).end()
    };
    assert_eq!(code(&package(&lines)), "manifest-unlisted-file");
    assert_eq!(code(&package(&(lines.clone() + &line("SHA256", "p.iso", &noise(5, 3_000_000))))), "");
    assert_eq!(
        code(&package(&(lines.clone() + &line("SHA256", "p.iso", &noise(6, 3_000_000))))),
        "manifest-digest-mismatch"
    );

    // A long one is hashed by SHA-512 only where that is asked for; what has gone by has to be read again.
    for (seed, ranged) in [(5, ""), (6, "manifest-digest-mismatch")] {
        let package = package(&(lines.clone() + &line("SHA512", "p.iso", &noise(seed, 3_000_000))));
        for way in Way::ALL {
            let outcome = run_with(&package, way, &terms()).1;
            let code = outcome.err().map_or_else(String::new, |error| error.code().to_owned());
            assert_eq!(code, if way == Way::Ranged { ranged } else { "input-forward-only" }, "{way:?}");
        }
        // Bytes that turn out to be readable again.
        let host = super::host::Host::default();
        let outcome = crate::unpack::unpack(&super::host::Bytes(&package), &terms(), &host);
        assert_eq!(outcome.err().map_or_else(String::new, |error| error.code().to_owned()), ranged);
    }
}

#[test]
fn the_operator_says_whether_there_must_be_one() {
    let Parts { descriptor, disk } = parts();
    let right = line("SHA1", "p.ovf", descriptor.as_bytes()) + &line("SHA1", "d.vmdk", &disk);
    let without = Tar::default().file("p.ovf", descriptor.as_bytes()).file("d.vmdk", &disk).end();
    let [with, late] = packages(right.as_bytes());
    let [wrong, _] = packages(b"nonsense");
    for (policy, package, expected) in [
        (ManifestPolicy::Require, &with, ""),
        (ManifestPolicy::Require, &late, ""),
        (ManifestPolicy::Require, &without, "manifest-required"),
        (ManifestPolicy::Require, &wrong, "manifest-invalid"),
        (ManifestPolicy::Enforce, &without, ""),
        (ManifestPolicy::Enforce, &wrong, "manifest-invalid"),
        (ManifestPolicy::Ignore, &with, ""),
        (ManifestPolicy::Ignore, &without, ""),
        (ManifestPolicy::Ignore, &wrong, ""),
    ] {
        for way in Way::ALL {
            let (_, outcome) = run_with(package, way, &Terms { manifest: policy, ..terms() });
            let code = outcome.err().map_or_else(String::new, |error| error.code().to_owned());
            assert_eq!(code, expected, "{policy:?} {way:?}");
        }
    }
    let (_, outcome) = run_with(&without, Way::Stream, &Terms { manifest: ManifestPolicy::Require, ..terms() });
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Denied);
}

#[test]
fn there_is_one_manifest_of_a_bounded_size() {
    let Parts { descriptor, disk } = parts();
    let lines = line("SHA1", "p.ovf", descriptor.as_bytes()) + &line("SHA1", "d.vmdk", &disk);
    let tar =
        || Tar::default().file("p.ovf", descriptor.as_bytes()).file("p.mf", lines.as_bytes()).file("d.vmdk", &disk);
    assert_eq!(code(&tar().end()), "");
    assert_eq!(code(&tar().file("q.MF", b"").end()), "ova-several-manifests");

    let large = |size: u64| {
        let tar = Tar::default().file("p.ovf", descriptor.as_bytes());
        tar.entry(header("p.mf", size, b'0'), &vec![b' '; size as usize]).file("d.vmdk", &disk).end()
    };
    assert_eq!(run(&large(MANIFEST_MAX + 1)).unwrap_err(), (ErrorKind::Limit, "manifest-too-large".to_owned()));
    assert_eq!(code(&large(MANIFEST_MAX)), "manifest-invalid");
}

proptest! {
    #[test]
    fn no_change_of_a_listed_package_changes_a_disk(at in 0.0..1.0_f64, flip in 1_u8..=255, late in any::<bool>()) {
        let Parts { descriptor, disk } = parts();
        let lines = line("SHA256", "p.ovf", descriptor.as_bytes()) + &line("SHA1", "d.vmdk", &disk);
        let mut package = packages(lines.as_bytes())[usize::from(late)].clone();
        let at = (package.len() as f64 * at) as usize;
        package[at] ^= flip;
        let outcomes = Way::ALL.map(|way| {
            let (host, outcome) = run_with(&package, way, &terms());
            outcome.map(|()| host.finished.into_inner().unwrap().remove(&0).unwrap().bytes)
        });
        prop_assert!(outcomes.iter().all(|outcome| outcome.is_ok() == outcomes[0].is_ok()));
        for outcome in outcomes {
            match outcome {
                Ok(bytes) => prop_assert!(bytes == noise(1, 100_000)),
                Err(error) => prop_assert!([
                    ErrorKind::Corrupt,
                    ErrorKind::Unsupported,
                    ErrorKind::Limit,
                ].contains(&error.kind())),
            }
        }
    }
}
