//! Everything that the server can be told to do wrong, and a few odd things that are right.

/// One thing that a server does, to every request unless it says otherwise. A late one begins after the body of one reply
/// was cut short in its middle, so that it is met by who wants to go on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lie {
    // Framing.
    LengthTooLarge,
    LengthTooSmall,
    /// None: the body ends with the connection.
    NoLength,
    TwoLengths,
    LengthAndChunked,
    LengthNegative,
    LengthGarbage,
    /// 2^64.
    LengthOverflows,
    /// 2^64 - 1.
    LengthHuge,
    GarbageBehindBody,
    /// The next answer before it was asked for, with wrong bytes.
    AnswerBehindBody,
    // Ranges.
    OtherRange,
    /// By one byte.
    ShiftedRange,
    OtherTotal,
    UnknownTotal,
    OtherUnit,
    Multipart,
    NoContentRange,
    GarbageContentRange,
    BackwardContentRange,
    /// As if there had been no range in the request, with a status that says so.
    IgnoresRanges,
    IgnoresRangesLate,
    /// 206 where no range was asked for, and no range where one was.
    PartUnasked,
    /// 206 with its true range, and fewer bytes than that.
    PartBodyShort,
    PartBodyLong,
    /// Less than was asked for, and honest about it.
    PartOfPart,
    RangeNotThere,
    RangeNotThereLate,
    // Validators.
    /// Not looking at If-Match.
    EtagChangesLate,
    /// Honouring If-Match.
    EtagChangesTold,
    EtagVanishesLate,
    EtagWeakensLate,
    LastModifiedChangesLate,
    SizeGrowsLate,
    SizeShrinksLate,
    WrongBytes,
    WrongBytesLate,
    // Encodings: gzip in name and in truth.
    GzipNamed,
    Gzipped,
    BrotliNamed,
    IdentityNamed,
    // Where to.
    Redirect(To),
    // Slow, long, many.
    SilentFromTheStart,
    OneByteThenSilence,
    HeadersThenSilence,
    SilentInBody,
    DrippingHeaders,
    DrippingBody,
    HugeHeader,
    ManyHeaders,
    EndlessHeader,
    EndlessChunks,
    Chunked,
    Trailers,
    ChunkSizeGarbage,
    ChunkSizeOverflows,
    ChunkWithoutEnd,
    FewInformational,
    InformationalFlood,
    // What is not HTTP/1.1, or not an answer to GET.
    Http09,
    Http2Preface,
    StatusLineGarbage,
    StatusWithoutText,
    Status(u16),
    /// The second reply of each path only: in mid-transfer.
    StatusOnce(u16),
    /// The first one.
    StatusAtFirst(u16),
    /// With no body, and without saying that there is none where the status says it.
    Empty(u16),
    RetryAfter(Pause),
    // How connections end.
    ClosesAtOnce,
    ClosesAtOnceOnce,
    ClosesInHeaders,
    ClosesInHeadersOnce,
    ClosesInBody,
    ClosesInBodyOnce,
    ResetsAtOnce,
    ResetsInBody,
    ResetsInBodyOnce,
    /// Breaks each body off, and takes no third connection.
    RefusesAfterTwo,
    ClosesEach,
    /// Without announcing it.
    ClosesEachUntold,
    ThreeRequestsPerConnection,
    /// In small parts with pauses, so that more connections bring more.
    Leisurely,
    /// The same, and only one connection at a time.
    OneAtOnceElse503,
    OneAtOnceElseCloses,
}

/// Where a redirect leads. The other server is on another address of this machine, or where the test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum To {
    Metadata,
    MappedMetadata,
    LinkLocalV6,
    Other,
    OtherMapped,
    OtherCompatible,
    OtherDecimal,
    OtherHex,
    OtherOctal,
    OtherShort,
    OtherWithUserinfo,
    Localhost,
    Unspecified,
    UnspecifiedV6,
    File,
    Gopher,
    Ftp,
    Data,
    NoScheme,
    /// The same path again.
    Loop,
    /// Longer than any limit.
    LongChain,
    /// Three steps and then the content.
    ShortChain,
    Relative,
    NoLocation,
    TwoLocations,
    EmptyLocation,
    Garbage,
    /// To a path that is good until the cut, and again under another name when the redirect is asked for anew.
    Expiring,
}

/// What Retry-After says, of a 503 that comes once in mid-transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Pause {
    OneSecond,
    /// An HTTP-date that is over.
    PastDate,
    Absurd,
    Garbage,
    Negative,
}

/// Statuses that are errors, and those of them that pass.
const STATUSES: [u16; 24] = [
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 416, 425, 429, 451, 500, 501, 502, 503, 504,
    505,
];
const PASSING: [u16; 7] = [408, 425, 429, 500, 502, 503, 504];
/// Statuses that no GET of bytes is answered with, or that are none.
const STRANGE: [u16; 10] = [99, 101, 201, 203, 207, 226, 300, 399, 600, 999];
const AT_FIRST: [u16; 2] = [429, 503];
const EMPTY: [u16; 5] = [200, 204, 205, 206, 304];

