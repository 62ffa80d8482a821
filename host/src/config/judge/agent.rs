//! The agent: where it listens, how much it takes on, and who may ask it for what.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Judge;
use crate::config::error::Finding;
use crate::config::nearest::nearest;
use crate::config::raw::RawCatalog;
use crate::config::raw_agent::{RawAgent, RawCaller, RawIds};
use crate::config::tree::At;
use crate::config::{Agent, CallerRule, Catalogs, SYSTEM_SOCKET};

/// Where state is kept by default, and the socket that belongs to it.
const SYSTEM: (&str, &str) = ("/var/lib/landfall", SYSTEM_SOCKET);
/// What its name is elsewhere.
const SOCKET: &str = "agent.sock";
/// The longest path of the socket: a Unix socket's has at most 107 bytes (`unix(7)`, without the NUL), and the agent makes it
/// under another name of five bytes first.
pub(in crate::config) const SOCKET_MAX: usize = 103;

impl Judge<'_> {
    pub(super) fn agent(&mut self, raw: RawAgent, state_dir: &Path, catalogs: &BTreeMap<String, RawCatalog>) -> Agent {
        let at = At::top().key("agent");
        let default = if state_dir == Path::new(SYSTEM.0) { PathBuf::from(SYSTEM.1) } else { state_dir.join(SOCKET) };
        Agent {
            socket: raw.socket.map_or(default, |socket| self.socket(&at.key("socket"), &socket)),
            socket_mode: match raw.socket_mode {
                Some(mode) => self.socket_mode(&at.key("socket_mode"), &mode),
                None if raw.callers.is_empty() => 0o600,
                None => 0o666,
            },
            jobs: raw.jobs,
            workers: raw.workers,
            queue: raw.queue,
            queue_per_caller: raw.queue_per_caller,
            connections: raw.connections,
            connections_per_caller: raw.connections_per_caller,
            linger: self.duration(&at.key("linger"), "linger", &raw.linger),
            stop: self.duration(&at.key("stop"), "stop", &raw.stop),
            scrub_every: self.duration(&at.key("scrub_every"), "scrub_every", &raw.scrub_every),
            scrub_delay: self.duration(&at.key("scrub_delay"), "scrub_delay", &raw.scrub_delay),
            log: raw.log,
            callers: {
                let at = at.key("caller");
                let rules = raw.callers.into_iter().enumerate();
                rules.map(|(index, rule)| self.caller(&at.index(index), rule, catalogs)).collect()
            },
        }
    }

    fn socket(&mut self, at: &At, written: &str) -> PathBuf {
        let path = self.path(at, "socket", written);
        if path.as_os_str().as_bytes().len() > SOCKET_MAX {
            self.bad(at, "`socket` is too long", format!("a socket's path has at most {SOCKET_MAX} bytes"));
        }
        path
    }

    fn socket_mode(&mut self, at: &At, written: &str) -> u32 {
        let is_octal = !written.is_empty() && written.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let mode = u32::from_str_radix(written, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        mode.unwrap_or_else(|| {
            self.bad(at, "`socket_mode` is not a mode", "octal digits, at most 0777");
            0
        })
    }

    fn caller(&mut self, at: &At, raw: RawCaller, catalogs: &BTreeMap<String, RawCatalog>) -> CallerRule {
        if raw.uids.is_empty() && raw.gids.is_empty() {
            self.bad(at, "this rule is for nobody", "it needs `uids` or `gids`");
        }
        CallerRule {
            uids: self.ids(&at.key("uids"), "uids", raw.uids),
            gids: self.ids(&at.key("gids"), "gids", raw.gids),
            catalogs: self.callers_catalogs(&at.key("catalogs"), raw.catalogs, catalogs),
            targets: {
                let at = at.key("targets");
                let paths = raw.targets.iter().enumerate();
                paths.map(|(index, path)| self.path(&at.index(index), "targets", path)).collect()
            },
            placements: raw.placements,
            trusted: raw.trusted,
        }
    }

    fn ids(&mut self, at: &At, key: &str, written: Vec<RawIds>) -> Vec<RangeInclusive<u32>> {
        let mut ranges = Vec::new();
        for (index, ids) in written.into_iter().enumerate() {
            match range(&ids) {
                Some(range) => ranges.push(range),
                None => {
                    let label = "a number, or `FIRST-LAST`, at most 4294967294";
                    self.bad(&at.index(index), format!("`{key}` has what is no user or group"), label);
                }
            }
        }
        ranges
    }

    fn callers_catalogs(&mut self, at: &At, written: Vec<String>, catalogs: &BTreeMap<String, RawCatalog>) -> Catalogs {
        if written == ["*"] {
            return Catalogs::All;
        }
        for (index, name) in written.iter().enumerate().filter(|(_, name)| !catalogs.contains_key(*name)) {
            let span = self.span(&at.index(index));
            if name == "*" {
                let label = "all catalogs, so the other names are superfluous";
                self.findings.push(Finding::new(span, "`*` stands alone", label).help("write `[\"*\"]`"));
                continue;
            }
            let message = format!("there is no `[catalog.{}]`", name.escape_debug());
            let near = nearest(name, catalogs.keys().map(String::as_str));
            let finding = Finding::new(span, message, "not the name of a catalog");
            self.findings.push(finding.maybe_help(near.map(|near| format!("did you mean \"{near}\"?"))));
        }
        Catalogs::Named(written)
    }
}

/// Reads `1000` and `1000-1999`.
fn range(ids: &RawIds) -> Option<RangeInclusive<u32>> {
    let id = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // The largest stands for none in system calls.
        text.parse().ok().filter(|&id: &u32| is_number && id != u32::MAX)
    };
    match ids {
        RawIds::Number(number) => {
            let id = id(&number.to_string())?;
            Some(id..=id)
        }
        RawIds::Text(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let (first, last) = (id(first)?, id(last)?);
            (first <= last).then_some(first..=last)
        }
    }
}
