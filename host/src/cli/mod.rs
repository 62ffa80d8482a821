//! The command line.

mod agent_place;
mod answer;
mod bar;
mod exit;
mod handlers;
mod locations;
mod options;
mod place;
mod placements;
mod plan_table;
mod replay;
mod scrub;
mod setup;
mod show;
mod through;
mod watching;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as ClapErrorKind;
use landfall_handler_api::{Error, ErrorKind, Result, Scope};

use options::{Arguments, Command, ConfigCommand, HandlersCommand};

use crate::redact::visible_json;

use through::Ask;

/// Runs the command line; gives the exit status. `binary` is this program's file, for the processes that it starts.
pub fn run(arguments: impl IntoIterator<Item = OsString>, binary: PathBuf) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error, wants_json),
    };
    let config = arguments.config.as_deref();
    let json = arguments.json;
    let agent = if arguments.no_agent { Ask::Nobody } else { Ask::Agent };
    // What it reads and is told may be secret, and its descriptors are nobody else's.
    if let Err(error) = crate::worker::hide_memory() {
        crate::complaint::complain(format_args!("this process can be looked into: {error}"));
    }
    // These answer by themselves, and keep the plugin's own output apart as well.
    if !matches!(arguments.command, Command::ScanPlugin | Command::CheckPlugin | Command::Worker)
        && let Err(error) = answer::keep()
    {
        show::error(&error, json);
        return ExitCode::from(exit::status(&error));
    }
    let done = match arguments.command {
        Command::Place(options) => return place::place(&options, config, agent, json, binary).into(),
        Command::Plan(options) => return place::plan(&options, config, agent, json, binary).into(),
        Command::Remove { path } => placements::remove(&path, config, agent, json, binary),
        Command::Move { from, to } => placements::rename(&from, &to, config, agent, json, binary),
        Command::Placements => placements::list(config, agent, json),
        Command::History { most } => placements::history(most, config, agent, json),
        Command::Replay { entry } => replay::replay(entry, config, json, binary),
        Command::Locations { command } => locations::locations(&command, config, json),
        Command::Scrub(options) => match scrub::scrub(&options, config, json, binary) {
            Ok(Some(error)) => return exit::status(&error).into(),
            done => done.map(|_| ()),
        },
        Command::Handlers { command: None } => handlers::list(config, json, binary),
        Command::Handlers { command: Some(HandlersCommand::Inspect { file }) } => {
            handlers::inspect(&file, json, &binary)
        }
        Command::Handlers { command: Some(HandlersCommand::Check(options)) } => {
            match handlers::check(&options, config, json, &binary) {
                Ok(Some(error)) => return exit::status(&error).into(),
                checked => checked.map(|_| ()),
            }
        }
        Command::Agent => setup::load_config(config).and_then(|loaded| crate::agent::run(loaded, config, binary)),
        Command::Config { command } => match command {
            ConfigCommand::Check => setup::check(config, json, binary),
            ConfigCommand::Show => setup::show(config, json),
            ConfigCommand::Schema => setup::schema(),
        },
        Command::ScanPlugin => return crate::plugin::scan_main(),
        Command::CheckPlugin => return crate::plugin::check_main(),
        Command::Worker => return crate::worker::worker_main(),
        #[cfg(feature = "fault-points")]
        Command::FaultPoints => crate::faults::Point::ALL.iter().try_for_each(|point| show::line(point.name())),
    };
    let status = match done {
        Ok(()) => exit::OK,
        // Whoever reads a listing may stop when they have seen enough.
        Err(error) if error.os_errno() == Some(libc::EPIPE) => exit::OK,
        Err(error) => {
            show::error(&error, json);
            exit::status(&error)
        }
    };
    ExitCode::from(status)
}

/// Shows what clap has to say: what was asked for, or what is wrong with the command line.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    // Not being able to write a usage message is no reason for another one.
    let _ = error.print();
    if matches!(error.kind(), ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion) {
        return ExitCode::from(exit::OK);
    }
    if json {
        let message = error.render().to_string();
        // What is missing stands in lines of its own, up to an empty one.
        let lines: Vec<&str> = message.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        let text = lines.join(" ");
        let error = Error::new(ErrorKind::Invalid, "usage", text.trim_start_matches("error: ")).scoped(Scope::Request);
        let _ = answer::keep().and_then(|()| print_json(&show::error_document(&error)));
    }
    ExitCode::from(exit::USAGE)
}

/// Prints one JSON document to standard output.
fn print_json(document: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(document)
        .map_err(|error| Error::new(ErrorKind::Internal, "json", error.to_string()))?;
    text.push('\n');
    answer::write(&visible_json(&text))
}
