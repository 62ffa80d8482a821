//! XML, strictly and within bounds: UTF-8, no document type, no entities but XML's own five, namespaces resolved.
//!
//! Nothing here recurses, and what is kept at a time is one element. Well-formedness: W3C, XML 1.0 (Fifth Edition) and
//! Namespaces in XML 1.0 (Third Edition).

use std::borrow::Cow;

use landfall_handler_api::{Error, ErrorKind, Result};
use quick_xml::NsReader;
use quick_xml::escape::EscapeError;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{NamespaceError, ResolveResult};

/// Bytes of a document. Real descriptors reach 4.1 MB.
pub(crate) const DOCUMENT_MAX: u64 = 16 << 20;
/// Elements inside each other.
const DEPTH_MAX: usize = 64;
/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 256;
/// Elements of one document.
const ELEMENTS_MAX: usize = 1 << 20;
/// Namespace prefixes in force at a time: each name is looked up among them.
const NAMESPACES_MAX: usize = 128;

/// The namespaces that mean something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// The OVF envelope, versions 1 and 2: DMTF DSP8023.
    Ovf,
    /// Settings of a virtual device, of storage, or of an Ethernet port: the CIM classes that `Item`s consist of.
    Setting,
    /// VMware's extensions.
    Vmware,
    /// VirtualBox's extensions.
    VirtualBox,
    /// Any other namespace, or none.
    Other,
}

impl Space {
    fn of(uri: &str) -> Self {
        const SETTINGS: &str = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_";
        match uri {
            "http://schemas.dmtf.org/ovf/envelope/1" | "http://schemas.dmtf.org/ovf/envelope/2" => Self::Ovf,
            "http://www.vmware.com/schema/ovf" => Self::Vmware,
            "http://www.virtualbox.org/ovf/machine" => Self::VirtualBox,
            _ => match uri.strip_prefix(SETTINGS).map(|class| class.strip_suffix(".xsd").unwrap_or(class)) {
                Some(
                    "ResourceAllocationSettingData"
                    | "StorageAllocationSettingData"
                    | "EthernetPortAllocationSettingData",
                ) => Self::Setting,
                _ => Self::Other,
            },
        }
    }

    fn resolve(result: &ResolveResult<'_>) -> Result<Self> {
        match result {
            ResolveResult::Bound(namespace) => Ok(Self::of(namespace.0)),
            ResolveResult::Unbound => Ok(Self::Other),
            ResolveResult::Unknown(_) => Err(malformed("has a prefix that is bound to no namespace")),
        }
    }
}

/// The start of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) space: Space,
    /// The name without its prefix.
    pub(crate) name: String,
    attributes: Vec<(Space, String, String)>,
}

impl Element {
    /// Whether it is this element.
    pub(crate) fn is(&self, space: Space, name: &str) -> bool {
        self.space == space && self.name == name
    }

    /// The value of the attribute `name` in `space`.
    pub(crate) fn attribute(&self, space: Space, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes.find(|(found, local, _)| *found == space && local == name).map(|(.., value)| value.as_str())
    }
}

/// What a document consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Start(Element),
    End,
    /// Characters of the element that is open. They may come in several pieces.
    Text(Cow<'a, str>),
}

/// Reads a document from start to end.
pub(crate) struct Document<'a> {
    reader: NsReader<&'a [u8]>,
    depth: usize,
    elements: usize,
    /// Whether anything was read: an XML declaration is the first thing, or is none.
    begun: bool,
}

