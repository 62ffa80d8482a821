//! What a location may name: files of configured stores, and nothing around them.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::answer::Answer;
use crate::support::case::Case;
use crate::support::disk::{assert_same_bytes, noisy_file};
use crate::support::mounts::{Fs, OwnMount};
use crate::support::needs::Need;
use crate::support::record::record_of;
use crate::support::sandbox::Sandbox;
use crate::support::world::World;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("stores::paths_out_of_the_root", paths_out),
        Case::new("stores::links_are_not_followed", links),
        Case::new("stores::only_regular_files", other_kinds),
        Case::new("stores::devices_are_refused", devices).needs(&[Need::Root]),
        Case::new("stores::mounts_inside_the_root", inner_mount).needs(&[Need::Mount]),
        Case::new("stores::urls_as_glance_writes_them", urls),
        Case::new("stores::metadata_names_the_store", metadata),
        Case::new("stores::mountpoint_replaces_root", mountpoint),
        Case::new("stores::unreadable_for_this_user", unreadable).needs(&[Need::Root]),
    ]
}

/// A true record of `file`, with this location instead of its own.
fn record_at(file: &Path, location: Value) -> Value {
    let mut record = record_of(file);
    record["locations"] = json!([location]);
    record
}

fn place_url(sandbox: &Sandbox<'_>, file: &Path, url: &str, name: &str) -> Answer {
    sandbox.place_value(&record_at(file, json!({ "url": url })), name)
}

/// A directory with a file that no location may reach: beside the store, and not where records are.
struct Outside(TempDir);

