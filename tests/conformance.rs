//! `landfall handlers check` with a sample: what every filter and unpacker promises, tried out on ours and on one that has
//! faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::c_plugin::PluginDir;
use crate::support::case::Case;
use crate::support::disk::noise;
use crate::support::mounts::Fs;
use crate::support::needs::{Need, find_program};
use crate::support::ova;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

const CARELESS: &str = "tests/plugins/careless.c";
const FILTER_CHECKS: [&str; 7] = [
    "filter-nonsense",
    "filter-whole",
    "filter-pieces",
    "filter-cut",
    "filter-damaged",
    "filter-limit",
    "filter-cancelled",
];
const UNPACK_CHECKS: [&str; 8] = [
    "unpack-nonsense",
    "unpack-whole",
    "unpack-stream",
    "unpack-cut",
    "unpack-damaged",
    "unpack-no-space",
    "unpack-limit",
    "unpack-cancelled",
];

pub(crate) fn cases() -> Vec<Case> {
    let programs = ["gzip", "zstd", "xz", "bzip2"].map(Need::Program);
    vec![
        Case::new("conformance::filters", filters).needs(&programs).mode_independent(),
        Case::new("conformance::unpackers", unpackers)
            .needs(&[Need::Program("qemu-img"), Need::Program("tar")])
            .mode_independent(),
        Case::new("conformance::faults_are_found", faults).needs(&[Need::Program("cc")]).mode_independent(),
        Case::new("conformance::samples", samples).mode_independent(),
    ]
}

/// A disk of data and zeros.
fn disk(sandbox: &Sandbox<'_>) -> PathBuf {
    let path = sandbox.home("disk.raw");
    let mut bytes = vec![0; 2 << 20];
    for (at, len) in [(0, 300_000), (1 << 20, 70_000), ((2 << 20) - 1000, 1000)] {
        bytes[at..at + len].copy_from_slice(&noise(len, at as u64 + 1));
    }
    fs::write(&path, bytes).unwrap();
    path
}

