//! What a caller may ask of the agent, as JSON.

use std::path::PathBuf;

use landfall_handler_api::{Error, ErrorKind, ImageRecord, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The priority of a call that names none.
const PRIORITY: u8 = 5;
/// The largest priority.
pub(crate) const PRIORITY_MAX: u8 = 9;
/// The shortest deadline, in seconds.
const DEADLINE_MIN: f64 = 0.001;
/// The longest deadline, in seconds: a day.
pub(crate) const DEADLINE_MAX: f64 = 86_400.0;

/// An image, by exactly one of `id`, `record` and `url`: by its id in a catalog, or by a record or URL that the caller brings along. It may hold secrets, and so cannot be
/// shown.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = [{ "required": ["id"] }, { "required": ["record"] }, { "required": ["url"] }]))]
pub(crate) struct ImageRequest {
    /// Its id in a catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// The catalog that is asked; without it all that the caller may use, in the order of their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog: Option<String>,
    /// The caller's Keystone token: a Glance is asked for the record with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// The image's record. For trusted callers alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<ImageRecord>,
    /// The directory of the file that the record was read from: it may name files beneath it. For the agent's own user alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) record_directory: Option<PathBuf>,
    /// Where the stored bytes are. For trusted callers alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Beside `url`: the digest of the stored bytes, `ALGORITHM:HEX`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<String>,
    /// Beside `url`: their disk format; without it `raw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disk_format: Option<String>,
    /// Beside `url`: their container format; without it `bare`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container_format: Option<String>,
    /// Beside `url`: how they are compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<String>,
}

/// One image of a group.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberRequest {
    /// What it is called in reports and in `disks.json`, as `image_name`: letters, digits, `-`, `_` and `.`, at most 64, not beginning with a dot.
    pub(crate) name: String,
    /// The image.
    pub(crate) image: ImageRequest,
}

/// In which form a disk is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FormRequest {
    /// A raw disk.
    #[default]
    Raw,
    /// The bytes as they are stored.
    AsIs,
}

/// What the disk is wanted for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AccessRequest {
    /// To be read and written.
    #[default]
    Rw,
    /// To be read alone; the disk may be shared with the store.
    Ro,
}

/// `place` and `plan`: an image, or a group of them, and where it is to be.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("allOf" = [
    { "oneOf": [{ "required": ["image"] }, { "required": ["group"] }] },
    { "oneOf": [{ "required": ["to"] }, { "required": ["to_dir"] }] },
]))]
pub(crate) struct PlaceRequest {
    /// The image. Either this or `group`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image: Option<ImageRequest>,
    /// Several images, for `to_dir`: all of them are there at once, or none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) group: Vec<MemberRequest>,
    /// Where the disk goes: an absolute path. Either this or `to_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to: Option<PathBuf>,
    /// Where the disks go: an absolute path of a directory that must not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to_dir: Option<PathBuf>,
    /// In which form.
    pub(crate) format: FormRequest,
    /// What it is wanted for.
    pub(crate) access: AccessRequest,
    /// Owner and group, as numbers; without it the caller's. Others than the caller's are for the agent's own user alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<[u32; 2]>")]
    pub(crate) owner: Option<(u32, u32)>,
    /// Permission bits, in octal; without it 0600.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<String>,
    /// Grow the disk to so many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
    /// Take the place of a regular file.
    pub(crate) replace: bool,
    /// Place an image that has no digest. For trusted callers alone.
    pub(crate) allow_unhashed: bool,
    /// Give this call up after so many seconds. Others who wait for the same image go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 86400.0))]
    pub(crate) deadline_seconds: Option<f64>,
    /// From 0 to 9: among one caller's calls the larger goes first.
    #[schemars(range(max = 9))]
    pub(crate) priority: u8,
    /// Answer when the disk is there, or it failed. Otherwise the answer is the job, at once.
    pub(crate) wait: bool,
}

impl Default for PlaceRequest {
    fn default() -> Self {
        Self {
            image: None,
            group: Vec::new(),
            to: None,
            to_dir: None,
            format: FormRequest::Raw,
            access: AccessRequest::Rw,
            owner: None,
            mode: None,
            size: None,
            replace: false,
            allow_unhashed: false,
            deadline_seconds: None,
            priority: PRIORITY,
            wait: true,
        }
    }
}

/// `remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoveRequest {
    /// The placement's absolute path.
    pub(crate) path: PathBuf,
}

/// `cancel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRequest {
    /// The absolute path of the target.
    pub(crate) path: PathBuf,
}

/// `move`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveRequest {
    /// The placement's absolute path.
    pub(crate) from: PathBuf,
    /// Its new one, on the same file system.
    pub(crate) to: PathBuf,
}

/// A request that cannot be what anybody means.
pub(crate) fn wrong(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, code, message.into()).scoped(Scope::Request)
}

