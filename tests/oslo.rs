//! The inspector's verdicts beside those of oslo.utils, which OpenStack inspects images with: the same, but for what is
//! listed with its reason in host/inspect/tests/oslo/compare.py.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::differential::image;
use crate::differential::recipe::{Form, Recipe};
use crate::support::case::Case;
use crate::support::install::refuse_stale;
use crate::support::mounts::Fs;
use crate::support::needs::Need;
use crate::support::openstack;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

/// What is asked of the images that compare.py has, and in how many answers the two differ.
const VERDICTS: usize = 497;
const DIFFERENCES: usize = 54;

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&World)| {
        let case = Case::new(format!("oslo::{name}"), run).mode_independent().needs(&openstack::NEEDS);
        case.needs(&[Need::Program("qemu-img")])
    };
    vec![case("verdicts", verdicts), case("planted_verdicts_are_seen", planted)]
}

/// The inspector as a program.
fn inspect() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_landfall")).parent().unwrap().join("examples");
    let program = built.join("inspect");
    refuse_stale(&program, &built.join("inspect.d"), "`cargo build --workspace --all-targets`, or `make test`")
        .unwrap();
    program
}

fn compare(world: &World, inspect: &Path, args: &[&str]) -> Output {
    let script = world.install.source.join("host/inspect/tests/oslo/compare.py");
    openstack::python(&script).arg(inspect).args(args).output().unwrap()
}

/// Of the images of compare.py, and of VMDKs as seeds choose them, about which nobody differs.
fn verdicts(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let more = sandbox.home("more");
    fs::create_dir(&more).unwrap();
    let mut made = 0;
    for recipe in (0..crate::differential::count(world)).map(Recipe::of) {
        let name = format!("seed-{}", recipe.seed);
        let form = image::form(&recipe, &image::disk(&recipe), sandbox.store_dir(), &name);
        if recipe.form != Form::Raw {
            fs::rename(&form, more.join(form.file_name().unwrap())).unwrap();
            made += 1;
        }
        fs::remove_file(sandbox.store(&format!("{name}.raw"))).unwrap();
    }
    assert!(made > 10, "{made} images");
    let output = compare(world, &inspect(), &["--also", more.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    // Under its own format, as raw, and as qcow2.
    let expected = format!("{} verdicts, {DIFFERENCES} differences, 0 unexpected", VERDICTS + 3 * made);
    assert_eq!(said.trim_end(), expected, "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
}

/// A verdict that should differ and does not, and one that should not and does.
fn planted(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let liar = sandbox.home("liar");
    let script = format!(
        "#!/bin/sh\ncase $1:$2 in\n\
         */zeros:raw) sed 's/\"ok\"/\"planted\"/' ;;\n\
         */vmdk-parent:vmdk) sed 's/: \"[a-z-]*\"/: \"ok\"/' ;;\n*) cat ;;\n\
         esac <<END\n$({:?} \"$@\")\nEND\n",
        inspect()
    );
    fs::write(&liar, script).unwrap();
    fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).unwrap();
    let only = ["--only", "zeros", "--only", "vmdk-parent", "--only", "qed"];
    let output = compare(world, &liar, &only);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("8 verdicts, 1 differences, 2 unexpected\nzeros as raw: oslo.utils True, we "), "{said}");
    assert!(said.contains("\nvmdk-parent as vmdk: expected to differ, and does not"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}
