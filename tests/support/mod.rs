//! What the tests stand on: file systems, sandboxes, a runner of commands, and a few looks at files.

pub(crate) mod access_log;
pub(crate) mod answer;
pub(crate) mod c_plugin;
pub(crate) mod canary;
pub(crate) mod case;
pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod command;
pub(crate) mod disk;
pub(crate) mod fault_server;
pub(crate) mod gate;
pub(crate) mod install;
pub(crate) mod left_over;
pub(crate) mod mode;
pub(crate) mod mounts;
pub(crate) mod needs;
pub(crate) mod nginx;
pub(crate) mod observe;
pub(crate) mod openstack;
pub(crate) mod ova;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod seeded;
pub(crate) mod world;
