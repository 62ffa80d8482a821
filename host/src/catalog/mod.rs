//! Where image records come from.

mod argument;
mod directory;
mod glance;
mod locations;
mod locked;

use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use landfall_handler_api::{Error, ErrorKind, ImageRecord, Location, Result, Scope};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cancel::Cancel;
use crate::cloud::Logins;
use crate::config::{Catalog, Config};
use crate::digest::Digest;
use crate::ledger::Subject;
use crate::plugin::Handler;
use crate::redact;
use crate::store;

pub(crate) use argument::{BareImage, ImageArgument, Said};
pub(crate) use directory::RecordDirectory;
pub(crate) use locations::{Edit, edit, image_status, name as location_name, status as location_status};
pub(crate) use locked::{Found, LockedCatalogs};

/// Bytes of a location's URL. Paths are at most 4 KiB; a signed URL may need more.
const URL_MAX: usize = 8 * 1024;

/// Who vouches for a record, and so which files it may name when no store is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The calling person named the URL or path itself.
    Caller,
    /// The calling person named this record file.
    RecordFile {
        /// The directory that it is in.
        directory: PathBuf,
    },
    /// It came through a pipe.
    Stream,
    /// A configured catalog had it.
    Catalog,
}

/// An image to be placed.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// The record.
    pub(crate) record: ImageRecord,
    /// Who vouches for it.
    pub(crate) origin: Origin,
    /// What handlers may log in with for it.
    pub(crate) logins: Logins,
}

impl Image {
    /// What a crash on the image is remembered by, of a handler that read it from the location of this number; of an unpacker
    /// without one.
    pub(crate) fn crash_subject(&self, location: Option<usize>) -> Subject {
        let record = &self.record;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (id, checksum) = (text(&record.id), text(&record.checksum));
        let mut image = format!("{id} {}:{} {checksum}", text(&record.os_hash_algo), text(&record.os_hash_value));
        if id.is_empty() && record.os_hash_value.is_none() && checksum.is_empty() {
            // Nothing else tells it from other images.
            let urls = record.locations.iter().map(|location| format!(" {}", redact::url(&location.url)));
            image.extend(urls);
        }
        let location = location.and_then(|index| record.locations.get(index));
        Subject { image, location: location.map(|location| redact::url(&location.url)).unwrap_or_default() }
    }
}

/// Who asks the catalogs.
pub(crate) struct Asker<'a> {
    /// Which catalogs, by name.
    pub(crate) may_ask: &'a dyn Fn(&str) -> bool,
    /// With which token; `None` asks with the configured login.
    pub(crate) token: Option<&'a str>,
    /// Whether the configured login is for this one too.
    pub(crate) has_logins: bool,
}

impl Asker<'_> {
    /// Whoever runs this process.
    const SELF: Asker<'static> = Asker { may_ask: &|_| true, token: None, has_logins: true };
}

/// Finds the record that `argument` names. `handlers` are all that are loaded: some know catalogs.
pub(crate) fn find(
    argument: &ImageArgument,
    config: &Config,
    handlers: &[Arc<dyn Handler>],
    cancel: &Cancel,
) -> Result<Image> {
    match argument {
        ImageArgument::Standard => brought(standard_record(config, cancel)?, Origin::Stream, config),
        ImageArgument::Record(path) => {
            let origin = Origin::RecordFile { directory: store::directory_of(path) };
            brought(read(path, config)?, origin, config)
        }
        ImageArgument::Bare(bare) => brought(bare_record(bare, config)?, Origin::Caller, config),
        ImageArgument::Id(id) => find_id(id, &Asker::SELF, config, handlers, cancel).map(|(_, image)| image),
    }
}

