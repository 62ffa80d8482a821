//! What holds for every compression.

mod bzip2;
mod damage;
mod gzip;
mod limits;
mod streams;
mod xz;
mod zstd;
