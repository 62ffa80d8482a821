//! The Rust mirror is the header: every size, offset and constant is compared with what a C compiler makes of `imgh.h`, and
//! with a committed list, so that a change of the ABI shows in a review.
//!
//! `UPDATE_GOLDEN=1` rewrites the list.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use landfall_handler_api::abi::*;
use landfall_handler_api::{ErrorKind, Scope};

/// What one struct is made of, in order.
struct Layout {
    name: &'static str,
    size: usize,
    /// Name, offset, size.
    fields: Vec<(&'static str, usize, usize)>,
}

fn size_of_field<S, F>(_: impl Fn(&S) -> &F) -> usize {
    size_of::<F>()
}

macro_rules! layout {
    ($type:ident { $($field:ident),+ $(,)? }) => {
        Layout {
            name: stringify!($type),
            size: size_of::<$type>(),
            fields: vec![$((
                stringify!($field),
                offset_of!($type, $field),
                size_of_field(|whole: &$type| &whole.$field),
            )),+],
        }
    };
}

fn layouts() -> Vec<Layout> {
    vec![
        layout!(imgh_str { ptr, len }),
        layout!(imgh_error { struct_size, kind, scope, os_errno, retry_after_ms, code, message }),
        layout!(imgh_sink { struct_size, ctx, reserve, commit }),
        layout!(imgh_source { struct_size, ctx, size, flags, fd, validator, read, close }),
        layout!(imgh_input { struct_size, ctx, size, flags, fd, read_at }),
        layout!(imgh_output { struct_size, ctx, write_at, zero, adopt_fd, set_size, finish }),
        layout!(imgh_host {
            struct_size,
            abi_major,
            abi_minor,
            name,
            version,
            log,
            log_level,
            progress,
            is_cancelled,
            cancel_fd,
            secret,
            open_output,
            result,
            get_extension,
        }),
        layout!(imgh_handler {
            struct_size,
            thread_model,
            reserved,
            info,
            create,
            destroy,
            probe,
            transfer,
            open,
            filter,
            unpack,
            select,
            delete_stored,
            status,
            placement_removed,
            placement_moved,
        }),
        layout!(imgh_plugin {
            struct_size,
            magic,
            abi_major,
            abi_minor,
            flags,
            name,
            version,
            built_with,
            handlers,
            handler_count,
            get_extension,
        }),
    ]
}

fn constants() -> Vec<(String, u64)> {
    macro_rules! values {
        ($($name:ident),+ $(,)?) => { vec![$((stringify!($name).to_owned(), $name as u64)),+] };
    }
    let mut all = values![
        IMGH_MAGIC,
        IMGH_ABI_MAJOR,
        IMGH_ABI_MINOR,
        IMGH_CODE_BYTES,
        IMGH_MESSAGE_BYTES,
        IMGH_SOURCE_RANGED,
        IMGH_SOURCE_FD,
        IMGH_INPUT_RANGED,
        IMGH_LOG_ERROR,
        IMGH_LOG_WARN,
        IMGH_LOG_INFO,
        IMGH_LOG_DEBUG,
        IMGH_LOG_TRACE,
        IMGH_SERIAL,
        IMGH_PARALLEL,
        IMGH_PLUGIN_PANIC_ABORTS,
        IMGH_PLUGIN_WORKER_ONLY,
    ];
    let constant = |prefix: &str, name: &str| format!("IMGH_{prefix}_{}", name.replace('-', "_").to_uppercase());
    all.extend(ErrorKind::ALL.map(|kind| (constant("ERR", kind.name()), u64::from(kind.number()))));
    all.extend(Scope::ALL.map(|scope| (constant("SCOPE", scope.name()), u64::from(scope.number()))));
    all
}

fn in_rust() -> String {
    let mut text = String::new();
    for layout in layouts() {
        writeln!(text, "{} {}", layout.name, layout.size).unwrap();
        for (field, offset, size) in layout.fields {
            writeln!(text, "  {field} {offset} {size}").unwrap();
        }
    }
    for (name, value) in constants() {
        writeln!(text, "{name} {value}").unwrap();
    }
    text
}

/// A C program that prints the same of the header.
fn program() -> String {
    let mut c = "#include <stdio.h>\n#include \"imgh.h\"\nint main(void) {\n".to_owned();
    for Layout { name, fields, .. } in layouts() {
        writeln!(c, "printf(\"{name} %zu\\n\", sizeof({name}));").unwrap();
        for (field, ..) in fields {
            let parts = format!("offsetof({name}, {field}), sizeof((({name} *)0)->{field})");
            writeln!(c, "printf(\"  {field} %zu %zu\\n\", {parts});").unwrap();
        }
    }
    for (name, _) in constants() {
        writeln!(c, "printf(\"{name} %llu\\n\", (unsigned long long){name});").unwrap();
    }
    c + "return 0;\n}\n"
}

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn compile(language: &str, standard: &str, source: &Path, more: &[&str]) -> PathBuf {
    let out = source.with_extension(format!("{language}.out"));
    let output = Command::new("cc")
        .args(["-x", language, &format!("-std={standard}"), "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2"])
        .args(more)
        .arg("-I")
        .arg(package().join("include"))
        .arg("-o")
        .arg(&out)
        .arg(source)
        .output()
        .expect("this test needs a C compiler called cc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layout");
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

#[test]
fn the_mirror_is_the_header() {
    let source = scratch("layout.c");
    std::fs::write(&source, program()).unwrap();
    let printed = Command::new(compile("c", "c11", &source, &[])).output().unwrap().stdout;
    assert_eq!(in_rust(), String::from_utf8(printed).unwrap(), "abi.rs and imgh.h differ");
}

#[test]
fn the_header_compiles_alone_as_c_and_as_cpp() {
    let source = scratch("alone.c");
    std::fs::write(&source, "#include \"imgh.h\"\n").unwrap();
    compile("c", "c99", &source, &["-c"]);
    compile("c++", "c++11", &source, &["-c"]);
}

#[test]
fn the_helpers_for_authors_work() {
    let source = scratch("helpers.c");
    let program = r#"
        #include <string.h>
        #include "imgh.h"
        static const imgh_str literal = IMGH_LITERAL("four");
        int main(void) {
            imgh_error err = {sizeof err, 0, 0, 0, 0, {0}, {0}};
            imgh_output output = {offsetof(imgh_output, zero), 0, 0, 0, 0, 0, 0};
            if (imgh_fail(&err, IMGH_ERR_LIMIT, "too-much", "much too much") != 7) return 1;
            if (err.kind != 7 || strcmp(err.code, "too-much") || strcmp(err.message, "much too much")) return 2;
            if (imgh_fail(NULL, IMGH_ERR_IO, "x", "y") != 9) return 3;
            if (imgh_fail_scoped(&err, IMGH_ERR_LIMIT, IMGH_SCOPE_IMAGE, "a", "b") != 7 || err.scope != 3) return 7;
            if (imgh_fail_os(&err, IMGH_ERR_IO, 5, "a", "b") != 9 || err.os_errno != 5 || err.scope != 0) return 8;
            if (imgh_fail(&err, IMGH_ERR_LIMIT, "a", "b") != 7 || err.os_errno != 0) return 9;
            err.struct_size = 16;
            imgh_fail(&err, IMGH_ERR_IO, "x", "y");
            if (err.kind != 7) return 4;
            if (literal.len != 4 || imgh_text("abc").len != 3 || imgh_text(NULL).len != 0) return 5;
            if (IMGH_HAS(&output, imgh_output, finish) || IMGH_HAS(&output, imgh_output, write_at)) return 6;
            return 0;
        }"#;
    std::fs::write(&source, program).unwrap();
    assert_eq!(Command::new(compile("c", "c11", &source, &[])).status().unwrap().code(), Some(0));
}

#[test]
fn no_struct_has_padding_or_a_field_that_is_not_listed() {
    for layout in layouts() {
        let mut end = 0;
        for (field, offset, size) in layout.fields {
            assert_eq!(offset, end, "before {}.{field}", layout.name);
            end = offset + size;
        }
        assert_eq!(end, layout.size, "at the end of {}", layout.name);
    }
}

/// Committed for 64-bit machines, which are what Landfall runs on.
#[cfg(target_pointer_width = "64")]
#[test]
fn the_layout_is_the_committed_one() {
    let path = package().join("golden/layout.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, in_rust()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), in_rust(), "UPDATE_GOLDEN=1 rewrites {path:?}");
}
