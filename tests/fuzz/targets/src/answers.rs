//! What servers say in headers and manifests: ranges and pauses within their bounds, segments without a gap.

use std::time::Duration;

use landfall_handler_http::fuzzing::{part, pause, redirected};
use landfall_handler_http::{Url, header::HeaderValue};
use landfall_handler_swift::fuzzing::{dynamic_layout, from_base64, static_layout};

use crate::knobs;
use crate::verdict::verdict;

/// Bytes of the large object that manifests are to make.
const SIZE: u64 = 1000;
const PAUSE_MAX: Duration = Duration::from_secs(3600);

pub(crate) fn run(mut data: &[u8]) {
    let knobs = knobs::byte(&mut data);
    match knobs & 3 {
        0 => headers(data),
        1 => {
            let offsets = [0, SIZE / 2, SIZE - 1, SIZE, u64::MAX];
            // Its ETag is not known; that it is read at all is what counts.
            let _ = verdict(static_layout(data, None, SIZE, &offsets));
            let header = knobs::part(&mut data);
            if let Ok(Some(places)) = verdict(dynamic_layout(header, data, SIZE, &offsets)) {
                for (offset, place) in offsets.iter().zip(places) {
                    assert_eq!(place.is_some(), *offset < SIZE, "at {offset}");
                    assert!(place.is_none_or(|(start, end)| start <= *offset && *offset < end && end <= SIZE));
                }
            }
        }
        _ => {
            if let Some(bytes) = std::str::from_utf8(data).ok().and_then(from_base64) {
                assert!(bytes.len() <= data.len() / 4 * 3, "{} bytes of {}", bytes.len(), data.len());
            }
        }
    }
}

fn headers(data: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(data) else { return };
    for (start, end) in [(0, 1), (0, u64::MAX), (100, 200), (1 << 40, u64::MAX)] {
        if let Ok((past, total)) = verdict(part(value.clone(), start, end)) {
            assert!(start < past && past <= end && past <= total && i64::try_from(total).is_ok(), "{value:?}");
        }
    }
    if let Some(pause) = pause(value.clone()) {
        assert!(pause <= PAUSE_MAX, "{pause:?}");
    }
    let current = Url::parse("https://store/a/b?c").expect("it is a URL");
    if let Ok(next) = verdict(redirected(&current, value)) {
        assert!(next.scheme() == "https" && next.has_host() && next.fragment().is_none(), "{next}");
        assert!(next.username().is_empty() && next.password().is_none(), "it brings credentials");
    }
}