fn own(world: &World) -> PathBuf {
    world.install.landfall.with_file_name("liblandfall_disk.so")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The findings about one handler, and whether the whole went well.
struct Findings {
    document: Value,
    status: i32,
}

impl Findings {
    fn of(sandbox: &Sandbox<'_>, plugin: &Path, sample: &Path, format: &str, expected: &[&Path]) -> Self {
        let mut command = sandbox.landfall("handlers").arg("check").arg(plugin);
        command = command.arg("--sample").arg(sample).arg("--as").arg(format);
        for path in expected {
            command = command.arg("--expect").arg(path);
        }
        let answer = command.json().run();
        Self { document: answer.document().clone(), status: answer.status }
    }

    /// Pairs of a check and its outcome.
    fn outcomes(&self, handler: &str) -> Vec<(&str, &str)> {
        let findings = self.document["findings"].as_array().unwrap_or_else(|| panic!("{:#}", self.document));
        let its = findings.iter().filter(|finding| finding["handler"] == handler);
        its.map(|finding| (finding["check"].as_str().unwrap(), finding["outcome"].as_str().unwrap())).collect()
    }

    /// All of `checks` were tried on the handler, and all went well.
    #[track_caller]
    fn all_well(&self, handler: &str, checks: &[&str]) {
        let outcomes = self.outcomes(handler);
        for check in checks {
            assert!(outcomes.contains(&(check, "ok")), "{check} of {handler}: {:#}", self.document);
        }
        assert_eq!(self.status, 0, "{:#}", self.document);
    }

    fn failed(&self) -> Vec<String> {
        let findings = self.document["findings"].as_array().unwrap_or_else(|| panic!("{:#}", self.document));
        let failed = findings.iter().filter(|finding| finding["outcome"] == "failed");
        failed.map(|finding| finding["check"].as_str().unwrap().to_owned()).collect()
    }
}

fn filters(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let disk = disk(&sandbox);
    for compression in ["gzip", "zstd", "xz", "bzip2"] {
        let compressed = sandbox.home(compression);
        let output = Command::new(find_program(compression).unwrap()).arg("-c").arg(&disk).output().unwrap();
        fs::write(&compressed, output.stdout).unwrap();
        let findings = Findings::of(&sandbox, &own(world), &compressed, compression, &[&disk]);
        findings.all_well(compression, &FILTER_CHECKS);
        // It compares.
        let wrong = Findings::of(&sandbox, &own(world), &compressed, compression, &[&compressed]);
        assert_eq!(wrong.failed(), ["filter-whole"], "{compression}");
    }
}

fn unpackers(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let disk = disk(&sandbox);
    let bytes = fs::metadata(&disk).unwrap().len();
    for subformat in ["streamOptimized", "monolithicSparse"] {
        let vmdk = sandbox.home("disk.vmdk");
        let mut convert = Command::new(find_program("qemu-img").unwrap());
        convert.args(["convert", "-f", "raw", "-O", "vmdk", "-o", &format!("subformat={subformat}")]);
        run(convert.arg(&disk).arg(&vmdk));
        Findings::of(&sandbox, &own(world), &vmdk, "vmdk", &[&disk]).all_well("vmdk", &UNPACK_CHECKS);
    }
    let second = sandbox.home("second.raw");
    fs::write(&second, noise(1 << 20, 7)).unwrap();
    let disks = [("disk.vmdk", bytes, ova::VMDK), ("second.raw", 1 << 20, ova::RAW)];
    fs::write(sandbox.home("image.ovf"), ova::ovf(&disks)).unwrap();
    let archive = sandbox.home("image.ova");
    let folder = disk.parent().unwrap();
    ova::archive(&archive, folder, &["image.ovf", "disk.vmdk", "second.raw"], "ustar");
    let both = [disk.as_path(), second.as_path()];
    Findings::of(&sandbox, &own(world), &archive, "ova", &both).all_well("ova", &UNPACK_CHECKS);
    for wrong in [[both[1], both[0]].as_slice(), &both[..1]] {
        assert_eq!(Findings::of(&sandbox, &own(world), &archive, "ova", wrong).failed(), ["unpack-whole"]);
    }
}

/// The faults that careless.c has, and what finds them.
const FAULTS: [(&str, &[&str]); 9] = [
    ("CRASHES_ON_NONSENSE", &["filter-nonsense"]),
    ("TAKES_A_CUT_FOR_THE_WHOLE", &["filter-cut", "unpack-cut"]),
    ("LOSES_THE_LAST_BYTE_OF_A_STREAM", &["filter-pieces", "filter-cut", "unpack-stream"]),
    ("GIVES_OTHER_BYTES", &["filter-whole", "unpack-whole"]),
    ("CALLS_A_FULL_SINK_THE_END", &["filter-limit", "filter-cancelled"]),
    ("HEARS_NO_CANCEL", &["filter-cancelled", "unpack-cancelled"]),
    ("LEAKS_A_DESCRIPTOR", &["conduct"]),
    ("SWALLOWS_FAILED_WRITES", &["unpack-no-space"]),
    ("LEAVES_OUTPUTS_UNFINISHED", &["unpack-whole"]),
];

fn faults(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let source = fs::read_to_string(world.install.source.join(CARELESS)).unwrap();
    let listed = source.split("  NONE,\n").nth(1).and_then(|rest| rest.split("  FAULTS\n").next()).unwrap();
    let listed: Vec<&str> = listed.split(',').map(str::trim).filter(|fault| !fault.is_empty()).collect();
    assert_eq!(listed, FAULTS.map(|(fault, _)| fault));

    let disk = disk(&sandbox);
    let content = fs::read(&disk).unwrap();
    let sample = sandbox.home("tagged");
    fs::write(&sample, [b"TAG0", &(content.len() as u64).to_le_bytes()[..], &content].concat()).unwrap();
    let dir = PluginDir::new(&sandbox, "plugins");
    let find = |fault: &str| {
        let plugin = dir.add(world, "careless.so", CARELESS, &[&format!("FAULT={fault}")]);
        Findings::of(&sandbox, &plugin, &sample, "tagged", &[&disk])
    };
    let honest = find("NONE");
    honest.all_well("careless-filter", &FILTER_CHECKS);
    honest.all_well("careless-disk", &UNPACK_CHECKS);
    for (fault, checks) in FAULTS {
        assert_eq!(find(fault).failed(), checks, "{fault}");
    }
}

/// What is wrong with the sample itself, and what is left out without one.
fn samples(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let check = || sandbox.landfall("handlers").arg("check").arg(own(world));
    let document = check().json().run().success().clone();
    let findings = document["findings"].as_array().unwrap();
    let skipped = findings.iter().filter(|finding| finding["detail"].as_str().unwrap().contains("there is no sample"));
    assert_eq!(skipped.count(), 4 * (FILTER_CHECKS.len() - 1) + 2 * (UNPACK_CHECKS.len() - 1), "{document:#}");
    let nonsense = findings.iter().filter(|finding| finding["check"].as_str().unwrap().ends_with("-nonsense"));
    assert_eq!(nonsense.filter(|finding| finding["outcome"] == "ok").count(), 6, "{document:#}");

    let disk = disk(&sandbox);
    let missing = sandbox.home("missing");
    let sample = |path: &Path| check().arg("--sample").arg(path).arg("--as");
    sample(&missing).arg("gzip").json().run().failure("invalid", "no-sample", "request");
    let expecting = sample(&disk).arg("gzip").arg("--expect").arg(&missing);
    expecting.json().run().failure("invalid", "no-expected", "request");
    let other = sample(&disk).arg("tagged").json().run();
    other.failure("invalid", "check-failed", "request");
    assert_eq!(Findings { document: other.document().clone(), status: other.status }.failed(), ["sample"]);
    // What is no sample of its format is not taken.
    let wrong = Findings::of(&sandbox, &own(world), &disk, "gzip", &[]);
    assert_eq!(wrong.failed(), ["filter-whole"]);
}
