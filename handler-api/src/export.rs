//! `export!`: from handler types to the one exported symbol.

#![allow(unsafe_code)]

use std::panic::catch_unwind;
use std::sync::OnceLock;

use crate::abi::*;
use crate::crossing::lend_text;
use crate::handler::ImageHandler;
use crate::request::HandlerKind;
use crate::slots;

/// Makes this crate a plugin: exports `imgh_plugin_v0` for the handlers named.
///
/// ```text
/// landfall_handler_api::export! { name: "file", handlers: [FileHandler] }
/// ```
///
/// In the root of a `cdylib`, once. The version is the crate's own. A crate that must only ever run in a process of its
/// own adds `worker_only: true`; one built with `panic = "abort"` says so by itself.
#[macro_export]
macro_rules! export {
    (name: $name:literal, handlers: [$($handler:ty),+ $(,)?] $(, worker_only: $worker_only:literal)? $(,)?) => {
        /// The plugin's table.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        pub extern "C" fn imgh_plugin_v0() -> *const $crate::abi::imgh_plugin {
            static PLUGIN: $crate::export::Plugin = $crate::export::Plugin::new();
            PLUGIN.table(|| {
                let worker_only = false $(|| $worker_only)?;
                $crate::export::describe(
                    $name,
                    env!("CARGO_PKG_VERSION"),
                    cfg!(panic = "abort"),
                    worker_only,
                    vec![$($crate::export::handler::<$handler>()),+],
                )
            })
        }
    };
}

/// A plugin's table, made at the first call of the entry function.
pub struct Plugin(OnceLock<&'static imgh_plugin>);

// SAFETY: the table is never written once it is made, and what it points to lives as long as the process.
unsafe impl Sync for Plugin {}

impl Plugin {
    /// Not made yet.
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The table; NULL when a handler's `info` panics.
    pub fn table(&'static self, make: fn() -> &'static imgh_plugin) -> *const imgh_plugin {
        catch_unwind(|| std::ptr::from_ref(*self.0.get_or_init(make))).unwrap_or(std::ptr::null())
    }
}

impl Default for Plugin {
    fn default() -> Self {
        Self::new()
    }
}

/// A plugin's table, for ever.
pub fn describe(
    name: &'static str,
    version: &'static str,
    panic_aborts: bool,
    worker_only: bool,
    handlers: Vec<*const imgh_handler>,
) -> &'static imgh_plugin {
    let handlers: &'static [*const imgh_handler] = handlers.leak();
    let mut flags = 0;
    if panic_aborts {
        flags |= IMGH_PLUGIN_PANIC_ABORTS;
    }
    if worker_only {
        flags |= IMGH_PLUGIN_WORKER_ONLY;
    }
    Box::leak(Box::new(imgh_plugin {
        struct_size: size_of::<imgh_plugin>(),
        magic: IMGH_MAGIC,
        abi_major: IMGH_ABI_MAJOR,
        abi_minor: IMGH_ABI_MINOR,
        flags,
        name: lend_text(name),
        version: lend_text(version),
        built_with: lend_text(concat!("landfall-handler-api ", env!("CARGO_PKG_VERSION"))),
        handlers: handlers.as_ptr(),
        handler_count: handlers.len(),
        get_extension: None,
    }))
}

/// A handler's table, for ever: functions of the kinds that it does not name are absent.
pub fn handler<H: ImageHandler>() -> *const imgh_handler {
    let info = H::info();
    let offers = |kind| info.kinds.contains(&kind);
    // A description that cannot be written as JSON is left empty, which the host refuses by name.
    let json: &'static str = serde_json::to_string(&info).unwrap_or_default().leak();
    Box::leak(Box::new(imgh_handler {
        struct_size: size_of::<imgh_handler>(),
        thread_model: IMGH_PARALLEL,
        reserved: 0,
        info: lend_text(json),
        create: Some(slots::create::<H>),
        destroy: Some(slots::destroy::<H>),
        probe: Some(slots::probe::<H>),
        transfer: offers(HandlerKind::Transfer).then_some(slots::transfer::<H>),
        open: offers(HandlerKind::Source).then_some(slots::open::<H>),
        filter: offers(HandlerKind::Filter).then_some(slots::filter::<H>),
        unpack: offers(HandlerKind::Unpack).then_some(slots::unpack::<H>),
        select: offers(HandlerKind::Select).then_some(slots::select::<H>),
        delete_stored: Some(slots::delete_stored::<H>),
        status: Some(slots::status::<H>),
        placement_removed: Some(slots::placement_removed::<H>),
        placement_moved: Some(slots::placement_moved::<H>),
    }))
}
