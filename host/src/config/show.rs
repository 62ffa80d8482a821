//! The effective configuration as a file: every default written out.

use std::ops::RangeInclusive;

use landfall_rules::{Effect, Rule};
use serde_json::Value;

use super::judge::agent::SOCKET_MAX;
use super::raw::{RawCatalog, RawCloud, RawConfig, RawLimits, RawRule, RawSize, RawStore, written_strategy};
use super::raw_agent::{RawAgent, RawCaller, RawIds};
use super::units::{Size, written_duration};
use super::{
    Agent, CallerRule, Catalog, CatalogType, Catalogs, CloudSource, Config, HandlerSection, Limits, Store, secrets,
};

/// `config` as a file that means the same. Secrets of handlers are shown as `***`.
pub fn render_effective(config: &Config) -> String {
    let origin = match &config.source {
        // A line break in a file's name must not end the comment.
        Some(path) => format!("from {}", path.display().to_string().escape_debug()),
        None => "the defaults: there is no configuration file".to_owned(),
    };
    let body = toml::to_string(&written(config)).expect("a configuration has a form in TOML");
    format!("# {origin}\n{body}")
}

fn written(config: &Config) -> RawConfig {
    // Every member by name, so that the compiler asks for a new one.
    let Config {
        source: _,
        node,
        labels,
        handlers,
        plugin_dirs,
        plugin_sha256,
        isolation,
        route,
        selection,
        rules,
        never_fallback,
        state_dir,
        stage_keep,
        legacy_md5,
        allow_unhashed,
        limits,
        stores,
        store_cloud,
        clouds,
        catalogs,
        handler_sections,
        agent,
    } = config;
    RawConfig {
        node: Some(node.clone()),
        handlers: handlers.clone(),
        plugin_dirs: plugin_dirs.iter().map(|path| path.display().to_string()).collect(),
        plugin_sha256: plugin_sha256.clone(),
        isolation: *isolation,
        route: *route,
        selection: written_strategy(selection),
        rules: rules.iter().map(written_rule).collect(),
        never_fallback: *never_fallback,
        state_dir: Some(state_dir.display().to_string()),
        stage_keep: written_duration(*stage_keep),
        legacy_md5: *legacy_md5,
        allow_unhashed: *allow_unhashed,
        labels: labels.clone(),
        limits: written_limits(limits),
        stores: stores.iter().map(written_store).collect(),
        store_cloud: store_cloud.clone(),
        clouds: clouds.iter().map(|(name, cloud)| (name.clone(), written_cloud(cloud))).collect(),
        catalogs: catalogs.iter().map(|(name, catalog)| (name.clone(), written_catalog(catalog))).collect(),
        handler_sections: {
            let sections = handler_sections.iter();
            sections.map(|(name, section)| (name.clone(), written_section(section))).collect()
        },
        agent: written_agent(agent),
    }
}

fn written_agent(agent: &Agent) -> RawAgent {
    RawAgent {
        // The default beneath a long `state_dir` may be too long for a socket: written out, it could not be read again.
        socket: (agent.socket.as_os_str().len() <= SOCKET_MAX).then(|| agent.socket.display().to_string()),
        socket_mode: Some(format!("{:04o}", agent.socket_mode)),
        jobs: agent.jobs,
        workers: agent.workers,
        queue: agent.queue,
        queue_per_caller: agent.queue_per_caller,
        connections: agent.connections,
        connections_per_caller: agent.connections_per_caller,
        linger: written_duration(agent.linger),
        stop: written_duration(agent.stop),
        scrub_every: written_duration(agent.scrub_every),
        scrub_delay: written_duration(agent.scrub_delay),
        log: agent.log,
        callers: agent.callers.iter().map(written_caller).collect(),
    }
}

fn written_caller(rule: &CallerRule) -> RawCaller {
    let ids = |ranges: &[RangeInclusive<u32>]| {
        let written = |range: &RangeInclusive<u32>| match (range.start(), range.end()) {
            (first, last) if first == last => RawIds::Number(i64::from(*first)),
            (first, last) => RawIds::Text(format!("{first}-{last}")),
        };
        ranges.iter().map(written).collect()
    };
    RawCaller {
        uids: ids(&rule.uids),
        gids: ids(&rule.gids),
        catalogs: match &rule.catalogs {
            Catalogs::All => vec!["*".to_owned()],
            Catalogs::Named(names) => names.clone(),
        },
        targets: rule.targets.iter().map(|path| path.display().to_string()).collect(),
        placements: rule.placements,
        trusted: rule.trusted,
    }
}

