//! From a location's URL to the path that it names, by the grammar of glance_store's file system driver.
//!
//! There the path is the URL's network location and path, put together, and nothing is percent-decoded. So
//! `file://host/x` is the relative path `host/x`, which is refused like every path that is not absolute. Where another
//! reader of the same URL could come to another path, it is refused as well.

use landfall_handler_api::{Error, ErrorKind, Result};

/// Linux's PATH_MAX, without the NUL.
const PATH_MAX: usize = 4095;

/// The absolute path that `url` names. Repeated slashes are left as they are: they mean nothing.
pub(crate) fn path_of(url: &str) -> Result<&str> {
    let path = match url.split_once("://") {
        None => url,
        Some((scheme, path)) if is_ours(scheme) => {
            // glance_store strips white space and drops what it takes for a query or a fragment.
            if path.contains(['?', '#']) || path.trim() != path {
                return Err(invalid("ambiguous-path", url, "has a query, a fragment or white space at an end"));
            }
            path
        }
        Some(_) => {
            let message = format!("{url:?} is neither a file:// or filesystem:// URL nor a path");
            return Err(Error::new(ErrorKind::Unsupported, "other-scheme", message));
        }
    };
    if path.is_empty() {
        return Err(invalid("empty-path", url, "names no path"));
    }
    if path.chars().any(char::is_control) {
        return Err(invalid("control-character", url, "has a control character in it"));
    }
    if path.len() > PATH_MAX {
        return Err(Error::new(ErrorKind::Invalid, "path-too-long", format!("a path of {} bytes", path.len())));
    }
    if !path.starts_with('/') {
        return Err(invalid("not-absolute", url, "names no absolute path (file:///PATH has three slashes)"));
    }
    if path.split('/').any(|component| matches!(component, "." | "..")) || path.ends_with('/') {
        return Err(invalid("path-not-clean", url, "has a component . or .., or ends in a slash"));
    }
    Ok(path)
}

fn is_ours(scheme: &str) -> bool {
    ["file", "filesystem"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours))
}

fn invalid(code: &'static str, url: &str, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, code, format!("{url:?} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_glance_writes_is_read() {
        for (url, path) in [
            ("file:///var/lib/glance/images/x", "/var/lib/glance/images/x"),
            ("filesystem:///srv/x", "/srv/x"),
            ("FILE:///srv/x", "/srv/x"),
            ("/srv/x", "/srv/x"),
            ("/srv/what?#now", "/srv/what?#now"),
            ("file:///srv/%2e%2e/x", "/srv/%2e%2e/x"),
            ("file:////srv//x", "//srv//x"),
            ("file:///srv/..x/...", "/srv/..x/..."),
            ("file:///srv/über", "/srv/über"),
        ] {
            assert_eq!(path_of(url).as_ref().map_err(|error| error.code()), Ok(&path), "{url}");
        }
    }

    #[test]
    fn what_could_mean_something_else_is_refused() {
        let long = format!("/{}", "x".repeat(PATH_MAX));
        for (url, code) in [
            ("file://", "empty-path"),
            ("", "empty-path"),
            ("file://host/srv/x", "not-absolute"),
            ("file://localhost/srv/x", "not-absolute"),
            ("srv/x", "not-absolute"),
            ("./x", "not-absolute"),
            ("file:///srv/../etc/passwd", "path-not-clean"),
            ("/srv/./x", "path-not-clean"),
            ("/srv/x/", "path-not-clean"),
            ("file:///", "path-not-clean"),
            ("file:////", "path-not-clean"),
            ("/srv/x/..", "path-not-clean"),
            ("file:///srv/x\0y", "control-character"),
            ("file:///srv/x\ny", "control-character"),
            ("file:///srv/x\u{85}y", "control-character"),
            ("file:///srv/x?y", "ambiguous-path"),
            ("file:///srv/x#y", "ambiguous-path"),
            ("file:///srv/x ", "ambiguous-path"),
            ("http://host/x", "other-scheme"),
            ("files:///x", "other-scheme"),
            (long.as_str(), "path-too-long"),
        ] {
            assert_eq!(path_of(url).map_err(|error| error.code().to_owned()), Err(code.to_owned()), "{url:?}");
        }
    }
}