/// Finds the record of an id in the catalogs that `asker` may ask; gives the name of the one that has it, too.
pub(crate) fn find_id(
    id: &str,
    asker: &Asker<'_>,
    config: &Config,
    handlers: &[Arc<dyn Handler>],
    cancel: &Cancel,
) -> Result<(String, Image)> {
    let (catalog, record, logins) = look_up(id, asker, config, handlers, cancel)?;
    Ok((catalog, usable(Image { record, origin: Origin::Catalog, logins }, config)?))
}

/// An image whose record came with the request.
pub(crate) fn brought(record: ImageRecord, origin: Origin, config: &Config) -> Result<Image> {
    usable(Image { record, origin, logins: Logins::for_stores(config) }, config)
}

fn usable(mut image: Image, config: &Config) -> Result<Image> {
    refuse_oversized(&image.record, config)?;
    refuse_unusable_status(&image.record)?;
    // Glance shows the first location alone where it is not to show all.
    if let (true, Some(url)) = (image.record.locations.is_empty(), &image.record.direct_url) {
        image.record.locations = vec![Location::from_url(url)];
    }
    Ok(image)
}

/// The image's own status, where the record gives one: only an active image has bytes that may be used.
fn refuse_unusable_status(record: &ImageRecord) -> Result<()> {
    let overlay = locations::overlay(record)?.map(landfall_select::Overlay::name);
    let (kind, code) = match overlay.or(record.status.as_deref()) {
        None | Some("active") => return Ok(()),
        Some("deactivated") => (ErrorKind::Denied, "image-deactivated"),
        Some("queued" | "saving" | "uploading" | "importing") => (ErrorKind::Unavailable, "image-status"),
        Some("deleted" | "pending_delete" | "killed") => (ErrorKind::NotFound, "image-status"),
        Some(_) => (ErrorKind::Invalid, "image-status"),
    };
    let status = redact::printable(overlay.or(record.status.as_deref()).unwrap_or_default());
    Err(Error::new(kind, code, format!("the image is {status}, not active")).scoped(Scope::Image))
}

/// Reads the record on standard input.
pub(crate) fn standard_record(config: &Config, cancel: &Cancel) -> Result<ImageRecord> {
    parse(StandardInput { cancel }, "standard input", config)
}

/// Reads a record file.
pub(crate) fn read(path: &Path, config: &Config) -> Result<ImageRecord> {
    let shown = redact::printable(&path.to_string_lossy());
    let open = |error: std::io::Error| Error::os(&error, format_args!("open {shown}")).scoped(Scope::Request);
    let file = rustix::fs::open(
        path,
        // Not to wait for the other end of a FIFO.
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(|errno| open(errno.into()))?;
    parse(std::fs::File::from(file), &shown, config)
}

pub(crate) fn parse(source: impl Read, name: &str, config: &Config) -> Result<ImageRecord> {
    let limit = config.limits.record_bytes;
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| match error.downcast::<Error>() {
        Ok(cancelled) => cancelled,
        Err(error) => Error::os(&error, format_args!("read {name}")).scoped(Scope::Request),
    })?;
    if bytes.len() as u64 > limit {
        let message = format!("{name} has more than {limit} bytes");
        return Err(Error::new(ErrorKind::Limit, "record-bytes", message).scoped(Scope::Request));
    }
    let record: ImageRecord = serde_json::from_slice(&bytes).map_err(|error| {
        // serde quotes what it met; a record may hold secrets, so only the place is told.
        let what = if error.is_data() { "is not an image record" } else { "is not JSON" };
        let message = format!("{name} {what}: see line {}, column {}", error.line(), error.column());
        Error::new(ErrorKind::Invalid, "record", message).scoped(Scope::Request)
    })?;
    let formats = record.disk_format.is_some() || record.container_format.is_some();
    if formats || record.id.is_some() || !record.locations.is_empty() {
        return Ok(record);
    }
    let message = format!("{name} is JSON, but no image record: it has no id, formats or locations");
    Err(Error::new(ErrorKind::Invalid, "record", message).scoped(Scope::Request))
}

/// Standard input that a cancelled operation stops waiting for.
struct StandardInput<'a> {
    cancel: &'a Cancel,
}

