//! What file systems and kernels lack: each missing call is worked around, and the disk is exact all the same.

use super::operation::{self, Operation};
use super::site::{Layout, ONE, Site};
use super::sweep::{clean, in_order};
use super::view::Entry;
use crate::support::world::World;

/// An operation, what lacks, how the bytes then come, and a point that is met on the way round.
const LADDERS: [(&str, &str, &str, &str); 20] = [
    ("copy", "stage.anonymous#*=eopnotsupp", "copy", "stage.named"),
    ("copy", "stage.anonymous#*=enosys", "copy", "stage.named"),
    ("copy", "stage.anonymous#*=einval", "copy", "stage.named"),
    ("copy", "stage.anonymous#*=eisdir", "copy", "stage.named"),
    ("reflink", "stage.anonymous#*=eisdir", "reflink", "publish.rename"),
    ("stream", "stage.anonymous#*=eopnotsupp", "stream", "publish.rename"),
    ("replace", "stage.anonymous#*=eopnotsupp", "reflink", "publish.replace"),
    ("named", "stage.anonymous#*=eopnotsupp,publish.rename#*=einval", "copy", "publish.link"),
    ("named", "stage.anonymous#*=eopnotsupp,publish.rename#*=enosys", "copy", "publish.unlink"),
    ("reflink", "stage.clone#*=eopnotsupp", "copy", "stage.write"),
    ("reflink", "stage.clone#*=enosys", "copy", "stage.write"),
    ("reflink", "stage.clone#*=einval", "copy", "stage.write"),
    ("reflink", "stage.clone#*=exdev", "copy", "stage.write"),
    ("reflink", "stage.clone#*=eperm", "copy", "stage.write"),
    ("transfer", "stage.copy-range#*=exdev", "transfer", "stage.write"),
    ("transfer", "stage.copy-range#*=eopnotsupp", "transfer", "stage.write"),
    ("transfer", "stage.copy-range#*=enosys", "transfer", "stage.write"),
    ("transfer", "stage.punch#*=eopnotsupp", "transfer", "stage.write"),
    ("transfer", "stage.punch#*=enosys", "transfer", "stage.write"),
    ("hardlink", "publish.link#1=eperm", "copy", "stage.write"),
];

pub(super) fn all(world: &World) {
    let mut wrong = Vec::new();
    let ladders = || LADDERS.iter().copied().filter(|(name, ..)| super::writes_in_the_agent(world, name));
    for (name, lacking, method, met) in ladders() {
        let mut operation = Operation { lacking, method, ..operation::find(name) };
        if method == "copy" {
            // What cannot be linked is a disk of its own.
            operation.after.values_mut().filter(|entry| entry.linked).for_each(|entry| *entry = Entry::placed(ONE));
        }
        if let Err(violation) = climb(world, &operation, met) {
            wrong.push(format!("{name} with {lacking}: {violation}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong\n{}", wrong.len(), ladders().count(), wrong.join("\n"));
}

fn climb(world: &World, operation: &Operation, wanted: &str) -> Result<(), String> {
    let site = Site::new(world, operation, Layout::Apart);
    let trace = clean(&site, operation, "")?;
    in_order(operation, &trace)?;
    if trace.0.iter().any(|met| met.point == wanted && met.deed.is_none()) {
        return Ok(());
    }
    Err(format!("{wanted} is not met: {trace:?}"))
}
