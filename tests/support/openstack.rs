//! Real Swift, Keystone and Glance (tests/services), which all tests of a run share: started when the first test asks, ended
//! when the run ends, however it ends.
//!
//! A test keeps to containers and images of its own. One that kills a service has all of them to itself meanwhile.

mod glance;
mod http;
mod keystone;
mod session;
mod swift;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use serde_json::Value;

use super::needs::Need;
use super::world::World;

pub(crate) use glance::Glance;
pub(crate) use http::request;
pub(crate) use session::{finish, installed, python};
pub(crate) use swift::{Account, Digest};

/// What a test needs that asks for any of them.
pub(crate) const NEEDS: [Need; 1] = [Need::OpenStack];

/// Services that belong together, with those beneath them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    /// Swift with its own accounts.
    Swift,
    /// Keystone, and Swift with accounts of Keystone.
    Keystone,
    /// Everything.
    Glance,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Swift => "swift",
            Self::Keystone => "keystone",
            Self::Glance => "glance",
        }
    }
}

/// The services as one test has them: together with others, or alone.
pub(crate) struct OpenStack {
    dir: PathBuf,
    document: Value,
    killed: Mutex<BTreeSet<String>>,
    hold: Hold,
}

enum Hold {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

/// Tests that use the services, and the one that kills some.
static USE: RwLock<()> = RwLock::new(());

impl OpenStack {
    /// For tests that disturb nobody.
    pub(crate) fn shared(world: &World, group: Group) -> Self {
        Self::held(world, group, Hold::Shared(USE.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// For a test that kills services; waits until no other test has them. What it leaves killed is started again when this
    /// is dropped.
    pub(crate) fn alone(world: &World, group: Group) -> Self {
        Self::held(world, group, Hold::Alone(USE.write().unwrap_or_else(PoisonError::into_inner)))
    }

    fn held(world: &World, group: Group, hold: Hold) -> Self {
        let dir = world.mounts.run_dir().join("openstack");
        session::up(&dir, group).unwrap_or_else(|problem| panic!("{}: {problem}", group.name()));
        let text = fs::read_to_string(dir.join("services.json")).unwrap();
        Self { dir, document: serde_json::from_str(&text).unwrap(), killed: Mutex::default(), hold }
    }

    /// Ends a service at once, in the middle of whatever it does.
    pub(crate) fn kill(&self, name: &str) {
        assert!(matches!(self.hold, Hold::Alone(_)), "others use {name}: OpenStack::alone");
        self.killed.lock().unwrap().insert(name.to_owned());
        session::tell(&format!("kill {name}"));
    }

    /// Starts a service, on the port that it had; gives its URL. Some run only where a test asks: `swift-proxy-short`,
    /// `keystone-short`, `glance-hidden`.
    pub(crate) fn start(&self, name: &str) -> String {
        session::tell(&format!("start {name}"));
        self.killed.lock().unwrap().remove(name);
        self.url(name)
    }

    /// Where a service is.
    pub(crate) fn url(&self, name: &str) -> String {
        self.text(&["services", name, "url"])
    }

    /// How long a token of `swift-proxy-short` and `keystone-short` lives.
    pub(crate) fn short_life(&self) -> Duration {
        Duration::from_secs(self.document["short_token_life"].as_u64().unwrap())
    }

    /// What the services have written, for a person who asks why.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join("log").join(format!("{name}.log"))).unwrap_or_default()
    }

    /// A string of the services' document.
    fn text(&self, path: &[&str]) -> String {
        let found = path.iter().fold(&self.document, |value, name| &value[*name]);
        found.as_str().unwrap_or_else(|| panic!("services.json has no string {path:?}")).to_owned()
    }
}

impl Drop for OpenStack {
    fn drop(&mut self) {
        for name in std::mem::take(&mut *self.killed.lock().unwrap_or_else(PoisonError::into_inner)) {
            if let Err(problem) = session::say(&format!("start {name}")) {
                eprintln!("{name} is not started again: {problem}");
            }
        }
    }
}

/// A name that no other test has, beginning with this one.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
