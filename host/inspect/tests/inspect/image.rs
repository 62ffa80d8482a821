//! Bytes made for a test.

use std::convert::Infallible;

use landfall_inspect::{Detected, DiskFormat, Inspector, Mark, Window, agree, detect, inspect_at};

use crate::vhdx::vhdx;

/// Room for every mark of the start, and for a tail that does not overlap it.
pub(crate) const SIZE: usize = 128 * 1024;

/// Where the first volume descriptor has its name.
pub(crate) const VOLUME: usize = 32 * 1024 + 1;

/// An image in memory: zeros, and what a test puts there.
#[derive(Clone)]
pub(crate) struct Image(pub(crate) Vec<u8>);

impl Image {
    pub(crate) fn zeros(size: usize) -> Self {
        Self(vec![0; size])
    }

    pub(crate) fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(crate) fn put_before_end(self, back: usize, bytes: &[u8]) -> Self {
        let at = self.0.len() - back;
        self.put(at, bytes)
    }

    pub(crate) fn detect(&self) -> Detected {
        detect(&self.window())
    }

    /// What is looked at, seen as the bytes pass and read where they are.
    pub(crate) fn window(&self) -> Window {
        let window = Window::of(&self.0);
        assert_eq!(window, read_at_random(&self.0));
        window
    }

    /// The code of the disagreement, or "ok".
    pub(crate) fn agree(&self, disk_format: &str, container_format: &str) -> &'static str {
        let verdict = agree(&self.window(), disk_format, container_format);
        let mut inspector = Inspector::new();
        inspector.feed(&self.0);
        if let Err(early) = inspector.agree_so_far(disk_format, container_format) {
            assert!(verdict.is_err(), "{early}");
        }
        match verdict {
            Ok(()) => "ok",
            Err(error) => error.code(),
        }
    }
}

/// The window of bytes in memory, as of a file.
pub(crate) fn read_at_random(bytes: &[u8]) -> Window {
    let read = |offset: u64, into: &mut [u8]| -> Result<usize, Infallible> {
        let rest = &bytes[usize::try_from(offset).expect("within memory")..];
        // As files do now and then, it gives less than was asked for.
        let count = rest.len().min(into.len()).min(100_000);
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    };
    match inspect_at(bytes.len() as u64, read) {
        Ok(window) => window,
        Err(never) => match never {},
    }
}

/// Where a mark's bytes are.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    At(usize),
    BeforeEnd(usize),
}

/// A mark with bytes that bear it and nothing else.
pub(crate) struct Sample {
    pub(crate) mark: Mark,
    pub(crate) place: Place,
    pub(crate) bytes: &'static [u8],
}

impl Sample {
    /// An image of ordinary size with the mark.
    pub(crate) fn image(&self) -> Image {
        self.put_in(Image::zeros(SIZE))
    }

    /// The image, with the mark in its place.
    pub(crate) fn put_in(&self, image: Image) -> Image {
        match self.place {
            Place::At(at) => image.put(at, self.bytes),
            Place::BeforeEnd(back) => image.put_before_end(back, self.bytes),
        }
    }

    /// Whether the mark is at the end of the image.
    pub(crate) fn is_trailer(&self) -> bool {
        matches!(self.place, Place::BeforeEnd(_))
    }

    /// The smallest image with the mark.
    pub(crate) fn smallest(&self) -> Image {
        match self.place {
            Place::At(at) => Image::zeros(at + self.bytes.len()).put(at, self.bytes),
            Place::BeforeEnd(back) => Image::zeros(back).put(0, self.bytes),
        }
    }
}

const fn sample(mark: Mark, place: Place, bytes: &'static [u8]) -> Sample {
    Sample { mark, place, bytes }
}

/// Every form of every mark.
pub(crate) const SAMPLES: [Sample; 25] = [
    sample(Mark::Qcow1, Place::At(0), b"QFI\xfb\0\0\0\x01"),
    sample(Mark::Qcow2, Place::At(0), b"QFI\xfb"),
    sample(Mark::Qed, Place::At(0), b"QED\0"),
    sample(Mark::VhdHeader, Place::At(0), b"conectix"),
    sample(Mark::VhdFooter, Place::BeforeEnd(512), b"conectix"),
    sample(Mark::VhdFooter, Place::BeforeEnd(511), b"conectix"),
    sample(Mark::Vhdx, Place::At(0), b"vhdxfile"),
    sample(Mark::VmdkSparse, Place::At(0), b"KDMV"),
    sample(Mark::VmdkCowd, Place::At(0), b"COWD"),
    sample(Mark::VmdkSeSparse, Place::At(0), b"\xbe\xba\xfe\xca\0\0\0\0"),
    sample(Mark::VmdkDescriptor, Place::At(0), b"# Disk DescriptorFile"),
    sample(Mark::VmdkDescriptor, Place::At(0), b"version="),
    sample(Mark::VmdkDescriptor, Place::At(0), b"CID=1\ncreateType="),
    sample(Mark::Vdi, Place::At(0x40), b"\x7f\x10\xda\xbe"),
    sample(Mark::Luks, Place::At(0), b"LUKS\xba\xbe"),
    sample(Mark::Ploop, Place::At(0), b"WithoutFreeSpace"),
    sample(Mark::Ploop, Place::At(0), b"WithouFreSpacExt"),
    sample(Mark::Bochs, Place::At(0), b"Bochs Virtual HD Image"),
    sample(Mark::Cloop, Place::At(0), b"#!/bin/sh\n#V2.0 Format\n"),
    sample(Mark::Dmg, Place::BeforeEnd(512), b"koly"),
    sample(Mark::Iso, Place::At(VOLUME), b"CD001"),
    sample(Mark::Iso, Place::At(VOLUME), b"BEA01"),
    sample(Mark::Iso, Place::At(VOLUME), b"NSR02"),
    sample(Mark::Iso, Place::At(VOLUME), b"NSR03"),
    sample(Mark::Gpt, Place::At(510), b"\x55\xaa"),
];

