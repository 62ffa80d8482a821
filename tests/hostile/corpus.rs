//! The corpus: made once for a run, by `make.py`, and listed in what that writes.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::support::c_plugin::{Product, compile};
use crate::support::needs::find_program;
use crate::support::world::World;

/// What images name beside themselves.
const SIBLING: &str = "sibling.raw";

/// The images, and what a run of them stands on.
pub(super) struct Corpus {
    pub(super) dir: PathBuf,
    pub(super) classes: Vec<String>,
    pub(super) controls: Vec<Image>,
    pub(super) cases: Vec<Hostile>,
    /// A legal image that wants much memory.
    pub(super) heavy: Image,
    /// Where some images lead to; nobody may come.
    pub(super) port: TcpListener,
}

/// An image with its record, and how it is placed.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) record: Value,
    pub(super) as_is: bool,
    pub(super) directory: bool,
    pub(super) limits: Vec<String>,
    /// Lines of handlers' tables.
    pub(super) handlers: Vec<(String, String)>,
    /// Bytes and SHA-512 of the disks that it is; none of a hostile one.
    pub(super) disks: Vec<(u64, String)>,
}

/// An image that has to be refused.
#[derive(Debug, Clone)]
pub(super) struct Hostile {
    pub(super) image: Image,
    pub(super) class: String,
    /// The name of the legal image beside it.
    pub(super) control: String,
    pub(super) first: bool,
    /// Kind, code and scope.
    pub(super) error: [String; 3],
}

impl Corpus {
    /// The corpus of this run.
    pub(super) fn of(world: &World) -> &'static Self {
        static MADE: OnceLock<Corpus> = OnceLock::new();
        MADE.get_or_init(|| Self::make(world))
    }

    fn make(world: &World) -> Self {
        let dir = world.mounts.run_dir().join("hostile");
        let canary = dir.join("canary");
        for part in ["canary", "images", "plugins"] {
            fs::create_dir_all(dir.join(part)).unwrap();
            fs::set_permissions(dir.join(part), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(canary.join("secret.raw"), [0x5a; 8192]).unwrap();
        fs::write(dir.join("images").join(SIBLING), [0x5b; 8192]).unwrap();
        compile(world, "tests/plugins/serve.c", &dir.join("plugins/serve.so"), Product::Library, &[]);
        compile(world, "tests/hostile/meter.c", &dir.join("meter"), Product::Program, &[]);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        port.set_nonblocking(true).unwrap();

        let output = Command::new(find_program("python3").unwrap())
            .arg("-B")
            .arg(world.install.source.join("tests/hostile/make.py"))
            .args([dir.as_path(), &canary.join("secret.raw")])
            .args([SIBLING, &port.local_addr().unwrap().port().to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "make.py: {}", String::from_utf8_lossy(&output.stderr));
        let listed: Value = serde_json::from_slice(&fs::read(dir.join("cases.json")).unwrap()).unwrap();
        let image = |entry: &Value| Image::of(&dir, entry);
        Self {
            classes: strings(&listed["classes"]),
            controls: array(&listed["controls"]).iter().map(image).collect(),
            cases: array(&listed["cases"]).iter().map(|entry| Hostile::of(&dir, entry)).collect(),
            heavy: image(&listed["heavy"]),
            dir,
            port,
        }
    }

    /// The legal image of this name.
    pub(super) fn control(&self, name: &str) -> &Image {
        self.controls.iter().find(|image| image.name == name).unwrap_or_else(|| panic!("no control {name}"))
    }

    /// What must never be opened.
    pub(super) fn canaries(&self) -> [PathBuf; 3] {
        let canary = self.dir.join("canary");
        [canary.join("secret.raw"), canary, self.images().join(SIBLING)]
    }

    /// Where the images are.
    pub(super) fn images(&self) -> PathBuf {
        self.dir.join("images")
    }
}

impl Image {
    fn of(dir: &Path, entry: &Value) -> Self {
        let file = dir.join("images").join(entry["file"].as_str().unwrap());
        let mut record = json!({
            "id": "5d7f4a52-5a6e-4b59-8f2b-6a1d3f0c9e11",
            "status": "active",
            "size": entry["size"],
            "os_hash_algo": "sha512",
            "os_hash_value": entry["sha512"],
        });
        // What a case says itself may be a lie.
        let own: &Map<String, Value> = entry["record"].as_object().unwrap();
        record.as_object_mut().unwrap().extend(own.clone());
        let pair = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned());
        let disk = |disk: &Value| (disk["bytes"].as_u64().unwrap(), disk["sha512"].as_str().unwrap().to_owned());
        Self {
            name: entry["name"].as_str().unwrap().to_owned(),
            file,
            record,
            as_is: entry["as_is"].as_bool().unwrap(),
            directory: entry["directory"].as_bool().unwrap(),
            limits: strings(&entry["limits"]),
            handlers: array(&entry["handlers"]).iter().map(pair).collect(),
            disks: entry.get("disks").map_or_else(Vec::new, |disks| array(disks).iter().map(disk).collect()),
        }
    }
}

impl Hostile {
    fn of(dir: &Path, entry: &Value) -> Self {
        let word = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("{key} of {entry}")).to_owned();
        Self {
            image: Image::of(dir, entry),
            class: word("class"),
            control: word("control"),
            first: entry["first"].as_bool().unwrap(),
            error: ["kind", "code", "scope"].map(word),
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

fn strings(value: &Value) -> Vec<String> {
    array(value).iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}