impl PlaceRequest {
    /// Refuses what cannot be right, whatever the node and the caller are.
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |message: &str| Err(wrong("request", message));
        if self.image.is_some() != self.group.is_empty() {
            return refuse("either `image` or `group` says what is to be placed");
        }
        let (target, is_directory) = match (&self.to, &self.to_dir) {
            (Some(target), None) => (target, false),
            (None, Some(target)) => (target, true),
            _ => return refuse("either `to` or `to_dir` says where it goes"),
        };
        if !target.is_absolute() {
            return refuse("a target is an absolute path");
        }
        if !self.group.is_empty() && !is_directory {
            return refuse("a group goes into a directory, `to_dir`");
        }
        if self.priority > PRIORITY_MAX {
            return refuse("`priority` is from 0 to 9");
        }
        if self.deadline_seconds.is_some_and(|seconds| !(DEADLINE_MIN..=DEADLINE_MAX).contains(&seconds)) {
            return refuse("`deadline_seconds` is from 0.001 to 86400");
        }
        self.mode_bits()?;
        self.group.iter().map(|member| &member.image).chain(&self.image).try_for_each(ImageRequest::check)
    }

    /// The permission bits.
    pub(crate) fn mode_bits(&self) -> Result<Option<u32>> {
        let Some(text) = &self.mode else { return Ok(None) };
        let is_octal = (1..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        match u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777) {
            Some(mode) => Ok(Some(mode)),
            None => Err(wrong("request", "`mode` is octal digits, at most 0777")),
        }
    }
}

impl ImageRequest {
    fn check(&self) -> Result<()> {
        let refuse = |message: &str| Err(wrong("request", message));
        let ways = [self.id.is_some(), self.record.is_some(), self.url.is_some()];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            return refuse("an image is named by one of `id`, `record` and `url`");
        }
        if self.id.is_none() && (self.catalog.is_some() || self.token.is_some()) {
            return refuse("`catalog` and `token` go with `id`");
        }
        let described = [&self.hash, &self.disk_format, &self.container_format, &self.compression];
        if self.url.is_none() && described.into_iter().any(Option::is_some) {
            return refuse("`hash`, the formats and `compression` go with `url`; a record says them itself");
        }
        if self.record.is_none() && self.record_directory.is_some() {
            return refuse("`record_directory` goes with `record`");
        }
        if self.token.as_ref().is_some_and(|token| !is_token(token)) {
            return refuse("`token` is 1 to 8192 visible ASCII characters");
        }
        Ok(())
    }
}

/// What an HTTP header can carry.
fn is_token(text: &str) -> bool {
    (1..=8192).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(document: Value) -> Result<(), String> {
        let request: PlaceRequest = serde_json::from_value(document).map_err(|error| error.to_string())?;
        request.check().map_err(|error| error.message().to_owned())
    }

    #[test]
    fn the_least_is_an_image_and_a_target() {
        check(json!({ "image": { "id": "x" }, "to": "/a/b" })).unwrap();
        check(json!({ "image": { "id": "x", "catalog": "c", "token": "t" }, "to_dir": "/a/b", "priority": 9 }))
            .unwrap();
        let member = json!({ "name": "root", "image": { "id": "x" } });
        check(json!({ "group": [member], "to_dir": "/a/b", "deadline_seconds": 0.5, "mode": "640" })).unwrap();
    }

    #[test]
    fn what_nobody_can_mean_is_refused() {
        let image = json!({ "id": "x" });
        let member = json!({ "name": "root", "image": image });
        let cases = [
            json!({}),
            json!({ "image": image }),
            json!({ "image": image, "to": "relative" }),
            json!({ "image": image, "to": "/a", "to_dir": "/b" }),
            json!({ "image": image, "group": [member], "to_dir": "/a" }),
            json!({ "group": [member], "to": "/a" }),
            json!({ "image": image, "to": "/a", "priority": 10 }),
            json!({ "image": image, "to": "/a", "priority": -1 }),
            json!({ "image": image, "to": "/a", "deadline_seconds": 0 }),
            json!({ "image": image, "to": "/a", "deadline_seconds": 0.0009 }),
            json!({ "image": image, "to": "/a", "deadline_seconds": 86401 }),
            json!({ "image": image, "to": "/a", "mode": "4755" }),
            json!({ "image": image, "to": "/a", "mode": "+77" }),
            json!({ "image": image, "to": "/a", "mode": "" }),
            json!({ "image": image, "to": "/a", "surprise": 1 }),
            json!({ "image": {}, "to": "/a" }),
            json!({ "image": { "id": "x", "url": "http://h/" }, "to": "/a" }),
            json!({ "image": { "url": "http://h/", "token": "t" }, "to": "/a" }),
            json!({ "image": { "id": "x", "hash": "sha256:00" }, "to": "/a" }),
            json!({ "image": { "id": "x", "token": "a\nb" }, "to": "/a" }),
            json!({ "image": { "id": "x", "token": "" }, "to": "/a" }),
            json!({ "image": { "id": "x", "record_directory": "/d" }, "to": "/a" }),
        ];
        for case in cases {
            check(case.clone()).expect_err(&case.to_string());
        }
    }
}
