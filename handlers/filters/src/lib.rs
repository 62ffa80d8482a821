//! Filters that inflate compressed images on their way.
