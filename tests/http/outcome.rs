//! What is to come of each lie.

use crate::support::fault_server::{Lie, Pause, To};

/// The end of a placement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The image is placed, each byte served once.
    Once,
    /// The image is placed; how many bytes that takes is not determined, by buffers or by what is fetched again.
    Exact,
    /// As exact, or `corrupt`: it depends on whether what was not asked for is seen before the next request is sent.
    ExactOrCorrupt,
    /// Kind and code of what the location is refused for.
    Fails(&'static str, &'static str),
}

use Outcome::{Exact, ExactOrCorrupt, Fails, Once};

const BAD_FRAMING: Outcome = Fails("corrupt", "bad-framing");
const BAD_RESPONSE: Outcome = Fails("corrupt", "bad-response");
const BAD_STATUS: Outcome = Fails("corrupt", "bad-status");
const CHANGED: Outcome = Fails("corrupt", "source-changed");
const ENCODED: Outcome = Fails("corrupt", "unexpected-encoding");
const LOST: Outcome = Fails("unavailable", "connection-lost");
const MISMATCH: Outcome = Fails("corrupt", "range-mismatch");
const OTHER_SIZE: Outcome = Fails("corrupt", "size-mismatch");
const REFUSED: Outcome = Fails("denied", "redirect-refused");
const SHORT: Outcome = Fails("unavailable", "short-body");
const STALLED: Outcome = Fails("unavailable", "stalled");
const TOO_LARGE: Outcome = Fails("limit", "headers-too-large");
const WRONG: Outcome = Fails("corrupt", "digest-mismatch");

/// Of a server that is read in ranges, where it is.
pub(super) fn of(lie: Lie) -> Outcome {
    match lie {
        Lie::LengthTooLarge | Lie::LengthTooSmall | Lie::PartBodyShort | Lie::PartBodyLong => BAD_FRAMING,
        Lie::TwoLengths | Lie::LengthAndChunked | Lie::LengthNegative | Lie::LengthGarbage => BAD_FRAMING,
        Lie::LengthOverflows => BAD_FRAMING,
        // The HTTP library takes it for its own sign of another thing. It is refused, if by another name.
        Lie::LengthHuge => TOO_LARGE,
        Lie::GarbageBehindBody | Lie::AnswerBehindBody => ExactOrCorrupt,
        Lie::NoLength => Once,

        Lie::OtherRange | Lie::ShiftedRange | Lie::UnknownTotal | Lie::OtherUnit | Lie::Multipart => MISMATCH,
        Lie::NoContentRange | Lie::GarbageContentRange | Lie::BackwardContentRange | Lie::PartOfPart => MISMATCH,
        // Seen where it opens, and so held against the record.
        Lie::OtherTotal => OTHER_SIZE,
        Lie::SizeGrowsLate | Lie::SizeShrinksLate => MISMATCH,
        Lie::IgnoresRanges | Lie::RangeNotThere => Once,
        Lie::IgnoresRangesLate => Exact,
        Lie::PartUnasked => BAD_STATUS,
        Lie::RangeNotThereLate => CHANGED,

        Lie::EtagChangesLate | Lie::EtagChangesTold | Lie::EtagVanishesLate | Lie::EtagWeakensLate => CHANGED,
        Lie::LastModifiedChangesLate => CHANGED,
        Lie::WrongBytes | Lie::WrongBytesLate => WRONG,

        Lie::GzipNamed | Lie::Gzipped | Lie::BrotliNamed => ENCODED,
        Lie::IdentityNamed => Once,

        Lie::Redirect(to) => of_redirect(to),

        Lie::SilentFromTheStart | Lie::OneByteThenSilence | Lie::HeadersThenSilence | Lie::SilentInBody => STALLED,
        Lie::DrippingHeaders | Lie::DrippingBody | Lie::InformationalFlood => STALLED,
        Lie::HugeHeader | Lie::ManyHeaders | Lie::EndlessHeader => TOO_LARGE,
        Lie::EndlessChunks => Fails("corrupt", "long-body"),
        Lie::Chunked | Lie::Trailers | Lie::FewInformational | Lie::StatusWithoutText => Once,
        Lie::ChunkSizeGarbage | Lie::ChunkSizeOverflows => BAD_FRAMING,
        // All of the range is there, and its digest says that it is right.
        Lie::ChunkWithoutEnd => Once,

        Lie::Http09 | Lie::Http2Preface | Lie::StatusLineGarbage => BAD_RESPONSE,
        Lie::Status(status) => of_status(status),
        Lie::StatusOnce(_) | Lie::StatusAtFirst(_) => Once,
        Lie::Empty(200) => OTHER_SIZE,
        Lie::Empty(206) => MISMATCH,
        Lie::Empty(_) => BAD_STATUS,
        Lie::RetryAfter(Pause::Absurd) => Fails("unavailable", "http-503"),
        Lie::RetryAfter(Pause::OneSecond | Pause::PastDate | Pause::Garbage | Pause::Negative) => Once,

        Lie::ClosesAtOnce | Lie::ClosesInHeaders | Lie::ResetsAtOnce => LOST,
        Lie::ClosesInBody | Lie::ResetsInBody => SHORT,
        Lie::ClosesAtOnceOnce | Lie::ClosesInHeadersOnce | Lie::ClosesInBodyOnce => Once,
        // What was on its way when the connection was reset is served again.
        Lie::ResetsInBodyOnce => Exact,
        Lie::RefusesAfterTwo => Fails("unavailable", "connect-refused"),
        Lie::ClosesEach | Lie::ClosesEachUntold | Lie::ThreeRequestsPerConnection => Once,
        Lie::Leisurely | Lie::OneAtOnceElse503 | Lie::OneAtOnceElseCloses => Once,
    }
}

