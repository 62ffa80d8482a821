//! `landfall handlers check`: the promises that every plugin makes, tried out on the built plugin with an object of a
//! real store.

use serde_json::{Value, json};

use crate::support::world::World;

use super::bucket::{Bucket, Form, IMAGE};

pub(super) fn kept(world: &World) {
    let bucket = Bucket::new(world);
    bucket.put("image", IMAGE, Form::InParts);
    let plugin = world.install.landfall.with_file_name("liblandfall_net.so");
    let check = |key: &str| {
        let command = bucket.sandbox.landfall("handlers").arg("check").arg(&plugin);
        command.arg("--url").arg(bucket.bare_url(key)).json().run()
    };
    // A URL with keys in it cannot be an argument.
    bucket.configure(&bucket.keys(&bucket.secret, &bucket.authority(), "images-*"), "");
    let good = check("image");
    let document = good.success();
    for (name, wanted) in [
        ("open-url", "opened"),
        ("read-whole", &format!("{} bytes, sha256 {}", IMAGE.size, IMAGE.sha256())),
        ("read-again", ""),
        ("read-offset", ""),
        ("read-past-end", ""),
        ("read-two-at-once", ""),
        ("read-cancelled", ""),
    ] {
        let finding = finding(document, name);
        assert_eq!(finding["outcome"], "ok", "{finding:#}");
        assert!(finding["detail"].as_str().is_some_and(|detail| detail.contains(wanted)), "{finding:#}");
    }
    // An object that is not there is found out.
    let bad = check("missing");
    let finding = finding(bad.document(), "open-url");
    assert_eq!((bad.status != 0, &finding["outcome"]), (true, &json!("failed")), "{bad:#?}");
    assert!(finding["detail"].as_str().is_some_and(|detail| detail.contains("http-404")), "{finding:#}");
}

/// What came of trying this out on the handler.
fn finding<'a>(document: &'a Value, name: &str) -> &'a Value {
    let findings = document["findings"].as_array().unwrap_or_else(|| panic!("{document:#}"));
    let its = |finding: &&Value| finding["handler"] == "s3" && finding["check"] == name;
    findings.iter().find(its).unwrap_or_else(|| panic!("no {name}: {document:#}"))
}
