//! Descriptors, embedded and alone.

use landfall_handler_api::ErrorKind::{self, Corrupt, Unsupported};

use super::forms::{sample, written};
use super::memory::unpack_all_ways;
use super::writer::Layout;
use crate::{CreateType, Descriptor, Extent, ExtentKind};

const FLAT: &str = "# Disk DescriptorFile\nversion=1\nCID=c1d70f1c\nparentCID=ffffffff\n\
                    createType=\"monolithicFlat\"\n\n# Extent description\n\
                    RW 2053 FLAT \"a disk-flat.vmdk\" 0\n\nddb.virtualHWVersion = \"4\"\n";

#[test]
fn what_is_wrong_with_an_embedded_one_is_named() {
    let cases: &[(&str, &str, ErrorKind, &str)] = &[
        ("parentCID=ffffffff", "parentCID=fffffffe", Unsupported, "vmdk-parent"),
        ("ddb.geometry", "parentFileNameHint=\"a.vmdk\"\nddb.geometry", Unsupported, "vmdk-parent"),
        ("ddb.geometry", "# parentfilenamehint\nddb.geometry", Unsupported, "vmdk-parent"),
        ("ddb.geometry", "changeTrackPath=\"a-ctk.vmdk\"\nddb.geometry", Unsupported, "vmdk-other-files"),
        ("parentCID=ffffffff\n", "", Corrupt, "vmdk-descriptor"),
        ("parentCID=ffffffff", "parentCID=ffffffff\nparentCID=ffffffff", Corrupt, "vmdk-descriptor"),
        ("parentCID=ffffffff", "# parentCID=ffffffff", Corrupt, "vmdk-descriptor"),
        ("CID=12345678\n", "", Corrupt, "vmdk-descriptor"),
        ("CID=12345678\n", "CID=+1234567\n", Corrupt, "vmdk-descriptor"),
        ("CID=12345678\n", "CID=123456789\n", Corrupt, "vmdk-descriptor"),
        ("CID=12345678\n", "CID=1\nCID=1\n", Corrupt, "vmdk-descriptor"),
        ("createType", "createtypes", Corrupt, "vmdk-descriptor"),
        ("createType=", "createType=\"vmfs\"\n#", Unsupported, "vmdk-create-type"),
        ("createType=", "createType=\"custom\"\n#", Unsupported, "vmdk-create-type"),
        ("createType=", "createType=\"something\"\n#", Unsupported, "vmdk-create-type"),
        ("createType=", "createType=\"twoGbMaxExtentSparse\"\n#", Unsupported, "vmdk-other-files"),
        ("encoding", "a line\nencoding", Corrupt, "vmdk-descriptor"),
        ("encoding", "a key=\nencoding", Corrupt, "vmdk-descriptor"),
        ("encoding", "\u{b}encoding", Corrupt, "vmdk-descriptor"),
        ("encoding", "# \r comment\nencoding", Corrupt, "vmdk-descriptor"),
        ("# The", "\0# The", Corrupt, "vmdk-descriptor"),
        ("RW 16645 SPARSE", "# RW 16645 SPARSE", Corrupt, "vmdk-extent"),
        ("RW 16645 SPARSE", "WO 16645 SPARSE", Corrupt, "vmdk-descriptor"),
        ("RW 16645 SPARSE", "NOACCESS 16645 SPARSE", Unsupported, "vmdk-other-files"),
        ("RW 16645 SPARSE", "RW 16646 SPARSE", Corrupt, "vmdk-capacity-mismatch"),
        ("RW 16645 SPARSE", "RW 16644 SPARSE", Corrupt, "vmdk-capacity-mismatch"),
        ("RW 16645 SPARSE", "RW 18446744073709551615 SPARSE", Corrupt, "vmdk-capacity-mismatch"),
        ("RW 16645 SPARSE", "RW 18446744073709551616 SPARSE", Corrupt, "vmdk-extent"),
        ("RW 16645 SPARSE", "RW +16645 SPARSE", Corrupt, "vmdk-extent"),
        ("RW 16645 SPARSE", "RW 0 SPARSE", Corrupt, "vmdk-extent"),
        ("RW 16645 SPARSE", "RW 16645 VMFS", Unsupported, "vmdk-other-files"),
        ("RW 16645 SPARSE", "RW 16645 RDM", Unsupported, "vmdk-other-files"),
        ("SPARSE \"disk one.vmdk\"", "FLAT \"disk one.vmdk\" 0", Unsupported, "vmdk-other-files"),
        ("SPARSE \"disk one.vmdk\"", "SPARSE \"disk one.vmdk\" 0", Corrupt, "vmdk-extent"),
        ("SPARSE \"disk one.vmdk\"", "SPARSE disk.vmdk", Corrupt, "vmdk-extent"),
        ("SPARSE \"disk one.vmdk\"", "SPARSE \"disk.vmdk", Corrupt, "vmdk-extent"),
        ("SPARSE \"disk one.vmdk\"", "SPARSE \"\"", Corrupt, "vmdk-extent"),
        ("SPARSE \"disk one.vmdk\"", "ZERO", Unsupported, "vmdk-create-type"),
        ("disk one.vmdk", "/etc/passwd", Unsupported, "vmdk-other-files"),
        ("disk one.vmdk", "..", Unsupported, "vmdk-other-files"),
        ("disk one.vmdk", "nbd:host", Unsupported, "vmdk-other-files"),
        ("# The Disk", "RW 10 FLAT \"passwd\" 0\n# The Disk", Unsupported, "vmdk-other-files"),
        ("# The Disk", "RW 10 ZERO\n# The Disk", Unsupported, "vmdk-other-files"),
    ];
    for layout in [Layout::VmwareStream, Layout::Sparse] {
        for (from, to, kind, code) in cases {
            let mut written = written(layout);
            written.replace(from, to);
            let error = unpack_all_ways(&written.bytes).expect_err(to);
            assert_eq!((error.kind(), error.code()), (*kind, *code), "{to}: {error}");
        }
    }
}

