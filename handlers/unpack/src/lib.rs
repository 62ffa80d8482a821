//! What unpackers of disk formats share: the stored bytes front to back, threads that decode, aligned writes, holes.
//!
//! An unpacker reads [`Stored`] bytes with a [`StoredReader`] and hands what belongs to a [`WINDOW`] of the disk to a
//! [`Crew`] as one [`Job`]. The crew's threads inflate the job's pieces into place and write the window to the
//! [`Disk`].

#![cfg_attr(
    not(test),
    warn(clippy::arithmetic_side_effects, clippy::cast_possible_truncation, clippy::indexing_slicing)
)]

mod crew;
mod disk;
mod inflate;
mod job;
mod queue;
mod reader;
mod stored;
mod window;
mod zeros;

pub use crew::{Crew, JOBS_PER_THREAD};
pub use disk::Disk;
pub use job::{Coding, Job};
pub use reader::{CHUNK, Shared, StoredReader};
pub use stored::Stored;
pub use window::{BLOCK, WINDOW};
