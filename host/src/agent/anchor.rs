//! Verified bytes that the agent holds: for those who wait for them, and for whoever asks soon after.

use std::sync::Arc;

use landfall_handler_api::Result;

use crate::decision::Decision;
use crate::engine::{Disk, Method, Moved, again, can_clone};
use crate::place::{Landed, Node, Order};
use crate::plugin::CallContext;
use crate::stage::Stage;
use crate::target::Target;

/// Disks up to so many bytes are held for others even where that means another copy of them.
const COPY_MOST: u64 = 64 << 20;

/// An image's disks, verified, and how they came.
pub(crate) struct Anchor {
    /// The disks. Nobody but the agent has them.
    pub(crate) landed: Landed,
    /// How they were got.
    pub(crate) decision: Decision,
    /// Whether one alone wants them, who may take the disks themselves.
    pub(crate) exclusive: bool,
}

impl Anchor {
    /// Bytes of all disks.
    pub(crate) fn bytes(&self) -> u64 {
        let moved = &self.landed.moved;
        moved.more.iter().fold(moved.bytes, |all, disk| all.saturating_add(disk.bytes))
    }

    /// Whether it is worth being held for others: its bytes took some moving, and it costs little.
    pub(crate) fn is_worth_holding(&self, node: &Node<'_>) -> bool {
        if matches!(self.landed.moved.method, Method::Reflink | Method::Hardlink) {
            return false;
        }
        let clones = || -> Result<bool> {
            let scratch = Stage::open_scratch(&self.landed.stage.target(), node.config.stage_keep)?;
            can_clone(self.landed.stage.file(), &scratch)
        };
        self.bytes() <= COPY_MOST || clones().unwrap_or(false)
    }

    /// The disks are for several: they are only read from now on, and need no name.
    pub(crate) fn share(&mut self) {
        self.exclusive = false;
        self.landed.stage.hide();
        self.landed.moved.more.iter_mut().for_each(|disk| disk.stage.hide());
    }

    /// The disks for `order` at `target`: these ones where nobody else has them and they were staged for it, else their like.
    pub(crate) fn deliver(
        self: Arc<Self>,
        target: &Arc<Target>,
        order: &Order<'_>,
        node: &Node<'_>,
        call: &CallContext,
    ) -> Result<Landed> {
        let own = self.exclusive && Arc::ptr_eq(&self.landed.stage.target(), target);
        let anchor = match Arc::try_unwrap(self) {
            Ok(mut anchor) if own => {
                anchor.landed.stage.set_owner(order.dress.owner)?;
                for disk in &mut anchor.landed.moved.more {
                    disk.stage.set_owner(order.dress.owner)?;
                }
                return Ok(anchor.landed);
            }
            Ok(anchor) => Arc::new(anchor),
            Err(anchor) => anchor,
        };
        let copy = |stage: &Stage, bytes: u64| -> Result<(Stage, Method)> {
            let new = Stage::open(target, node.config.stage_keep, order.dress.owner)?;
            let method = again(stage.file(), bytes, &new, call)?;
            new.has_its_bytes();
            Ok((new, method))
        };
        let Landed { stage, moved, facts, remark } = &anchor.landed;
        let (stage, method) = copy(stage, moved.bytes)?;
        let mut more = Vec::with_capacity(moved.more.len());
        for disk in &moved.more {
            let (stage, _) = copy(&disk.stage, disk.bytes)?;
            more.push(Disk { stage, bytes: disk.bytes, meta: disk.meta.clone() });
        }
        let moved = Moved {
            meta: moved.meta.clone(),
            more,
            machine: moved.machine.clone(),
            ..Moved::new(method, moved.bytes, moved.digest.clone())
        };
        let facts = crate::ledger::Facts { method, ..facts.clone() };
        Ok(Landed { stage, moved, facts, remark: remark.clone() })
    }
}
