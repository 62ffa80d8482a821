//! Messages about values, as a person sees them.

use super::shows;

#[test]
fn node_and_labels() {
    shows(
        r#"
node = "two words"
labels = { "" = "a" }
"#,
        r#"
error: `node` is not a name
 --> landfall.toml:1:8
  |
1 | node = "two words"
  |        ^^^^^^^^^^^ has blanks or control characters

error: a label needs a name
 --> landfall.toml:2:12
  |
2 | labels = { "" = "a" }
  |            ^^ empty
"#,
    );
}

#[test]
fn handler_order() {
    shows(
        r#"
handlers = ["file", "File", "", "-a", "file"]
"#,
        r#"
error: this cannot name a handler
 --> landfall.toml:1:21
  |
1 | handlers = ["file", "File", "", "-a", "file"]
  |                     ^^^^^^ only a-z, 0-9 and - can be in it

error: this cannot name a handler
 --> landfall.toml:1:29
  |
1 | handlers = ["file", "File", "", "-a", "file"]
  |                             ^^ empty

error: this cannot name a handler
 --> landfall.toml:1:33
  |
1 | handlers = ["file", "File", "", "-a", "file"]
  |                                 ^^^^ begins with -

error: handler `file` is in the order twice
 --> landfall.toml:1:39
  |
1 | handlers = ["file", "File", "", "-a", "file"]
  |             ------ first here         ^^^^^^ again here
"#,
    );
}

#[test]
fn plugins() {
    shows(
        r#"
plugin_dirs = ["plugins", "~/x"]
plugin_sha256 = ["abc", "zz"]
"#,
        r#"
error: `plugin_dirs` must be an absolute path without `..`
 --> landfall.toml:1:16
  |
1 | plugin_dirs = ["plugins", "~/x"]
  |                ^^^^^^^^^ not absolute
  |
  = help: write the path in full, from `/` on

error: `plugin_dirs` must be an absolute path without `..`
 --> landfall.toml:1:27
  |
1 | plugin_dirs = ["plugins", "~/x"]
  |                           ^^^^^ not absolute
  |
  = help: `~` means nothing here: write the path in full

error: not a SHA-256 digest
 --> landfall.toml:2:18
  |
2 | plugin_sha256 = ["abc", "zz"]
  |                  ^^^^^ 3 digits instead of 64
  |
  = help: `sha256sum FILE.so` prints it

error: not a SHA-256 digest
 --> landfall.toml:2:25
  |
2 | plugin_sha256 = ["abc", "zz"]
  |                         ^^^^ has other characters than 0-9 and a-f
  |
  = help: `sha256sum FILE.so` prints it
"#,
    );
}

#[test]
fn sizes_and_times() {
    shows(
        r#"
state_dir = ""
stage_keep = "24"

[limits]
disk_bytes = "16T"
record_bytes = "0"
grace = "0s"
"#,
        r#"
error: `state_dir` must be an absolute path without `..`
 --> landfall.toml:1:13
  |
1 | state_dir = ""
  |             ^^ empty

error: `stage_keep` is not a time
 --> landfall.toml:2:14
  |
2 | stage_keep = "24"
  |              ^^^^ no unit of time
  |
  = help: write whole numbers with units: ms, s, m, h, d, w, for instance `90s` or `1h 30m`

error: `disk_bytes` is not a size
 --> landfall.toml:5:14
  |
5 | disk_bytes = "16T"
  |              ^^^^^ not a unit of size
  |
  = help: write a whole number and a unit: B, KiB, MiB, GiB, TiB, PiB (powers of 1024), kB, MB, GB, TB, PB (powers of 1000)

error: `record_bytes` is not a size
 --> landfall.toml:6:16
  |
6 | record_bytes = "0"
  |                ^^^ less than 1
  |
  = help: the least is 1 byte

error: `grace` is out of range
 --> landfall.toml:7:9
  |
7 | grace = "0s"
  |         ^^^^ less than 1ms
  |
  = help: a limit is never 0
"#,
    );
}

