//! Redirects: where each leads, and what is answered there.

use super::deceive::Asked;
use super::honest::Honest;
use super::lie::{Lie, To};
use super::reply::Reply;
use super::request::Request;

/// Where the content is once a redirect was followed: there it is served without another.
const FOLLOWED: &str = "/followed";
/// More steps than any client goes.
const LONG: usize = 60;
const SHORT: usize = 3;

fn found(location: &str) -> Reply {
    Reply::new("302 Found").header("Content-Length", 0).header("Location", location)
}

/// What a redirect answers that only later leads astray.
pub(super) fn before(honest: &Honest, lie: Lie, request: &Request) -> Reply {
    match lie {
        Lie::Redirect(To::Expiring) if !request.path.starts_with(FOLLOWED) => found(&format!("{FOLLOWED}/first")),
        _ => honest.reply(),
    }
}

pub(super) fn reply(to: To, honest: &Honest, asked: &Asked<'_>) -> Reply {
    let path = asked.request.path.as_str();
    let port = asked.site.elsewhere.rsplit(':').next().unwrap_or_default();
    // The other server's address in all its forms; it listens on 127.0.0.2.
    let at = |host: &str| found(&format!("http://{host}:{port}/astray"));
    let step = |prefix: &str| path.strip_prefix(prefix).and_then(|step| step.parse::<usize>().ok());
    let chain = |length: usize| match step("/step/").unwrap_or(0) {
        last if last == length => honest.reply(),
        at => found(&format!("/step/{}", at + 1)),
    };
    if path.starts_with(FOLLOWED) && to != To::Expiring {
        return honest.reply();
    }
    match to {
        To::Metadata => found("http://169.254.169.254/latest/meta-data/"),
        To::MappedMetadata => found("http://[::ffff:169.254.169.254]/latest/meta-data/"),
        To::LinkLocalV6 => at("[fe80::1]"),
        To::Other => at("127.0.0.2"),
        To::OtherMapped => at("[::ffff:127.0.0.2]"),
        To::OtherCompatible => at("[::127.0.0.2]"),
        To::OtherDecimal => at("2130706434"),
        To::OtherHex => at("0x7f000002"),
        To::OtherOctal => at("0177.0.0.02"),
        To::OtherShort => at("127.2"),
        To::OtherWithUserinfo => at("user:c4n4ry-S3cret@127.0.0.2"),
        To::Localhost => at("localhost"),
        To::Unspecified => at("0.0.0.0"),
        To::UnspecifiedV6 => at("[::]"),
        To::File => found("file:///etc/passwd"),
        To::Gopher => found(&format!("gopher://{}/_GET%20/", asked.site.elsewhere)),
        To::Ftp => found(&format!("ftp://{}/disk.raw", asked.site.elsewhere)),
        To::Data => found("data:application/octet-stream;base64,AAAA"),
        To::NoScheme => found(&format!("//{}/astray", asked.site.elsewhere)),
        To::Loop => found(path),
        To::LongChain => chain(LONG),
        To::ShortChain => chain(SHORT),
        To::Relative => found(&format!("{}/relative", &FOLLOWED[1..])),
        To::NoLocation => found("").without("Location"),
        To::TwoLocations => found(&format!("{FOLLOWED}/one")).one_more("Location", "http://169.254.169.254/"),
        To::EmptyLocation => found(""),
        To::Garbage => found("http://[not a host/%zz"),
        To::Expiring if path == format!("{FOLLOWED}/first") => Reply::new("403 Forbidden").header("Content-Length", 0),
        To::Expiring if path.starts_with(FOLLOWED) => honest.reply(),
        To::Expiring => found(&format!("{FOLLOWED}/second")),
    }
}
