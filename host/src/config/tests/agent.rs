//! The agent's section: messages about it, and where its socket is.

use std::path::PathBuf;

use super::{read, shows, somewhere};
use crate::config::surroundings::Surroundings;
use crate::config::{Catalogs, interpret, render_effective};

#[test]
fn the_socket_and_callers() {
    shows(
        r#"
[agent]
socket = "agent.sock"
socket_mode = "+7"
[[agent.caller]]
targets = ["vms"]
[[agent.caller]]
uids = [5, "9-7", "x"]
gids = ["-1"]
catalogs = ["no-such"]
"#,
        r#"
error: `socket` must be an absolute path without `..`
 --> landfall.toml:2:10
  |
2 | socket = "agent.sock"
  |          ^^^^^^^^^^^^ not absolute
  |
  = help: write the path in full, from `/` on

error: `socket_mode` is not a mode
 --> landfall.toml:3:15
  |
3 | socket_mode = "+7"
  |               ^^^^ octal digits, at most 0777

error: this rule is for nobody
 --> landfall.toml:4:1
  |
4 | [[agent.caller]]
  | ^^^^^^^^^^^^^^^^ it needs `uids` or `gids`

error: `targets` must be an absolute path without `..`
 --> landfall.toml:5:12
  |
5 | targets = ["vms"]
  |            ^^^^^ not absolute
  |
  = help: write the path in full, from `/` on

error: `uids` has what is no user or group
 --> landfall.toml:7:12
  |
7 | uids = [5, "9-7", "x"]
  |            ^^^^^ a number, or `FIRST-LAST`, at most 4294967294

error: `uids` has what is no user or group
 --> landfall.toml:7:19
  |
7 | uids = [5, "9-7", "x"]
  |                   ^^^ a number, or `FIRST-LAST`, at most 4294967294

error: `gids` has what is no user or group
 --> landfall.toml:8:9
  |
8 | gids = ["-1"]
  |         ^^^^ a number, or `FIRST-LAST`, at most 4294967294

error: there is no `[catalog.no-such]`
 --> landfall.toml:9:13
  |
9 | catalogs = ["no-such"]
  |             ^^^^^^^^^ not the name of a catalog
"#,
    );
}

#[test]
fn keys_and_types() {
    shows(
        r#"
[agent]
sokcet = "/s"
socket_mode = 0o660
jobs = 0
workers = -1
queue = 4294967296
linger = 60
log = "journal"
caller = { uids = [1] }
"#,
        r#"
error: unknown key `sokcet`
 --> landfall.toml:2:1
  |
2 | sokcet = "/s"
  | ^^^^^^ there is no such key here
  |
  = help: did you mean `socket`?

error: `socket_mode` must be a string
 --> landfall.toml:3:15
  |
3 | socket_mode = 0o660
  |               ^^^^^ this is a whole number
  |
  = help: write for instance "0660"

error: `jobs` is out of range
 --> landfall.toml:4:8
  |
4 | jobs = 0
  |        ^ less than 1

error: `workers` is out of range
 --> landfall.toml:5:11
  |
5 | workers = -1
  |           ^^ less than 1

error: `queue` is out of range
 --> landfall.toml:6:9
  |
6 | queue = 4294967296
  |         ^^^^^^^^^^ more than 4294967295

error: `linger` must be a string
 --> landfall.toml:7:10
  |
7 | linger = 60
  |          ^^ this is a whole number
  |
  = help: write for instance "1h 30m"

error: unknown `log`
 --> landfall.toml:8:7
  |
8 | log = "journal"
  |       ^^^^^^^^^ known are `text`, `json`, `journald`
  |
  = help: did you mean "journald"?

error: `caller` must be an array
 --> landfall.toml:9:10
  |
9 | caller = { uids = [1] }
  |          ^^^^^^^^^^^^^^ this is a table
  |
  = help: write two brackets around its name, for instance `[[store]]`
"#,
    );
}

