//! Disks whose VMDK is a descriptor of other members.

use landfall_handler_api::ErrorKind;
use proptest::prelude::*;

use super::host::{Way, code, run, run_with, terms};
use super::package::{Disk, Tar, VMDK, line, noise, ovf};

const SECTOR: usize = 512;

/// The descriptor of a disk with these extents: lines without their access.
fn descriptor(create_type: &str, extents: &[String]) -> String {
    let extents: String = extents.iter().map(|extent| format!("RW {extent}\n")).collect();
    format!("# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n{extents}")
}

fn flat(bytes: &[u8], name: &str) -> String {
    format!("{} FLAT \"{name}\" 0", bytes.len() / SECTOR)
}

/// The usual package: a disk of two flat extents, which share a block.
struct Usual {
    ovf: String,
    descriptor: String,
    one: Vec<u8>,
    two: Vec<u8>,
}

impl Usual {
    fn new() -> Self {
        let (one, two) = (noise(1, 301 * SECTOR), noise(2, 7 * SECTOR));
        let capacity = one.len() + two.len();
        let extents = [flat(&one, "d-f001.vmdk"), flat(&two, "d-f002.vmdk")];
        let descriptor = descriptor("twoGbMaxExtentFlat", &extents);
        Self { ovf: ovf(&[Disk::new("d.vmdk", capacity, VMDK)]), descriptor, one, two }
    }

    fn disk(&self) -> Vec<u8> {
        [&self.one[..], &self.two].concat()
    }

    fn members(&self) -> [(&'static str, &[u8]); 4] {
        let (ovf, descriptor) = (self.ovf.as_bytes(), self.descriptor.as_bytes());
        [("a.ovf", ovf), ("d.vmdk", descriptor), ("d-f001.vmdk", &self.one), ("d-f002.vmdk", &self.two)]
    }

    /// Its members in their order, with another descriptor.
    fn with(&self, descriptor: &str) -> Vec<u8> {
        archive(&self.members().map(|(name, bytes)| match name {
            "d.vmdk" => (name, descriptor.as_bytes()),
            _ => (name, bytes),
        }))
    }
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    members.iter().fold(Tar::default(), |tar, (name, bytes)| tar.file(name, bytes)).end()
}

/// All orders of `items`.
fn orders<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
    if items.is_empty() {
        return vec![Vec::new()];
    }
    let first = |at: usize| {
        let mut rest = items.to_vec();
        let first = rest.remove(at);
        orders(&rest).into_iter().map(move |mut order| {
            order.insert(0, first.clone());
            order
        })
    };
    (0..items.len()).flat_map(first).collect()
}

/// What can be read anywhere is read in any order of members; a stream where the descriptors come first. Otherwise it
/// says that it must go back, for the host to spool it.
#[test]
fn any_order_gives_the_disk() {
    let usual = Usual::new();
    let manifest: String = usual.members().iter().map(|(name, bytes)| line("SHA256", name, bytes)).collect();
    let members = [&usual.members()[..], &[("a.mf", manifest.as_bytes())]].concat();
    let orders = orders(&members);
    assert_eq!(orders.len(), 120);
    let mut streamed = 0;
    for order in orders {
        let package = archive(&order);
        let place = |name: &str| order.iter().position(|(member, _)| *member == name).unwrap();
        let extents = [place("d-f001.vmdk"), place("d-f002.vmdk")];
        let in_order = place("a.ovf") < place("d.vmdk") && extents.iter().all(|extent| place("d.vmdk") < *extent);
        for way in Way::ALL {
            let (host, outcome) = run_with(&package, way, &terms());
            if way != Way::Ranged && !in_order {
                assert_eq!(outcome.unwrap_err().code(), "input-forward-only", "{order:?}");
                continue;
            }
            outcome.unwrap();
            assert!(host.finished.into_inner().unwrap().remove(&0).unwrap().bytes == usual.disk());
            streamed += usize::from(way == Way::Stream);
        }
    }
    assert_eq!(streamed, 10);
}

