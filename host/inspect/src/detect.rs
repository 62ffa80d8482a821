//! Which formats' marks are in the bytes.

use std::fmt;

use crate::format::DiskFormat;
use crate::mark::Mark;
use crate::window::Window;

/// The formats whose marks were found: none for a raw disk, often one, sometimes several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detected {
    /// In the order of [`Mark::ALL`].
    marks: Vec<Mark>,
}

/// Finds every format whose mark is in the window.
///
/// A trailer counts only where the start has no mark of a format of its own: the last sector of a qcow2 is a guest's
/// data, and may be the footer of a VHD that the guest keeps. A partition table and a volume descriptor are content
/// that a fixed VHD or a DMG may well begin with.
///
/// Of a window that is too short only what is there is seen; [`agree`](crate::agree) refuses such a one.
#[must_use]
pub fn detect(window: &Window) -> Detected {
    let mut found = detect_start(window);
    if found.is_content() {
        found.marks.extend(Mark::ALL.into_iter().filter(|mark| mark.is_trailer() && mark.is_in(window)));
        found.marks.sort_unstable();
    }
    found
}

/// The marks that are not at the end.
pub(crate) fn detect_start(window: &Window) -> Detected {
    Detected { marks: Mark::ALL.into_iter().filter(|mark| !mark.is_trailer() && mark.is_in(window)).collect() }
}

impl Detected {
    /// The marks, in the order of [`Mark::ALL`].
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// The formats, each once, in the order of [`DiskFormat::ALL`]; nothing for a raw disk.
    pub fn formats(&self) -> impl Iterator<Item = DiskFormat> {
        DiskFormat::ALL.into_iter().filter(|format| self.marks.iter().any(|mark| mark.format() == *format))
    }

    /// Whether a mark of the format was found; for raw, whether none was.
    #[must_use]
    pub fn contains(&self, format: DiskFormat) -> bool {
        match format {
            DiskFormat::Raw => self.marks.is_empty(),
            _ => self.formats().any(|found| found == format),
        }
    }

    /// Whether all marks are such as a disk bears in its own content, so that a trailer counts.
    pub(crate) fn is_content(&self) -> bool {
        self.marks.iter().all(|mark| mark.is_content())
    }

    /// The one format that the bytes are, or `None` if they may be taken for several.
    ///
    /// Two pairs count as one: an ISO image with a partition table is a hybrid ISO (Nova's and Glance's rule), and a
    /// partition table before the footer of a fixed VHD is the one of the disk within.
    #[must_use]
    pub fn format(&self) -> Option<DiskFormat> {
        match self.marks.as_slice() {
            [] => return Some(DiskFormat::Raw),
            [Mark::Iso, Mark::Gpt] => return Some(DiskFormat::Iso),
            [Mark::VhdFooter, Mark::Gpt] => return Some(DiskFormat::Vhd),
            _ => {}
        }
        let mut formats = self.formats();
        formats.next().filter(|_| formats.next().is_none())
    }
}

/// `raw`, or the names of the formats with a plus sign between them.
impl fmt::Display for Detected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut formats = self.formats();
        write!(f, "{}", formats.next().unwrap_or(DiskFormat::Raw))?;
        formats.try_for_each(|format| write!(f, "+{format}"))
    }
}
