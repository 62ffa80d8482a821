//! The words and options of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use landfall_select::LocationStatus;

use crate::config;

/// Places VM images on this node by their direct locations.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, max_term_width = 100)]
pub(super) struct Arguments {
    /// Configuration file [default: /etc/landfall/landfall.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(super) json: bool,

    /// Do it in this process, though an agent serves
    #[arg(long, global = true)]
    pub(super) no_agent: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Place a disk
    Place(PlaceOptions),
    /// Show what `place` would do, and why; do nothing
    Plan(PlaceOptions),
    /// Remove a placement; refused unless the file is the one that was placed
    Remove {
        /// The placed file
        path: PathBuf,
    },
    /// Move a placement within its file system
    Move {
        /// The placed file
        #[arg(value_name = "SRC")]
        from: PathBuf,
        /// Its new path, which must not exist
        #[arg(value_name = "DST")]
        to: PathBuf,
    },
    /// List what is placed on this node
    Placements,
    /// Show what was decided and done, the newest first
    History {
        /// How many entries
        #[arg(long, value_name = "N", default_value_t = 20)]
        most: u32,
    },
    /// Make a decision of the history again, under the configuration as it is now or under another one; do nothing
    Replay {
        /// The number of the entry, as `history` shows it
        entry: i64,
    },
    /// Show or change where an image's bytes are, in a catalog that is a directory of records
    Locations {
        #[command(subcommand)]
        command: LocationsCommand,
    },
    /// Delete the stored bytes of locations that are pending_delete, in stores that say `delete = true`
    Scrub(ScrubOptions),
    /// List the handlers and the plugins they come from
    Handlers {
        #[command(subcommand)]
        command: Option<HandlersCommand>,
    },
    /// Serve boot code on a Unix socket; the other commands use it when its socket is there
    Agent,
    /// Check or show the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Tell what is in the plugin file on standard input; run by landfall itself
    #[command(hide = true)]
    ScanPlugin,
    /// Try out the plugin that standard input tells of; run by landfall itself
    #[command(hide = true)]
    CheckPlugin,
    /// Run one handler in a process of its own; run by landfall itself
    #[command(hide = true)]
    Worker,
    /// List the fault points of this build
    #[cfg(feature = "fault-points")]
    #[command(hide = true)]
    FaultPoints,
}

/// How `scrub` is done.
#[derive(Debug, Args)]
pub(super) struct ScrubOptions {
    /// Show what would be deleted, and what not, and why; delete nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// How long a location must have been pending_delete: until then it can be restored
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(super) delay: std::time::Duration,
    /// How many locations at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(super) most: usize,
    /// How long to wait between two of them
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub(super) pause: std::time::Duration,
}

#[derive(Debug, Subcommand)]
pub(super) enum LocationsCommand {
    /// Show an image's locations with their names and statuses, and the image's status
    List {
        #[command(flatten)]
        image: CatalogImage,
    },
    /// Add a location
    Add(AddOptions),
    /// Give a location another status
    SetStatus {
        #[command(flatten)]
        image: CatalogImage,
        /// The location's name, as `list` shows it
        location: String,
        status: StatusArgument,
    },
    /// Forget a location that is deleted
    Remove {
        #[command(flatten)]
        image: CatalogImage,
        /// The location's name, as `list` shows it
        location: String,
        /// Forget it though it has bytes, which stay where they are
        #[arg(long)]
        keep_bytes: bool,
    },
    /// Say of the image what its locations cannot say, or take that back
    SetOverlay {
        #[command(flatten)]
        image: CatalogImage,
        overlay: OverlayArgument,
    },
}

impl LocationsCommand {
    /// The image's id, and the catalog where that is named.
    pub(super) fn image(&self) -> (&str, Option<&str>) {
        let (Self::List { image }
        | Self::Add(AddOptions { image, .. })
        | Self::SetStatus { image, .. }
        | Self::Remove { image, .. }
        | Self::SetOverlay { image, .. }) = self;
        (&image.id, image.catalog.as_deref())
    }
}

/// An image of a catalog.
#[derive(Debug, Args)]
pub(super) struct CatalogImage {
    /// The image's id
    pub(super) id: String,

    /// The catalog [default: the first directory of records that has the image]
    #[arg(long, value_name = "NAME")]
    pub(super) catalog: Option<String>,
}

/// Options of `locations add`.
#[derive(Debug, Args)]
pub(super) struct AddOptions {
    #[command(flatten)]
    pub(super) image: CatalogImage,

    /// The direct URL
    pub(super) url: String,

    /// `pending` where its bytes are not there yet
    #[arg(long, value_name = "STATUS")]
    pub(super) status: Option<NewStatus>,

    /// The configured store that it belongs to
    #[arg(long, value_name = "ID")]
    pub(super) store: Option<String>,

    /// The store's metadata
    #[arg(long, value_name = "JSON")]
    pub(super) metadata: Option<String>,

    /// Weights for the selection
    #[arg(long, value_name = "JSON")]
    pub(super) metrics: Option<String>,
}

/// What a location is added as.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum NewStatus {
    Active,
    Pending,
}

impl NewStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Active => LocationStatus::Active.name(),
            Self::Pending => LocationStatus::Pending.name(),
        }
    }
}

/// A location's status.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum StatusArgument {
    Pending,
    Active,
    PendingDelete,
    Deleted,
}

impl From<StatusArgument> for LocationStatus {
    fn from(status: StatusArgument) -> Self {
        match status {
            StatusArgument::Pending => Self::Pending,
            StatusArgument::Active => Self::Active,
            StatusArgument::PendingDelete => Self::PendingDelete,
            StatusArgument::Deleted => Self::Deleted,
        }
    }
}

