//! Who may ask the agent for what.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::borrow::{may_change_names, with_rights_of};
use super::caller::Caller;
use crate::config::{Agent, CallerRule, Catalogs, Placements};
use crate::target::{Occupant, Target};

/// The bit of a directory in which names are their owners' (`stat(2)`, `S_ISVTX`).
const STICKY: u32 = 0o1000;

/// What a caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rights {
    /// How far what it says is believed.
    pub(crate) trust: Trust,
    catalogs: Catalogs,
    /// Directories beneath which its targets lie; `None` is anywhere.
    targets: Option<Vec<PathBuf>>,
    /// Whether others' placements, jobs and history are open to it.
    pub(crate) sees_all: bool,
}

/// How far a caller is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trust {
    /// It names images of catalogs, which say whether it may have them.
    None,
    /// It brings records and URLs along, and the node's own logins are for it too.
    Records,
    /// It is the agent's own user, or root, and could do what the agent does without it.
    Full,
}

impl Rights {
    /// Those of a caller by the rules, the first of which that fits counts. `agent` is the agent's own user.
    pub(crate) fn of(caller: &Caller, rules: &Agent, agent: u32) -> Result<Self> {
        if caller.uid == agent || caller.uid == 0 {
            return Ok(Self { trust: Trust::Full, catalogs: Catalogs::All, targets: None, sees_all: true });
        }
        let fits = |rule: &&CallerRule| {
            rule.uids.iter().any(|range| range.contains(&caller.uid))
                || rule.gids.iter().any(|range| caller.is_in(|gid| range.contains(&gid)))
        };
        let rule = rules.callers.iter().find(fits).ok_or_else(|| {
            denied("caller", format!("user {} is in no [[agent.caller]] of the configuration", caller.uid))
        })?;
        Ok(Self {
            trust: if rule.trusted { Trust::Records } else { Trust::None },
            catalogs: rule.catalogs.clone(),
            targets: Some(rule.targets.clone()),
            sees_all: rule.placements == Placements::Any,
        })
    }

    /// Whether it may ask a catalog.
    pub(crate) fn may_ask(&self, catalog: &str) -> bool {
        match &self.catalogs {
            Catalogs::All => true,
            Catalogs::Named(names) => names.iter().any(|name| name == catalog),
        }
    }

    /// Refuses what only a trusted caller may say.
    pub(crate) fn refuse_below(&self, least: Trust, what: &str) -> Result<()> {
        if self.trust >= least {
            return Ok(());
        }
        let who = if least == Trust::Full { "the agent's own user" } else { "trusted callers" };
        Err(denied("not-trusted", format!("{what} is for {who} alone")))
    }

    /// Opens a target with the caller's own rights on the file system, and refuses one that is outside its directories.
    pub(crate) fn open_target(&self, caller: &Caller, path: &Path) -> Result<Target> {
        let target = with_rights_of(caller, || {
            let target = Target::open_for_disk(path)?;
            may_change_names(target.directory().as_fd()).map_err(|error| {
                let what = format!("user {} may not make names in the directory of {}", caller.uid, path.display());
                Error::os(&error, what).scoped(Scope::Request)
            })?;
            Ok(target)
        })?;
        self.refuse_outside(&target)?;
        Ok(target)
    }

    fn refuse_outside(&self, target: &Target) -> Result<()> {
        let Some(allowed) = &self.targets else { return Ok(()) };
        let is_beneath = |directory: &PathBuf| {
            let parent = target.path().parent();
            // The target's directory was resolved; the operator may have written a path with links in it.
            let real = fs::canonicalize(directory).unwrap_or_else(|_| directory.clone());
            parent.is_some_and(|parent| parent.starts_with(real))
        };
        if allowed.iter().any(is_beneath) {
            return Ok(());
        }
        let message = format!("{} is not beneath a directory that is for this caller", target.path().display());
        Err(denied("target-outside", message))
    }
}

/// Refuses a caller that may not take away the name of what stands at the target: in a directory whose names are their
/// owners', it must own that, or the directory.
pub(crate) fn refuse_others_name(caller: &Caller, target: &Target) -> Result<()> {
    if caller.uid == 0 {
        return Ok(());
    }
    let directory = rustix::fs::fstat(target.directory())
        .map_err(|errno| Error::os(&errno.into(), "stat the target's directory").scoped(Scope::Request))?;
    let owner = match target.occupant()? {
        Some(Occupant::File(version) | Occupant::Directory(version)) => version.owner.0,
        None | Some(Occupant::Other(_)) => return Ok(()),
    };
    if directory.st_mode & STICKY == 0 || owner == caller.uid || directory.st_uid == caller.uid {
        return Ok(());
    }
    let message = format!("what stands at {} is not user {}'s", target.path().display(), caller.uid);
    Err(denied("not-owned", message))
}

/// What a caller may not do.
pub(crate) fn denied(code: &'static str, message: String) -> Error {
    Error::new(ErrorKind::Denied, code, message).scoped(Scope::Request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn agent(text: &str) -> Agent {
        let text = format!("state_dir = \"/s\"\n[catalog.central]\ntype = \"directory\"\npath = \"/c\"\n{text}");
        Config::from_toml(&text, Path::new("test.toml")).unwrap().agent
    }

    fn caller(uid: u32, groups: &[u32]) -> Caller {
        Caller { uid, gid: 900, groups: groups.to_vec().into(), pid: 1 }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = agent(
            r#"
            [[agent.caller]]
            uids = [1000]
            targets = ["/vms"]
            [[agent.caller]]
            uids = ["1000-1999"]
            gids = [77]
            catalogs = ["central"]
            placements = "any"
            trusted = true
            "#,
        );
        let rights = |uid, groups: &[u32]| Rights::of(&caller(uid, groups), &rules, 5);
        let first = rights(1000, &[77]).unwrap();
        assert_eq!((first.trust, first.may_ask("central"), first.sees_all), (Trust::None, false, false));
        for (uid, groups) in [(1500, [1]), (3000, [77])] {
            let second = rights(uid, &groups).unwrap();
            assert_eq!((second.trust, second.may_ask("central"), second.sees_all), (Trust::Records, true, true));
            assert!(!second.may_ask("other"));
        }
        assert_eq!(rights(2000, &[1]).unwrap_err().code(), "caller");
        for own in [0, 5] {
            assert_eq!(rights(own, &[]).unwrap().trust, Trust::Full);
        }
        first.refuse_below(Trust::Records, "a record").unwrap_err();
        rights(1500, &[]).unwrap().refuse_below(Trust::Full, "another owner").unwrap_err();
    }

    #[test]
    fn targets_lie_beneath_the_callers_directories() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("vms"), folder.path().join("link"));
        fs::create_dir(&real).unwrap();
        fs::create_dir(folder.path().join("vms-of-others")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let own = Caller::of_socket(&std::os::unix::net::UnixStream::pair().unwrap().0).unwrap();
        let beneath = |directory: &Path| Rights {
            trust: Trust::None,
            catalogs: Catalogs::All,
            targets: Some(vec![directory.to_owned()]),
            sees_all: false,
        };
        for rights in [beneath(&real), beneath(&link)] {
            rights.open_target(&own, &real.join("disk")).unwrap();
            rights.open_target(&own, &link.join("disk")).unwrap();
            let outside = rights.open_target(&own, &folder.path().join("vms-of-others/disk")).unwrap_err();
            assert_eq!(outside.code(), "target-outside");
            let above = rights.open_target(&own, &real.join("../disk")).unwrap_err();
            assert_eq!(above.code(), "target-outside");
        }
    }
}
