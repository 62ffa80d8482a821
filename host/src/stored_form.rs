//! In which form a location stores the image: disk format, container, compression.

use landfall_handler_api::{Error, ErrorKind, ImageRecord, Location, Result, Scope};
use landfall_inspect::Compression;

use crate::redact::printable;

/// The container that is its disk, compressed.
const COMPRESSED: &str = "compressed";
/// The container that is its disk.
const BARE: &str = "bare";
/// What says that the bytes are not compressed.
const NONE: &str = "none";
/// How the container `compressed` is compressed where the record does not say: as Cinder, which makes such images, does it
/// unless it is told otherwise (`compression_format`).
const USUAL: &str = Compression::Gzip.name();

/// The form of stored bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredForm {
    /// The disk format.
    pub(crate) disk: String,
    /// The container format, as the record has it.
    pub(crate) container: String,
    /// How the container, or the disk in the container `compressed`, is compressed: a [name](Compression::is_name), for which
    /// the inspector has rules or only somebody's filter has.
    pub(crate) compression: Option<String>,
}

impl StoredForm {
    /// The form at `location`: its own, else the record's. A location with a disk or container format of its own also has
    /// a compression of its own, or none.
    pub(crate) fn of(record: &ImageRecord, location: &Location) -> Result<Self> {
        let format = |own: &Option<String>, image: &Option<String>, what: &str| {
            own.clone().or_else(|| image.clone()).ok_or_else(|| bad_form(format!("the record gives no {what}")))
        };
        let disk = format(&location.disk_format, &record.disk_format, "disk_format")?;
        let container = format(&location.container_format, &record.container_format, "container_format")?;
        let inherited = record.compression.as_ref().filter(|_| !has_own_formats(record, location));
        let named = match location.compression.as_ref().or(inherited).map(String::as_str) {
            None => (container == COMPRESSED).then_some(USUAL),
            Some(NONE) if container == COMPRESSED => {
                return Err(bad_form("the record says compressed, and compression none".to_owned()));
            }
            Some(NONE) => None,
            Some(name) if Compression::is_name(name) => Some(name),
            Some(name) => {
                return Err(bad_form(format!("the record's compression {} is no name of one", printable(name))));
            }
        };
        let compression = named.map(str::to_owned);
        Ok(Self { disk, container, compression })
    }

    /// Whether `location` holds the image in another form than the record speaks of: size and digest of the record are not
    /// its own then.
    pub(crate) fn is_other(record: &ImageRecord, location: &Location) -> bool {
        has_own_formats(record, location) || differs(&location.compression, &record.compression)
    }

    /// The container once it is not compressed any more.
    pub(crate) fn inner_container(&self) -> &str {
        if self.container == COMPRESSED { BARE } else { &self.container }
    }

    /// Whether the bytes are a raw disk and nothing else, once they are not compressed any more.
    pub(crate) fn is_raw_inside(&self) -> bool {
        self.disk == "raw" && self.inner_container() == BARE
    }

    /// What an unpacker must take: in the container `bare` the disk format, else the container, which is unpacked as a whole.
    pub(crate) fn packing(&self) -> &str {
        let container = self.inner_container();
        if container == BARE { &self.disk } else { container }
    }
}

fn has_own_formats(record: &ImageRecord, location: &Location) -> bool {
    differs(&location.disk_format, &record.disk_format) || differs(&location.container_format, &record.container_format)
}

fn differs(own: &Option<String>, image: &Option<String>) -> bool {
    own.is_some() && own != image
}

fn bad_form(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "record-format", message).scoped(Scope::Image)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(disk: &str, container: &str, compression: Option<&str>) -> ImageRecord {
        let mut record = ImageRecord::default();
        (record.disk_format, record.container_format) = (Some(disk.into()), Some(container.into()));
        record.compression = compression.map(Into::into);
        record
    }

    fn compression(record: &ImageRecord, location: &Location) -> Result<Option<String>, String> {
        StoredForm::of(record, location).map(|form| form.compression).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn a_compression_is_named_or_usual() {
        let location = Location::from_url("file:///a");
        for (container, named, expected) in [
            ("bare", None, Ok(None)),
            ("bare", Some("none"), Ok(None)),
            ("bare", Some("zstd"), Ok(Some("zstd"))),
            ("ova", Some("xz"), Ok(Some("xz"))),
            ("compressed", None, Ok(Some("gzip"))),
            ("compressed", Some("bzip2"), Ok(Some("bzip2"))),
            ("compressed", Some("none"), Err("record-format")),
            ("bare", Some("site-lz4.v2"), Ok(Some("site-lz4.v2"))),
            ("bare", Some(""), Err("record-format")),
            ("bare", Some("lz 4"), Err("record-format")),
            ("bare", Some("GZIP"), Err("record-format")),
        ] {
            let expected = expected.map(|name| name.map(str::to_owned)).map_err(str::to_owned);
            assert_eq!(compression(&record("raw", container, named), &location), expected, "{container} {named:?}");
        }
    }

    #[test]
    fn a_location_with_formats_of_its_own_inherits_no_compression() {
        let image = record("vmdk", "ova", Some("gzip"));
        let mut location = Location::from_url("file:///a");
        assert_eq!(compression(&image, &location), Ok(Some("gzip".to_owned())));
        assert!(!StoredForm::is_other(&image, &location));
        (location.disk_format, location.container_format) = (Some("raw".into()), Some("bare".into()));
        assert_eq!(compression(&image, &location), Ok(None));
        assert!(StoredForm::is_other(&image, &location));
        location.compression = Some("xz".into());
        assert_eq!(compression(&image, &location), Ok(Some("xz".to_owned())));
        let mut only_compressed = Location::from_url("file:///a");
        only_compressed.compression = Some("zstd".into());
        assert!(StoredForm::is_other(&image, &only_compressed));
        only_compressed.compression = Some("gzip".into());
        assert!(!StoredForm::is_other(&image, &only_compressed));
    }

    #[test]
    fn what_is_inside_a_compression_is_its_disk() {
        let location = Location::from_url("file:///a");
        let form = |disk: &str, container: &str| StoredForm::of(&record(disk, container, None), &location).unwrap();
        assert!(form("raw", "bare").is_raw_inside() && form("raw", "compressed").is_raw_inside());
        assert!(!form("raw", "ova").is_raw_inside());
        assert_eq!(form("vmdk", "compressed").packing(), "vmdk");
        assert_eq!(form("vmdk", "ova").packing(), "ova");
        assert_eq!(form("qcow2", "bare").packing(), "qcow2");
    }
}
