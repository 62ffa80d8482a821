//! What `config show` prints means what it was made from.

use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{project_file, read};
use crate::config::{
    Agent, CallerRule, Catalogs, Config, HandlerSection, Isolation, Limits, LogFormat, Placements, render_effective,
};

/// Reads `config` as it is shown. Where it came from is no part of what it means.
fn shown_and_read(config: &Config) -> Config {
    let shown = render_effective(config);
    let read = read(&shown).unwrap_or_else(|error| panic!("{error}\nin:\n{shown}"));
    Config { source: config.source.clone(), ..read }
}

#[test]
fn defaults_are_written_out() {
    let expected = r#"# from landfall.toml
node = "cpu-07"
handlers = []
plugin_dirs = []
isolation = "auto"
route = "handler-first"
selection = ["weight", "location-order"]
rule = []
never_fallback = false
state_dir = "/var/lib/landfall"
stage_keep = "1d"
legacy_md5 = false
allow_unhashed = false
store = []

[labels]

[limits]
disk_bytes = "16TiB"
disks = 64
overcommit = false
record_bytes = "1MiB"
locations = 1000
grace = "5s"
stall = "1m"
least_rate = "1KiB"
connections = 64
connections_per_origin = 16
worker_memory = "1GiB"
worker_cpu = "4h"
resume_bytes = "64MiB"
bench = "10m"

[cloud]

[catalog]

[agent]
socket = "/run/landfall/agent.sock"
socket_mode = "0600"
jobs = 8
workers = 32
queue = 1024
queue_per_caller = 512
connections = 1536
connections_per_caller = 768
linger = "1m"
stop = "30s"
scrub_every = "0s"
scrub_delay = "1d"
log = "text"
caller = []

[handler]
"#;
    assert_eq!(render_effective(&read("").unwrap()), expected);
}

#[test]
fn every_kind_of_entry_survives() {
    let sample = std::fs::read_to_string(project_file("examples/landfall.toml")).unwrap();
    let texts = [
        "",
        &sample,
        "plugin_sha256 = []\nselection = [{ store-type = ['file'] }]\nroute = 'location-first'",
        "[[store]]\nid = 's'\ntype = 'swift'\ncombine = true\n[[store]]\nid = 'f'\ntype = 'file'\ndelete = true\nroot = '/a'\nverify = 'always'",
        "[handler.a]\nisolation = 'inline'\nx = [[1, 2.5, true], [{ y = 'z' }]]\nd = 2026-01-02T03:04:05Z\n[handler.b]",
        "[catalog.a]\ntype = 'directory'\npath = '/records'\n[limits]\ndisk_bytes = 9223372036854775807",
        "store_cloud = 'a'\n[cloud.a]\nenvironment = true\n[cloud.b]\nentry = 'b'\nclouds_file = '/c'\n[catalog.g]\ntype = 'glance'\ncloud = 'a'",
        "[cloud.a]\nauth_type = 'token'\nauth = { auth_url = 'https://k', token_file = '/t' }\ninterface = 'internal'\nca_file = '/ca'\n\
         endpoints = { image = 'https://g' }\n[catalog.g]\ntype = 'glance'\nservice_cloud = 'a'\n[[store]]\nid = 's'\ntype = 's3'",
        "selection = [{ store = ['a', 'b'] }]",
        "never_fallback = true\nselection = ['rules', 'weight']\n[labels]\nsite = 'a'\n[[rule]]\nname = 'near'\n\
         prefer = 'location.store == node.labels.site'\n[[rule]]\ndeny = \"location.url.host == 'x'\"\n[[rule]]\nscore = '2 * 3'",
        "[catalog.c]\ntype = 'directory'\npath = '/r'\n[agent]\nlinger = '0s'\nlog = 'journald'\nsocket = '/s'\n[[agent.caller]]\nuids = [1, '2-4']\n\
         catalogs = ['c']\ntargets = ['/a', '/b']\n[[agent.caller]]\ngids = ['5']\ncatalogs = ['*']\nplacements = 'any'\ntrusted = true",
        "isolation = 'worker'\n[handler.a]\n[handler.b]\nisolation = 'auto'\n[limits]\nbandwidth = '1GB'\nbench = '0s'",
    ];
    for text in texts {
        let config = read(text).unwrap();
        assert_eq!(shown_and_read(&config), config);
    }
}

#[test]
fn a_file_name_cannot_end_the_comment() {
    let config = Config { source: Some("a\nnode = 'x'".into()), ..read("").unwrap() };
    assert_eq!(shown_and_read(&config), config);
}

