//! The images that qemu-img makes, each under its own name and no other.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use landfall_inspect::DiskFormat;

use crate::image::{Image, SAMPLES, SIZE};

/// The name of the made image, qemu's format, its options, whether every qemu-img can make it, Glance's name of the
/// format, and the verdict under that name.
type Made = (&'static str, &'static str, &'static str, bool, &'static str, &'static str);

const MADE: [Made; 16] = [
    ("disk.raw", "raw", "", true, "raw", "ok"),
    ("two.qcow2", "qcow2", "compat=0.10", true, "qcow2", "ok"),
    ("three.qcow2", "qcow2", "compat=1.1", true, "qcow2", "ok"),
    ("one.qcow", "qcow", "", false, "qcow2", "format-variant"),
    ("disk.qed", "qed", "", false, "qed", "format-banned"),
    ("dynamic.vhd", "vpc", "subformat=dynamic", true, "vhd", "ok"),
    ("fixed.vhd", "vpc", "subformat=fixed,force_size=on", true, "vhd", "ok"),
    ("disk.vhdx", "vhdx", "", true, "vhdx", "ok"),
    ("sparse.vmdk", "vmdk", "subformat=monolithicSparse", true, "vmdk", "ok"),
    ("stream.vmdk", "vmdk", "subformat=streamOptimized", true, "vmdk", "ok"),
    ("flat.vmdk", "vmdk", "subformat=monolithicFlat", true, "vmdk", "format-variant"),
    ("split.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse", true, "vmdk", "format-variant"),
    ("disk.vdi", "vdi", "", true, "vdi", "ok"),
    ("static.vdi", "vdi", "static=on", true, "vdi", "ok"),
    ("disk.luks", "luks", "key-secret=key,iter-time=10", false, "luks", "ok"),
    ("disk.hds", "parallels", "", false, "ploop", "ok"),
];

/// The extents that go with the descriptors above.
const EXTENTS: [(&str, &str); 2] = [("flat-flat.vmdk", "raw"), ("split-s001.vmdk", "vmdk")];

const CLAIMS: [&str; 9] = ["raw", "qcow2", "qed", "vhd", "vhdx", "vmdk", "vdi", "luks", "iso"];

/// Past the test harness, which keeps what a test that passes prints.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

fn qemu_img(dir: &Path, arguments: &[&str]) -> std::io::Result<Output> {
    Command::new("qemu-img").args(arguments).current_dir(dir).output()
}

fn read(path: &Path) -> Image {
    Image(std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// A directory to work in, or nothing, said aloud, where there is no qemu-img.
fn scratch(name: &str, what: &str) -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory to work in");
    if qemu_img(&dir, &["--version"]).is_ok() {
        return Some(dir);
    }
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
    say(&format!("NOT RUN: {what}: there is no qemu-img on PATH"));
    None
}

#[test]
fn verdicts_on_images_of_qemu_img_not_run_where_it_is_missing() {
    let Some(dir) = scratch("qemu-images", "verdicts on images of qemu-img") else {
        return;
    };

    // A disk as guests have it: a partition table, and data up to its last sector.
    let mut source = Image::zeros(SIZE * 16).put(450, b"\x83").put(510, b"\x55\xaa");
    source.0[SIZE..].fill(0x5a);
    std::fs::write(dir.join("source"), &source.0).unwrap();

    let mut made = 0;
    for (name, format, options, everywhere, claim, verdict) in MADE {
        let mut arguments = vec!["convert", "-f", "raw", "-O", format];
        if !options.is_empty() {
            arguments.extend(["-o", options]);
        }
        if format == "luks" {
            arguments.extend(["--object", "secret,id=key,data=landfall"]);
        }
        arguments.extend(["source", name]);
        let output = qemu_img(&dir, &arguments).unwrap();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!everywhere, "{name}: {why}");
            say(&format!("NOT RUN: {name}, which this qemu-img cannot make: {}", why.trim()));
            continue;
        }

        let image = read(&dir.join(name));
        assert_eq!(image.agree(claim, "bare"), verdict, "{name}");
        for other in CLAIMS.into_iter().filter(|other| *other != claim) {
            let expected = if other == "qed" { "format-banned" } else { "format-mismatch" };
            assert_eq!(image.agree(other, "bare"), expected, "{name} as {other}");
        }
        for container in ["ova", "compressed", "docker"] {
            assert_ne!(image.agree(claim, container), "ok", "{name} in {container}");
        }
        made += 1;
    }
    for (name, claim) in EXTENTS {
        assert_eq!(read(&dir.join(name)).agree(claim, "bare"), "ok", "{name}");
    }

    assert!(made >= MADE.iter().filter(|(_, _, _, everywhere, _, _)| *everywhere).count());
    std::fs::remove_dir_all(&dir).unwrap();
}

/// What qemu would open as something else than raw must not be raw here: such a disk could name files of the host.
#[test]
fn whatever_qemu_img_probes_has_a_mark_not_run_where_it_is_missing() {
    let Some(dir) = scratch("qemu-probes", "what qemu-img probes") else {
        return;
    };
    let mut images: Vec<Image> = SAMPLES.iter().map(|sample| sample.image()).collect();
    images.extend(texts(60).map(Image));

    let (mut probed, mut raw) = (0, 0);
    for image in &images {
        std::fs::write(dir.join("image"), &image.0).unwrap();
        let output = qemu_img(&dir, &["info", "image"]).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        // Without an answer it found a format, and then the image to be broken.
        if said.contains("file format: raw") {
            raw += 1;
            continue;
        }
        probed += 1;
        let found = image.detect();
        let start = String::from_utf8_lossy(&image.0[..64]).into_owned();
        assert!(!found.contains(DiskFormat::Raw) && !found.contains(DiskFormat::Gpt), "{start:?}");
    }
    assert!(probed > 20 && raw > 20, "{probed} probed, {raw} raw: no test of both");
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Sectors of text that is nearly a descriptor, the same at each run.
fn texts(count: usize) -> impl Iterator<Item = Vec<u8>> {
    const PIECES: [&str; 8] = ["#", "a", "\r", "\n", " ", "\0", "\t", "\n#"];
    let mut state = 7_u32;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % below
    };
    (0..count).map(move |nth| {
        let mut text = if nth % 3 == 0 { String::new() } else { "#".to_owned() };
        for _ in 0..next(6) {
            text.push_str(PIECES[next(PIECES.len())]);
        }
        text.push_str(if nth % 4 == 0 { "version=1\n" } else { "\nversion=2\r\n" });
        let mut bytes = text.into_bytes();
        bytes.resize(1024, 0);
        bytes
    })
}