/// What is said of an image beside its locations.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OverlayArgument {
    Killed,
    Deactivated,
    None,
}

#[derive(Debug, Subcommand)]
pub(super) enum HandlersCommand {
    /// Show what a plugin file holds
    Inspect {
        /// The plugin file
        #[arg(value_name = "FILE.so")]
        file: PathBuf,
    },
    /// Run the checks that every plugin must pass; with --config, with its handlers' sections
    Check(CheckOptions),
}

/// Options of `handlers check`.
#[derive(Debug, Args)]
pub(super) struct CheckOptions {
    /// The plugin file
    #[arg(value_name = "FILE.so")]
    pub(super) file: PathBuf,

    /// A location that is there, to be read and transferred by the handlers of its scheme
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,

    /// Delete what --url names, as the last thing, to try the handlers that delete: give it a copy
    #[arg(long, requires = "url")]
    pub(super) delete: bool,

    /// Stored bytes, to be inflated or unpacked by the handlers of the format that --as says
    #[arg(long, value_name = "FILE", requires = "sample_format")]
    pub(super) sample: Option<PathBuf>,

    /// The sample's format, one of those that a handler lists
    #[arg(long = "as", value_name = "FORMAT", requires = "sample")]
    pub(super) sample_format: Option<String>,

    /// What must come of the sample: the inflated bytes, or each of the raw disks in their order
    #[arg(long, value_name = "FILE", requires = "sample")]
    pub(super) expect: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether the configuration is right
    Check,
    /// Print the configuration with all defaults filled in
    Show,
    /// Print the JSON schema of the configuration file
    Schema,
}

/// Options of `place` and `plan`.
#[derive(Debug, Args)]
pub(super) struct PlaceOptions {
    /// A record file, `-` for a record on standard input, a URL, or an image id of a catalog
    #[arg(value_name = "IMAGE")]
    pub(super) image: String,

    /// Where the disk goes
    #[arg(long, value_name = "PATH", required_unless_present = "to_dir", conflicts_with = "to_dir")]
    pub(super) to: Option<PathBuf>,

    /// Where the disks of an image of several go: a directory that must not exist
    #[arg(long, value_name = "DIR")]
    pub(super) to_dir: Option<PathBuf>,

    /// What form the disk is wanted in
    #[arg(long, value_enum, default_value_t = FormatOption::Raw)]
    pub(super) format: FormatOption,

    /// Whether the disk will be written to
    #[arg(long, value_enum, default_value_t = AccessOption::Rw)]
    pub(super) access: AccessOption,

    /// Owner and group of the disk, as numbers
    #[arg(long, value_name = "UID:GID", value_parser = owner)]
    pub(super) owner: Option<(u32, u32)>,

    /// Permission bits of the disk [default: 0600]
    #[arg(long, value_name = "OCTAL", value_parser = mode)]
    pub(super) mode: Option<u32>,

    /// Grow the disk to this size: bytes, or a number with KiB, MiB, GiB or TiB
    #[arg(long, value_name = "N", value_parser = size)]
    pub(super) size: Option<u64>,

    /// Take the place of an existing regular file
    #[arg(long)]
    pub(super) replace: bool,

    /// Place an image that has no digest to verify it by
    #[arg(long)]
    pub(super) allow_unhashed: bool,

    /// Give up after this time: `30s`, `5m`, `1h`
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) deadline: Option<std::time::Duration>,

    /// For a URL or file without a record: the digest of its bytes
    #[arg(long, value_name = "ALGORITHM:HEX")]
    pub(super) hash: Option<String>,

    /// For a URL or file without a record: the disk format of its bytes [default: raw]
    #[arg(long, value_name = "FORMAT")]
    pub(super) disk_format: Option<String>,

    /// For a URL or file without a record: the container format of its bytes [default: bare]
    #[arg(long, value_name = "FORMAT")]
    pub(super) container_format: Option<String>,

    /// For a URL or file without a record: how its bytes are compressed: gzip, zstd, xz, bzip2
    #[arg(long, value_name = "COMPRESSION")]
    pub(super) compression: Option<String>,

    /// How progress is shown, on standard error
    #[arg(long, value_enum, default_value_t = ProgressOption::Auto)]
    pub(super) progress: ProgressOption,
}

/// The values of `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatOption {
    /// A raw disk
    Raw,
    /// The bytes as they are stored
    AsIs,
}

/// The values of `--access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum AccessOption {
    /// Read and write
    Rw,
    /// Read only; the disk may be shared with the store
    Ro,
}

/// The values of `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressOption {
    /// A bar on a terminal, nothing elsewhere
    Auto,
    /// A bar
    Bar,
    /// A JSON document a line
    Json,
    /// Nothing
    None,
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "expected UID:GID, both numbers".to_owned();
    let (uid, gid) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse().ok().filter(|&id: &u32| id != u32::MAX).ok_or_else(wrong);
    Ok((number(uid)?, number(gid)?))
}

fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("expected permission bits in octal, at most 0777".to_owned()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    config::parse_size(text)
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    config::parse_duration(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn owners_and_modes_are_bounded() {
        assert_eq!(owner("0:42"), Ok((0, 42)));
        assert!(owner("root:root").is_err() && owner("1").is_err() && owner("4294967295:0").is_err());
        assert_eq!(mode("0640"), Ok(0o640));
        assert!(mode("4755").is_err() && mode("9").is_err());
    }
}