/// JSON that TOML can say, without anything that would be hidden.
fn settings() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no such number", |number| number.is_finite()).prop_map(Value::from),
        "[^:@]*".prop_map(Value::from),
    ];
    let nested = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::Object),
        ]
    });
    members(nested).prop_map(Value::Object)
}

fn members(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    let key = "[a-d\u{e9}\"\\. \n\u{1b}]{0,4}";
    prop::collection::btree_map(key, values, 0..4).prop_map(|members| members.into_iter().collect())
}

fn limits() -> impl Strategy<Value = Limits> {
    let size = |least: u64| least..=i64::MAX as u64;
    let count = || 1..=u32::MAX;
    let time = |least: u64| (least..1_000_000_000).prop_map(Duration::from_millis);
    let sizes = (size(1), size(1), prop::option::of(size(1)), size(64 << 20), size(1), size(1));
    let counts = (count(), count(), count(), count());
    let times = (time(1), time(100), time(1000), time(0));
    (sizes, counts, times, any::<bool>()).prop_map(|(sizes, counts, times, overcommit)| {
        let (disk_bytes, record_bytes, bandwidth, worker_memory, resume_bytes, least_rate) = sizes;
        let (disks, locations, connections, connections_per_origin) = counts;
        let (grace, stall, worker_cpu, bench) = times;
        Limits {
            disk_bytes,
            disks,
            overcommit,
            record_bytes,
            locations,
            grace,
            stall,
            least_rate,
            connections,
            connections_per_origin,
            bandwidth,
            worker_memory,
            worker_cpu,
            resume_bytes,
            bench,
        }
    })
}

fn path() -> impl Strategy<Value = PathBuf> {
    "(/[a-z*'\"\\\\ \u{e9}]{1,9}){1,3}".prop_map(PathBuf::from)
}

/// Rules that may name the catalog `c`.
fn callers() -> impl Strategy<Value = Vec<CallerRule>> {
    // The largest number stands for none.
    let id = || 0..u32::MAX;
    let ids = |least| {
        let range = (id(), id()).prop_map(|(a, b)| a.min(b)..=a.max(b));
        let one = id().prop_map(|id| id..=id);
        prop::collection::vec(prop_oneof![range, one], least..4)
    };
    let names = [Catalogs::All, Catalogs::Named(Vec::new()), Catalogs::Named(vec!["c".to_owned()])];
    let catalogs = prop::sample::select(names.to_vec());
    let placements = prop::sample::select(vec![Placements::Own, Placements::Any]);
    let targets = prop::collection::vec(path(), 0..3);
    let rule = (ids(0), ids(1), catalogs, targets, placements, any::<bool>()).prop_map(
        |(uids, gids, catalogs, targets, placements, trusted)| CallerRule {
            uids,
            gids,
            catalogs,
            targets,
            placements,
            trusted,
        },
    );
    prop::collection::vec(rule, 0..4)
}

fn agent() -> impl Strategy<Value = Agent> {
    let count = || 1..=u32::MAX;
    let time = || (0..1_000_000_000_u64).prop_map(Duration::from_millis);
    let log = prop::sample::select(vec![LogFormat::Text, LogFormat::Json, LogFormat::Journald]);
    let counts = (1..=4096_u32, count(), count(), count(), count(), count());
    (path(), 0..=0o777_u32, counts, time(), (time(), time(), time()), log, callers()).prop_map(
        |(socket, socket_mode, counts, linger, (stop, scrub_every, scrub_delay), log, callers)| {
            let (jobs, workers, queue, queue_per_caller, connections, connections_per_caller) = counts;
            Agent {
                socket,
                socket_mode,
                jobs,
                workers,
                queue,
                queue_per_caller,
                connections,
                connections_per_caller,
                linger,
                stop,
                scrub_every,
                scrub_delay,
                log,
                callers,
            }
        },
    )
}

proptest! {
    #[test]
    fn any_configuration_survives(
        labels in prop::collection::btree_map(".{1,5}", ".*", 0..4),
        limits in limits(),
        isolation in prop::sample::select(vec![Isolation::Auto, Isolation::Worker, Isolation::Inline]),
        config in settings(),
        agent in agent(),
    ) {
        let section = HandlerSection { isolation: Isolation::Auto, config };
        let handler_sections = [("a".to_owned(), section)].into();
        let base = read("[catalog.c]\ntype = 'directory'\npath = '/c'").unwrap();
        let config = Config { labels, limits, isolation, handler_sections, agent, ..base };
        prop_assert_eq!(shown_and_read(&config), config);
    }
}