/// Extents of several disks may come in turns.
#[test]
fn disks_are_unpacked_side_by_side() {
    let parts: Vec<Vec<u8>> = (0..4).map(|seed| noise(seed, (40 + seed as usize) * SECTOR)).collect();
    let split = |one: usize, two: usize| {
        let extents = [flat(&parts[one], &format!("{one}.flat")), flat(&parts[two], &format!("{two}.flat"))];
        (descriptor("twoGbMaxExtentFlat", &extents), [&parts[one][..], &parts[two]].concat())
    };
    let ((first, first_disk), (second, second_disk)) = (split(0, 3), split(1, 2));
    let disks = [Disk::new("1.vmdk", first_disk.len(), VMDK), Disk::new("2.vmdk", second_disk.len(), VMDK)];
    let ovf = ovf(&disks);
    let mut members = vec![("a.ovf", ovf.as_bytes()), ("1.vmdk", first.as_bytes()), ("2.vmdk", second.as_bytes())];
    members.extend(["0.flat", "1.flat", "2.flat", "3.flat"].into_iter().zip(parts.iter().map(Vec::as_slice)));
    assert_eq!(run(&archive(&members)), Ok(vec![first_disk, second_disk]));
}

#[test]
fn members_that_do_not_fit_are_refused() {
    let usual = Usual::new();
    assert_eq!(run(&usual.with(&usual.descriptor)), Ok(vec![usual.disk()]));
    let (one, two) = (flat(&usual.one, "d-f001.vmdk"), flat(&usual.two, "d-f002.vmdk"));
    let with = |extents: &[&str]| {
        let extents: Vec<String> = extents.iter().map(|extent| (*extent).to_owned()).collect();
        code(&usual.with(&descriptor("twoGbMaxExtentFlat", &extents)))
    };
    let instead = |old: &str, new: &str| with(&[&one, &two.replace(old, new)]);
    // Names: of another member, of one that something else is in, and what is no name in the archive.
    assert_eq!(instead("d-f002", "d-f003"), "ova-extent-missing");
    assert_eq!(instead("d-f002", "D-F002"), "ova-extent-missing");
    assert_eq!(instead("d-f002.vmdk", "passwd"), "ova-extent-missing");
    for taken in ["d.vmdk", "a.ovf", "a.mf", "a.cert"] {
        assert_eq!(instead("d-f002.vmdk", taken), "ova-extent-reference", "{taken}");
    }
    assert_eq!(with(&[&one, &one]), "ova-extent-reference");
    for path in ["/etc/passwd", "../d-f002.vmdk", "./d-f002.vmdk", "a\\\\b", "..", "nbd:host", "C:\\\\x", "http://x/y"]
    {
        assert_eq!(instead("d-f002.vmdk", path), "vmdk-other-files", "{path}");
    }
    for kind in ["VMFS", "VMFSSPARSE", "VMFSRDM", "VMFSRAW", "RDM"] {
        assert_eq!(instead("FLAT", kind), "vmdk-other-files", "{kind}");
    }
    // Sizes: the capacity stays what the OVF says, or does not.
    let resized = |by: i64| {
        let (one, two) = (301 - by, 7 + by);
        with(&[&format!("{one} FLAT \"d-f001.vmdk\" 0"), &format!("{two} FLAT \"d-f002.vmdk\" 0")])
    };
    assert_eq!([resized(-1), resized(1)], ["ova-extent-size", "ova-extent-size"]);
    assert_eq!(resized(0), "");
    assert_eq!(instead("vmdk\" 0", "vmdk\" 1"), "ova-extent-size");
    assert_eq!(instead("7 FLAT", "8 FLAT"), "ovf-capacity-mismatch");
    assert_eq!(with(&[&one]), "ovf-capacity-mismatch");
    assert_eq!(instead("7 FLAT", &format!("{} FLAT", u64::MAX / 512)), "vmdk-capacity");
}

/// What qemu passes over, or takes twice.
#[test]
fn every_reader_finds_the_same_extents() {
    let usual = Usual::new();
    let replaced = |old: &str, new: &str| code(&usual.with(&usual.descriptor.replacen(old, new, 1)));
    for (old, new) in [
        ("RW 7", "RW 9 ZERO\nRW 7"),
        ("RW 7", "rw 7"),
        ("RW 7", "RDONLY 7"),
        ("7 FLAT", "7 flat"),
        ("RW 301", "\nRW 301"),
        ("RW 301", " \t\nRW 301"),
        ("RW 301", "\r\nRW 301"),
        ("RW 7", "\nRW 7"),
        ("# Disk", "KDMV=1\n# Disk"),
        ("# Disk", "COWD=1\n# Disk"),
        ("# Disk", "\nconectix=1\n# Disk"),
    ] {
        assert_eq!(replaced(old, new), "vmdk-extent-ambiguous", "{new:?}");
    }
    for (old, new) in [
        ("RW 7", "  RW\t7"),
        ("RW 301", "\n#\nRW 301"),
        ("\nRW 7", "\r\nRW 7"),
        ("RW 7", "#RW\nRW 7"),
        ("# Disk", "Version=1\n# Disk"),
    ] {
        assert_eq!(replaced(old, new), "", "{new:?}");
    }
}