fn written_limits(limits: &Limits) -> RawLimits {
    let size = |bytes: u64| RawSize::Text(Size(bytes).to_string());
    RawLimits {
        disk_bytes: size(limits.disk_bytes),
        disks: limits.disks,
        overcommit: limits.overcommit,
        record_bytes: size(limits.record_bytes),
        locations: limits.locations,
        grace: written_duration(limits.grace),
        stall: written_duration(limits.stall),
        least_rate: size(limits.least_rate),
        connections: limits.connections,
        connections_per_origin: limits.connections_per_origin,
        bandwidth: limits.bandwidth.map(size),
        worker_memory: size(limits.worker_memory),
        worker_cpu: written_duration(limits.worker_cpu),
        resume_bytes: size(limits.resume_bytes),
        bench: written_duration(limits.bench),
    }
}

fn written_rule(rule: &Rule) -> RawRule {
    let text = |effect: Effect| (rule.effect() == effect).then(|| rule.text().to_owned());
    RawRule {
        name: Some(rule.name().to_owned()),
        deny: text(Effect::Deny),
        prefer: text(Effect::Prefer),
        score: text(Effect::Score),
    }
}

fn written_store(store: &Store) -> RawStore {
    let path = |path: &std::path::Path| (!path.as_os_str().is_empty()).then(|| path.display().to_string());
    RawStore {
        id: store.id.clone(),
        store_type: store.store_type.name().to_owned(),
        schemes: store.schemes.clone(),
        root: path(&store.root),
        mountpoint: path(&store.mountpoint),
        hardlink: store.hardlink,
        verify: store.verify,
        combine: store.combine,
        delete: store.delete,
    }
}

fn written_catalog(catalog: &Catalog) -> RawCatalog {
    match catalog {
        Catalog::Directory { path } => RawCatalog {
            catalog_type: CatalogType::Directory,
            path: Some(path.display().to_string()),
            cloud: None,
            service_cloud: None,
        },
        Catalog::Glance { cloud, service_cloud } => RawCatalog {
            catalog_type: CatalogType::Glance,
            path: None,
            cloud: Some(cloud.clone()),
            service_cloud: service_cloud.clone(),
        },
    }
}

fn written_cloud(cloud: &CloudSource) -> RawCloud {
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    match cloud {
        CloudSource::Environment => RawCloud { environment: true, ..RawCloud::default() },
        CloudSource::File { path: file, entry } => {
            RawCloud { clouds_file: path(file), entry: Some(entry.clone()), ..RawCloud::default() }
        }
        CloudSource::Options(options) => RawCloud {
            auth_type: options.auth_type.clone(),
            auth: options.auth.iter().map(|(key, value)| (key.clone(), secrets::shown(key, value))).collect(),
            region_name: options.region_name.clone(),
            interface: options.interface.clone(),
            ca_file: path(&options.ca_file),
            client_certificate_file: path(&options.client_certificate_file),
            client_key_file: path(&options.client_key_file),
            endpoints: options.endpoints.iter().map(|(key, value)| (key.clone(), secrets::shown(key, value))).collect(),
            ..RawCloud::default()
        },
    }
}

fn written_section(section: &HandlerSection) -> toml::Table {
    let mut table = match toml_value(secrets::hidden(&section.config)) {
        Some(toml::Value::Table(table)) => table,
        _ => toml::Table::new(),
    };
    let isolation = toml::Value::try_from(section.isolation).expect("an isolation is written as a string");
    table.insert("isolation".to_owned(), isolation);
    table
}

/// TOML has no null, and its integers are signed.
fn toml_value(value: Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(truth) => truth.into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.into(),
        Value::Array(items) => toml::Value::Array(items.into_iter().filter_map(toml_value).collect()),
        Value::Object(members) => {
            let members = members.into_iter();
            toml::Value::Table(members.filter_map(|(key, value)| Some((key, toml_value(value)?))).collect())
        }
    })
}