fn of_redirect(to: To) -> Outcome {
    match to {
        To::ShortChain | To::Relative | To::Expiring => Once,
        To::Metadata | To::MappedMetadata | To::LinkLocalV6 | To::Other | To::OtherMapped => REFUSED,
        To::OtherCompatible | To::OtherDecimal | To::OtherHex | To::OtherOctal | To::OtherShort => REFUSED,
        To::OtherWithUserinfo | To::Unspecified | To::UnspecifiedV6 | To::File | To::Gopher => REFUSED,
        To::Ftp | To::Data | To::NoScheme | To::Loop | To::LongChain | To::NoLocation => REFUSED,
        To::TwoLocations | To::EmptyLocation | To::Garbage => REFUSED,
        // To an address that is allowed, where nobody listens.
        To::Localhost => Fails("unavailable", "connect-refused"),
    }
}

fn of_status(status: u16) -> Outcome {
    // Errors have static codes here, and there are not many.
    match status {
        400 => Fails("invalid", "http-400"),
        401 => Fails("denied", "http-401"),
        402 => Fails("invalid", "http-402"),
        403 => Fails("denied", "http-403"),
        404 => Fails("not-found", "http-404"),
        405 => Fails("invalid", "http-405"),
        406 => Fails("invalid", "http-406"),
        407 => Fails("denied", "http-407"),
        408 => Fails("unavailable", "http-408"),
        409 => Fails("invalid", "http-409"),
        410 => Fails("not-found", "http-410"),
        411 => Fails("invalid", "http-411"),
        412 => Fails("invalid", "http-412"),
        413 => Fails("invalid", "http-413"),
        416 => Fails("invalid", "http-416"),
        425 => Fails("unavailable", "http-425"),
        429 => Fails("unavailable", "http-429"),
        451 => Fails("invalid", "http-451"),
        500 => Fails("unavailable", "http-500"),
        501 => Fails("unsupported", "http-501"),
        502 => Fails("unavailable", "http-502"),
        503 => Fails("unavailable", "http-503"),
        504 => Fails("unavailable", "http-504"),
        505 => Fails("unsupported", "http-505"),
        // Not three digits.
        99 => BAD_RESPONSE,
        _ => BAD_STATUS,
    }
}