impl<'a> Document<'a> {
    /// Begins with `bytes`, whose number is the caller's to limit.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| not_utf8("is not UTF-8"))?;
        if !text.chars().all(is_legal) {
            return Err(malformed("has a character that XML does not allow"));
        }
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        reader.config_mut().check_comments = true;
        reader.resolver_mut().set_max_namespace_bindings(NAMESPACES_MAX);
        Ok(Self { reader, depth: 0, elements: 0, begun: false })
    }

    /// The next part; `None` after the root element has ended and nothing followed.
    pub(crate) fn next_part(&mut self) -> Result<Option<Part<'a>>> {
        loop {
            let event = self.reader.read_event().map_err(|error| refusal(&error))?;
            let begun = std::mem::replace(&mut self.begun, true);
            match event {
                Event::Start(start) => return self.start(&start).map(|element| Some(Part::Start(element))),
                // Empty elements are expanded by the reader: this is never one.
                Event::Empty(_) => return Err(malformed("has an element that does not end")),
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Some(Part::End));
                }
                Event::Text(text) => {
                    let text = text.into_inner();
                    if self.depth > 0 {
                        return Ok(Some(Part::Text(text)));
                    }
                    if !text.bytes().all(|byte| byte.is_ascii_whitespace()) {
                        return Err(malformed("has text outside of its root element"));
                    }
                }
                Event::CData(text) if self.depth > 0 => return Ok(Some(Part::Text(text.into_inner()))),
                Event::GeneralRef(reference) if self.depth > 0 => {
                    return referenced(&reference).map(|text| Some(Part::Text(text)));
                }
                Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(malformed("has text outside of its root element"));
                }
                Event::Decl(declaration) if !begun => check_declaration(&declaration)?,
                Event::Decl(_) => return Err(malformed("has an XML declaration that is not at its start")),
                Event::DocType(_) => {
                    let message = "the OVF descriptor has a document type definition";
                    return Err(Error::new(ErrorKind::Unsupported, "ovf-doctype", message));
                }
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof if self.depth > 0 || self.elements == 0 => {
                    return Err(malformed("ends before its root element"));
                }
                Event::Eof => return Ok(None),
            }
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<Element> {
        if self.depth == 0 && self.elements > 0 {
            return Err(malformed("has two root elements"));
        }
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH_MAX {
            let message = format!("the OVF descriptor has more than {DEPTH_MAX} elements inside each other");
            return Err(Error::new(ErrorKind::Limit, "ovf-too-deep", message));
        }
        self.elements = self.elements.saturating_add(1);
        if self.elements > ELEMENTS_MAX {
            return Err(too_many("elements", ELEMENTS_MAX));
        }
        let resolver = self.reader.resolver();
        let (space, name) = resolver.resolve_element(start.name());
        let space = Space::resolve(&space)?;
        let name = name.into_inner().to_owned();

        if start.attributes().with_checks(false).take(ATTRIBUTES_MAX.saturating_add(1)).count() > ATTRIBUTES_MAX {
            return Err(too_many("attributes of one element", ATTRIBUTES_MAX));
        }
        let mut attributes: Vec<(Space, String, String)> = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| malformed("has a malformed attribute, or one twice"))?;
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            if attribute.value.contains('<') {
                return Err(malformed("has a '<' in an attribute"));
            }
            let value =
                attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|error| refusal(&error))?;
            if !value.chars().all(is_legal) {
                return Err(malformed("has a character that XML does not allow"));
            }
            let (space, name) = resolver.resolve_attribute(attribute.key);
            let (space, name) = (Space::resolve(&space)?, name.into_inner());
            // Two prefixes may mean one namespace.
            let twice = |(found, local, _): &(Space, String, String)| *found == space && local == name;
            if space != Space::Other && attributes.iter().any(twice) {
                return Err(malformed("has a malformed attribute, or one twice"));
            }
            attributes.push((space, name.to_owned(), value.into_owned()));
        }
        Ok(Element { space, name, attributes })
    }
}

/// What a reference in text stands for.
fn referenced(reference: &BytesRef<'_>) -> Result<Cow<'static, str>> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| refusal(&error))? {
        return match is_legal(character) {
            true => Ok(character.to_string().into()),
            false => Err(malformed("has a character that XML does not allow")),
        };
    }
    quick_xml::escape::resolve_predefined_entity(reference).map(Cow::Borrowed).ok_or_else(unknown_entity)
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<()> {
    let version = declaration.version().map_err(|error| refusal(&error))?;
    if version != "1.0" {
        return Err(malformed("is of another version than XML 1.0"));
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(Ok(_)) => Err(not_utf8("says that it is not UTF-8")),
        Some(Err(_)) => Err(malformed("has a malformed declaration")),
    }
}

/// Whether XML 1.0 allows the character, written out or by its number.
fn is_legal(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

fn refusal(error: &quick_xml::Error) -> Error {
    match error {
        quick_xml::Error::Escape(EscapeError::UnrecognizedEntity(..)) => unknown_entity(),
        quick_xml::Error::Namespace(NamespaceError::TooManyBindings(_)) => too_many("namespaces", NAMESPACES_MAX),
        quick_xml::Error::Namespace(NamespaceError::TooDeeplyNested(_)) => too_many("elements", ELEMENTS_MAX),
        _ => malformed("is not well-formed"),
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "ovf-xml", format!("the OVF descriptor {what}"))
}

fn not_utf8(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, "ovf-encoding", format!("the OVF descriptor {what}"))
}

fn unknown_entity() -> Error {
    Error::new(ErrorKind::Corrupt, "ovf-entity", "the OVF descriptor refers to an entity that XML does not define")
}

fn too_many(what: &str, most: usize) -> Error {
    Error::new(ErrorKind::Limit, "ovf-too-many", format!("the OVF descriptor has more than {most} {what}"))
}
