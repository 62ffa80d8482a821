//! What each lie makes of an honest reply.

use std::time::Duration;

use super::body::{chunked, chunked_then, gzipped};
use super::honest::{ETAG, Honest, Status};
use super::lie::{Lie, Pause};
use super::misguide;
use super::reply::{Act, Reply};
use super::request::Request;
use super::site::Site;

/// What is known of a request.
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request,
    /// Earlier requests for the same path.
    pub(super) of_path: usize,
    /// Connections that are open, this one included.
    pub(super) at_once: usize,
    /// Requests on this connection, this one included.
    pub(super) on_this: usize,
    pub(super) bytes: &'a [u8],
    pub(super) site: &'a Site,
}

/// Between two bytes that drip: too seldom for any rate that is worth waiting for.
const DRIP: Duration = Duration::from_millis(150);
/// Between two parts of a body that takes its time.
const LEISURE: Duration = Duration::from_millis(10);
/// What is more than anybody should take.
const HUGE: usize = 10 << 20;
const MANY: usize = 100_000;
const OTHER_ETAG: &str = "\"5eeded-2\"";

/// The reply of a server that tells this lie.
pub(super) fn reply(lie: Lie, honest: Honest, asked: &Asked<'_>) -> Reply {
    let body = honest.range.clone();
    let length = honest.length();
    // What lies about bytes says nothing where there are none.
    let about_bytes = honest.is_good() && length > 0;
    let plain = honest.reply();
    let empty = |status: &str| Reply::new(status).header("Content-Length", 0);
    let cut = body.start + asked.site.cut(length);
    let told = match lie {
        Lie::Redirect(to) => misguide::reply(to, &honest, asked),
        Lie::Status(status) => empty(&format!("{status} Told So")),
        Lie::StatusOnce(status) if asked.of_path == 1 => empty(&format!("{status} Told So")),
        Lie::StatusAtFirst(status) if asked.of_path == 0 => empty(&format!("{status} Told So")),
        Lie::Empty(status @ (204 | 304)) => Reply::new(format!("{status} Told So")).header("ETag", ETAG),
        Lie::Empty(status) => empty(&format!("{status} Told So")),
        Lie::RetryAfter(pause) if asked.of_path == 1 => empty("503 Told So").header("Retry-After", written(pause)),
        Lie::OneAtOnceElse503 if asked.at_once > 1 => empty("503 Told So").act(Act::Close),
        Lie::OneAtOnceElseCloses if asked.at_once > 1 => Reply::raw([Act::Close]),
        // None that is left is told here.
        Lie::StatusOnce(_) | Lie::StatusAtFirst(_) | Lie::RetryAfter(_) => return plain,

        Lie::RangeNotThere | Lie::RangeNotThereLate if honest.status == Status::Part => {
            empty("416 Range Not Satisfiable").header("Content-Range", format!("bytes */{}", honest.size))
        }
        Lie::IgnoresRanges | Lie::IgnoresRangesLate if honest.status == Status::Part => {
            let whole = plain.status("200 OK").without("Content-Range").header("Content-Length", honest.size);
            whole.acts([Act::Content(0..honest.size)])
        }
        Lie::PartUnasked if honest.status == Status::Part => empty("416 Range Not Satisfiable"),
        Lie::PartUnasked if honest.status == Status::Whole => {
            plain.status("206 Partial Content").header("Content-Range", honest.content_range())
        }
        Lie::EtagChangesTold => empty("412 Precondition Failed").header("ETag", OTHER_ETAG),

        // How connections and messages end, and what is no message.
        Lie::ClosesAtOnce => Reply::raw([Act::Close]),
        Lie::ResetsAtOnce => Reply::raw([Act::Reset]),
        Lie::ClosesAtOnceOnce if asked.of_path == 0 => Reply::raw([Act::Close]),
        Lie::ClosesInHeaders => Reply::raw([half_of(&plain), Act::Close]),
        Lie::ClosesInHeadersOnce if asked.of_path == 0 => Reply::raw([half_of(&plain), Act::Close]),
        Lie::ClosesEach => plain.header("Connection", "close").act(Act::Close),
        Lie::ClosesEachUntold => plain.act(Act::Close),
        Lie::ThreeRequestsPerConnection if asked.on_this == 3 => plain.act(Act::Close),
        Lie::SilentFromTheStart => Reply::raw([Act::Silence]),
        Lie::OneByteThenSilence => Reply::raw([Act::Send(b"H".to_vec()), Act::Silence]),
        Lie::DrippingHeaders => Reply::raw([Act::Drip(plain.head().repeat(1000), DRIP)]),
        Lie::HugeHeader => plain.header("X-Huge", "x".repeat(HUGE)),
        Lie::ManyHeaders => (0..MANY).fold(plain, |plain, number| plain.one_more(&format!("X-{number}"), "x")),
        Lie::EndlessHeader => Reply::raw([start_of(&plain), Act::Send(b"X-Endless: ".to_vec()), repeat(b"x")]),
        Lie::FewInformational => {
            let few = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\n";
            let acts: Vec<Act> =
                [Act::Send(few.into()), Act::Send(plain.head())].into_iter().chain(plain.acts).collect();
            Reply::raw(acts)
        }
        Lie::InformationalFlood => {
            Reply::raw([Act::Send("HTTP/1.1 100 Continue\r\n\r\n".repeat(MANY).into()), Act::Silence])
        }
        Lie::Http09 => Reply::raw([Act::Content(body), Act::Close]),
        Lie::Http2Preface => {
            Reply::raw([Act::Send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()), Act::Silence])
        }
        Lie::StatusLineGarbage => Reply::raw([Act::Send(b"HTTP/1.1 two hundred\r\n\r\n".to_vec()), Act::Close]),
        Lie::StatusWithoutText => {
            let head =
                String::from_utf8(plain.head()).unwrap().replacen(" OK", "", 1).replacen(" Partial Content", "", 1);
            Reply::raw([Act::Send(head.into())].into_iter().chain(plain.acts).collect::<Vec<_>>())
        }

        _ if !about_bytes => return plain,
        // Framing.
        Lie::LengthTooLarge => plain.header("Content-Length", length + 1000).act(Act::Close),
        Lie::LengthTooSmall => plain.header("Content-Length", length - length.min(1000)),
        Lie::NoLength => plain.without("Content-Length").act(Act::Close),
        Lie::TwoLengths => plain.one_more("Content-Length", length + 1),
        Lie::LengthAndChunked => plain.header("Transfer-Encoding", "chunked").acts(chunked(body, "")),
        Lie::LengthNegative => plain.header("Content-Length", "-1").act(Act::Close),
        Lie::LengthGarbage => plain.header("Content-Length", "many").act(Act::Close),
        Lie::LengthOverflows => plain.header("Content-Length", "18446744073709551616").act(Act::Close),
        Lie::LengthHuge => plain.header("Content-Length", u64::MAX).act(Act::Close),
        Lie::GarbageBehindBody => plain.act(Act::Send(b"\0\xffgarbage\r\n\r\n".to_vec())),
        Lie::AnswerBehindBody => {
            let rest = honest.range.end..honest.size;
            let range = format!("bytes {}-{}/{}", rest.start, honest.size.saturating_sub(1), honest.size);
            let length = rest.end - rest.start;
            let next = honest.headed().header("Content-Range", range).header("Content-Length", length);
            let wrong = vec![0x5A; usize::try_from(length).unwrap()];
            plain.act(Act::Send([next.head(), wrong].concat()))
        }
        Lie::Chunked => in_chunks(plain).acts(chunked(body, "")),
        Lie::Trailers => in_chunks(plain).acts(chunked(body, "X-Checksum: 1\r\nContent-Length: 7\r\n")),
        Lie::ChunkSizeGarbage => in_chunks(plain).acts(chunked_then(body.start..cut, "zz\r\nxx\r\n")),
        Lie::ChunkSizeOverflows => in_chunks(plain).acts(chunked_then(body.start..cut, "fffffffffffffffff\r\nxx\r\n")),
        Lie::ChunkWithoutEnd => in_chunks(plain).acts(chunked_then(body, "")),
        Lie::EndlessChunks => {
            let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
            in_chunks(plain).acts([Act::Repeat(chunk)])
        }

        // Ranges.
        Lie::OtherRange => other_range(plain, &honest, length.max(4096), length),
        Lie::ShiftedRange => other_range(plain, &honest, 1, length),
        Lie::OtherTotal => {
            ranged(plain, &honest, format!("bytes {}-{}/{}", body.start, body.end - 1, honest.size + 1000))
        }
        Lie::UnknownTotal => ranged(plain, &honest, format!("bytes {}-{}/*", body.start, body.end - 1)),
        Lie::OtherUnit => ranged(plain, &honest, honest.content_range().replace("bytes", "lines")),
        Lie::NoContentRange => plain.without("Content-Range"),
        Lie::GarbageContentRange => ranged(plain, &honest, "bytes from here to there".to_owned()),
        Lie::BackwardContentRange => {
            ranged(plain, &honest, format!("bytes {}-{}/{}", body.end, body.start, honest.size))
        }
        Lie::Multipart if honest.status == Status::Part => multipart(plain, &honest),
        Lie::PartBodyShort => {
            let short = length - length.min(1000);
            plain.header("Content-Length", short).acts([Act::Content(body.start..body.start + short)])
        }
        Lie::PartBodyLong => plain.header("Content-Length", length + 1000).act(Act::Send(vec![0x5A; 1000])),
        Lie::PartOfPart if honest.status == Status::Part && length > 1 => {
            let end = body.start + length.div_ceil(2);
            ranged(plain, &honest, format!("bytes {}-{}/{}", body.start, end - 1, honest.size))
                .header("Content-Length", end - body.start)
                .acts([Act::Content(body.start..end)])
        }

        // Validators.
        Lie::EtagChangesLate => plain.header("ETag", OTHER_ETAG),
        Lie::EtagVanishesLate => plain.without("ETag"),
        Lie::EtagWeakensLate => plain.header("ETag", format!("W/{ETAG}")),
        Lie::LastModifiedChangesLate => plain.without("ETag").header("Last-Modified", "Wed, 04 Mar 2026 10:00:00 GMT"),
        Lie::SizeGrowsLate => {
            ranged(plain, &honest, format!("bytes {}-{}/{}", body.start, body.end - 1, honest.size + 4096))
        }
        Lie::SizeShrinksLate => {
            ranged(plain, &honest, format!("bytes {}-{}/{}", body.start, body.end - 1, body.end - 1))
        }
        Lie::WrongBytes | Lie::WrongBytesLate => plain.acts([Act::Wrong(body)]),

        // Encodings.
        Lie::GzipNamed => plain.header("Content-Encoding", "gzip"),
        Lie::BrotliNamed => plain.header("Content-Encoding", "br"),
        Lie::IdentityNamed => plain.header("Content-Encoding", "identity"),
        Lie::Gzipped => {
            let zipped = gzipped(asked.bytes, body);
            plain.header("Content-Encoding", "gzip").header("Content-Length", zipped.len()).acts([Act::Send(zipped)])
        }

        Lie::Leisurely | Lie::OneAtOnceElse503 | Lie::OneAtOnceElseCloses => {
            plain.acts([Act::Leisurely(body, LEISURE)])
        }
        // Ends in the middle.
        Lie::HeadersThenSilence => plain.acts([Act::Silence]),
        Lie::SilentInBody => plain.broken_off([Act::Content(body.start..cut), Act::Silence]),
        Lie::DrippingBody => plain.acts([Act::DripContent(body, DRIP)]),
        Lie::ClosesInBody => plain.broken_off([Act::Content(body.start..cut), Act::Close]),
        Lie::ResetsInBody => plain.broken_off([Act::Content(body.start..cut), Act::Reset]),
        Lie::RefusesAfterTwo => plain.broken_off([Act::Content(body.start..cut), Act::Close]),
        Lie::ClosesInBodyOnce if asked.of_path == 0 => plain.broken_off([Act::Content(body.start..cut), Act::Close]),
        Lie::ResetsInBodyOnce if asked.of_path == 0 => plain.broken_off([Act::Content(body.start..cut), Act::Reset]),
        // The rest are lies about something that this reply does not have.
        _ => return plain,
    };
    told.counted_as_lie()
}