#[test]
fn keys_and_types_of_callers() {
    shows(
        r#"
[[agent.caller]]
user = "nova"
uids = [-1, 4294967295, 1.5]
gids = 64055
placements = "all"
trusted = "yes"
"#,
        r#"
error: unknown key `user`
 --> landfall.toml:2:1
  |
2 | user = "nova"
  | ^^^^ there is no such key here
  |
  = help: the keys of this table are `catalogs`, `gids`, `placements`, `targets`, `trusted`, `uids`

error: each of `uids` is out of range
 --> landfall.toml:3:9
  |
3 | uids = [-1, 4294967295, 1.5]
  |         ^^ less than 0

error: each of `uids` is out of range
 --> landfall.toml:3:13
  |
3 | uids = [-1, 4294967295, 1.5]
  |             ^^^^^^^^^^ more than 4294967294

error: each of `uids` must be a whole number or a string
 --> landfall.toml:3:25
  |
3 | uids = [-1, 4294967295, 1.5]
  |                         ^^^ this is a number with a point
  |
  = help: write for instance "1000-1999"

error: `gids` must be an array
 --> landfall.toml:4:8
  |
4 | gids = 64055
  |        ^^^^^ this is a whole number

error: unknown `placements`
 --> landfall.toml:5:14
  |
5 | placements = "all"
  |              ^^^^^ known are `own`, `any`

error: `trusted` must be true or false
 --> landfall.toml:6:11
  |
6 | trusted = "yes"
  |           ^^^^^ this is a string
"#,
    );
}

#[test]
fn catalogs_that_callers_may_ask() {
    shows(
        r#"
[catalog.central]
type = "directory"
path = "/c"
[[agent.caller]]
uids = [1]
catalogs = ["centrl", "", "central"]
[[agent.caller]]
uids = [2]
catalogs = ["*", "central"]
"#,
        r#"
error: there is no `[catalog.centrl]`
 --> landfall.toml:6:13
  |
6 | catalogs = ["centrl", "", "central"]
  |             ^^^^^^^^ not the name of a catalog
  |
  = help: did you mean "central"?

error: there is no `[catalog.]`
 --> landfall.toml:6:23
  |
6 | catalogs = ["centrl", "", "central"]
  |                       ^^ not the name of a catalog

error: `*` stands alone
 --> landfall.toml:9:13
  |
9 | catalogs = ["*", "central"]
  |             ^^^ all catalogs, so the other names are superfluous
  |
  = help: write `["*"]`
"#,
    );
}

#[test]
fn times_and_rules_for_nobody() {
    shows(
        r#"
[agent]
linger = "1 fortnight"
stop = "-1s"
[[agent.caller]]
uids = []
gids = []
"#,
        r#"
error: `linger` is not a time
 --> landfall.toml:2:10
  |
2 | linger = "1 fortnight"
  |          ^^^^^^^^^^^^^ not a unit of time
  |
  = help: write whole numbers with units: ms, s, m, h, d, w, for instance `90s` or `1h 30m`

error: `stop` is not a time
 --> landfall.toml:3:8
  |
3 | stop = "-1s"
  |        ^^^^^ not a time
  |
  = help: write whole numbers with units: ms, s, m, h, d, w, for instance `90s` or `1h 30m`

error: this rule is for nobody
 --> landfall.toml:4:1
  |
4 | [[agent.caller]]
  | ^^^^^^^^^^^^^^^^ it needs `uids` or `gids`
"#,
    );
}

#[test]
fn a_socket_s_path_has_a_bound() {
    let of_length = |length: usize| format!("/{}", "s".repeat(length - 1));
    let longest = of_length(103);
    let config = read(&format!("[agent]\nsocket = '{longest}'")).unwrap();
    assert_eq!(config.agent.socket, PathBuf::from(&longest));
    let error = read(&format!("[agent]\nsocket = '{}'", of_length(104))).unwrap_err();
    let expected = "landfall.toml:2:10: `socket` is too long (a socket's path has at most 103 bytes)";
    assert_eq!(error.summary(), expected);

    // Whoever does not run an agent need not care how long `state_dir` is, and sees what can be read again.
    let config = read(&format!("state_dir = '{}'", of_length(104))).unwrap();
    let shown = render_effective(&config);
    assert!(!shown.contains("\nsocket ="), "{shown}");
    assert_eq!(read(&shown).unwrap(), config);
}