#[test]
fn the_least_of_a_limit() {
    shows(
        r#"
[limits]
grace = "forever"
stall = "99ms"
bandwidth = "0"
worker_memory = "1MiB"
worker_cpu = "0s"
resume_bytes = "64M"
bench = "10"
"#,
        r#"
error: `grace` is not a time
 --> landfall.toml:2:9
  |
2 | grace = "forever"
  |         ^^^^^^^^^ not a time
  |
  = help: write whole numbers with units: ms, s, m, h, d, w, for instance `90s` or `1h 30m`

error: `stall` is out of range
 --> landfall.toml:3:9
  |
3 | stall = "99ms"
  |         ^^^^^^ less than 100ms

error: `bandwidth` is not a size
 --> landfall.toml:4:13
  |
4 | bandwidth = "0"
  |             ^^^ less than 1
  |
  = help: the least is 1 byte

error: `worker_memory` is out of range
 --> landfall.toml:5:17
  |
5 | worker_memory = "1MiB"
  |                 ^^^^^^ less than 64MiB

error: `worker_cpu` is out of range
 --> landfall.toml:6:14
  |
6 | worker_cpu = "0s"
  |              ^^^^ less than 1s
  |
  = help: a limit is never 0

error: `resume_bytes` is not a size
 --> landfall.toml:7:16
  |
7 | resume_bytes = "64M"
  |                ^^^^^ not a unit of size
  |
  = help: write a whole number and a unit: B, KiB, MiB, GiB, TiB, PiB (powers of 1024), kB, MB, GB, TB, PB (powers of 1000)

error: `bench` is not a time
 --> landfall.toml:8:9
  |
8 | bench = "10"
  |         ^^^^ no unit of time
  |
  = help: write whole numbers with units: ms, s, m, h, d, w, for instance `90s` or `1h 30m`
"#,
    );
}

#[test]
fn rules() {
    shows(
        r#"
[labels]
site = "a"
[[rule]]
deny = "location.urls.host == 'x'"
[[rule]]
deny = "node.labels.rack == 'x'"
[[rule]]
prefer = "image.size"
[[rule]]
name = "two"
deny = "true"
score = "1"
"#,
        r#"
error: `deny` is no rule
 --> landfall.toml:4:18
  |
4 | deny = "location.urls.host == 'x'"
  |                  ^^^^ there is no urls there, but: index, count, url, store, status, metrics, metadata, disk_format, container_format, compression, size, os_hash_algo, os_hash_value

error: `deny` is no rule
 --> landfall.toml:6:21
  |
6 | deny = "node.labels.rack == 'x'"
  |                     ^^^^ this node has no label rack; has(node.labels.rack) asks whether it has

error: `prefer` is no rule
 --> landfall.toml:8:10
  |
8 | prefer = "image.size"
  |          ^^^^^^^^^^^^ prefer needs true or false, not int

error: a rule has one of `deny`, `prefer` and `score`
 --> landfall.toml:9:1
  |
9 | [[rule]]
  | ^^^^^^^^ this has none or several
"#,
    );
    shows(
        r#"
selection = ["weight"]
[[rule]]
prefer = "location.store == 'x'"
"#,
        r#"
error: the rule "rule 1" has no effect on the order
 --> landfall.toml:1:13
  |
1 | selection = ["weight"]
  |             ^^^^^^^^^^ does not have "rules"
  |
  = help: add "rules" to `selection` where they are to count; a rule that denies counts in any case
"#,
    );
}

#[test]
fn criteria() {
    shows(
        r#"
selection = ["wieght", "weight", { store-type = [] }, { store-type = ["flie"] }, 7]
"#,
        r#"
error: `selection` has a bad criterion
 --> landfall.toml:1:14
  |
1 | selection = ["wieght", "weight", { store-type = [] }, { store-type = ["flie"] }, 7]
  |              ^^^^^^^^ unknown criterion "wieght", known are weight, location-order, store-type, store, rules, fastest

error: `selection` has a bad criterion
 --> landfall.toml:1:34
  |
1 | selection = ["wieght", "weight", { store-type = [] }, { store-type = ["flie"] }, 7]
  |                                  ^^^^^^^^^^^^^^^^^^^ criterion "store-type" needs a list of store types: { store-type = ["file"] }

error: `selection` has a bad criterion
 --> landfall.toml:1:55
  |
1 | selection = ["wieght", "weight", { store-type = [] }, { store-type = ["flie"] }, 7]
  |                                                       ^^^^^^^^^^^^^^^^^^^^^^^^^ unknown store type "flie", known are file, http, rbd, swift, cinder, vmware, s3, other

error: `selection` has a bad criterion
 --> landfall.toml:1:82
  |
1 | selection = ["wieght", "weight", { store-type = [] }, { store-type = ["flie"] }, 7]
  |                                                                                  ^ invalid type: integer `7`, expected a criterion: a string, or a table such as { store-type = ["file"] }
"#,
    );
}

