//! The command line.

mod bar;
mod exit;
mod handlers;
mod options;
mod place;
mod placements;
mod report;
mod setup;
mod show;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as ClapErrorKind;
use landfall_handler_api::Result;

use options::{Arguments, Command, ConfigCommand, HandlersCommand};

/// Runs the command line; gives the exit status. `binary` is this program's file, for the processes that it starts.
pub fn run(arguments: impl IntoIterator<Item = OsString>, binary: PathBuf) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Not being able to write a usage message is no reason for another one.
            let _ = error.print();
            let asked = matches!(error.kind(), ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion);
            return ExitCode::from(if asked { exit::OK } else { exit::USAGE });
        }
    };
    let config = arguments.config.as_deref();
    let json = arguments.json;
    let done = match arguments.command {
        Command::Place(options) => return place::place(&options, config, json, binary).into(),
        Command::Plan(options) => return place::plan(&options, config, json, binary).into(),
        Command::Remove { path } => placements::remove(&path, config, json, binary),
        Command::Move { from, to } => placements::rename(&from, &to, config, json, binary),
        Command::Placements => placements::list(config, json),
        Command::History { most } => placements::history(most, config, json),
        Command::Handlers { command: None } => handlers::list(config, json, binary),
        Command::Handlers { command: Some(HandlersCommand::Inspect { file }) } => {
            handlers::inspect(&file, json, &binary)
        }
        Command::Handlers { command: Some(HandlersCommand::Check { file }) } => handlers::check(&file, json, &binary),
        Command::Config { command } => match command {
            ConfigCommand::Check => setup::check(config),
            ConfigCommand::Show => setup::show(config),
            ConfigCommand::Schema => setup::schema(),
        },
        Command::ScanPlugin => return crate::plugin::scan_main(),
        #[cfg(feature = "fault-points")]
        Command::FaultPoints => crate::faults::Point::ALL.iter().try_for_each(|point| show::line(point.name())),
    };
    let status = match done {
        Ok(()) => exit::OK,
        Err(error) => {
            show::error(&error, json);
            exit::status(&error)
        }
    };
    ExitCode::from(status)
}

/// Prints one JSON document to standard output.
fn print_json(document: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(document).map_err(|error| {
        landfall_handler_api::Error::new(landfall_handler_api::ErrorKind::Internal, "json", error.to_string())
    })?;
    text.push('\n');
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| landfall_handler_api::Error::os(&error, "write to standard output"))
}
