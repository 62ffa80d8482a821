//! What holds when nothing is said, and what a file becomes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landfall_handler_api::{Error, ErrorKind, Scope};
use landfall_select::{Criterion, StoreType, Strategy};
use serde_json::json;

use super::{read, somewhere};
use crate::config::surroundings::Surroundings;
use crate::config::{
    Agent, CallerRule, Catalog, Catalogs, Config, HandlerSection, Isolation, Limits, LogFormat, Placements, RouteMode,
    Store, VerifyPolicy, interpret, parse_duration, parse_size,
};

#[test]
fn nothing_written_means_the_defaults() {
    let expected = Config {
        source: None,
        node: "cpu-07".to_owned(),
        labels: BTreeMap::new(),
        handlers: Vec::new(),
        plugin_dirs: Vec::new(),
        plugin_sha256: None,
        isolation: Isolation::Auto,
        route: RouteMode::HandlerFirst,
        selection: Strategy::default(),
        rules: Vec::new(),
        never_fallback: false,
        state_dir: PathBuf::from("/var/lib/landfall"),
        stage_keep: Duration::from_secs(24 * 60 * 60),
        legacy_md5: false,
        allow_unhashed: false,
        limits: Limits {
            disk_bytes: 16 << 40,
            disks: 64,
            overcommit: false,
            record_bytes: 1 << 20,
            locations: 1000,
            grace: Duration::from_secs(5),
            stall: Duration::from_secs(60),
            least_rate: 1 << 10,
            connections: 64,
            connections_per_origin: 16,
            bandwidth: None,
            worker_memory: 1 << 30,
            worker_cpu: Duration::from_secs(4 * 60 * 60),
            resume_bytes: 64 << 20,
            bench: Duration::from_secs(10 * 60),
        },
        stores: Vec::new(),
        store_cloud: None,
        clouds: BTreeMap::new(),
        catalogs: BTreeMap::new(),
        handler_sections: BTreeMap::new(),
        agent: Agent {
            socket: PathBuf::from("/run/landfall/agent.sock"),
            socket_mode: 0o600,
            jobs: 8,
            workers: 32,
            queue: 1024,
            queue_per_caller: 512,
            connections: 1536,
            connections_per_caller: 768,
            linger: Duration::from_secs(60),
            stop: Duration::from_secs(30),
            scrub_every: Duration::ZERO,
            scrub_delay: Duration::from_secs(86_400),
            log: LogFormat::Text,
            callers: Vec::new(),
        },
    };
    assert_eq!(interpret("", None, &somewhere()).unwrap(), expected);
    let with_file = read("\u{feff}# nothing\r\n").unwrap();
    assert_eq!(with_file, Config { source: Some(PathBuf::from("landfall.toml")), ..expected });
}