#[test]
fn what_writers_say_differently_is_the_same() {
    let image = sample(Layout::VmwareStream);
    for (from, to) in [
        ("RW 16645", "RDONLY 16645"),
        ("RW 16645 SPARSE", "rw\t16645  sparse"),
        ("createType=\"streamOptimized\"", "createType=streamOptimized"),
        ("createType=\"streamOptimized\"", "createtype = \"STREAMOPTIMIZED\""),
        ("parentCID=ffffffff", "parentCID=FFFFFFFF\r"),
        ("encoding=\"UTF-8\"\n", "isNativeSnapshot=\"no\"\n"),
        ("disk one.vmdk", "Platte größer.vmdk"),
        ("# The Disk Data Base", "# \u{e9}t\u{e9}"),
    ] {
        let mut written = written(Layout::VmwareStream);
        written.replace(from, to);
        assert!(unpack_all_ways(&written.bytes).unwrap() == image.raw, "{to}");
    }
}

#[test]
fn one_that_is_alone_is_other_files_whatever_follows_it() {
    for len in [0, 512, 513, 100_000] {
        let mut bytes = FLAT.as_bytes().to_vec();
        bytes.resize(len.max(bytes.len()), 0);
        let error = unpack_all_ways(&bytes).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Unsupported, "vmdk-other-files"), "{len}");
    }
    let refused = |bytes: &[u8]| {
        let error = unpack_all_ways(bytes).unwrap_err();
        (error.kind(), error.code().to_owned())
    };
    assert_eq!(
        refused(FLAT.replace("monolithicFlat", "vmfsThin").as_bytes()),
        (Unsupported, "vmdk-create-type".into())
    );
    assert_eq!(refused(&[FLAT.as_bytes(), &[0; 600], b"x"].concat()), (Corrupt, "vmdk-descriptor".into()));
    assert_eq!(refused(&[FLAT.as_bytes(), &[b'\n'; 1 << 20]].concat()), (Corrupt, "vmdk-descriptor".into()));
    assert_eq!(refused(b"\xef\xbb\xbf\n# disk descriptorfile"), (Corrupt, "vmdk-descriptor".into()));
    assert_eq!(refused(b"COWD and so on"), (Unsupported, "vmdk-cowd".into()));
    assert_eq!(
        refused(&[&0xcafe_babe_u64.to_le_bytes()[..], &[0; 600]].concat()),
        (Unsupported, "vmdk-se-sparse".into())
    );
    assert_eq!(refused(&[0; 2000]), (Corrupt, "vmdk-magic".into()));
    assert_eq!(refused(b"QFI\xfb"), (Corrupt, "vmdk-magic".into()));
}

