//! Disk formats, archives and compressions in a real Swift, as objects of every kind.

use std::fs;

use serde_json::json;

use crate::differential::{image, recipe};
use crate::support::disk::{assert_coarse_holes, assert_same_bytes};
use crate::support::openstack::{Group, unique};
use crate::support::world::{World, is_full};

use super::depot::{Depot, Form, KEEPER, container};

/// No more than some segments of each image.
const SEGMENT: usize = 300_000;

pub(super) fn every_form(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let container = container(&account, "unpacked");
    let shapes = recipe::shapes(is_full());
    let disk = image::disk(&shapes[0]);
    let raw = depot.sandbox.home("disk.raw");
    fs::write(&raw, &disk).unwrap();
    for (number, shape) in shapes.iter().enumerate() {
        let dir = depot.sandbox.store_dir();
        let stored = image::make(shape, &disk, dir, "image").stored;
        let bytes = fs::read(&stored).unwrap();
        // In the short run each shape is stored in one way, and each way has many shapes.
        let forms = if is_full() { Form::ALL.to_vec() } else { vec![Form::ALL[number % Form::ALL.len()]] };
        for form in forms {
            let object = format!("{container}/{}", unique("image"));
            match form {
                Form::Plain => account.put(&object, &bytes),
                Form::Static => account.put_static(&object, &bytes, SEGMENT),
                Form::Dynamic => account.put_dynamic(&object, &bytes, SEGMENT),
            }
            let mut record = image::record(shape, &stored);
            let url = depot.with_key(&depot.services.swift_auth_url(), KEEPER, &object);
            record["locations"] = json!([{ "url": url, "metadata": {} }]);
            image::assert_steps(shape, &depot.sandbox.place_value(&record, "disk"));
            let target = depot.sandbox.out("disk");
            assert_same_bytes(&raw, &target);
            assert_coarse_holes(&target);
            depot.sandbox.only(&["disk"]);
            fs::remove_file(target).unwrap();
        }
        for entry in fs::read_dir(dir).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}
