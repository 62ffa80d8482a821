//! What a member is for.

/// What a member is, by its name alone. The extensions: DMTF DSP0243, "OVF package structure".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Descriptor,
    Manifest,
    Certificate,
    File,
}

impl Role {
    /// The role of the member `name`. The case of its extension does not matter.
    pub(crate) fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("ovf") => Self::Descriptor,
            Some("mf") => Self::Manifest,
            Some("cert") => Self::Certificate,
            _ => Self::File,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_tells() {
        for (name, role) in [
            ("a.ovf", Role::Descriptor),
            ("a.b.OVF", Role::Descriptor),
            (".Mf", Role::Manifest),
            ("a.cert", Role::Certificate),
            ("ovf", Role::File),
            ("a.ovf.txt", Role::File),
            ("a.ovf ", Role::File),
        ] {
            assert_eq!(Role::of(name), role, "{name:?}");
        }
    }
}
