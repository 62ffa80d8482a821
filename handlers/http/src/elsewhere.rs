//! Answers that are of another place than the one that was asked for.

use landfall_handler_api::{Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{CONTENT_LOCATION, HeaderMap};

/// Refuses an answer whose bytes are from another path of the server, as it says by `Content-Location`. What follows a `?` may
/// differ: it names a version.
pub fn refuse_elsewhere(asked: &Url, headers: &HeaderMap) -> Result<()> {
    let is_here = |value: &reqwest::header::HeaderValue| {
        let at = value.to_str().ok().and_then(|at| asked.join(at).ok());
        at.is_some_and(|at| {
            at.origin() == asked.origin() && percent_decode_str(at.path()).eq(percent_decode_str(asked.path()))
        })
    };
    if headers.get_all(CONTENT_LOCATION).iter().all(is_here) {
        return Ok(());
    }
    let message = "the server answers with what is at another place, which nobody asked for";
    Err(Error::new(ErrorKind::Denied, "content-elsewhere", message))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn only_the_place_itself_answers() {
        let asked = Url::parse("http://host/v1/AUTH_x/glance/a%20b?temp_url_sig=1").unwrap();
        let refused = |at: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for at in at {
                headers.append(CONTENT_LOCATION, HeaderValue::from_static(at));
            }
            refuse_elsewhere(&asked, &headers).err().map(|error| error.code().to_owned())
        };
        for here in [
            &[][..],
            &["/v1/AUTH_x/glance/a%20b"],
            &["/v1/AUTH_x/glance/%61%20b?version-id=7"],
            &["http://host:80/v1/AUTH_x/glance/a%20b"],
        ] {
            assert_eq!(refused(here), None, "{here:?}");
        }
        for elsewhere in [
            &["/v1/AUTH_y/glance/a%20b"][..],
            &["/v1/AUTH_x/private/a%20b"],
            &["http://other/v1/AUTH_x/glance/a%20b"],
            &["http://["],
            &["/v1/AUTH_x/glance/a%20b", "/x"],
        ] {
            assert_eq!(refused(elsewhere).as_deref(), Some("content-elsewhere"), "{elsewhere:?}");
        }
    }
}