impl Read for StandardInput<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let input = std::io::stdin();
        loop {
            self.cancel.check().map_err(std::io::Error::other)?;
            let mut ready = [
                PollFd::new(input.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.cancel.descriptor(), PollFlags::POLLIN),
            ];
            let left = self.cancel.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
            // A millisecond more, so that the deadline has passed when the wait is over.
            let timeout =
                left.and_then(|left| PollTimeout::try_from(left.saturating_add(Duration::from_millis(1))).ok());
            match poll(&mut ready, timeout) {
                Err(nix::errno::Errno::EINTR) | Ok(0) => {}
                Err(errno) => return Err(errno.into()),
                // Straight from the descriptor: a buffer would hide bytes from the next wait.
                Ok(_) if ready[0].any() == Some(true) => return Ok(rustix::io::read(input.as_fd(), &mut *buffer)?),
                Ok(_) => {}
            }
        }
    }
}

/// The record of stored bytes that have none, of a URL or path that the calling person gave.
pub(crate) fn bare_record(bare: &BareImage, config: &Config) -> Result<ImageRecord> {
    // The calling person's own links are followed, here and once; those of a store never are.
    let real = store::file_path(&bare.url).and_then(|path| std::fs::canonicalize(path).ok());
    let url = real.as_ref().and_then(|path| path.to_str()).map(|path| format!("file://{path}"));
    described_record(url.as_deref().unwrap_or(&bare.url), &bare.said, config)
}

/// The record of stored bytes that have none.
pub(crate) fn described_record(url: &str, said: &Said, config: &Config) -> Result<ImageRecord> {
    let mut record = ImageRecord::default();
    record.disk_format = Some(said.disk_format.clone().unwrap_or_else(|| "raw".to_owned()));
    record.container_format = Some(said.container_format.clone().unwrap_or_else(|| "bare".to_owned()));
    record.compression.clone_from(&said.compression);
    if let Some(hash) = &said.hash {
        let digest = Digest::parse_argument(hash, config.legacy_md5)?;
        record.os_hash_algo = Some(digest.algorithm.name().to_owned());
        record.os_hash_value = Some(digest.value);
    }
    record.locations = vec![Location::from_url(url)];
    Ok(record)
}

fn look_up(
    id: &str,
    asker: &Asker<'_>,
    config: &Config,
    handlers: &[Arc<dyn Handler>],
    cancel: &Cancel,
) -> Result<(String, ImageRecord, Logins)> {
    let shown = redact::printable(id);
    if config.catalogs.is_empty() {
        let message = format!(
            "{shown} is no file here, and there is no catalog in which it could be an id: neither one in the configuration \
             nor a login in the environment (OS_CLOUD, OS_AUTH_URL)"
        );
        return Err(Error::new(ErrorKind::Invalid, "no-catalog", message).scoped(Scope::Request));
    }
    check_id(id)?;
    let mut unavailable = None;
    for (name, catalog) in config.catalogs.iter().filter(|(name, _)| (asker.may_ask)(name)) {
        let found = match catalog {
            Catalog::Directory { path } => in_directory(path, id, config),
            // It has no such names, and another catalog may.
            Catalog::Glance { .. } if id.contains('.') => continue,
            Catalog::Glance { cloud, service_cloud } => {
                if asker.token.is_none() && !asker.has_logins {
                    let message = format!("catalog {name} is a Glance, and is asked with the caller's own token");
                    return Err(Error::new(ErrorKind::Denied, "token-required", message).scoped(Scope::Request));
                }
                let logins = Logins::of_catalog(config, cloud, service_cloud.as_deref(), asker.token)?;
                let asking = glance::Asking {
                    handlers,
                    logins: logins.clone(),
                    cancel,
                    stall: config.limits.stall,
                    record_bytes: config.limits.record_bytes,
                };
                let record =
                    asking.patient_record(name, id).and_then(|text| parse(text.as_slice(), "the record", config));
                record.map(|record| (record, logins))
            }
        };
        let (record, logins) = match found {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            // Another one may have it.
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                unavailable.get_or_insert(error);
                continue;
            }
            found => found.map_err(|error| error.scoped(Scope::Request))?,
        };
        return match record.id.as_deref() {
            Some(other) if other != id => {
                let message = format!("the catalog's record of {shown} is that of {}", redact::printable(other));
                Err(Error::new(ErrorKind::Invalid, "image-id-mismatch", message).scoped(Scope::Request))
            }
            _ => Ok((name.clone(), record, logins)),
        };
    }
    if let Some(error) = unavailable {
        return Err(error.scoped(Scope::Request));
    }
    let message = format!("no configured catalog has an image {shown}");
    Err(Error::new(ErrorKind::NotFound, "image", message).scoped(Scope::Request))
}