fn written(pause: Pause) -> &'static str {
    match pause {
        Pause::OneSecond => "1",
        Pause::PastDate => "Tue, 03 Mar 2026 10:00:00 GMT",
        Pause::Absurd => "1000000000",
        Pause::Garbage => "soon",
        Pause::Negative => "-5",
    }
}

fn half_of(reply: &Reply) -> Act {
    let head = reply.head();
    Act::Send(head[..head.len() / 2].to_vec())
}

/// The head without its last, empty line.
fn start_of(reply: &Reply) -> Act {
    let head = reply.head();
    Act::Send(head[..head.len() - 2].to_vec())
}

fn repeat(byte: &[u8]) -> Act {
    Act::Repeat(byte.repeat(64 << 10))
}

fn in_chunks(reply: Reply) -> Reply {
    reply.without("Content-Length").header("Transfer-Encoding", "chunked")
}

/// With another Content-Range, where there is one.
fn ranged(reply: Reply, honest: &Honest, range: String) -> Reply {
    if honest.status == Status::Part { reply.header("Content-Range", range) } else { reply }
}

/// The bytes of a range that is `by` further on, or else before, and truly called so.
fn other_range(reply: Reply, honest: &Honest, by: u64, length: u64) -> Reply {
    let last = honest.size.saturating_sub(length);
    let start =
        if honest.range.start + by <= last { honest.range.start + by } else { honest.range.start.saturating_sub(by) };
    let range = format!("bytes {start}-{}/{}", start + length - 1, honest.size);
    ranged(reply, honest, range).acts([Act::Content(start..start + length)])
}

fn multipart(reply: Reply, honest: &Honest) -> Reply {
    let before =
        format!("--cut\r\nContent-Type: application/octet-stream\r\nContent-Range: {}\r\n\r\n", honest.content_range());
    let after = "\r\n--cut--\r\n";
    let length = honest.length() + (before.len() + after.len()) as u64;
    reply
        .without("Content-Range")
        .header("Content-Type", "multipart/byteranges; boundary=cut")
        .header("Content-Length", length)
        .acts([Act::Send(before.into()), Act::Content(honest.range.clone()), Act::Send(after.into())])
}
