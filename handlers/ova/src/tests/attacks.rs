//! XML that is meant to do harm.

use landfall_handler_api::ErrorKind;
use proptest::prelude::*;

use super::host::run;
use super::package::{Disk, Tar, VMDK, header, ovf};
use crate::Descriptor;
use crate::xml::DOCUMENT_MAX;

fn usual() -> String {
    ovf(&[Disk::new("a.vmdk", 1000, VMDK)])
}

#[track_caller]
fn refused(bytes: &[u8]) -> (ErrorKind, String) {
    let error = Descriptor::parse(bytes).unwrap_err();
    assert!(error.message().len() < 200 && error.message().is_ascii(), "{}", error.message());
    (error.kind(), error.code().to_owned())
}

/// The usual descriptor with `insert` in the place of the machine's name, or an attribute there.
fn with_name(insert: &str) -> String {
    usual().replace("A &amp; B", insert)
}

fn with_root(attributes: &str) -> String {
    usual().replacen("<Envelope ", &format!("<Envelope {attributes} "), 1)
}

#[test]
fn no_document_type_is_taken() {
    let laughs: String =
        (1..10).map(|n| format!(r#"<!ENTITY l{n} "{}">"#, format!("&l{};", n - 1).repeat(10))).collect();
    for doctype in [
        "<!DOCTYPE Envelope>".to_owned(),
        r#"<!DOCTYPE Envelope SYSTEM "http://169.254.169.254/">"#.to_owned(),
        r#"<!DOCTYPE Envelope [<!ENTITY x SYSTEM "file:///etc/passwd">]>"#.to_owned(),
        r#"<!DOCTYPE Envelope [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]>"#.to_owned(),
        format!(r#"<!DOCTYPE Envelope [<!ENTITY l0 "ha">{laughs}]>"#),
    ] {
        let text = usual().replacen("<!-- written for a test -->", &doctype, 1);
        assert_eq!(refused(text.as_bytes()), (ErrorKind::Unsupported, "ovf-doctype".to_owned()), "{doctype}");
        let inside = with_name(&doctype);
        assert_eq!(refused(inside.as_bytes()).1, "ovf-doctype", "{doctype}");
    }
}

#[test]
fn there_are_five_entities() {
    let name = |text: &str| Descriptor::parse(with_name(text).as_bytes()).unwrap().name.unwrap();
    assert_eq!(name("&lt;&gt;&amp;&apos;&quot;&#65;&#x42;<![CDATA[&lt;]]>"), "<>&'\"AB&lt;");
    assert_eq!(name("a&#10;b\u{9b}c"), "a b c");
    for (text, code) in [
        ("&nbsp;", "ovf-entity"),
        ("&x;", "ovf-entity"),
        ("&#0;", "ovf-xml"),
        ("&#27;", "ovf-xml"),
        ("&#xD800;", "ovf-xml"),
        ("&#xFFFF;", "ovf-xml"),
        ("&#x110000;", "ovf-xml"),
        ("&#99999999999;", "ovf-xml"),
        ("&#-1;", "ovf-xml"),
        ("& ", "ovf-xml"),
        ("&amp", "ovf-xml"),
    ] {
        assert_eq!(refused(with_name(text).as_bytes()).1, code, "{text}");
        assert_eq!(refused(with_root(&format!(r#"ovf:x="{text}""#)).as_bytes()).1, code, "in an attribute: {text}");
    }
}

#[test]
fn only_utf8_is_read() {
    let text = usual();
    let bom = format!("\u{feff}{text}");
    assert!(Descriptor::parse(bom.as_bytes()).is_ok());
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xff\xfe".to_vec(), wide.clone()].concat();
    let invalid = text.replace("A &amp; B", "\u{1}").into_bytes();
    let invalid: Vec<u8> = invalid.into_iter().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
    for (bytes, code) in [
        (marked, "ovf-encoding"),
        (invalid, "ovf-encoding"),
        (with_name("\u{0}").into_bytes(), "ovf-xml"),
        (wide, "ovf-xml"),
        (with_name("\u{1b}").into_bytes(), "ovf-xml"),
        (with_name("\u{ffff}").into_bytes(), "ovf-xml"),
        (text.replace("UTF-8", "ISO-8859-1").into_bytes(), "ovf-encoding"),
        (text.replace("UTF-8", "UTF-16").into_bytes(), "ovf-encoding"),
        (text.replace(r#"version="1.0""#, r#"version="1.1""#).into_bytes(), "ovf-xml"),
        (format!("\u{feff}\u{feff}{text}").into_bytes(), "ovf-xml"),
    ] {
        assert_eq!(refused(&bytes).1, code);
    }
}

#[test]
fn depth_and_numbers_are_bounded() {
    let deep = |depth: usize| {
        with_root("").replace("<References>", &format!("{}{}<References>", "<a>".repeat(depth), "</a>".repeat(depth)))
    };
    assert!(Descriptor::parse(deep(63).as_bytes()).is_ok());
    assert_eq!(refused(deep(64).as_bytes()), (ErrorKind::Limit, "ovf-too-deep".to_owned()));
    assert_eq!(refused(deep(100_000).as_bytes()).1, "ovf-too-deep");
    assert_eq!(refused("<a>".repeat(100_000).as_bytes()).1, "ovf-invalid");

    // The envelope of the test has four attributes.
    let wide = |count: usize| with_root(&(0..count).map(|n| format!(r#" a{n}="""#)).collect::<String>());
    assert!(Descriptor::parse(wide(252).as_bytes()).is_ok());
    assert_eq!(refused(wide(253).as_bytes()), (ErrorKind::Limit, "ovf-too-many".to_owned()));
    assert_eq!(refused(wide(100_000).as_bytes()).1, "ovf-too-many");

    let bound = |count: usize| with_root(&(0..count).map(|n| format!(r#" xmlns:n{n}="urn:{n}""#)).collect::<String>());
    assert!(Descriptor::parse(bound(124).as_bytes()).is_ok());
    assert_eq!(refused(bound(125).as_bytes()).1, "ovf-too-many");

    let networks = |count: usize| {
        let networks: String = (0..count).map(|n| format!(r#"<Network ovf:name="{n}"/>"#)).collect();
        usual().replace(r#"<Network ovf:name="VM Network"/>"#, &networks)
    };
    assert!(Descriptor::parse(networks(1024).as_bytes()).is_ok());
    assert_eq!(refused(networks(1025).as_bytes()).1, "ovf-too-many");
    assert_eq!(
        refused(with_root("").replace("<References>", &format!("{}<References>", "<a/>".repeat(1 << 20))).as_bytes()).1,
        "ovf-too-many"
    );
}

#[test]
fn what_is_not_well_formed_is_refused() {
    for (from, to) in [
        ("</References>", "</references>"),
        ("</References>", ""),
        ("</Envelope>", ""),
        ("</Envelope>", "</Envelope></Envelope>"),
        ("</Envelope>", "</Envelope><Envelope/>"),
        ("</Envelope>", "</Envelope>text"),
        ("</Envelope>", "</Envelope>&amp;"),
        ("</Envelope>", "</Envelope><![CDATA[x]]>"),
        ("</Envelope>", "</Envelope><!--"),
        ("</Envelope>", "</Envelope><!-- -- -->"),
        ("<?xml ", "text<?xml "),
        ("<?xml ", "<!-- --><?xml "),
        ("</Envelope>", "<?xml version=\"1.0\"?></Envelope>"),
        ("<References>", "<unbound:References/><References>"),
        ("<References>", "<a unbound:b=\"\"/><References>"),
        ("<References>", "<a b=\"\" b=\"\"/><References>"),
        ("<References>", "<a b=c/><References>"),
        ("<References>", "<a b=\"<\"/><References>"),
        ("<References>", "<a b/><References>"),
        ("ovf:id=\"file0\"", "ovf:id=\"file0\" xmlns:o=\"http://schemas.dmtf.org/ovf/envelope/1\" o:id=\"file1\""),
        ("<References>", "<a xmlns:xml=\"urn:x\"/><References>"),
        ("<References>", "<a xmlns:xmlns=\"urn:x\"/><References>"),
    ] {
        let text = usual().replacen(from, to, 1);
        assert_eq!(refused(text.as_bytes()), (ErrorKind::Corrupt, "ovf-xml".to_owned()), "{to}");
    }
    for text in ["", " ", "<!-- -->", "<?xml version=\"1.0\"?>", "text", "<", "<a", "</a>"] {
        assert_eq!(refused(text.as_bytes()).1, "ovf-xml", "{text:?}");
    }
}

#[test]
fn a_descriptor_has_a_bounded_size() {
    let package = |size: u64| {
        let mut text = usual().into_bytes();
        text.resize(size as usize, b' ');
        let file = super::host::vmdk(&[7; 1000]);
        Tar::default().entry(header("p.ovf", size, b'0'), &text).file("a.vmdk", &file).end()
    };
    assert!(run(&package(DOCUMENT_MAX)).unwrap() == [[7; 1000]]);
    assert_eq!(run(&package(DOCUMENT_MAX + 1)).unwrap_err(), (ErrorKind::Limit, "ovf-too-large".to_owned()));
}

proptest! {
    #[test]
    fn any_change_of_a_descriptor_is_survived(
        at in 0.0..1.0_f64,
        cut in 0_usize..40,
        insert in "[<>/&;=\"' !?a-z\\[\\]:\u{0}-\u{ff}-]{0,12}",
    ) {
        let mut text = usual().into_bytes();
        let start = (text.len() as f64 * at) as usize;
        let end = (start + cut).min(text.len());
        text.splice(start..end, insert.bytes());
        if let Err(error) = Descriptor::parse(&text) {
            prop_assert!(error.code().starts_with("ovf-"), "{}", error.code());
        }
    }
}