#[test]
fn a_criterion_twice() {
    shows(
        r#"
selection = ["weight", "location-order", "weight"]
"#,
        r#"
error: `selection` is not a strategy
 --> landfall.toml:1:42
  |
1 | selection = ["weight", "location-order", "weight"]
  |                                          ^^^^^^^^ criterion "weight" stands more than once
"#,
    );
}

#[test]
fn no_criterion() {
    shows(
        r#"
selection = []
"#,
        r#"
error: `selection` is not a strategy
 --> landfall.toml:1:13
  |
1 | selection = []
  |             ^^ the list of criteria is empty
"#,
    );
}

#[test]
fn store_ids() {
    shows(
        r#"
[[store]]
id = "glance"
type = "swift"

[[store]]
id = "glance"
type = "s3"

[[store]]
id = ""
type = "s3"

[[store]]
id = "a b"
type = "s3"

[[store]]
id = "-a"
type = "s3"
"#,
        r#"
error: two stores have one id
 --> landfall.toml:6:6
  |
2 | id = "glance"
  |      -------- first here
...
6 | id = "glance"
  |      ^^^^^^^^ again here

error: `id` is not a name
  --> landfall.toml:10:6
   |
10 | id = ""
   |      ^^ empty

error: `id` is not a name
  --> landfall.toml:14:6
   |
14 | id = "a b"
   |      ^^^^^ only A-Z, a-z, 0-9, -, _ and . can be in it

error: `id` is not a name
  --> landfall.toml:18:6
   |
18 | id = "-a"
   |      ^^^^ does not begin with a letter or digit
"#,
    );
}

#[test]
fn store_directories() {
    shows(
        r#"
[[store]]
id = "a"
type = "file"
root = "images"
mountpoint = "/mnt/../x"

[[store]]
id = "b"
type = "file"

[[store]]
id = "c"
type = "file"
root = "//."

[[store]]
id = "d"
type = "file"
root = "/images"
mountpoint = "/"
"#,
        r#"
error: `root` must be an absolute path without `..`
 --> landfall.toml:4:8
  |
4 | root = "images"
  |        ^^^^^^^^ not absolute
  |
  = help: write the path in full, from `/` on

error: `mountpoint` must be an absolute path without `..`
 --> landfall.toml:5:14
  |
5 | mountpoint = "/mnt/../x"
  |              ^^^^^^^^^^^ has `..`

error: `root` is missing
 --> landfall.toml:7:1
  |
7 | [[store]]
  | ^^^^^^^^^ a store of type `file` needs `root`

error: `root` opens the whole node
  --> landfall.toml:14:8
   |
14 | root = "//."
   |        ^^^^^ any image record could then name any file of this node
   |
   = help: give the directory that holds the images

error: `mountpoint` opens the whole node
  --> landfall.toml:20:14
   |
20 | mountpoint = "/"
   |              ^^^ any image record could then name any file of this node
   |
   = help: give the directory that holds the images
"#,
    );
}

#[test]
fn what_only_file_stores_have() {
    shows(
        r#"
[[store]]
id = "a"
type = "swift"
root = "/a"
mountpoint = "/b"
hardlink = true
"#,
        r#"
error: this store cannot have a `root`
 --> landfall.toml:4:8
  |
4 | root = "/a"
  |        ^^^^ only a store of type `file` has directories

error: this store cannot have a `mountpoint`
 --> landfall.toml:5:14
  |
5 | mountpoint = "/b"
  |              ^^^^ only a store of type `file` has directories

error: this store cannot have `hardlink = true`
 --> landfall.toml:6:12
  |
6 | hardlink = true
  |            ^^^^ only a store of type `file` has files to link to
"#,
    );
}