const TOLD_BY_NAME: [Lie; 78] = [
    Lie::LengthTooLarge,
    Lie::LengthTooSmall,
    Lie::NoLength,
    Lie::TwoLengths,
    Lie::LengthAndChunked,
    Lie::LengthNegative,
    Lie::LengthGarbage,
    Lie::LengthOverflows,
    Lie::LengthHuge,
    Lie::GarbageBehindBody,
    Lie::AnswerBehindBody,
    Lie::OtherRange,
    Lie::ShiftedRange,
    Lie::OtherTotal,
    Lie::UnknownTotal,
    Lie::OtherUnit,
    Lie::Multipart,
    Lie::NoContentRange,
    Lie::GarbageContentRange,
    Lie::BackwardContentRange,
    Lie::IgnoresRanges,
    Lie::IgnoresRangesLate,
    Lie::PartUnasked,
    Lie::PartBodyShort,
    Lie::PartBodyLong,
    Lie::PartOfPart,
    Lie::RangeNotThere,
    Lie::RangeNotThereLate,
    Lie::EtagChangesLate,
    Lie::EtagChangesTold,
    Lie::EtagVanishesLate,
    Lie::EtagWeakensLate,
    Lie::LastModifiedChangesLate,
    Lie::SizeGrowsLate,
    Lie::SizeShrinksLate,
    Lie::WrongBytes,
    Lie::WrongBytesLate,
    Lie::GzipNamed,
    Lie::Gzipped,
    Lie::BrotliNamed,
    Lie::IdentityNamed,
    Lie::SilentFromTheStart,
    Lie::OneByteThenSilence,
    Lie::HeadersThenSilence,
    Lie::SilentInBody,
    Lie::DrippingHeaders,
    Lie::DrippingBody,
    Lie::HugeHeader,
    Lie::ManyHeaders,
    Lie::EndlessHeader,
    Lie::EndlessChunks,
    Lie::Chunked,
    Lie::Trailers,
    Lie::ChunkSizeGarbage,
    Lie::ChunkSizeOverflows,
    Lie::ChunkWithoutEnd,
    Lie::FewInformational,
    Lie::InformationalFlood,
    Lie::Http09,
    Lie::Http2Preface,
    Lie::StatusLineGarbage,
    Lie::StatusWithoutText,
    Lie::ClosesAtOnce,
    Lie::ClosesAtOnceOnce,
    Lie::ClosesInHeaders,
    Lie::ClosesInHeadersOnce,
    Lie::ClosesInBody,
    Lie::ClosesInBodyOnce,
    Lie::ResetsAtOnce,
    Lie::ResetsInBody,
    Lie::ResetsInBodyOnce,
    Lie::RefusesAfterTwo,
    Lie::ClosesEach,
    Lie::ClosesEachUntold,
    Lie::ThreeRequestsPerConnection,
    Lie::Leisurely,
    Lie::OneAtOnceElse503,
    Lie::OneAtOnceElseCloses,
];

impl To {
    pub(crate) const ALL: [Self; 28] = [
        Self::Metadata,
        Self::MappedMetadata,
        Self::LinkLocalV6,
        Self::Other,
        Self::OtherMapped,
        Self::OtherCompatible,
        Self::OtherDecimal,
        Self::OtherHex,
        Self::OtherOctal,
        Self::OtherShort,
        Self::OtherWithUserinfo,
        Self::Localhost,
        Self::Unspecified,
        Self::UnspecifiedV6,
        Self::File,
        Self::Gopher,
        Self::Ftp,
        Self::Data,
        Self::NoScheme,
        Self::Loop,
        Self::LongChain,
        Self::ShortChain,
        Self::Relative,
        Self::NoLocation,
        Self::TwoLocations,
        Self::EmptyLocation,
        Self::Garbage,
        Self::Expiring,
    ];
}

impl Pause {
    pub(crate) const ALL: [Self; 5] = [Self::OneSecond, Self::PastDate, Self::Absurd, Self::Garbage, Self::Negative];
}

impl Lie {
    /// So many there are.
    pub(crate) const COUNT: usize = TOLD_BY_NAME.len()
        + To::ALL.len()
        + Pause::ALL.len()
        + STATUSES.len()
        + PASSING.len()
        + AT_FIRST.len()
        + STRANGE.len()
        + EMPTY.len();

    /// Every one.
    pub(crate) fn all() -> Vec<Self> {
        let statuses = STATUSES.into_iter().chain(STRANGE).map(Self::Status);
        TOLD_BY_NAME
            .into_iter()
            .chain(To::ALL.map(Self::Redirect))
            .chain(Pause::ALL.map(Self::RetryAfter))
            .chain(statuses)
            .chain(PASSING.map(Self::StatusOnce))
            .chain(AT_FIRST.map(Self::StatusAtFirst))
            .chain(EMPTY.map(Self::Empty))
            .collect()
    }

    /// Whether it begins after a cut.
    pub(crate) fn is_late(self) -> bool {
        matches!(
            self,
            Self::IgnoresRangesLate
                | Self::RangeNotThereLate
                | Self::EtagChangesLate
                | Self::EtagChangesTold
                | Self::EtagVanishesLate
                | Self::EtagWeakensLate
                | Self::LastModifiedChangesLate
                | Self::SizeGrowsLate
                | Self::SizeShrinksLate
                | Self::WrongBytesLate
                | Self::Redirect(To::Expiring)
        )
    }
}