/// Whether the text can be an image's id.
fn check_id(id: &str) -> Result<()> {
    let is_name = !id.is_empty()
        && id.len() <= 128
        && !id.starts_with('.')
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_name {
        return Ok(());
    }
    let message = format!("{} is no image id: letters, digits, '-', '_' and '.'", redact::printable(id));
    Err(Error::new(ErrorKind::Invalid, "image-id", message).scoped(Scope::Request))
}

/// The directory of records that has the image: of the catalog that is `wanted`, or the first.
pub(crate) fn directory_of_id<'a>(id: &str, wanted: Option<&str>, config: &'a Config) -> Result<(&'a str, &'a Path)> {
    check_id(id)?;
    let refused =
        |kind, code: &'static str, message: String| Err(Error::new(kind, code, message).scoped(Scope::Request));
    if let Some(wanted) = wanted {
        let shown = redact::printable(wanted);
        return match config.catalogs.iter().find(|(name, _)| *name == wanted) {
            Some((name, Catalog::Directory { path })) => Ok((name, path)),
            Some((_, Catalog::Glance { .. })) => {
                let message = format!("catalog {shown} is a Glance, which changes locations itself");
                refused(ErrorKind::Unsupported, "catalog-read-only", message)
            }
            None => refused(ErrorKind::NotFound, "catalog", format!("there is no catalog {shown}")),
        };
    }
    let mut directories = config.catalogs.iter().filter_map(|(name, catalog)| match catalog {
        Catalog::Directory { path } => Some((name.as_str(), path.as_path())),
        Catalog::Glance { .. } => None,
    });
    let file = format!("{id}.json");
    match directories.find(|(_, path)| path.join(&file).exists()) {
        Some(found) => Ok(found),
        None => {
            let message = format!("no catalog that is a directory of records has an image {}", redact::printable(id));
            refused(ErrorKind::NotFound, "image", message)
        }
    }
}

fn in_directory(path: &Path, id: &str, config: &Config) -> Result<(ImageRecord, Logins)> {
    if !path.is_dir() {
        let message = format!("the catalog directory {} is not there", path.display());
        return Err(Error::new(ErrorKind::Unavailable, "catalog-unavailable", message).scoped(Scope::Request));
    }
    let record = read(&path.join(format!("{id}.json")), config)?;
    Ok((record, Logins::for_stores(config)))
}

fn refuse_oversized(record: &ImageRecord, config: &Config) -> Result<()> {
    let most = config.limits.locations;
    if record.locations.len() > usize::try_from(most).unwrap_or(usize::MAX) {
        let message = format!("the record has {} locations, {most} are allowed", record.locations.len());
        return Err(Error::new(ErrorKind::Limit, "record-locations", message).scoped(Scope::Request));
    }
    if record.locations.iter().any(|location| location.url.len() > URL_MAX) {
        let message = format!("a location's URL has more than {URL_MAX} bytes");
        return Err(Error::new(ErrorKind::Limit, "url-length", message).scoped(Scope::Request));
    }
    Ok(())
}