#[test]
fn a_mode_is_octal() {
    let mode =
        |written: &str| read(&format!("[agent]\nsocket_mode = '{written}'")).map(|config| config.agent.socket_mode);
    for (written, expected) in [("0", 0), ("7", 7), ("660", 0o660), ("0660", 0o660), ("0777", 0o777)] {
        assert_eq!(mode(written).unwrap(), expected, "{written}");
    }
    for written in ["", "8", "0o660", "1777", "-1", " 660", "rw-rw----", "77777777777777777777", "\u{0667}"] {
        let error = mode(written).unwrap_err().summary();
        assert!(error.ends_with("`socket_mode` is not a mode (octal digits, at most 0777)"), "{written}: {error}");
    }
}

#[test]
fn who_may_connect_depends_on_whether_there_are_callers() {
    let mode = |text: &str| read(text).unwrap().agent.socket_mode;
    assert_eq!(mode("[agent]"), 0o600);
    assert_eq!(mode("[agent]\ncaller = []"), 0o600);
    assert_eq!(mode("[[agent.caller]]\nuids = [1]"), 0o666);
    assert_eq!(mode("[agent]\nsocket_mode = '0600'\n[[agent.caller]]\nuids = [1]"), 0o600);
}

#[test]
fn ids_are_numbers_and_ranges() {
    let ids = |written: &str| {
        read(&format!("[[agent.caller]]\ngids = [{written}]")).map(|mut config| config.agent.callers.remove(0).gids)
    };
    let table = [
        ("0", 0..=0),
        ("4294967294", 4_294_967_294..=4_294_967_294),
        ("'12'", 12..=12),
        ("'12-12'", 12..=12),
        ("'0-4294967294'", 0..=4_294_967_294),
    ];
    for (written, expected) in table {
        assert_eq!(ids(written).unwrap(), [expected], "{written}");
    }
    for written in [
        "''",
        "'-'",
        "'1-'",
        "'-1'",
        "'1-2-3'",
        "'1 - 2'",
        "'+1'",
        "'2-1'",
        "'4294967295'",
        "'0-4294967295'",
        "'\u{0661}'",
    ] {
        assert!(ids(written).is_err(), "{written}");
    }
}

#[test]
fn a_caller_s_least_and_most() {
    let config =
        read("[[agent.caller]]\nuids = [1]\n[[agent.caller]]\ngids = [2]\ncatalogs = ['*']\ntargets = ['/']").unwrap();
    let [least, most] = &config.agent.callers[..] else { panic!("{:?}", config.agent.callers) };
    assert_eq!((&least.catalogs, &least.targets[..]), (&Catalogs::Named(Vec::new()), &[][..]));
    assert_eq!((&most.catalogs, &most.targets[..]), (&Catalogs::All, &[PathBuf::from("/")][..]));
    assert!(!least.trusted && !most.trusted);
}

#[test]
fn the_socket_of_a_user_is_beside_its_state() {
    let nova = Surroundings { user: 64055, home: Some("/var/lib/nova".into()), ..somewhere() };
    let socket = |text| interpret(text, None, &nova).unwrap().agent.socket;
    assert_eq!(socket(""), PathBuf::from("/var/lib/nova/.local/state/landfall/agent.sock"));
    // A file that says where the system's agent is says it to everybody.
    assert_eq!(socket("[agent]\nsocket = '/run/landfall/agent.sock'"), PathBuf::from("/run/landfall/agent.sock"));
    assert_eq!(socket("state_dir = '/var/lib/landfall'"), PathBuf::from("/run/landfall/agent.sock"));
}