#[test]
fn everything_written_is_taken() {
    let digest = "AB".repeat(32);
    let text = format!(
        r#"
        node = "n1"
        labels = {{ rack = "r7" }}
        handlers = ["swift", "file"]
        plugin_dirs = ["/opt//landfall/./x/"]
        plugin_sha256 = ["{digest}"]
        isolation = "worker"
        route = "location-first"
        selection = [{{ store-type = ["file", "swift"] }}, "weight"]
        state_dir = "/srv/state"
        stage_keep = "1h 30m"
        legacy_md5 = true
        allow_unhashed = true

        [limits]
        disk_bytes = "2TiB"
        disks = 2
        overcommit = true
        record_bytes = 4096
        locations = 3
        grace = "500ms"
        stall = "100ms"
        connections = 4
        least_rate = 7
        connections_per_origin = 5
        bandwidth = "100MiB"
        worker_memory = "64MiB"
        worker_cpu = "1s"
        resume_bytes = 1
        bench = "0s"

        [[store]]
        id = "nfs"
        type = "file"
        root = "/var/lib/glance/images/"
        mountpoint = "/srv/glance"
        hardlink = true
        verify = "never"

        [[store]]
        id = "local"
        type = "file"
        root = "/srv/images"

        [[store]]
        id = "swift"
        type = "swift"
        combine = true

        [catalog.images]
        type = "directory"
        path = "/srv/records"

        [handler.file]
        isolation = "inline"

        [handler.swift]
        since = 2026-01-02
        retries = {{ most = 3, wait = 0.5, on = [500, 503] }}

        [agent]
        socket = "/srv/agent.sock"
        jobs = 1
        workers = 2
        queue = 3
        queue_per_caller = 4
        connections = 5
        connections_per_caller = 6
        linger = "0s"
        stop = "1s"
        scrub_every = "1h"
        scrub_delay = "48h"
        log = "json"

        [[agent.caller]]
        uids = [107, "2000-2999"]
        gids = ["9"]
        catalogs = ["images"]
        targets = ["/srv//vms/"]
        placements = "any"
        trusted = true

        [[agent.caller]]
        gids = [10]
        catalogs = ["*"]
        "#
    );
    let config = read(&text).unwrap();
    let store = |id: &str, store_type| Store {
        id: id.to_owned(),
        store_type,
        schemes: Vec::new(),
        root: PathBuf::new(),
        mountpoint: PathBuf::new(),
        hardlink: false,
        verify: None,
        combine: false,
        delete: false,
    };
    let prefer = vec![StoreType::File, StoreType::Swift];
    let expected = Config {
        source: Some(PathBuf::from("landfall.toml")),
        node: "n1".to_owned(),
        labels: BTreeMap::from([("rack".to_owned(), "r7".to_owned())]),
        handlers: vec!["swift".to_owned(), "file".to_owned()],
        plugin_dirs: vec![PathBuf::from("/opt/landfall/x")],
        plugin_sha256: Some(vec![digest.to_lowercase()]),
        isolation: Isolation::Worker,
        route: RouteMode::LocationFirst,
        selection: Strategy::new(vec![Criterion::StoreType { prefer }, Criterion::Weight]).unwrap(),
        rules: Vec::new(),
        never_fallback: false,
        state_dir: PathBuf::from("/srv/state"),
        stage_keep: Duration::from_secs(90 * 60),
        legacy_md5: true,
        allow_unhashed: true,
        limits: Limits {
            disk_bytes: 2 << 40,
            disks: 2,
            overcommit: true,
            record_bytes: 4096,
            locations: 3,
            grace: Duration::from_millis(500),
            stall: Duration::from_millis(100),
            least_rate: 7,
            connections: 4,
            connections_per_origin: 5,
            bandwidth: Some(100 << 20),
            worker_memory: 64 << 20,
            worker_cpu: Duration::from_secs(1),
            resume_bytes: 1,
            bench: Duration::ZERO,
        },
        stores: vec![
            Store {
                root: PathBuf::from("/var/lib/glance/images"),
                mountpoint: PathBuf::from("/srv/glance"),
                hardlink: true,
                verify: Some(VerifyPolicy::Never),
                ..store("nfs", StoreType::File)
            },
            Store {
                root: PathBuf::from("/srv/images"),
                mountpoint: PathBuf::from("/srv/images"),
                ..store("local", StoreType::File)
            },
            Store { combine: true, ..store("swift", StoreType::Swift) },
        ],
        store_cloud: None,
        clouds: BTreeMap::new(),
        catalogs: BTreeMap::from([("images".to_owned(), Catalog::Directory { path: PathBuf::from("/srv/records") })]),
        handler_sections: BTreeMap::from([
            ("file".to_owned(), HandlerSection { isolation: Isolation::Inline, config: json!({}) }),
            (
                "swift".to_owned(),
                HandlerSection {
                    isolation: Isolation::Worker,
                    config: json!({
                        "since": "2026-01-02",
                        "retries": { "most": 3, "wait": 0.5, "on": [500, 503] },
                    }),
                },
            ),
        ]),
        agent: Agent {
            socket: PathBuf::from("/srv/agent.sock"),
            socket_mode: 0o666,
            jobs: 1,
            workers: 2,
            queue: 3,
            queue_per_caller: 4,
            connections: 5,
            connections_per_caller: 6,
            linger: Duration::ZERO,
            stop: Duration::from_secs(1),
            scrub_every: Duration::from_secs(3600),
            scrub_delay: Duration::from_secs(172_800),
            log: LogFormat::Json,
            callers: vec![
                CallerRule {
                    uids: vec![107..=107, 2000..=2999],
                    gids: vec![9..=9],
                    catalogs: Catalogs::Named(vec!["images".to_owned()]),
                    targets: vec![PathBuf::from("/srv/vms")],
                    placements: Placements::Any,
                    trusted: true,
                },
                CallerRule {
                    uids: Vec::new(),
                    gids: vec![10..=10],
                    catalogs: Catalogs::All,
                    targets: Vec::new(),
                    placements: Placements::Own,
                    trusted: false,
                },
            ],
        },
    };
    assert_eq!(config, expected);
    // Comparing paths does not see a slash too many.
    assert_eq!(config.stores[0].root.to_str(), Some("/var/lib/glance/images"));
}

