//! Loads a checked file and reads its table: the handshake.

#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use landfall_handler_api::abi::*;
use landfall_handler_api::crossing::{borrow_text, clean_text, copy_least};
use landfall_handler_api::{HandlerInfo, HandlerKind};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use serde::{Deserialize, Serialize};

use super::backend::PluginIdentity;
use super::refusal::Refusal;

/// A plugin with more handlers than this is no plugin.
const HANDLERS_MAX: usize = 64;
const NAME_MAX: usize = 64;
const BUILT_WITH_MAX: usize = 256;
const INFO_MAX: usize = 64 * 1024;
const REASON_MAX: usize = 400;
const FLAGS_KNOWN: u32 = IMGH_PLUGIN_PANIC_ABORTS | IMGH_PLUGIN_WORKER_ONLY;
const FLAGS_TO_UNDERSTAND: u32 = 0xFFFF_0000;

/// A plugin as its table describes it: what `landfall handlers inspect` shows and what a scan gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PluginShape {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) built_with: String,
    pub(crate) abi_major: u32,
    pub(crate) abi_minor: u32,
    pub(crate) flags: u32,
    pub(crate) struct_size: usize,
    pub(crate) handlers: Vec<HandlerShape>,
}

impl PluginShape {
    /// What reports call this plugin, that was found at `path`.
    pub(crate) fn identity(&self, path: &Path) -> PluginIdentity {
        PluginIdentity { name: self.name.clone(), version: self.version.clone(), path: path.to_owned() }
    }
}

/// One handler's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HandlerShape {
    pub(crate) struct_size: usize,
    /// `serial` or `parallel`.
    pub(crate) threads: String,
    /// The functions that are there.
    pub(crate) functions: Vec<String>,
    pub(crate) info: HandlerInfo,
}

/// A plugin in this process, for ever.
pub(crate) struct Loaded {
    pub(crate) shape: PluginShape,
    /// In the order of `shape.handlers`.
    pub(crate) tables: Vec<imgh_handler>,
}

/// Loads the file and shakes hands. The library is never unloaded, and its descriptor never closed.
pub(crate) fn load(file: File) -> Result<Loaded, Refusal> {
    check_elf(&file)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // The linker tells libraries apart by the name that they were opened by: with the descriptor closed, the next one of
    // the same number would be taken for this library.
    std::mem::forget(file);
    // SAFETY: running the file's constructors is what is wanted; it was trusted before, and ran in a scan before that.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE) }
        .map_err(|error| Refusal::new("dlopen-failed", clean_text(error.to_string().as_bytes(), REASON_MAX)))?;
    let symbol = CString::new(IMGH_ENTRY).map_err(|error| Refusal::new("no-entry-symbol", error))?;
    // SAFETY: the symbol of this name has this type by the ABI.
    let entry = unsafe { library.get::<unsafe extern "C" fn() -> *const imgh_plugin>(symbol.to_bytes_with_nul()) }
        .map(|entry| *entry)
        .map_err(|_| Refusal::new("no-entry-symbol", format!("it does not export {IMGH_ENTRY}")));
    std::mem::forget(library);
    // SAFETY: a function of the ABI that may be called from any thread; what it returns lives as long as the process.
    unsafe { shake_hands(entry?()) }
}

/// Something that the linker will take for a library. Says "not ELF" in our words rather than in the linker's.
fn check_elf(file: &File) -> Result<(), Refusal> {
    let mut magic = [0; 4];
    match file.read_exact_at(&mut magic, 0) {
        Ok(()) if magic == *b"\x7fELF" => Ok(()),
        _ => Err(Refusal::new("not-elf", "the file is no ELF library")),
    }
}

/// # Safety
///
/// `plugin` is what an entry function returned.
unsafe fn shake_hands(plugin: *const imgh_plugin) -> Result<Loaded, Refusal> {
    // What comes before `name` has to be right before the rest can be read at all.
    const LEAD: usize = offset_of!(imgh_plugin, name);
    if plugin.is_null() || !plugin.is_aligned() {
        return Err(Refusal::new("no-table", "its entry function returned no table"));
    }
    // SAFETY: struct_size itself is there by the ABI, and as many bytes as it says.
    let struct_size = unsafe { (*plugin).struct_size };
    if struct_size < LEAD {
        return Err(Refusal::new("struct-too-short", format!("its table says that it has {struct_size} bytes")));
    }
    // SAFETY: these fields lie within LEAD.
    let (magic, major, minor, flags) =
        unsafe { ((*plugin).magic, (*plugin).abi_major, (*plugin).abi_minor, (*plugin).flags) };
    if magic != IMGH_MAGIC {
        return Err(Refusal::new("bad-magic", format!("its table begins with {magic:#010x}, not {IMGH_MAGIC:#010x}")));
    }
    if major != IMGH_ABI_MAJOR {
        return Err(other_abi("abi-major", major, minor));
    }
    if minor != IMGH_ABI_MINOR {
        return Err(other_abi("abi-minor", major, minor));
    }
    if flags & FLAGS_TO_UNDERSTAND & !FLAGS_KNOWN != 0 {
        return Err(Refusal::new(
            "unknown-flags",
            format!("its flags {flags:#010x} demand what this agent does not know"),
        ));
    }
    // SAFETY: as above; strings and tables of a plugin are static.
    let (table, name, version, built_with) = unsafe {
        let table = copy_least(plugin, "imgh_plugin")?;
        let name = borrow_text(table.name, NAME_MAX, "the plugin's name")?;
        let version = borrow_text(table.version, NAME_MAX, "the plugin's version")?;
        (table, name, version, borrow_text(table.built_with, BUILT_WITH_MAX, "built_with")?)
    };
    if !is_word(name) {
        return Err(Refusal::new(
            "bad-name",
            format!("its name {name:?} is not of lower-case letters, digits and dashes"),
        ));
    }
    if table.handlers.is_null() || table.handler_count == 0 || table.handler_count > HANDLERS_MAX {
        let reason =
            format!("its table of handlers is NULL or has {} entries, not 1 to {HANDLERS_MAX}", table.handler_count);
        return Err(Refusal::new("bad-handlers", reason));
    }
    let mut shape = PluginShape {
        name: name.to_owned(),
        version: clean_text(version.as_bytes(), NAME_MAX),
        built_with: clean_text(built_with.as_bytes(), BUILT_WITH_MAX),
        abi_major: major,
        abi_minor: minor,
        flags,
        struct_size,
        handlers: Vec::new(),
    };
    let mut tables = Vec::new();
    for number in 0..table.handler_count {
        // SAFETY: the plugin says that there are so many pointers, each to a table.
        let (handler, table) = unsafe { read_handler(*table.handlers.add(number))? };
        shape.handlers.push(handler);
        tables.push(table);
    }
    Ok(Loaded { shape, tables })
}

