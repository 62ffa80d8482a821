//! Messages about syntax, keys and types, as a person sees them.

use super::shows;

#[test]
fn syntax_errors_stop_at_the_first() {
    shows(
        r#"
handlers = ["file"
route =
"#,
        r#"
error: this is not TOML
 --> landfall.toml:2:1
  |
2 | route =
  | ^ missing comma between array elements, expected `,`
"#,
    );
}

#[test]
fn a_key_written_twice() {
    shows(
        r#"
node = "a"
node = "b"
"#,
        r#"
error: this is not TOML
 --> landfall.toml:2:1
  |
2 | node = "b"
  | ^^^^ duplicate key
"#,
    );
}

#[test]
fn unknown_keys_and_what_was_meant() {
    shows(
        r#"
hanlders = ["file"]
zzzzzz = "red"

[limits]
disk-bytes = "1GiB"

[[store]]
id = "a"
type = "file"
root = "/a"
hard_link = true
"#,
        r#"
error: unknown key `hanlders`
 --> landfall.toml:1:1
  |
1 | hanlders = ["file"]
  | ^^^^^^^^ there is no such key here
  |
  = help: did you mean `handlers`?

error: unknown key `zzzzzz`
 --> landfall.toml:2:1
  |
2 | zzzzzz = "red"
  | ^^^^^^ there is no such key here
  |
  = help: the keys of this table are `agent`, `allow_unhashed`, `catalog`, `cloud`, `handler`, `handlers`, `isolation`, `labels`, `legacy_md5`, `limits`, `never_fallback`, `node`, `plugin_dirs`, `plugin_sha256`, `route`, `rule`, `selection`, `stage_keep`, `state_dir`, `store`, `store_cloud`

error: unknown key `disk-bytes`
 --> landfall.toml:5:1
  |
5 | disk-bytes = "1GiB"
  | ^^^^^^^^^^ there is no such key here
  |
  = help: did you mean `disk_bytes`?

error: unknown key `hard_link`
  --> landfall.toml:11:1
   |
11 | hard_link = true
   | ^^^^^^^^^ there is no such key here
   |
   = help: did you mean `hardlink`?
"#,
    );
}

#[test]
fn wrong_types() {
    shows(
        r#"
node = 7
handlers = "file"
legacy_md5 = "yes"
stage_keep = 86400
plugin_dirs = ["/a", 1]
labels = { rack = 1 }

[limits]
disks = "many"
disk_bytes = 1.5
"#,
        r#"
error: `node` must be a string
 --> landfall.toml:1:8
  |
1 | node = 7
  |        ^ this is a whole number
  |
  = help: write it in quotes: "7"

error: `handlers` must be an array
 --> landfall.toml:2:12
  |
2 | handlers = "file"
  |            ^^^^^^ this is a string
  |
  = help: write it in brackets

error: `legacy_md5` must be true or false
 --> landfall.toml:3:14
  |
3 | legacy_md5 = "yes"
  |              ^^^^^ this is a string

error: `stage_keep` must be a string
 --> landfall.toml:4:14
  |
4 | stage_keep = 86400
  |              ^^^^^ this is a whole number
  |
  = help: write for instance "1h 30m"

error: each of `plugin_dirs` must be a string
 --> landfall.toml:5:22
  |
5 | plugin_dirs = ["/a", 1]
  |                      ^ this is a whole number
  |
  = help: write it in quotes: "1"

error: `rack` must be a string
 --> landfall.toml:6:19
  |
6 | labels = { rack = 1 }
  |                   ^ this is a whole number
  |
  = help: write it in quotes: "1"

error: `disks` must be a whole number
 --> landfall.toml:9:9
  |
9 | disks = "many"
  |         ^^^^^^ this is a string

error: `disk_bytes` must be a whole number or a string
  --> landfall.toml:10:14
   |
10 | disk_bytes = 1.5
   |              ^^^ this is a number with a point
   |
   = help: write for instance "4GiB"
"#,
    );
}

#[test]
fn tables_of_the_wrong_kind() {
    shows(
        r#"
[store]
id = "a"

[catalog]
path = 1

[handler]
file = "x"
"#,
        r#"
error: `store` must be an array
 --> landfall.toml:1:1
  |
1 | [store]
  | ^^^^^^^ this is a table
  |
  = help: write two brackets around its name, for instance `[[store]]`

error: `path` must be a table
 --> landfall.toml:5:8
  |
5 | path = 1
  |        ^ this is a whole number

error: `file` must be a table
 --> landfall.toml:8:8
  |
8 | file = "x"
  |        ^^^ this is a string
"#,
    );
}

#[test]
fn missing_keys() {
    shows(
        r#"
[[store]]
root = "/a"

[[store]]
id = "x"
"#,
        r#"
error: `id` is missing
 --> landfall.toml:1:1
  |
1 | [[store]]
  | ^^^^^^^^^ this table needs `id`

error: `type` is missing
 --> landfall.toml:1:1
  |
1 | [[store]]
  | ^^^^^^^^^ this table needs `type`

error: `type` is missing
 --> landfall.toml:4:1
  |
4 | [[store]]
  | ^^^^^^^^^ this table needs `type`
"#,
    );
}

#[test]
fn unknown_values() {
    shows(
        r#"
route = "location_first"
isolation = "Worker"

[[store]]
id = "a"
type = "flie"
root = "/a"
verify = "sometimes"

[catalog.x]
type = "glanec"

[handler.file]
isolation = "none"
"#,
        r#"
error: unknown `route`
 --> landfall.toml:1:9
  |
1 | route = "location_first"
  |         ^^^^^^^^^^^^^^^^ known are `handler-first`, `location-first`
  |
  = help: did you mean "location-first"?

error: unknown `isolation`
 --> landfall.toml:2:13
  |
2 | isolation = "Worker"
  |             ^^^^^^^^ known are `auto`, `worker`, `inline`
  |
  = help: did you mean "worker"?

error: unknown `type`
 --> landfall.toml:6:8
  |
6 | type = "flie"
  |        ^^^^^^ known are `file`, `http`, `rbd`, `swift`, `cinder`, `vmware`, `s3`, `other`
  |
  = help: did you mean "file"?

error: unknown `verify`
 --> landfall.toml:8:10
  |
8 | verify = "sometimes"
  |          ^^^^^^^^^^^ known are `once`, `always`, `never`

error: unknown `type`
  --> landfall.toml:11:8
   |
11 | type = "glanec"
   |        ^^^^^^^^ known are `directory`, `glance`
   |
   = help: did you mean "glance"?

error: unknown `isolation`
  --> landfall.toml:14:13
   |
14 | isolation = "none"
   |             ^^^^^^ known are `auto`, `worker`, `inline`
"#,
    );
}

#[test]
fn numbers_out_of_range() {
    shows(
        r#"
[limits]
disk_bytes = 0
disks = 0
locations = -1
connections = 0
connections_per_origin = 4294967296

[handler.x]
float = 1e999
whole = 99999999999999999999
"#,
        r#"
error: `disk_bytes` is out of range
 --> landfall.toml:2:14
  |
2 | disk_bytes = 0
  |              ^ less than 1

error: `disks` is out of range
 --> landfall.toml:3:9
  |
3 | disks = 0
  |         ^ less than 1

error: `locations` is out of range
 --> landfall.toml:4:13
  |
4 | locations = -1
  |             ^^ less than 1

error: `connections` is out of range
 --> landfall.toml:5:15
  |
5 | connections = 0
  |               ^ less than 1

error: `connections_per_origin` is out of range
 --> landfall.toml:6:26
  |
6 | connections_per_origin = 4294967296
  |                          ^^^^^^^^^^ more than 4294967295

error: `float` is out of range
 --> landfall.toml:9:9
  |
9 | float = 1e999
  |         ^^^^^ does not fit into 64 bits

error: `whole` is out of range
  --> landfall.toml:10:9
   |
10 | whole = 99999999999999999999
   |         ^^^^^^^^^^^^^^^^^^^^ does not fit into 64 bits
"#,
    );
}

#[test]
fn secrets_are_not_shown() {
    shows(
        r#"
[handler.swift]
user = { name = "u", password = "geheim" }
url = [inf, "https://u:geheim@auth/v3?token=geheim"]
password = [inf, "geheim"]
"#,
        r#"
error: handlers get their settings as JSON
 --> landfall.toml:3:8
  |
3 | url = [inf, ***************************************]
  |        ^^^ JSON has no such number

error: handlers get their settings as JSON
 --> landfall.toml:4:13
  |
4 | password = [***, ********]
  |             ^^^ JSON has no such number
"#,
    );
}

#[test]
fn secrets_are_not_shown_where_the_syntax_is_wrong() {
    shows(
        r#"
[handler.swift]
password = "geheim
"#,
        r#"
error: this is not TOML
 --> landfall.toml:2:19
  |
2 | password =********
  |                   ^ invalid basic string, expected `"`
"#,
    );
}

#[test]
fn keys_cannot_drive_a_terminal() {
    shows(
        r#"
"a\u001b[31m" = 1
"#,
        r#"
error: unknown key `a␛[31m`
 --> landfall.toml:1:1
  |
1 | "a\u001b[31m" = 1
  | ^^^^^^^^^^^^^ there is no such key here
  |
  = help: the keys of this table are `agent`, `allow_unhashed`, `catalog`, `cloud`, `handler`, `handlers`, `isolation`, `labels`, `legacy_md5`, `limits`, `never_fallback`, `node`, `plugin_dirs`, `plugin_sha256`, `route`, `rule`, `selection`, `stage_keep`, `state_dir`, `store`, `store_cloud`
"#,
    );
}
