//! Text descriptors of VMDK, in every dress that one of their readers would see through.

use landfall_inspect::{DiskFormat, HEAD_BYTES, Mark};

use crate::image::Image;

const DESCRIPTOR: &str = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
    createType=\"monolithicFlat\"\n\n# Extent description\nRW 8 FLAT \"/etc/passwd\" 0\n";

fn is_vmdk(bytes: &[u8]) -> bool {
    match Image(bytes.to_vec()).detect().format() {
        Some(DiskFormat::Vmdk) => true,
        Some(DiskFormat::Raw) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_descriptor_is_one_with_any_padding_and_never_raw() {
    for size in [DESCRIPTOR.len(), 512, 1024, 20 * 512, HEAD_BYTES, HEAD_BYTES + 1, 1 << 20] {
        let mut bytes = DESCRIPTOR.as_bytes().to_vec();
        bytes.resize(size, 0);
        let image = Image(bytes);
        assert_eq!(image.agree("raw", "bare"), "format-mismatch", "{size}");
        assert_eq!(image.agree("ami", "ami"), "format-mismatch", "{size}");
        assert_eq!(image.agree("vmdk", "bare"), "format-variant", "{size}");
    }
}

#[test]
fn every_dress_of_the_first_comment() {
    for text in [
        "# Disk DescriptorFile",
        "# DISK DESCRIPTORFILE\n",
        "# disk descriptorfile\r\n",
        "#Disk DescriptorFile",
        "## \t Disk \t DescriptorFile of something",
        "\u{feff}# Disk DescriptorFile",
        "\n\r\n \t\n# Disk DescriptorFile",
        "   # Disk DescriptorFile",
        "# a comment\n#\n# Disk DescriptorFile",
    ] {
        assert!(is_vmdk(text.as_bytes()), "{text:?}");
    }
    for text in
        ["Disk DescriptorFile", "# Disk", "# DiskDescriptorFil", "# A Disk DescriptorFile", "x\n# Disk DescriptorFile"]
    {
        assert!(!is_vmdk(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn a_version_before_any_other_line() {
    for text in [
        "version=1\n",
        "version=2\r\n",
        "VERSION = 3",
        "# a comment\n\n  \nversion=1\n",
        "#\0\u{1}\u{7f} anything in a comment\nversion=1\n",
        "\u{feff}version=1\n",
        "# a comment\r still the same\nversion=1\n",
    ] {
        assert!(is_vmdk(text.as_bytes()), "{text:?}");
    }
    for text in ["version 1\n", "versions=1\n", "\0version=1\n", "a\nversion=1\n", "# version=1\n"] {
        assert!(!is_vmdk(text.as_bytes()), "{text:?}");
    }
}

#[test]
fn an_assignment_of_create_type_in_text() {
    for text in [
        "createType=\"vmfs\"".to_owned(),
        "CID=1\n\tCREATETYPE \t= \"custom\"\n".to_owned(),
        "ddb.comment = \"é\"\ncreateType=x".to_owned(),
        "encoding=\"x\" createType=y".to_owned(),
        // Control codes that oslo.utils takes for ASCII text.
        "CID=1\n\u{1c}\u{1}createType=x".to_owned(),
        format!("{}createType=", "a".repeat(HEAD_BYTES - 11)),
    ] {
        assert!(is_vmdk(text.as_bytes()), "{:?}", text.get(..40));
    }
    for bytes in [
        b"createType is a word".to_vec(),
        b"createTyp=x".to_vec(),
        b"CID=1\n\0createType=x".to_vec(),
        b"\x80\x01 createType=x".to_vec(),
        format!("{}createType=", "a".repeat(HEAD_BYTES - 10)).into_bytes(),
    ] {
        assert!(!is_vmdk(&bytes), "{:?}", bytes.get(..40));
    }
}

#[test]
fn a_compressed_descriptor_is_a_compressed_stream() {
    let mut stream = b"\x28\xb5\x2f\xfd\x24\x9a\xd1\x04\x01".to_vec();
    stream.extend_from_slice(DESCRIPTOR.as_bytes());
    stream.resize(4096, 0);
    assert_eq!(Image(stream).agree("vmdk", "compressed"), "ok");
}

#[test]
fn a_descriptor_within_an_archive_or_a_sparse_extent_is_no_descriptor() {
    let image = Image::zeros(4096).put(0, b"KDMV\x01\0\0\0").put(512, DESCRIPTOR.as_bytes());
    assert_eq!(image.detect().marks(), [Mark::VmdkSparse]);
    assert!(!is_vmdk(&Image::zeros(4096).put(0, b"disk.vmdk").put(512, DESCRIPTOR.as_bytes()).0));
}
