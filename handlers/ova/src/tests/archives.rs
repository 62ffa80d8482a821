//! Archives that two readers could read differently, beside those that are fine.

use landfall_handler_api::ErrorKind;
use proptest::prelude::*;

use super::host::{Way, code, run, run_with, terms, vmdk};
use super::package::{Disk, Tar, VMDK, header, noise, ovf, pax, poked};

const SIZE: usize = 124;
const CHECKSUM: usize = 148;
const MAGIC: usize = 257;

fn disk() -> Vec<u8> {
    noise(1, 10_000)
}

/// A package but for its disk and end.
fn begun() -> Tar {
    Tar::default().file("p.ovf", ovf(&[Disk::new("d.vmdk", disk().len(), VMDK)]).as_bytes())
}

/// A package whose disk has this header.
fn with_header(header: [u8; 512]) -> Vec<u8> {
    begun().entry(header, &vmdk(&disk())).end()
}

fn disk_header() -> [u8; 512] {
    header("d.vmdk", vmdk(&disk()).len() as u64, b'0')
}

#[test]
fn headers_that_are_fine() {
    let size = vmdk(&disk()).len() as u64;
    let mut binary = [0; 12];
    binary[0] = 0x80;
    binary[4..].copy_from_slice(&size.to_be_bytes());
    for header in [
        disk_header(),
        poked(disk_header(), MAGIC, b"ustar  \0"),
        poked(disk_header(), 156, b"\0"),
        header("./d.vmdk", size, b'0'),
        poked(disk_header(), SIZE, format!("{size:012o}").as_bytes()),
        poked(disk_header(), SIZE, format!("{size:11o} ").as_bytes()),
        poked(disk_header(), SIZE, format!("{:<12}", format!("{size:o}\0")).as_bytes()),
        poked(disk_header(), SIZE, &binary),
        // Owner, times, the names of owner and group, a link's target: of no file's bytes.
        poked(disk_header(), 100, &[0xff; 24]),
        poked(disk_header(), 136, &[0xff; 12]),
        poked(disk_header(), 157, b"anything"),
        poked(disk_header(), 265, b"root"),
    ] {
        assert!(run(&with_header(header)).unwrap() == [disk()]);
    }
}