#[test]
fn descriptors_that_do_not_fit_are_refused() {
    let usual = Usual::new();
    let replaced = |old: &str, new: &str| code(&usual.with(&usual.descriptor.replacen(old, new, 1)));
    assert_eq!(replaced("version=1", "version=1"), "");
    assert_eq!(replaced("parentCID=ffffffff", "parentCID=12345678"), "vmdk-parent");
    assert_eq!(replaced("version=1", "parentFileNameHint=\"/x\""), "vmdk-parent");
    assert_eq!(replaced("version=1", "changeTrackPath=\"x-ctk.vmdk\""), "vmdk-other-files");
    assert_eq!(replaced("twoGbMaxExtentFlat", "vmfs"), "vmdk-create-type");
    assert_eq!(replaced("twoGbMaxExtentFlat", "fullDevice"), "vmdk-create-type");
    assert_eq!(replaced("twoGbMaxExtentFlat", "twoGbMaxExtentSparse"), "vmdk-extent");
    assert_eq!(replaced("RW 301", "NOACCESS 301"), "vmdk-other-files");
    assert_eq!(replaced("version=1", "version=1\n\0hidden"), "vmdk-descriptor");
    for alone in ["monolithicSparse", "streamOptimized"] {
        assert_eq!(replaced("twoGbMaxExtentFlat", alone), "ova-extent-reference", "{alone}");
    }
    // A sparse extent must be one.
    let sparse = usual.descriptor.replace("FLAT", "SPARSE").replace("vmdk\" 0", "vmdk\"");
    assert_eq!(code(&usual.with(&sparse.replace("ExtentFlat", "ExtentSparse"))), "vmdk-magic");
}

#[test]
fn an_extent_that_differs_from_the_manifest_is_noticed() {
    let usual = Usual::new();
    for algorithm in ["SHA1", "SHA256", "SHA512"] {
        let lines = usual.members().map(|(name, bytes)| line(algorithm, name, bytes));
        let package = |lines: &[String]| {
            let manifest = lines.concat();
            archive(&[&[("a.mf", manifest.as_bytes())], &usual.members()[..]].concat())
        };
        assert_eq!(code(&package(&lines)), "");
        let mut wrong = lines.clone();
        wrong[3] = line(algorithm, "d-f002.vmdk", b"other");
        assert_eq!(code(&package(&wrong)), "manifest-digest-mismatch");
        assert_eq!(code(&package(&lines[..3])), "manifest-unlisted-file");
    }
}

/// No descriptor names more files than an archive can have.
#[test]
fn the_number_of_extents_is_bounded() {
    let usual = Usual::new();
    let extents: Vec<String> = (0..1025).map(|number| format!("1 FLAT \"{number}\" 0")).collect();
    let package = usual.with(&descriptor("twoGbMaxExtentFlat", &extents));
    assert_eq!(run(&package).unwrap_err(), (ErrorKind::Corrupt, "ova-extent-missing".to_owned()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_sizes_give_the_disk(sizes in proptest::collection::vec((1_usize..400, any::<bool>()), 1..8), seed: u64) {
        let mut members = Vec::new();
        let (mut lines, mut disk) = (Vec::new(), Vec::new());
        for (number, (sectors, half)) in sizes.iter().enumerate() {
            let mut bytes = noise(seed ^ number as u64, sectors * SECTOR);
            if *half {
                bytes[..sectors * SECTOR / 2].fill(0);
            }
            lines.push(flat(&bytes, &format!("part{number}")));
            disk.extend_from_slice(&bytes);
            members.push((format!("part{number}"), bytes));
        }
        let descriptor = descriptor("monolithicFlat", &lines);
        let ovf = ovf(&[Disk::new("d.vmdk", disk.len(), VMDK)]);
        let mut all = vec![("a.ovf", ovf.as_bytes()), ("d.vmdk", descriptor.as_bytes())];
        all.extend(members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
        prop_assert_eq!(run(&archive(&all)), Ok(vec![disk]));
    }
}
