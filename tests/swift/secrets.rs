//! That no key, token or signature is shown or left, whether a placement succeeds or fails.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::openstack::{Digest, Group};
use crate::support::world::World;

use super::depot::{Depot, Form, IMAGE, KEEPER, container, encoded, put_as, stored};
use super::gateway::origin;
use super::relay::Relay;

const HOUR: Duration = Duration::from_secs(3600);

/// What is searched for: each with its name, which messages may show.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 8, "{name} is too short to be searched for");
        self.0.push((name.to_owned(), secret.to_owned()));
        self.0.push((format!("{name}, quoted"), encoded(secret)));
    }

    fn held(&self, bytes: &[u8]) -> Vec<&str> {
        let text = String::from_utf8_lossy(bytes);
        self.0.iter().filter(|(_, secret)| text.contains(secret)).map(|(name, _)| name.as_str()).collect()
    }

    /// In files beneath a directory, with their names.
    fn in_files(&self, dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(self.in_files(&path));
            } else {
                let held = fs::read(&path).map(|bytes| self.held(&bytes).join(", ")).unwrap_or_default();
                found.extend((!held.is_empty()).then(|| format!("{}: {held}", path.display())));
            }
        }
        found
    }
}

/// What one store of secrets comes to: a way to read the object, and the section and tables that go with it.
struct Way {
    name: &'static str,
    url: String,
    section: String,
    tables: String,
    works: bool,
}

pub(super) fn kept(world: &World) {
    let depot = Depot::new(world, Group::Swift);
    let account = depot.services.account(KEEPER);
    let container = container(&account, "secrets");
    let object = put_as(&account, &container, IMAGE, Form::Static);
    let (key, sign) = (depot.services.swift_password(KEEPER), "s1gn-with/th1s&key");
    account.set_key(&container, sign);
    let relay = Relay::start(&account.url);
    let by_relay = |url: &str| url.replace(origin(url), &relay.url());
    let auth = by_relay(&depot.services.swift_auth_url());
    let storage = by_relay(&account.url);
    let plain = by_relay(&stored(&account, &object).replacen("swift+", "", 1));
    let whole = by_relay(&account.temporary_url(&object, sign, Digest::Sha256, HOUR));
    let (forged, wrong) = (whole.replace("temp_url_sig=", "temp_url_sig=0"), "wr0ng-but-secret");
    let cloud = |key: &str| {
        format!(
            "[cloud.node]\nauth_type = \"v1password\"\nauth = {{ auth_url = \"{auth}\", username = \"{KEEPER}\", password = \
             \"{key}\" }}\n"
        )
    };
    let signed = |key: &str| format!("temp_url_key = \"{key}\"\ntemp_url_storage = [\"{storage}\"]");
    let in_url = |key: &str| format!("{}/{object}", auth.replace("http://", &format!("swift+http://{KEEPER}:{key}@")));
    let way = |name, url: String, section: String, tables: String, works| Way { name, url, section, tables, works };
    let storage_url = format!("swift+{plain}");
    let ways = [
        way("key in the URL", in_url(&key), String::new(), String::new(), true),
        way("wrong key in the URL", in_url(wrong), String::new(), String::new(), false),
        way("login", storage_url.clone(), String::new(), cloud(&key), true),
        way("wrong login", storage_url.clone(), String::new(), cloud(wrong), false),
        way("key to sign with", storage_url.clone(), signed(sign), String::new(), true),
        way("wrong key to sign with", storage_url, signed(wrong), String::new(), false),
        way("TempURL", whole.clone(), String::new(), String::new(), true),
        way("forged TempURL", forged, String::new(), String::new(), false),
    ];

    let mut shown = Vec::new();
    for way in &ways {
        depot.configure(&way.section, &format!("{}[limits]\nresume_bytes = \"1MiB\"\n", way.tables));
        shown.extend(run(&depot, way));
    }
    shown.extend(["history", "placements"].map(|word| (word.to_owned(), ask(&depot, &[word]))));

    let mut secrets = Secrets::default();
    secrets.add("key", &key);
    secrets.add("key to sign with", sign);
    secrets.add("wrong key", wrong);
    secrets.add("signature of the record", parameter(&whole, "temp_url_sig").expect("it is signed"));
    let tokens = relay.values("x-auth-token");
    let requests = relay.requests();
    let signatures: Vec<&str> = requests.iter().filter_map(|line| parameter(line, "temp_url_sig")).collect();
    assert!(tokens.len() >= 2 && signatures.len() >= 4, "they were in use: {requests:#?}");
    tokens.iter().for_each(|token| secrets.add("token", token));
    signatures.iter().for_each(|signature| secrets.add("signature", signature));

    for (what, text) in &shown {
        assert_eq!(secrets.held(text.as_bytes()), [""; 0], "{what}: {text}");
    }
    let (state, out) = (depot.sandbox.home("state"), depot.sandbox.out_dir());
    assert_eq!([secrets.in_files(&state), secrets.in_files(out)].concat(), [""; 0]);

    // What is planted is found.
    for secret in [&key, &tokens[0], &signatures[0].to_owned()] {
        assert!(!secrets.held(format!("before {secret} after").as_bytes()).is_empty());
        let planted = state.join("planted");
        fs::write(&planted, format!("\0{secret}\n")).unwrap();
        assert_eq!(secrets.in_files(&state).len(), 1);
        fs::remove_file(planted).unwrap();
    }
}

/// In every way that things are shown; as it is, and with another digest in the record.
fn run(depot: &Depot<'_>, way: &Way) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    let good = IMAGE.record(std::slice::from_ref(&way.url));
    let mut bad = good.clone();
    bad["os_hash_value"] = json!("0".repeat(64));
    let mut keep = |what: &str, text: String| shown.push((format!("{}: {what}", way.name), text));
    for (what, record, works) in [("image", &good, way.works), ("wrong digest", &bad, false)] {
        let record: &Value = record;
        let path = depot.sandbox.record("image.json", record);
        let command = |name: &str| depot.sandbox.landfall(name).arg(&path).arg("--to").arg(depot.sandbox.out("disk"));
        for (options, json) in [(&["--progress", "json"][..], true), (&["--progress", "bar"], false)] {
            let command = command("place").args(options).for_terminal();
            let answer = if json { command.json() } else { command }.run();
            assert_eq!(answer.status == 0, works, "{}, {what}: {answer:#?}", way.name);
            keep(what, answer.text());
            // The next one may find it in its way.
            let _ = fs::remove_file(depot.sandbox.out("disk"));
        }
        keep("plan", command("plan").json().run().text());
        keep("plan", command("plan").run().text());
    }
    for words in [["config", "show"], ["config", "check"]] {
        keep(words[1], ask(depot, &words));
    }
    shown
}

fn ask(depot: &Depot<'_>, words: &[&str]) -> String {
    let answer = depot.sandbox.landfall(words[0]).args(&words[1..]).run();
    assert_eq!(answer.status, 0, "{answer:#?}");
    answer.text()
}

/// A parameter of the query.
fn parameter<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{name}="))?;
    rest.split(['&', ' ']).next()
}
