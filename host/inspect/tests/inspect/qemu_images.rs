//! The images that qemu-img makes, each under its own name and no other.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use landfall_inspect::DiskFormat;

use crate::image::{Image, SAMPLES, SIZE};

/// The name of the made image, qemu's format, its options, whether every qemu-img can make it, Glance's name of the
/// format, and the verdict under that name.
type Made = (&'static str, &'static str, &'static str, bool, &'static str, &'static str);

const MADE: [Made; 23] = [
    ("disk.raw", "raw", "", true, "raw", "ok"),
    ("two.qcow2", "qcow2", "compat=0.10", true, "qcow2", "ok"),
    ("three.qcow2", "qcow2", "compat=1.1", true, "qcow2", "ok"),
    ("zstd.qcow2", "qcow2", "compression_type=zstd", true, "qcow2", "ok"),
    ("extended.qcow2", "qcow2", "extended_l2=on", true, "qcow2", "ok"),
    ("lazy.qcow2", "qcow2", "lazy_refcounts=on", true, "qcow2", "ok"),
    ("small.qcow2", "qcow2", "cluster_size=512", true, "qcow2", "ok"),
    ("large.qcow2", "qcow2", "cluster_size=2M", true, "qcow2", "ok"),
    ("one.qcow", "qcow", "", false, "qcow2", "format-variant"),
    ("disk.qed", "qed", "", false, "qed", "format-banned"),
    ("dynamic.vhd", "vpc", "subformat=dynamic", true, "vhd", "ok"),
    ("fixed.vhd", "vpc", "subformat=fixed,force_size=on", true, "vhd", "ok"),
    ("disk.vhdx", "vhdx", "", true, "vhdx", "ok"),
    ("sparse.vmdk", "vmdk", "subformat=monolithicSparse", true, "vmdk", "ok"),
    ("old.vmdk", "vmdk", "subformat=monolithicSparse,compat6=on", true, "vmdk", "ok"),
    ("zeroed.vmdk", "vmdk", "subformat=monolithicSparse,zeroed_grain=on", true, "vmdk", "ok"),
    ("stream.vmdk", "vmdk", "subformat=streamOptimized", true, "vmdk", "ok"),
    ("flat.vmdk", "vmdk", "subformat=monolithicFlat", true, "vmdk", "format-variant"),
    ("split.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse", true, "vmdk", "format-variant"),
    ("disk.vdi", "vdi", "", true, "vdi", "ok"),
    ("static.vdi", "vdi", "static=on", true, "vdi", "ok"),
    ("disk.luks", "luks", "key-secret=key,iter-time=10", false, "luks", "ok"),
    ("disk.hds", "parallels", "", false, "ploop", "ok"),
];

/// The extents that go with the descriptors above. A sparse one has no descriptor and is no disk by itself.
const EXTENTS: [(&str, &str, &str); 2] =
    [("flat-flat.vmdk", "raw", "ok"), ("split-s001.vmdk", "vmdk", "format-header")];

/// Images that name other files or are encrypted: the arguments for qemu-img, whether every one can make it, Glance's
/// name of the format, and the verdict. The last argument but for a size is the image.
type Refused = (&'static [&'static str], bool, &'static str, &'static str);

const SECRET: &str = "secret,id=key,data=landfall";

