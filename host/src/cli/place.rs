//! `landfall place` and `landfall plan`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use super::options::{AccessOption, FormatOption, PlaceOptions};
use super::setup::{load_config, open_ledger};
use super::through::{Agent, Ask};
use super::{agent_place, bar, exit, plan_table, print_json, show};
use crate::cancel::Cancel;
use crate::catalog::{self, Image, ImageArgument, Said};
use crate::config::Config;
use crate::decision::Decision;
use crate::ledger::Ledger;
use crate::loading::{Loaded, load_handlers, node_limits};
use crate::place::{Access, Node, Order, Placed};
use crate::plugin::Handler;
use crate::publish::Dress;
use crate::report::{PlanReport, Report};
use crate::route::Form;
use crate::signals;

/// Everything that both commands need before they differ.
struct Prepared {
    config: Config,
    ledger: Ledger,
    handlers: Vec<Arc<dyn Handler>>,
    image: Image,
    target: PathBuf,
    directory: bool,
    cancel: Cancel,
}

/// Places a disk; gives the exit status.
pub(super) fn place(options: &PlaceOptions, config: Option<&Path>, ask: Ask, json: bool, binary: PathBuf) -> u8 {
    let began = Instant::now();
    let mut decision = Decision::default();
    let (config, agent) = match begin(options, config, ask) {
        Ok(found) => found,
        Err(error) => return answer(decision, Err(error), began, json),
    };
    if let Some(mut agent) = agent {
        return match agent_place::place(options, &config, &mut agent, json) {
            Ok(status) => status,
            Err(error) => answer(decision, Err(error), began, json),
        };
    }
    let placed = prepare(options, config, binary, &mut decision).and_then(|prepared| {
        let watch = bar::watch(options.progress);
        let limits = Some(node_limits(&prepared.config)?);
        let Prepared { config, handlers, ledger, .. } = &prepared;
        let node = Node { config, handlers, ledger, limits };
        let order = order(options, &prepared);
        let placed = node.place(&order, &mut decision, &prepared.cancel, watch.as_ref());
        // A ledger that was busy for so long would only be waited for once more.
        if let Err(error) = &placed
            && error.code() != "ledger-busy"
        {
            node.record_failure(order.target, &decision, error);
        }
        placed
    });
    answer(decision, placed, began, json)
}

/// Shows the decision; gives the exit status.
pub(super) fn plan(options: &PlaceOptions, config: Option<&Path>, ask: Ask, json: bool, binary: PathBuf) -> u8 {
    let mut decision = Decision::default();
    let begun = begin(options, config, ask);
    if let Ok((config, Some(agent))) = begun {
        return match agent_place::plan(options, &config, &mut { agent }, json) {
            Ok(status) => status,
            Err(error) => told(decision, Err(error), json),
        };
    }
    let planned = begun.and_then(|(config, _)| prepare(options, config, binary, &mut decision)).and_then(|prepared| {
        let Prepared { config, handlers, ledger, .. } = &prepared;
        let node = Node { config, handlers, ledger, limits: None };
        node.plan(&order(options, &prepared), &mut decision, &prepared.cancel).map(|_| ())
    });
    told(decision, planned, json)
}

/// Reads the configuration, and finds the agent that it is to be asked of.
fn begin(options: &PlaceOptions, config: Option<&Path>, ask: Ask) -> Result<(Config, Option<Agent>)> {
    let config = load_config(config)?;
    let ask = if agent_place::is_for_own_login(&options.image) { Ask::Nobody } else { ask };
    let agent = ask.find(&config)?;
    Ok((config, agent))
}

/// Shows a plan; gives the exit status.
fn told(decision: Decision, planned: Result<()>, json: bool) -> u8 {
    let shown = if json {
        print_json(&PlanReport::new(decision, planned.as_ref().map(|_| ())))
    } else if decision.order.is_empty() && decision.excluded.is_empty() {
        Ok(())
    } else {
        plan_table::show(&decision)
    };
    match planned.and(shown) {
        Ok(()) => exit::OK,
        Err(error) => {
            if !json {
                show::error(&error, false);
            }
            exit::status(&error)
        }
    }
}