#[test]
fn what_qemu_img_leaves_behind_is_no_text() {
    for (behind, fits) in [
        ("\0\n", true),
        ("\0\"\n", true),
        ("\0= \"4\"\n", true),
        ("\0\n\0", true),
        ("\0 = \"4\"\n", false),
        ("\0\0\n", false),
        ("\0\n\0\n", false),
        ("\0\n\n", false),
        ("\0x", false),
    ] {
        let parsed = Descriptor::parse(format!("{FLAT}{behind}\0\0").as_bytes());
        assert_eq!(parsed.is_ok(), fits, "{behind:?}");
    }
    let mut written = written(Layout::QemuStream);
    let end = 512 + written.bytes[512..].iter().position(|byte| *byte == 0).unwrap();
    written.bytes[end + 1] = b'\n';
    assert!(unpack_all_ways(&written.bytes).unwrap() == sample(Layout::QemuStream).raw);
}

#[test]
fn extents_are_typed() {
    let descriptor = Descriptor::parse(FLAT.as_bytes()).unwrap();
    let flat = Extent { sectors: 2053, kind: ExtentKind::Flat, name: "a disk-flat.vmdk".into(), offset: 0 };
    assert_eq!(
        descriptor,
        Descriptor { cid: 0xc1d7_0f1c, create_type: CreateType::MonolithicFlat, extents: vec![flat] }
    );

    let split = FLAT
        .replace("monolithicFlat", "twoGbMaxExtentFlat")
        .replace("RW 2053", "RW 4192256 FLAT \"d-f001.vmdk\" 128\nRW 7 ZERO\nRW 2053");
    let descriptor = Descriptor::parse(split.as_bytes()).unwrap();
    assert_eq!(descriptor.disk_bytes().unwrap(), (4_192_256 + 7 + 2053) * 512);
    let told: Vec<_> = descriptor.extents.iter().map(|extent| (extent.kind, extent.offset)).collect();
    assert_eq!(told, [(ExtentKind::Flat, 128), (ExtentKind::Zero, 0), (ExtentKind::Flat, 0)]);

    for (from, to, code) in [
        ("monolithicFlat", "twoGbMaxExtentSparse", "vmdk-extent"),
        ("\" 0", "\"", "vmdk-extent"),
        ("\" 0", "\" -1", "vmdk-extent"),
        ("\" 0", "\"0", "vmdk-extent"),
        ("FLAT \"a disk-flat.vmdk\" 0", "SPARSE \"a\"", "vmdk-extent"),
        ("FLAT \"a disk-flat.vmdk\" 0", "ZERO 0", "vmdk-extent"),
    ] {
        assert_eq!(Descriptor::parse(FLAT.replacen(from, to, 1).as_bytes()).unwrap_err().code(), code, "{to}");
    }
    let huge = FLAT.replace("RW 2053", "RW 18446744073709551615 FLAT \"b\" 0\nRW 2053");
    assert_eq!(Descriptor::parse(huge.as_bytes()).unwrap().disk_bytes().unwrap_err().code(), "vmdk-capacity");
    let many = FLAT.replace("ddb", &format!("{}ddb", "RW 1 ZERO\n".repeat(4096)));
    assert_eq!(Descriptor::parse(many.as_bytes()).unwrap_err().code(), "vmdk-too-many-extents");
}