#[test]
fn the_socket_is_where_the_state_is() {
    let socket = |text: &str| read(text).unwrap().agent.socket;
    assert_eq!(socket(""), Path::new("/run/landfall/agent.sock"));
    assert_eq!(socket("state_dir = '/srv/state'"), Path::new("/srv/state/agent.sock"));
    assert_eq!(read("[agent]\nsocket_mode = '0660'").unwrap().agent.socket_mode, 0o660);
}

#[test]
fn a_handler_s_own_isolation_beats_the_file_s() {
    let table = [
        ("", None, Isolation::Auto),
        ("", Some("worker"), Isolation::Worker),
        ("inline", None, Isolation::Inline),
        ("worker", None, Isolation::Worker),
        ("worker", Some("inline"), Isolation::Inline),
        ("inline", Some("auto"), Isolation::Auto),
    ];
    for (of_file, own, expected) in table {
        let top = if of_file.is_empty() { String::new() } else { format!("isolation = '{of_file}'\n") };
        let own = own.map(|own| format!("isolation = '{own}'\n")).unwrap_or_default();
        let config = read(&format!("{top}[handler.a]\n{own}")).unwrap();
        assert_eq!(config.handler_sections["a"].isolation, expected, "{top}{own}");
    }
}

#[test]
fn a_user_without_a_home_must_say_where_state_goes() {
    let homeless = Surroundings { user: 1000, ..somewhere() };
    let error = interpret("", None, &homeless).unwrap_err();
    let expected = "error: there is no directory to keep state in: HOME is not set\n \
                    |\n = help: set `state_dir`, or HOME, or XDG_STATE_HOME";
    assert_eq!(error.to_string(), expected);
    assert!(interpret("state_dir = '/s'", None, &homeless).is_ok());
}

#[test]
fn a_named_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    std::fs::write(&path, "node = 'n1'\nstate_dir = '/s'\n").unwrap();
    let config = Config::load(Some(&path)).unwrap();
    assert_eq!((config.source, config.node), (Some(path.clone()), "n1".to_owned()));

    std::fs::write(&path, "nod = 'n1'\n").unwrap();
    let error = Config::load(Some(&path)).unwrap_err().to_string();
    assert!(error.contains(&format!("--> {}:1:1", path.display())), "{error}");
    assert!(Config::from_toml("node = 'n1'\nstate_dir = '/s'", Path::new("x")).is_ok());
}

#[test]
fn an_error_becomes_one_line_for_boot_code() {
    let error = read("node = 7\nhandlers = 7\n").unwrap_err();
    assert_eq!(error.summary(), "landfall.toml:1:8: `node` must be a string (this is a whole number) (and 1 more)");
    let summary = error.summary();
    let error = Error::from(error);
    assert_eq!((error.kind(), error.code(), error.scope()), (ErrorKind::Invalid, "config", Scope::Request));
    assert_eq!(error.message(), summary);

    let missing = Error::from(Config::load(Some(Path::new("/nowhere/at/all.toml"))).unwrap_err());
    assert_eq!((missing.kind(), missing.scope()), (ErrorKind::NotFound, Scope::Request));
    assert_eq!(missing.message(), "there is no configuration file /nowhere/at/all.toml");
}

#[test]
fn arguments_are_read_as_the_file_is() {
    assert_eq!(parse_size("2 GiB"), Ok(2 << 30));
    assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5400)));
    assert_eq!(parse_size("0"), Err("less than 1; the least is 1 byte".to_owned()));
    assert!(parse_duration("5").unwrap_err().starts_with("no unit of time; write "));
}
