//! The agent: what boot code calls.

mod again;
mod callers;
mod examples;
mod groups;
mod life;
mod rights;
mod storm;
mod sweep;

use crate::support::agent::Agent;
use crate::support::case::Case;
use crate::support::fault_server::FaultServer;
use crate::support::sandbox::Sandbox;
use crate::support::seeded::Content;

pub(crate) fn cases() -> Vec<Case> {
    [
        storm::cases(),
        groups::cases(),
        rights::cases(),
        callers::cases(),
        life::cases(),
        again::cases(),
        examples::cases(),
        sweep::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Configures a directory catalog `images` and an agent, with more tables.
fn configure(sandbox: &Sandbox<'_>, agent: &str, more: &str) {
    let records = sandbox.home("records");
    std::fs::create_dir_all(&records).unwrap();
    let catalog = format!("[catalog.images]\ntype = \"directory\"\npath = {records:?}\n");
    let http = "[handler.http]\nallow_addresses = [\"127.0.0.1/32\"]\n";
    sandbox.configure("", &format!("{}{catalog}{http}{more}", Agent::table(sandbox, agent)));
}

/// Puts an image of these bytes, at this server, into the catalog.
fn add_image(sandbox: &Sandbox<'_>, id: &str, content: Content, server: &FaultServer) {
    let mut record = content.record(&[server.url(&format!("/{id}"))]);
    record["id"] = id.into();
    std::fs::write(sandbox.home("records").join(format!("{id}.json")), record.to_string()).unwrap();
}