#[test]
fn catalogs() {
    shows(
        r#"
[catalog.images]
type = "directory"

[catalog."a b"]
type = "directory"
path = "x"
"#,
        r#"
error: `path` is missing
 --> landfall.toml:1:1
  |
1 | [catalog.images]
  | ^^^^^^^^^^^^^^^^ a catalog of type `directory` needs `path`

error: this cannot name a catalog
 --> landfall.toml:4:10
  |
4 | [catalog."a b"]
  |          ^^^^^ only A-Z, a-z, 0-9, -, _ and . can be in it

error: `path` must be an absolute path without `..`
 --> landfall.toml:6:8
  |
6 | path = "x"
  |        ^^^ not absolute
  |
  = help: write the path in full, from `/` on
"#,
    );
}

#[test]
fn clouds() {
    shows(
        r#"
store_cloud = "none"

[cloud.mixed]
environment = true
entry = "x"

[cloud.empty]

[cloud.unnamed]
clouds_file = "/clouds.yaml"

[cloud.odd]
interface = "private"
auth = { auth_ur = "x", token = "t", token_file = "/t", password_file = "p" }

[catalog.images]
type = "glance"
path = "/x"
"#,
        r#"
error: there is no `[cloud.none]`
 --> landfall.toml:1:15
  |
1 | store_cloud = "none"
  |               ^^^^^^ not the name of a cloud

error: this cloud has several logins
 --> landfall.toml:3:1
  |
3 | [cloud.mixed]
  | ^^^^^^^^^^^^^ `environment`, `entry` and everything else exclude each other

error: this cloud has no login
 --> landfall.toml:7:1
  |
7 | [cloud.empty]
  | ^^^^^^^^^^^^^ needs `environment = true`, `entry`, or `auth`

error: `entry` is missing
 --> landfall.toml:9:1
  |
9 | [cloud.unnamed]
  | ^^^^^^^^^^^^^^^ a `clouds.yaml` has several entries

error: there is no interface `private`
  --> landfall.toml:13:13
   |
13 | interface = "private"
   |             ^^^^^^^^^ not `public`, `internal` or `admin`

error: `auth` has an unknown `auth_ur`
  --> landfall.toml:14:10
   |
14 | auth = { auth_ur = ***, token = ***, token_file = ****, password_file = *** }
   |          ^^^^^^^ unknown
   |
   = help: it may have application_credential_id, application_credential_name, application_credential_secret, auth_url, default_domain_id, default_domain_name, domain_id, domain_name, endpoint, password, project_domain_id, project_domain_name, project_id, project_name, system_scope, tenant_id, tenant_name, token, trust_id, url, user_domain_id, user_domain_name, user_id, username

error: both `token` and `token_file` are set
  --> landfall.toml:14:51
   |
14 | auth = { auth_ur = ***, token = ***, token_file = ****, password_file = *** }
   |                                                   ^^^^ one too many

error: `password_file` must be an absolute path without `..`
  --> landfall.toml:14:73
   |
14 | auth = { auth_ur = ***, token = ***, token_file = ****, password_file = *** }
   |                                                                         ^^^ not absolute
   |
   = help: write the path in full, from `/` on

error: `cloud` is missing
  --> landfall.toml:16:1
   |
16 | [catalog.images]
   | ^^^^^^^^^^^^^^^^ there are several clouds

error: this catalog cannot have a `path`
  --> landfall.toml:18:8
   |
18 | path = "/x"
   |        ^^^^ only a catalog of type `directory` has one
"#,
    );
}

#[test]
fn handler_sections() {
    shows(
        r#"
[handler.file]
weight = nan
deep = [{ a = inf }]

[handler.Bad_Name]
"#,
        r#"
error: handlers get their settings as JSON
 --> landfall.toml:2:10
  |
2 | weight = nan
  |          ^^^ JSON has no such number

error: handlers get their settings as JSON
 --> landfall.toml:3:15
  |
3 | deep = [{ a = inf }]
  |               ^^^ JSON has no such number

error: this cannot name a handler
 --> landfall.toml:5:10
  |
5 | [handler.Bad_Name]
  |          ^^^^^^^^ only a-z, 0-9 and - can be in it
"#,
    );
}
