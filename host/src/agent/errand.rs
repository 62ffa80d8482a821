//! A call that was found to be allowed: its images, its target, open, and how the disks are wanted.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::caller::Caller;
use super::setup::Setup;
use crate::catalog::{Image, Origin};
use crate::place::{Access, Node, Order};
use crate::publish::{DEFAULT_MODE, Dress};
use crate::route::Form;
use crate::target::Target;

/// What is to be done for a caller who may have it.
pub(crate) struct Errand {
    /// The configuration and the handlers when it was called for.
    pub(crate) setup: Arc<Setup>,
    /// Who called.
    pub(crate) caller: Caller,
    /// Where the disks go.
    pub(crate) target: Arc<Target>,
    /// Whether that is a directory.
    pub(crate) directory: bool,
    /// The images; several are a group.
    pub(crate) members: Vec<Member>,
    /// In which form.
    pub(crate) form: Form,
    /// For what use.
    pub(crate) access: Access,
    /// Owner, mode, size, replacement.
    pub(crate) dress: Dress,
    /// Whether no digest is needed.
    pub(crate) allow_unhashed: bool,
}

/// An image of an errand.
pub(crate) struct Member {
    /// Its name in a group.
    pub(crate) name: Option<String>,
    /// The image.
    pub(crate) image: Image,
    /// Whose right to the image it is that others with the same right share the bytes.
    pub(crate) scope: String,
}

impl Errand {
    /// What is asked for one of the images, at the errand's own target.
    pub(crate) fn order<'a>(&'a self, member: &'a Member) -> Order<'a> {
        Order {
            image: &member.image,
            target: self.target.path(),
            directory: self.directory,
            form: self.form,
            access: self.access,
            dress: self.dress,
            allow_unhashed: self.allow_unhashed,
            shared: false,
            caller: self.caller.uid,
        }
    }

    /// The same, for bytes that are moved for whoever wants them: they stay the agent's own.
    pub(crate) fn shared_order<'a>(&'a self, member: &'a Member) -> Order<'a> {
        Order { access: Access::ReadWrite, dress: Dress::default(), shared: true, ..self.order(member) }
    }

    /// The node as this errand sees it.
    pub(crate) fn node<'a>(&'a self, ledger: &'a crate::ledger::Ledger) -> Node<'a> {
        self.setup.node(ledger)
    }

    /// Whether the target may become a store's own file, of which there is no copy to be shared.
    pub(crate) fn may_link(&self) -> bool {
        self.access == Access::ReadOnly
            && !self.directory
            && self.setup.config.stores.iter().any(|store| store.hardlink)
    }

    /// What tells this call from others for the same target.
    pub(crate) fn fingerprint(&self) -> String {
        let mut parts: Vec<String> = self.members.iter().map(|member| self.key(member)).collect();
        let Dress { owner, mode, size, replace: _ } = self.dress;
        // What is not said is what is usual.
        let mode = mode.unwrap_or(DEFAULT_MODE);
        let names: Vec<_> = self.members.iter().map(|member| &member.name).collect();
        parts.push(format!("{names:?} {:?} {owner:?} {mode:o} {size:?}", self.access));
        hash(&parts.join("\n"))
    }

    /// Names the bytes that a member wants, among those who may have them: the same image of the same catalog, or of the
    /// same user; in the same form.
    pub(crate) fn key(&self, member: &Member) -> String {
        let record = &member.image.record;
        let content = match (&record.os_hash_algo, &record.os_hash_value) {
            (Some(algorithm), Some(value)) => format!("{algorithm}:{value}"),
            // Nothing but the whole record says what it is.
            _ => hash(&serde_json::to_string(record).unwrap_or_default()),
        };
        let origin = match &member.image.origin {
            Origin::Caller => "caller".to_owned(),
            Origin::RecordFile { directory } => format!("file {directory:?}"),
            Origin::Stream => "stream".to_owned(),
            Origin::Catalog => "catalog".to_owned(),
        };
        let form = (self.form, self.directory, self.allow_unhashed);
        let stored =
            (&record.disk_format, &record.container_format, &record.compression, record.size, record.virtual_size);
        hash(&format!("{} {origin} {:?} {content} {stored:?} {form:?}", member.scope, record.id))
    }
}

fn hash(text: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // A string takes all that is written to it.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
