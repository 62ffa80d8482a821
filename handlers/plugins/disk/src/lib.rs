//! `liblandfall_disk.so`.