/// # Safety
///
/// `handler` is one of a plugin's handlers.
unsafe fn read_handler(handler: *const imgh_handler) -> Result<(HandlerShape, imgh_handler), Refusal> {
    // SAFETY: a static table, by the ABI.
    let (table, json) = unsafe {
        let table = copy_least(handler, "imgh_handler")?;
        (table, borrow_text(table.info, INFO_MAX, "a handler's info")?)
    };
    let info: HandlerInfo = serde_json::from_str(json)
        .map_err(|error| Refusal::new("bad-info", format!("the info of a handler is not what it must be: {error}")))?;
    check_info(&info, &table)?;
    let threads = match table.thread_model {
        IMGH_SERIAL => "serial",
        IMGH_PARALLEL => "parallel",
        other => return Err(Refusal::new("bad-thread-model", format!("{}: unknown thread model {other}", info.id))),
    };
    let functions =
        functions(&table).into_iter().filter(|(_, there)| *there).map(|(name, _)| name.to_owned()).collect();
    Ok((HandlerShape { struct_size: table.struct_size, threads: threads.to_owned(), functions, info }, table))
}

fn check_info(info: &HandlerInfo, table: &imgh_handler) -> Result<(), Refusal> {
    let id = &info.id;
    let bad = |reason: String| Err(Refusal::new("bad-info", reason));
    if !is_word(id) || id.len() > 48 {
        return bad(format!("a handler's id {id:?} is not 1 to 48 lower-case letters, digits and dashes"));
    }
    if info.kinds.is_empty() {
        return bad(format!("{id} names no kind"));
    }
    let scheme_ok = |scheme: &String| {
        let mut bytes = scheme.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_lowercase())
            && bytes.all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'.' | b'-'))
    };
    if let Some(scheme) = info.schemes.iter().find(|scheme| !scheme_ok(scheme)) {
        return bad(format!("{id} names {scheme:?}, which is no lower-case URL scheme"));
    }
    let setting_ok = |name: &String| {
        let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        plain && !name.is_empty() && !name.ends_with("_file") && name != "isolation"
    };
    if let Some(name) = info.file_settings.iter().find(|name| !setting_ok(name)) {
        return bad(format!("{id} names {name:?} as a setting that may be a file, which no setting can be called"));
    }
    if table.create.is_none() || table.destroy.is_none() {
        return bad(format!("{id} has no create or no destroy"));
    }
    if info.deletes && table.delete_stored.is_none() {
        return bad(format!("{id} says that it deletes, and has no delete_stored"));
    }
    for kind in &info.kinds {
        let there = match kind {
            HandlerKind::Transfer => table.transfer.is_some(),
            HandlerKind::Source => table.open.is_some(),
            HandlerKind::Filter => table.filter.is_some(),
            HandlerKind::Unpack => table.unpack.is_some(),
            HandlerKind::Select => table.select.is_some(),
            _ => false,
        };
        if !there {
            return bad(format!("{id} names the kind {kind:?} without the function for it"));
        }
    }
    Ok(())
}

fn functions(table: &imgh_handler) -> [(&'static str, bool); 12] {
    [
        ("create", table.create.is_some()),
        ("destroy", table.destroy.is_some()),
        ("probe", table.probe.is_some()),
        ("transfer", table.transfer.is_some()),
        ("open", table.open.is_some()),
        ("filter", table.filter.is_some()),
        ("unpack", table.unpack.is_some()),
        ("select", table.select.is_some()),
        ("delete_stored", table.delete_stored.is_some()),
        ("status", table.status.is_some()),
        ("placement_removed", table.placement_removed.is_some()),
        ("placement_moved", table.placement_moved.is_some()),
    ]
}

/// `[a-z0-9][a-z0-9-]*`
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn other_abi(code: &str, major: u32, minor: u32) -> Refusal {
    let reason = format!("it was built for ABI {major}.{minor}; this agent has {IMGH_ABI_MAJOR}.{IMGH_ABI_MINOR}");
    Refusal::new(code, reason)
}
