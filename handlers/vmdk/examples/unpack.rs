//! Unpacks a VMDK, or a descriptor with its extents beside it, by hand, for comparing with other tools:
//! `unpack FILE OUT [THREADS [direct]]`.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::ExitCode;

use landfall_handler_api::{Error, Result};
use landfall_handler_vmdk::{DESCRIPTOR_MAX, Descriptor, ExtentKind, Means, SECTOR, unpack, unpack_extent};
use landfall_unpack::{Disk, Stored};

/// Bytes of the largest disk that is made.
const DISK_BYTES: u64 = 16 << 40;
/// `O_DIRECT` of Linux on x86-64. The disk's last bytes then have to be whole pages.
const O_DIRECT: i32 = 0o40000;

struct Local(File);

impl Stored for Local {
    fn size(&self) -> Option<u64> {
        self.0.metadata().ok().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.0.read_at(buffer, offset).map_err(|error| Error::os(&error, "read"))
    }
}

impl Disk for Local {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.0.write_all_at(bytes, offset).map_err(|error| Error::os(&error, "write"))
    }
}

fn open(path: &Path) -> Result<Local> {
    File::open(path).map(Local).map_err(|error| Error::os(&error, "open the image"))
}

fn make(path: &Path, bytes: u64, direct: bool) -> Result<Local> {
    let flags = if direct { O_DIRECT } else { 0 };
    let disk = OpenOptions::new().write(true).create(true).truncate(true).custom_flags(flags).open(path);
    let disk = disk.map_err(|error| Error::os(&error, "make the disk"))?;
    disk.set_len(bytes).map_err(|error| Error::os(&error, "size the disk"))?;
    Ok(Local(disk))
}

/// Unpacks the extents that a descriptor names, beside it.
fn unpack_extents(path: &Path, text: &[u8], means: &Means, make: impl FnOnce(u64) -> Result<Local>) -> Result<()> {
    let descriptor = Descriptor::parse(text)?;
    let disk = make(descriptor.disk_bytes()?)?;
    let mut at = 0_u64;
    for extent in &descriptor.extents {
        let stored = if extent.kind == ExtentKind::Zero { path.to_owned() } else { path.with_file_name(&extent.name) };
        unpack_extent(&open(&stored)?, extent, at, means, &disk)?;
        at = at.saturating_add(extent.sectors.saturating_mul(SECTOR));
    }
    Ok(())
}

fn run() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (image, out) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let threads = arguments.next().and_then(|threads| threads.parse().ok()).unwrap_or(2);
    let direct = arguments.next().is_some_and(|word| word == "direct");
    let means = Means { threads, disk_bytes: DISK_BYTES };
    let (image, out) = (Path::new(&image), Path::new(&out));
    let stored = open(image)?;
    let make = |bytes| make(out, bytes, direct);

    let mut text = vec![0; DESCRIPTOR_MAX + 1];
    let len = stored.read_at(&mut text, 0)?;
    text.truncate(len);
    if text.starts_with(b"KDMV") {
        return unpack(&stored, &means, make).map(|_| ());
    }
    unpack_extents(image, &text, &means, make)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "{} {}: {error}", error.kind(), error.code());
            ExitCode::FAILURE
        }
    }
}
