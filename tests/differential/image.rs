//! Makes what a recipe says: the disk, and the image of it, with the programs that people use.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::recipe::{Compression, Container, Filling, Form, Manifest, Recipe};
use crate::support::answer::Answer;
use crate::support::disk::noise;
use crate::support::needs::find_program;
use crate::support::ova;
use crate::support::record::record_of;

/// The bytes of the disk.
pub(crate) fn disk(recipe: &Recipe) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(recipe.bytes()).unwrap()];
    for piece in &recipe.pieces {
        let (offset, len) = (usize::try_from(piece.offset).unwrap(), usize::try_from(piece.len).unwrap());
        let into = &mut bytes[offset..offset + len];
        match piece.filling {
            Filling::Noise => into.copy_from_slice(&noise(len, piece.seed)),
            Filling::Text => {
                let line = format!("line {:x} of a file that says little\n", piece.seed);
                let mut lines = line.bytes().cycle();
                into.fill_with(|| lines.next().unwrap());
            }
            Filling::Zeros => into.fill(0),
            Filling::Ones => into.fill(0xFF),
        }
    }
    bytes
}

/// An image of these bytes in `dir`, and the file in it that has the disk.
pub(crate) struct Image {
    pub(crate) stored: PathBuf,
    pub(crate) inner: PathBuf,
}

/// Makes the image of a recipe of this disk, with names that begin with `name`.
pub(crate) fn make(recipe: &Recipe, disk: &[u8], dir: &Path, name: &str) -> Image {
    let inner = form(recipe, disk, dir, name);
    let contained = match recipe.container {
        Container::Bare => inner.clone(),
        Container::Ova { .. } => contain(recipe, &inner, dir, name),
    };
    let stored = recipe.compression.map_or_else(|| contained.clone(), |compression| compress(&contained, compression));
    Image { stored, inner }
}

/// The disk in its form: `NAME.raw` or `NAME.vmdk`.
pub(crate) fn form(recipe: &Recipe, disk: &[u8], dir: &Path, name: &str) -> PathBuf {
    let raw = dir.join(format!("{name}.raw"));
    fs::write(&raw, disk).unwrap();
    let Form::Vmdk { options, sparse } = &recipe.form else { return raw };
    let vmdk = dir.join(format!("{name}.vmdk"));
    convert(&raw, &vmdk, options, sparse);
    vmdk
}

/// Makes a VMDK of a raw disk, with these options, and leaving out runs of zeros of this length.
pub(crate) fn convert(raw: &Path, vmdk: &Path, options: &str, sparse: &str) {
    let mut command = qemu_img();
    command.args(["convert", "-f", "raw", "-O", "vmdk", "-o", options, "-S", sparse]);
    succeed(command.arg(raw).arg(vmdk));
}

/// The true record of the image, as a file of a store.
pub(crate) fn record(recipe: &Recipe, stored: &Path) -> Value {
    let mut record = record_of(stored);
    let in_archive = recipe.container != Container::Bare;
    record["disk_format"] = json!(if in_archive || recipe.form != Form::Raw { "vmdk" } else { "raw" });
    record["container_format"] = json!(if in_archive { "ova" } else { "bare" });
    record["compression"] = json!(recipe.compression.map_or("none", |compression| compression.name));
    record
}

/// Fails unless the image was placed by its filter and its unpacker, and was verified.
#[track_caller]
pub(crate) fn assert_steps(recipe: &Recipe, answer: &Answer) {
    let unpacker = match (&recipe.container, &recipe.form) {
        (Container::Ova { .. }, _) => Some("ova"),
        (Container::Bare, Form::Vmdk { .. }) => Some("vmdk"),
        (Container::Bare, Form::Raw) => None,
    };
    let document = answer.success();
    assert_eq!(document["verified"], "computed", "{document:#}");
    let steps = recipe.compression.iter().map(|compression| compression.name).chain(unpacker);
    let handlers = document["attempts"][0]["handlers"].as_array().unwrap();
    assert_eq!(handlers[1..], steps.map(|step| json!(step)).collect::<Vec<Value>>(), "{document:#}");
}

/// What `qemu-img` reads in the file with the disk.
pub(crate) fn read_by_qemu(recipe: &Recipe, inner: &Path) -> Vec<u8> {
    let to = inner.with_extension("read");
    let format = if recipe.form == Form::Raw { "raw" } else { "vmdk" };
    succeed(qemu_img().args(["convert", "-f", format, "-O", "raw"]).arg(inner).arg(&to));
    let bytes = fs::read(&to).unwrap();
    fs::remove_file(to).unwrap();
    bytes
}

fn contain(recipe: &Recipe, inner: &Path, dir: &Path, name: &str) -> PathBuf {
    let Container::Ova { manifest, algorithm, format, descriptor_last, .. } = recipe.container else {
        panic!("{recipe:?}: not in a container");
    };
    let disk = inner.file_name().unwrap().to_str().unwrap();
    let extents = extents(dir, name);
    let extents = extents.iter().map(String::as_str);
    let (descriptor, list) = (format!("{name}.ovf"), format!("{name}.mf"));
    let kind = if recipe.form == Form::Raw { ova::RAW } else { ova::VMDK };
    fs::write(dir.join(&descriptor), ova::ovf(&[(disk, recipe.bytes(), kind)])).unwrap();
    let mut members: Vec<&str> = std::iter::once(disk).chain(extents).collect();
    members.insert(if descriptor_last { members.len() } else { 0 }, &descriptor);
    fs::write(dir.join(&list), ova::manifest(dir, &members, algorithm)).unwrap();
    match manifest {
        Manifest::First => members.insert(0, &list),
        Manifest::Second => members.insert(1, &list),
        Manifest::Last => members.push(&list),
        Manifest::Missing => {}
    }
    let to = dir.join(format!("{name}.ova"));
    ova::archive(&to, dir, &members, format);
    to
}

/// The other files of a disk, as qemu-img calls them: `NAME-flat.vmdk`, `NAME-s001.vmdk` and so on.
fn extents(dir: &Path, name: &str) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let prefix = format!("{name}-");
    let mut extents: Vec<String> = names.filter(|file| file.starts_with(&prefix) && file.ends_with(".vmdk")).collect();
    extents.sort();
    extents
}

fn compress(file: &Path, compression: Compression) -> PathBuf {
    let to = beside(file, compression.name);
    let bytes = fs::read(file).unwrap();
    let part = beside(file, "part");
    let mut stored = Vec::new();
    for piece in bytes.chunks(bytes.len().div_ceil(compression.parts)) {
        fs::write(&part, piece).unwrap();
        // From standard input: a compressor that knows the size would take smaller windows.
        let mut command = Command::new(find_program(compression.name).unwrap());
        command.arg("-c").args(compression.args).stdin(Stdio::from(File::open(&part).unwrap()));
        stored.extend(succeed(&mut command));
    }
    fs::remove_file(part).unwrap();
    fs::write(&to, stored).unwrap();
    to
}

/// `FILE.EXTENSION`.
fn beside(file: &Path, extension: &str) -> PathBuf {
    file.with_file_name(format!("{}.{extension}", file.file_name().unwrap().to_str().unwrap()))
}

fn qemu_img() -> Command {
    Command::new(find_program("qemu-img").unwrap())
}

/// Gives what it printed.
#[track_caller]
fn succeed(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