const REFUSED: [Refused; 13] = [
    (&["-f", "qcow2", "-b", "source", "-F", "raw", "child.qcow2"], true, "qcow2", "format-reference"),
    (
        &["-f", "qcow2", "-o", "compat=0.10", "-b", "source", "-F", "raw", "old.qcow2"],
        true,
        "qcow2",
        "format-reference",
    ),
    (&["-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "grandchild.qcow2"], true, "qcow2", "format-reference"),
    (
        &["-f", "qcow2", "-u", "-b", "json:{\"driver\":\"null-co\"}", "-F", "raw", "json.qcow2", "2M"],
        true,
        "qcow2",
        "format-reference",
    ),
    (
        &["-f", "qcow2", "-u", "-b", "nbd://localhost/x", "-F", "raw", "nbd.qcow2", "2M"],
        true,
        "qcow2",
        "format-reference",
    ),
    (&["-f", "qcow2", "-o", "data_file=data.raw", "data.qcow2", "2M"], true, "qcow2", "format-reference"),
    (
        &["-f", "qcow2", "-o", "data_file=data.raw,data_file_raw=on", "same.qcow2", "2M"],
        true,
        "qcow2",
        "format-reference",
    ),
    (
        &[
            "-f",
            "qcow2",
            "--object",
            SECRET,
            "-o",
            "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10",
            "luks.qcow2",
            "2M",
        ],
        false,
        "qcow2",
        "format-encrypted",
    ),
    (
        &["-f", "qcow2", "--object", SECRET, "-o", "encrypt.format=aes,encrypt.key-secret=key", "aes.qcow2", "2M"],
        false,
        "qcow2",
        "format-encrypted",
    ),
    (&["-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", "child.vmdk"], true, "vmdk", "format-reference"),
    (
        &["-f", "vmdk", "-o", "subformat=streamOptimized", "-b", "base.vmdk", "-F", "vmdk", "stream.vmdk"],
        false,
        "vmdk",
        "format-reference",
    ),
    (&["-f", "vdi", "-b", "source", "-F", "raw", "child.vdi"], false, "vdi", "format-reference"),
    (&["-f", "vpc", "-b", "source", "-F", "raw", "child.vhd"], false, "vhd", "format-reference"),
];

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
        // A dynamic VHD has whole cylinders.
        if verdict == "ok" && claim != "ploop" {
            let (least, bytes) = (source.0.len() as u64, image.window().virtual_size());
            assert!(bytes.is_some_and(|bytes| (least..least + (1 << 20)).contains(&bytes)), "{name}: {bytes:?}");
        }
        for other in CLAIMS.into_iter().filter(|other| *other != claim) {
            let expected = if other == "qed" { "format-banned" } else { "format-mismatch" };
            assert_eq!(image.agree(other, "bare"), expected, "{name} as {other}");
        }
        for container in ["ova", "compressed", "docker"] {
            assert_ne!(image.agree(claim, container), "ok", "{name} in {container}");
        }
        made += 1;
    }
    for (name, claim, verdict) in EXTENTS {
        assert_eq!(read(&dir.join(name)).agree(claim, "bare"), verdict, "{name}");
    }

    assert!(made >= MADE.iter().filter(|(_, _, _, everywhere, _, _)| *everywhere).count());
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn images_that_need_other_files_not_run_where_qemu_img_is_missing() {
    let Some(dir) = scratch("qemu-refused", "verdicts on images that need other files") else {
        return;
    };
    std::fs::write(dir.join("source"), &Image::zeros(2 << 20).0).unwrap();
    for (format, name) in [("qcow2", "base.qcow2"), ("vmdk", "base.vmdk")] {
        assert!(qemu_img(&dir, &["create", "-f", format, name, "2M"]).unwrap().status.success(), "{name}");
    }

    for (arguments, everywhere, claim, verdict) in REFUSED {
        let name = *arguments.iter().rfind(|it| **it != "2M").expect("a name");
        let output = qemu_img(&dir, &[&["create"], arguments].concat()).unwrap();
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!everywhere, "{name}: {why}");
            say(&format!("NOT RUN: {name}, which this qemu-img cannot make: {}", why.trim()));
            continue;
        }
        assert_eq!(read(&dir.join(name)).agree(claim, "bare"), verdict, "{name}");
    }

    // What has got rid of its backing file is as good as any.
    for (arguments, name) in [(["-b", ""].as_slice(), "child.qcow2"), (&["-u", "-b", ""], "old.qcow2")] {
        assert!(qemu_img(&dir, &[&["rebase"], arguments, &[name]].concat()).unwrap().status.success(), "{name}");
        assert_eq!(read(&dir.join(name)).agree("qcow2", "bare"), "ok", "{name}");
    }
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
