//! Unpacks OVA archives.
