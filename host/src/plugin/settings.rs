//! A handler's settings as the handler gets them: it opens no file of its own, so those that its settings name are read here.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde_json::{Map, Value};

use super::refusal::Refusal;
use crate::{config, redact};

/// What the key of a file ends with.
const SUFFIX: &str = "_file";
/// Bytes of such a file.
const FILE_MAX: u64 = 1 << 20;

/// Puts the text of the file that `NAME_file` names in its place, as `NAME`, for each NAME of `names`.
pub(super) fn with_files(config: Value, names: &[String]) -> Result<Value, Refusal> {
    let Value::Object(written) = config else { return Ok(config) };
    let mut settings = Map::new();
    for (key, value) in written {
        let (key, value) = match (key.strip_suffix(SUFFIX), &value) {
            (Some(name), Value::String(path)) if names.iter().any(|named| named == name) => {
                (name.to_owned(), Value::String(read(name, path)?))
            }
            _ => (key, value),
        };
        if settings.contains_key(&key) {
            return Err(Refusal::new("config-twice", format!("both {key} and {key}{SUFFIX} are set")));
        }
        settings.insert(key, value);
    }
    Ok(Value::Object(settings))
}

fn read(name: &str, path: &str) -> Result<String, Refusal> {
    let bad = |reason: String| Refusal::new("config-file", format!("{name}{SUFFIX} = {path:?}: {reason}"));
    if !Path::new(path).is_absolute() {
        return Err(bad("the path is not absolute".to_owned()));
    }
    // Not to wait for the other end of a FIFO.
    let open = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(|error| bad(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| bad(error.to_string()))?;
    if !metadata.is_file() {
        return Err(bad("it is no regular file".to_owned()));
    }
    let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
    if mode & 0o022 != 0 || (owner != 0 && owner != nix::unistd::geteuid().as_raw()) {
        return Err(bad(format!("others can change it (owner {owner}, mode {mode:o})")));
    }
    let keeps_out = |secret: bool| match secret && mode & 0o007 != 0 {
        true => Err(bad(format!("it holds a secret, and its mode, {mode:o}, lets others in"))),
        false => Ok(()),
    };
    keeps_out(config::is_secret_key(name))?;
    let mut text = String::new();
    let read = file.take(FILE_MAX.saturating_add(1)).read_to_string(&mut text);
    match read {
        Ok(read) if read as u64 > FILE_MAX => Err(bad(format!("it has more than {FILE_MAX} bytes"))),
        Ok(_) => keeps_out(is_secret_url(&text)).map(|()| text),
        Err(error) => Err(bad(error.to_string())),
    }
}

/// A proxy's URL may have a password in it. What is longer than a line is none, whatever a certificate's comments look like.
fn is_secret_url(text: &str) -> bool {
    let line = text.trim_end();
    line.contains("://") && !line.contains('\n') && redact::has_secret(line)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn given(config: Value) -> Result<Value, Refusal> {
        with_files(config, &["ca".to_owned(), "client_key".to_owned()])
    }

    #[test]
    fn a_named_file_is_read_and_everything_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "text").unwrap();
        let written =
            json!({ "ca_file": path, "n": 1, "inner": { "ca_file": "/not/read" }, "count_file": "/not/read" });
        let wanted = json!({ "ca": "text", "n": 1, "inner": { "ca_file": "/not/read" }, "count_file": "/not/read" });
        assert_eq!(given(written), Ok(wanted));
        let code = |written| given(written).unwrap_err().code;
        assert_eq!(code(json!({ "ca_file": path, "ca": "x" })), "config-twice");
        assert_eq!(code(json!({ "ca_file": "ca.pem" })), "config-file");
        assert_eq!(code(json!({ "ca_file": directory.path() })), "config-file");
        assert_eq!(code(json!({ "ca_file": directory.path().join("none") })), "config-file");
    }

    #[test]
    fn a_secret_is_not_for_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        std::fs::write(&path, "text").unwrap();
        for (mode, fine) in [(0o600, true), (0o640, true), (0o644, false), (0o601, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(given(json!({ "client_key_file": path })).is_ok(), fine, "{mode:o}");
        }
    }

    #[test]
    fn what_others_can_write_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "http://user:password@proxy/\n").unwrap();
        for (mode, fine) in [(0o600, true), (0o640, true), (0o644, false), (0o620, false), (0o602, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(given(json!({ "ca_file": path })).is_ok(), fine, "{mode:o}");
        }
    }

    #[test]
    fn a_certificate_with_comments_is_for_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, "Issuer: CN=x, emailAddress=a@b\n CPS: http://x/?y=z\n-----BEGIN CERTIFICATE-----\n")
            .unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(given(json!({ "ca_file": path })).is_ok());
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let error = given(json!({ "ca_file": "/dev/zero" })).unwrap_err();
        assert_eq!(error.code, "config-file");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long");
        std::fs::write(&path, vec![b'x'; 1 + (1 << 20)]).unwrap();
        assert_eq!(given(json!({ "ca_file": path })).unwrap_err().code, "config-file");
    }
}
