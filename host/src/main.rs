//! The agent and command line of Landfall.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    // Processes that plugins are scanned in are this program again. Looked up once, here, before anything changes.
    let binary = std::env::current_exe().unwrap_or_else(|_| "landfall".into());
    landfall::cli::run(std::env::args_os(), binary)
}