fn prepare(options: &PlaceOptions, config: Config, binary: PathBuf, decision: &mut Decision) -> Result<Prepared> {
    let cancel = Cancel::new()?;
    // Counted from here, so that a slow record counts too.
    let deadline = options.deadline.and_then(|deadline| Instant::now().checked_add(deadline));
    let cancel = cancel.with_deadline(deadline);
    signals::cancel_on_signals(&cancel)?;
    let argument = ImageArgument::read(&options.image, &said(options), !config.catalogs.is_empty())?;
    let ledger = open_ledger(&config)?;
    if let Some(deadline) = cancel.deadline() {
        ledger.wait_at_most(deadline.saturating_duration_since(Instant::now()))?;
    }
    let Loaded { all, ordered: handlers } = load_handlers(&config, &ledger, binary);
    let image = catalog::find(&argument, &config, &all, &cancel)?;
    *decision = Decision::about(&image.record, &config, nix::unistd::geteuid().as_raw());
    let (target, directory) = match (&options.to, &options.to_dir) {
        (Some(target), _) => (target.clone(), false),
        (None, Some(target)) => (without_slash(target), true),
        (None, None) => {
            let message = "--to PATH or --to-dir DIR says where it goes";
            return Err(Error::new(ErrorKind::Invalid, "argument", message).scoped(Scope::Request));
        }
    };
    cancel.check()?;
    Ok(Prepared { config, ledger, handlers, image, target, directory, cancel })
}

/// What the options say of stored bytes that have no record.
pub(super) fn said(options: &PlaceOptions) -> Said {
    Said {
        hash: options.hash.clone(),
        disk_format: options.disk_format.clone(),
        container_format: options.container_format.clone(),
        compression: options.compression.clone(),
    }
}

/// A directory may be written with a slash behind it, though it is not there yet.
pub(super) fn without_slash(path: &Path) -> PathBuf {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last.saturating_add(1));
    PathBuf::from(OsStr::from_bytes(bytes.get(..end).unwrap_or_default()))
}

fn order<'a>(options: &PlaceOptions, prepared: &'a Prepared) -> Order<'a> {
    Order {
        image: &prepared.image,
        target: &prepared.target,
        directory: prepared.directory,
        form: match options.format {
            FormatOption::Raw => Form::Raw,
            FormatOption::AsIs => Form::AsIs,
        },
        access: match options.access {
            AccessOption::Rw => Access::ReadWrite,
            AccessOption::Ro => Access::ReadOnly,
        },
        dress: Dress { owner: options.owner, mode: options.mode, size: options.size, replace: options.replace },
        allow_unhashed: options.allow_unhashed,
        shared: false,
        caller: nix::unistd::geteuid().as_raw(),
    }
}

fn answer(decision: Decision, placed: Result<Placed>, began: Instant, json: bool) -> u8 {
    let seconds = began.elapsed().as_secs_f64();
    let shown = match (&placed, json) {
        (_, true) => print_json(&Report::new(decision, placed.as_ref(), seconds)),
        (Ok(placed), false) => show::facts(&placed.path, &placed.facts)
            .and_then(|()| show::line(format_args!("  took      {seconds:.2} s"))),
        (Err(error), false) => {
            show::error(error, false);
            Ok(())
        }
    };
    match (placed, shown) {
        (Ok(_), Ok(())) => exit::OK,
        // The disk is there, but nobody was told: that is a failure of the command, of a kind that misleads nobody.
        (Ok(placed), Err(error)) => {
            let message = format!("{} was placed, but the answer could not be written: {error}", placed.path.display());
            let error = Error::new(ErrorKind::Io, "answer-lost", message).scoped(Scope::Request);
            show::error(&error, false);
            exit::status(&error)
        }
        (Err(error), _) => exit::status(&error),
    }
}