/// A qcow2 of version 3 with one unknown header extension, as qemu-img lays it out.
pub(crate) fn qcow2() -> Image {
    Image::zeros(SIZE)
        .put(0, b"QFI\xfb\0\0\0\x03")
        .put(20, &16_u32.to_be_bytes())
        .put(100, &112_u32.to_be_bytes())
        .put(112, b"\x68\x03\xf8\x57\0\0\0\x0cfeature name")
}

/// The footer of a VHD of a type.
pub(crate) fn vhd_footer(disk_type: u8) -> Vec<u8> {
    let footer = Image::zeros(512).put(0, b"conectix\0\0\0\x02\0\x01\0\0").put(0x16, b"\x02");
    footer.put(0x34, b"\0\x20\x68\0").put(0x3f, &[disk_type]).0
}

pub(crate) fn fixed_vhd() -> Image {
    Image::zeros(SIZE).put_before_end(512, &vhd_footer(2))
}

/// The header that follows the copy of the footer.
pub(crate) const VHD_HEADER: &[u8] = b"cxsparse\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\x06\0\0\x01\0\0";

pub(crate) fn dynamic_vhd() -> Image {
    let image = Image::zeros(SIZE).put(0, &vhd_footer(3)).put(512, VHD_HEADER);
    image.put_before_end(512, &vhd_footer(3))
}

/// A LUKS1 volume: version, payload in sector 4, nothing of the keys.
pub(crate) fn luks() -> Image {
    Image::zeros(SIZE).put(0, b"LUKS\xba\xbe\0\x01aes").put(104, &4_u32.to_be_bytes())
}

/// A disk with one Linux partition.
pub(crate) fn mbr() -> Image {
    Image::zeros(SIZE).put(446, b"\x80\x20\x21\0\x83\x10\0\0\0\x08\0\0\0\0\x01\0").put(510, b"\x55\xaa")
}

pub(crate) fn vdi() -> Image {
    Image::zeros(SIZE).put(0x40, b"\x7f\x10\xda\xbe\x01\0\x01\0\x80\x01\0\0\x01\0\0\0").put(0x188, &[7; 32])
}

/// The descriptor of a whole disk of 4096 sectors.
pub(crate) const DESCRIPTOR: &str = "# Disk DescriptorFile\nversion=1\nCID=f431b526\nparentCID=ffffffff\n\
    createType=\"monolithicSparse\"\n\n# Extent description\nRW 4096 SPARSE \"disk.vmdk\"\n\n\
    # The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\nddb.adapterType = \"ide\"\n";

/// A sparse extent of 4096 sectors with a descriptor, in an area of 20 sectors as everybody makes it.
pub(crate) fn vmdk(descriptor: &[u8]) -> Image {
    Image::zeros(SIZE)
        .put(0, b"KDMV\x01\0\0\0\x03\0\0\0")
        .put(0x0c, &4096_u64.to_le_bytes())
        .put(0x14, &128_u64.to_le_bytes())
        .put(0x1c, &1_u64.to_le_bytes())
        .put(0x24, &20_u64.to_le_bytes())
        .put(512, descriptor)
}

/// An image of the format, of a kind that is accepted where there are several.
pub(crate) fn image_of(format: DiskFormat) -> Image {
    match format {
        DiskFormat::Raw => return Image::zeros(SIZE),
        DiskFormat::Qcow2 => return qcow2(),
        DiskFormat::Vhd => return dynamic_vhd(),
        DiskFormat::Vdi => return vdi(),
        DiskFormat::Vmdk => return vmdk(DESCRIPTOR.as_bytes()),
        DiskFormat::Vhdx => return vhdx(),
        DiskFormat::Luks => return luks(),
        DiskFormat::Gpt => return mbr(),
        _ => {}
    }
    SAMPLES
        .iter()
        .find(|sample| sample.mark.format() == format && sample.mark.refusal().is_none())
        .unwrap_or_else(|| panic!("no sample of {format}"))
        .image()
}

/// A stream of a disk of 4096 sectors without data: header, descriptor, empty tables, and a footer as VMware has it.
pub(crate) fn stream_optimized() -> Image {
    let text = DESCRIPTOR.replace("monolithicSparse", "streamOptimized");
    let header = vmdk(text.as_bytes())
        .put(0x04, b"\x03")
        .put(0x08, b"\x01\0\x03\0")
        .put(0x2c, &512_u32.to_le_bytes())
        .put(0x38, &[0xff; 8])
        .put(0x40, &128_u64.to_le_bytes())
        .put(0x49, b"\n \r\n\x01\0");
    let footer = Image(header.0[..512].to_vec()).put(0x38, &200_u64.to_le_bytes());
    header.put_before_end(1536, b"\x01\0\0\0\0\0\0\0\0\0\0\0\x03").put_before_end(1024, &footer.0)
}
