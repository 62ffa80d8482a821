//! What unpackers of disk formats share: the stored bytes front to back, threads that decode, aligned writes, holes.

mod disk;
mod stored;

pub use disk::Disk;
pub use stored::Stored;
