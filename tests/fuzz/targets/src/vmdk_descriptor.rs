//! The text descriptor of a VMDK: what was understood of it, written out, is understood as the same.

use std::fmt::Write;

use landfall_handler_vmdk::{CreateType, DESCRIPTOR_MAX, Descriptor, ExtentKind};

use crate::verdict::verdict;

/// Bytes of a file's name.
const NAME_MAX: usize = 255;

pub(crate) fn run(data: &[u8]) {
    let Ok(descriptor) = verdict(Descriptor::parse(data)) else { return };
    assert!(!descriptor.extents.is_empty());
    for extent in &descriptor.extents {
        assert!(extent.sectors > 0);
        assert_eq!(extent.kind == ExtentKind::Zero, extent.name.is_empty());
        assert!(!extent.name.contains(['/', '\\', ':', '"']) && extent.name != "." && extent.name != "..");
    }
    // Where a file can be as large, the disk's bytes are those of the parts.
    let sum: u128 = descriptor.extents.iter().map(|extent| u128::from(extent.sectors) * 512).sum();
    assert_eq!(descriptor.disk_bytes().ok(), i64::try_from(sum).ok().map(i64::cast_unsigned));
    assert!(Descriptor::is_meant_by(data) || data.len() > 64 << 10, "a descriptor that is not meant to be one");

    let written = written(&descriptor);
    // What replaces bytes that are no UTF-8 is longer than they were.
    let fits = descriptor.extents.iter().all(|extent| extent.name.len() <= NAME_MAX);
    if written.len() < DESCRIPTOR_MAX - 9 && fits {
        assert_eq!(Descriptor::parse(written.as_bytes()).as_ref(), Ok(&descriptor), "as it is written");
        let padded = [written.as_bytes(), &[0; 9]].concat();
        assert_eq!(Descriptor::parse(&padded).as_ref(), Ok(&descriptor), "with NULs behind it");
        let ends = written.replace('\n', "\r\n");
        if ends.len() <= DESCRIPTOR_MAX {
            assert_eq!(Descriptor::parse(ends.as_bytes()).as_ref(), Ok(&descriptor), "with other ends of lines");
        }
    }
    // Any truncation is something else or an error, and no panic.
    for cut in [data.len() / 2, data.len().saturating_sub(1)] {
        let _ = verdict(Descriptor::parse(&data[..cut]));
    }
}

fn written(descriptor: &Descriptor) -> String {
    let create_type = match descriptor.create_type {
        CreateType::StreamOptimized => "streamOptimized",
        CreateType::MonolithicSparse => "monolithicSparse",
        CreateType::MonolithicFlat => "monolithicFlat",
        CreateType::TwoGbMaxExtentSparse => "twoGbMaxExtentSparse",
        CreateType::TwoGbMaxExtentFlat => "twoGbMaxExtentFlat",
    };
    let cid = descriptor.cid;
    let mut text = format!("# Disk DescriptorFile\nCID={cid:08x}\nparentCID=ffffffff\ncreateType=\"{create_type}\"\n");
    for extent in &descriptor.extents {
        let (sectors, name) = (extent.sectors, &extent.name);
        let line = match extent.kind {
            ExtentKind::Flat => format!("RW {sectors} FLAT \"{name}\" {}", extent.offset),
            ExtentKind::Sparse => format!("RW {sectors} SPARSE \"{name}\""),
            ExtentKind::Zero => format!("RW {sectors} ZERO"),
        };
        writeln!(text, "{line}").expect("a string takes everything");
    }
    text
}