impl Outside {
    fn new(world: &World) -> Self {
        let dir = tempfile::tempdir_in(world.mounts.dir(Fs::Temp).unwrap()).unwrap();
        noisy_file(&dir.path().join("secret.raw"), 5000, 1);
        Self(dir)
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn secret(&self) -> PathBuf {
        self.dir().join("secret.raw")
    }
}

fn paths_out(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let outside = Outside::new(world);
    let secret = outside.secret();
    let store = sandbox.store_dir().display().to_string();
    let beside = outside.dir().file_name().unwrap().to_string_lossy().into_owned();
    fs::create_dir(sandbox.store("sub")).unwrap();
    noisy_file(&sandbox.store("sub/disk.raw"), 5000, 2);
    // A sibling whose name begins as the store's does.
    let sibling = PathBuf::from(format!("{store}-sibling"));
    fs::create_dir(&sibling).unwrap();
    fs::copy(&secret, sibling.join("secret.raw")).unwrap();

    let table = [
        (format!("file://{}", secret.display()), ["denied", "outside-stores", "location"]),
        (format!("file://{store}-sibling/secret.raw"), ["denied", "outside-stores", "location"]),
        (format!("file://{store}/../{beside}/secret.raw"), ["invalid", "path-not-clean", "location"]),
        (format!("file://{store}/sub/../../{beside}/secret.raw"), ["invalid", "path-not-clean", "location"]),
        (format!("file://{store}/sub/../sub/disk.raw"), ["invalid", "path-not-clean", "location"]),
        (format!("file://{store}/./sub/disk.raw"), ["invalid", "path-not-clean", "location"]),
        (format!("file://{store}/sub/%2e%2e/sub/disk.raw"), ["not-found", "no-such-file", "location"]),
        (format!("file://{store}/no-such-file"), ["not-found", "no-such-file", "location"]),
        (format!("file://{store}/sub/disk.raw/more"), ["not-found", "no-such-file", "location"]),
        (format!("file://{store}"), ["denied", "not-a-regular-file", "location"]),
        (format!("file://{store}/"), ["invalid", "path-not-clean", "location"]),
        (format!("file://{store}/{}", "n".repeat(256)), ["invalid", "path-too-long", "location"]),
    ];
    for (url, [kind, code, scope]) in table {
        place_url(&sandbox, &secret, &url, "disk").failure(kind, code, scope);
        sandbox.only(&[]);
    }
    fs::remove_dir_all(sibling).unwrap();
    // The store itself is fine.
    let good = sandbox.store("sub/disk.raw");
    sandbox.place_value(&record_of(&good), "good").success();
}

fn links(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let outside = Outside::new(world);
    let secret = outside.secret();
    fs::create_dir(sandbox.store("real")).unwrap();
    noisy_file(&sandbox.store("real/disk.raw"), 5000, 1);
    symlink(&secret, sandbox.store("out")).unwrap();
    symlink(outside.dir(), sandbox.store("out-dir")).unwrap();
    symlink("real/disk.raw", sandbox.store("in")).unwrap();
    symlink("real", sandbox.store("in-dir")).unwrap();
    symlink("loop", sandbox.store("loop")).unwrap();
    symlink("nowhere", sandbox.store("dangling")).unwrap();
    symlink(format!("/proc/self/root{}", secret.display()), sandbox.store("magic")).unwrap();
    for name in ["out", "out-dir/secret.raw", "in", "in-dir/disk.raw", "loop", "dangling", "magic"] {
        let url = format!("file://{}", sandbox.store(name).display());
        place_url(&sandbox, &secret, &url, "disk").failure("denied", "symlink", "location");
        sandbox.only(&[]);
    }
    // The same bytes by their own name are placed.
    sandbox.place_value(&record_of(&sandbox.store("real/disk.raw")), "good").success();
}

fn other_kinds(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let good = sandbox.store("disk.raw");
    noisy_file(&good, 5000, 1);
    nix::unistd::mkfifo(&sandbox.store("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    fs::create_dir(sandbox.store("directory")).unwrap();
    let _socket = UnixListener::bind(sandbox.store("socket")).unwrap();
    for name in ["fifo", "directory", "socket"] {
        let url = format!("file://{}", sandbox.store(name).display());
        place_url(&sandbox, &good, &url, "disk").failure("denied", "not-a-regular-file", "location");
        sandbox.only(&[]);
    }
}

fn devices(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let good = sandbox.store("disk.raw");
    noisy_file(&good, 5000, 1);
    let mode = Mode::from_bits_truncate(0o600);
    mknod(&sandbox.store("zero"), SFlag::S_IFCHR, mode, makedev(1, 5)).unwrap();
    // A block device that is there on no machine: opening it would fail in another way.
    mknod(&sandbox.store("block"), SFlag::S_IFBLK, mode, makedev(259, 65_000)).unwrap();
    for name in ["zero", "block"] {
        let url = format!("file://{}", sandbox.store(name).display());
        place_url(&sandbox, &good, &url, "disk").failure("denied", "not-a-regular-file", "location");
        sandbox.only(&[]);
    }
}

fn inner_mount(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let outside = Outside::new(world);
    fs::create_dir(sandbox.store("mounted")).unwrap();
    noisy_file(&sandbox.store("mounted/secret.raw"), 4000, 2);
    let hidden = record_of(&sandbox.store("mounted/secret.raw"));
    let _bind = OwnMount::bind(outside.dir(), &sandbox.store("mounted"));
    let url = format!("file://{}", sandbox.store("mounted/secret.raw").display());
    let answer = place_url(&sandbox, &outside.secret(), &url, "disk");
    answer.failure("denied", "other-mount", "location");
    sandbox.place_value(&hidden, "disk").failure("denied", "other-mount", "location");
    sandbox.only(&[]);
}

fn urls(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let store = sandbox.store_dir().display().to_string();
    fs::create_dir(sandbox.store("a b")).unwrap();
    for name in
        ["a%20b.raw", "a b/d.raw", "100%.raw", "ünï.raw", "+.raw", "back\\slash.raw", "u:x@y.raw", "\u{202e}rtl.raw"]
    {
        let file = sandbox.store(name);
        noisy_file(&file, 3000, 4);
        for (number, prefix) in ["file://", "filesystem://", "FILE://", ""].into_iter().enumerate() {
            let target = format!("disk-{number}");
            place_url(&sandbox, &file, &format!("{prefix}{store}/{name}"), &target).success();
            assert_same_bytes(&file, &sandbox.out(&target));
            fs::remove_file(sandbox.out(&target)).unwrap();
        }
    }
    let file = sandbox.store("+.raw");
    let table = [
        ("file://localhost/etc/passwd", ["invalid", "not-absolute", "location"]),
        ("file://host.example/srv/x", ["invalid", "not-absolute", "location"]),
        ("file://", ["invalid", "empty-path", "location"]),
        ("file:///", ["invalid", "path-not-clean", "location"]),
        ("file:relative", ["invalid", "not-absolute", "location"]),
        ("relative/path", ["invalid", "not-absolute", "location"]),
        ("", ["invalid", "empty-path", "location"]),
        ("file:///a\u{0}b", ["invalid", "control-character", "location"]),
        ("file:///srv/x?y", ["invalid", "ambiguous-path", "location"]),
    ];
    for (url, [kind, code, scope]) in table {
        // With a store that is named, the URL itself is wrong; without, it belongs to none.
        let named = json!({ "url": url, "metadata": { "store": "main" } });
        sandbox.place_value(&record_at(&file, named), "disk").failure(kind, code, scope);
        if url.starts_with("file://") {
            place_url(&sandbox, &file, url, "disk").failure("denied", "outside-stores", "location");
        }
        sandbox.only(&[]);
    }
    let answer = place_url(&sandbox, &file, "nosuch+scheme://host/x", "disk");
    answer.failure("unsupported", "no-handler", "request");
}

fn metadata(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 3000, 5);
    let url = format!("file://{}", file.display());
    for (number, metadata) in
        [json!({ "store": "main" }), json!({ "id": "main", "mountpoint": "/x" })].iter().enumerate()
    {
        let record = record_at(&file, json!({ "url": url, "metadata": metadata }));
        sandbox.place_value(&record, &format!("disk-{number}")).success();
    }
    // An id that is not known on this node leaves the path to find the store.
    for (number, metadata) in
        [json!({ "store": "other" }), json!({ "id": "other" }), json!({ "store": 7 })].iter().enumerate()
    {
        let record = record_at(&file, json!({ "url": url, "metadata": metadata }));
        sandbox.place_value(&record, &format!("disk-{}", number + 2)).success();
    }
    // A named store does not lend its name to files outside of it.
    let outside = Outside::new(world);
    let secret = outside.secret();
    let location = json!({ "url": format!("file://{}", secret.display()), "metadata": { "store": "main" } });
    let answer = sandbox.place_value(&record_at(&secret, location), "refused");
    answer.failure("denied", "outside-store", "location");
    for metadata in [json!({ "store": "other" }), json!({ "id": "other" })] {
        let location = json!({ "url": format!("file://{}", secret.display()), "metadata": metadata });
        let answer = sandbox.place_value(&record_at(&secret, location), "refused");
        answer.failure("denied", "outside-stores", "location");
    }
    // A store of another type has no root that a path could be beneath.
    sandbox.configure("", "[[store]]\nid = \"objects\"\ntype = \"swift\"\n");
    for path in [&secret, Path::new("/etc/passwd")] {
        let location = json!({ "url": format!("file://{}", path.display()), "metadata": { "store": "objects" } });
        let answer = sandbox.place_value(&record_at(path, location), "refused");
        answer.failure("denied", "outside-stores", "location");
    }
    sandbox.only(&["disk-0", "disk-1", "disk-2", "disk-3", "disk-4"]);
}

fn mountpoint(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    let table = format!(
        "[[store]]\nid = \"main\"\ntype = \"file\"\nroot = \"/srv/glance/images\"\nmountpoint = {:?}\n",
        sandbox.store_dir()
    );
    sandbox.configure("", &table);
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 3000, 6);
    place_url(&sandbox, &file, "file:///srv/glance/images/disk.raw", "by-path").success();
    let location = json!({ "url": "file:///srv/glance/images/disk.raw", "metadata": { "store": "main" } });
    sandbox.place_value(&record_at(&file, location), "by-id").success();
    // This node's own path is not how the image service names the file.
    let answer = place_url(&sandbox, &file, &format!("file://{}", file.display()), "disk");
    answer.failure("denied", "outside-stores", "location");
    sandbox.only(&["by-id", "by-path"]);
}

fn unreadable(world: &World) {
    let sandbox = Sandbox::on(world, Fs::Temp);
    sandbox.give_to_nobody();
    let file = sandbox.store("disk.raw");
    noisy_file(&file, 3000, 6);
    let record = sandbox.record_of_file(&file);
    sandbox.place(&record, "readable").unprivileged().run().success();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    sandbox.place(&record, "disk").unprivileged().run().failure("denied", "eacces", "location");
    sandbox.only(&["readable"]);
}