#[test]
fn headers_that_are_refused() {
    let long = "n".repeat(100);
    let header_of = |name: &str| header(name, vmdk(&disk()).len() as u64, b'0');
    let mut unsealed = disk_header();
    unsealed[0] ^= 1;
    let mut binary = [0xff; 12];
    let mut negative = binary;
    negative[0] = 0xff;
    binary[0] = 0x80;
    let with_kind = |kind: u8| (poked(disk_header(), 156, &[kind]), "tar-entry-type");
    let mut cases = vec![
        (unsealed, "tar-checksum"),
        (poked(disk_header(), MAGIC, b"ustar\x0001"), "tar-magic"),
        (poked(disk_header(), MAGIC, b"\0\0\0\0\0\0\0\0"), "tar-magic"),
        (poked(disk_header(), SIZE, b"00000000009\0"), "tar-number"),
        (poked(disk_header(), SIZE, b"-0000000001\0"), "tar-number"),
        (poked(disk_header(), SIZE, b"            "), "tar-number"),
        (poked(disk_header(), SIZE, b"\0\0\0\0\0\0\0\0\0\0\0\0"), "tar-number"),
        (poked(disk_header(), SIZE, b"0000 000001\0"), "tar-number"),
        (poked(disk_header(), SIZE, b"00000000001x"), "tar-number"),
        (poked(disk_header(), SIZE, b"\t0000000001\0"), "tar-number"),
        (poked(disk_header(), SIZE, &binary), "tar-number"),
        (poked(disk_header(), SIZE, &negative), "tar-number"),
        (poked(disk_header(), SIZE, &[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), "tar-number"),
        (poked(disk_header(), SIZE, &[0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0]), "tar-number"),
        (header_of(""), "tar-name"),
        (header_of("a/d.vmdk"), "tar-name"),
        (header_of("/d.vmdk"), "tar-name"),
        (header_of("../d.vmdk"), "tar-name"),
        (header_of("./../d.vmdk"), "tar-name"),
        (header_of("d.vmdk/"), "tar-name"),
        (header_of("a\\d.vmdk"), "tar-name"),
        (header_of("d.vmdk\n"), "tar-name"),
        (header_of("d\0.vmdk"), "tar-name"),
        (header_of("."), "tar-name"),
        (poked(disk_header(), 0, b"\xff"), "tar-name"),
        (poked(disk_header(), 345, b"prefix"), "tar-name"),
        (poked(poked(disk_header(), MAGIC, b"ustar  \0"), 482, b"\x01"), "tar-name"),
        (poked(disk_header(), 508, b"tar\0"), "tar-name"),
        (header_of("p.ovf"), "tar-duplicate-name"),
        (header_of("P.OVF"), "tar-duplicate-name"),
        (header_of("./p.ovf"), "tar-duplicate-name"),
        (header_of("q.ovf"), "ova-several-descriptors"),
        (header_of("D.vmdk"), "ova-disk-missing"),
        (header_of(&long), "ova-disk-missing"),
    ];
    cases.extend(b"123456SKLD7VMNAXz".map(with_kind));
    for (number, (header, expected)) in cases.into_iter().enumerate() {
        assert_eq!(code(&with_header(header)), expected, "case {number}");
    }
}

#[test]
fn a_directory_or_link_is_refused_even_if_nobody_wants_it() {
    for kind in [b'1', b'2', b'3', b'4', b'5', b'6', b'S'] {
        let other = header("other/", 0, kind);
        let package = begun().entry(other, b"").file("d.vmdk", &vmdk(&disk())).end();
        assert_eq!(run(&package).unwrap_err(), (ErrorKind::Unsupported, "tar-entry-type".to_owned()));
        let after = begun().file("d.vmdk", &vmdk(&disk())).entry(other, b"").end();
        assert_eq!(code(&after), "tar-entry-type");
    }
}

#[test]
fn pax_headers_may_say_nothing_of_size_and_name() {
    let large = vec![b'x'; 64 << 10];
    let size = vmdk(&disk()).len();
    let inner = Tar::default().file("d.vmdk", b"another").0;
    for (kind, records, expected) in [
        (b'x', pax("mtime", "1700000000.5"), ""),
        (b'g', pax("comment", "0123"), ""),
        (b'x', [pax("uid", "1"), pax("SCHILY.xattr.user.x", "\n=\n")].concat(), ""),
        (b'x', vec![], ""),
        (b'x', pax("size", "0"), "tar-pax-record"),
        (b'x', pax("size", &size.to_string()), "tar-pax-record"),
        (b'g', pax("size", "0"), "tar-pax-record"),
        (b'x', [pax("mtime", "1"), pax("path", "other")].concat(), "tar-pax-record"),
        (b'x', pax("linkpath", "other"), "tar-pax-record"),
        (b'x', pax("GNU.sparse.realsize", "0"), "tar-pax-record"),
        (b'x', inner, "tar-pax-malformed"),
        (b'x', b"20 mtime=1".to_vec(), "tar-pax-malformed"),
        (b'x', [&large[..], b"x"].concat(), "tar-pax-too-large"),
        (b'x', large, "tar-pax-malformed"),
    ] {
        let records_header = header("./PaxHeaders/d.vmdk", records.len() as u64, kind);
        let package = begun().entry(records_header, &records).file("d.vmdk", &vmdk(&disk())).end();
        assert_eq!(code(&package), expected, "{}", String::from_utf8_lossy(&records[..records.len().min(80)]));
    }
    let records = pax("mtime", "1");
    let one = |tar: Tar, kind| tar.entry(header("x", records.len() as u64, kind), &records);
    let rest = |tar: Tar| tar.file("d.vmdk", &vmdk(&disk()));
    assert_eq!(code(&rest(one(one(begun(), b'g'), b'x')).end()), "");
    assert_eq!(code(&rest(one(one(begun(), b'x'), b'x')).end()), "tar-pax-malformed");
    assert_eq!(code(&rest(one(one(begun(), b'x'), b'g')).end()), "tar-pax-malformed");
    assert_eq!(code(&one(rest(begun()), b'x').end()), "tar-pax-malformed");
    assert_eq!(code(&one(rest(begun()), b'g').end()), "");
}

#[test]
fn an_archive_ends_with_two_blocks_of_zeros_and_their_padding() {
    let body = begun().file("d.vmdk", &vmdk(&disk())).0;
    let ended = |zeros: usize, more: &[u8]| code(&[&body[..], &vec![0; zeros], more].concat());
    assert_eq!(ended(1024, b""), "");
    assert_eq!(ended(1024 + (1 << 20), b""), "");
    assert_eq!(ended(1500, b""), "");
    assert_eq!(ended(1024 + (1 << 20) + 1, b""), "tar-trailing-data");
    assert_eq!(ended(1024, b"x"), "tar-trailing-data");
    assert_eq!(ended(100_000, b"x"), "tar-trailing-data");
    assert_eq!(ended(512, &Tar::default().file("d2.vmdk", b"").end()), "tar-trailing-data");
    assert_eq!(ended(1024, &Tar::default().file("d2.vmdk", b"").end()), "tar-trailing-data");
    for zeros in [0, 1, 511, 512, 513, 1023] {
        assert_eq!(ended(zeros, b""), "tar-truncated", "{zeros}");
    }
    assert_eq!(code(&[0; 1024]), "ova-no-descriptor");
    assert_eq!(code(b""), "tar-truncated");
    assert_eq!(code(&noise(3, 5000)), "tar-magic");
}

#[test]
fn an_archive_that_is_cut_anywhere_is_truncated() {
    let package = begun().file("d.vmdk", &vmdk(&disk())).file("last", b"x").0;
    for length in (0..package.len()).step_by(257).chain([package.len()]) {
        assert_eq!(code(&package[..length]), "tar-truncated", "{length}");
    }
    // A member that says it has more than the rest of the archive.
    let greedy = header("d.vmdk", 1 << 40, b'0');
    assert_eq!(code(&with_header(greedy)), "tar-truncated");
}

#[test]
fn members_are_counted() {
    let package = |members: usize| {
        let tar = (0..members).fold(begun(), |tar, number| tar.file(&number.to_string(), b""));
        tar.file("d.vmdk", &vmdk(&disk())).end()
    };
    // The descriptor and the disk are two more.
    assert_eq!(code(&package(1022)), "");
    assert_eq!(run(&package(1023)).unwrap_err(), (ErrorKind::Limit, "tar-too-many-members".to_owned()));
}

proptest! {
    #[test]
    fn any_change_of_a_header_is_survived(at in 0_usize..512, bytes in proptest::collection::vec(any::<u8>(), 1..12)) {
        let bytes = &bytes[..bytes.len().min(512 - at)];
        let package = with_header(poked(disk_header(), at, bytes));
        for way in Way::ALL {
            let (host, outcome) = run_with(&package, way, &terms());
            if outcome.is_ok() {
                prop_assert!(host.finished.into_inner().unwrap()[&0].bytes == disk());
            }
        }
        let mut unsealed = disk_header();
        unsealed[at] ^= bytes[0];
        if bytes[0] != 0 && !(CHECKSUM..CHECKSUM + 8).contains(&at) {
            prop_assert!(["tar-checksum", "tar-magic"].contains(&code(&with_header(unsealed)).as_str()));
        }
    }
}
