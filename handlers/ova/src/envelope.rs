//! The OVF envelope: which elements mean something, and what they say.
//!
//! Elements and attributes: DMTF DSP0243 2.1.0, the same as in 1.1.0 for what is read here. Firmware and boot order are
//! extensions: `vmw:Config` and `vmw:BootOrderSection` as VMware's tools write them, `Firmware` of VirtualBox's
//! `Machine`.

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::descriptor::{Firmware, Format};
use crate::hardware::{Field, Item};
use crate::xml::{Document, Element, Part, Space};
use crate::{name, units};

/// Bytes of a value that is kept.
pub(crate) const VALUE_MAX: usize = 1024;
/// Files, disks, networks, items: so many of each.
pub(crate) const ENTRIES_MAX: usize = 1024;

/// A file of the package.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) id: String,
    /// The member's name.
    pub(crate) href: String,
    pub(crate) size: Option<u64>,
}

/// A disk, with a file or empty.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) id: String,
    pub(crate) file: Option<String>,
    /// Absent where it is not said, or said by a property that is set when the package is deployed.
    pub(crate) capacity: Option<u64>,
    pub(crate) format: Option<Format>,
}

/// What a descriptor says, its references not looked up yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) files: Vec<File>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) networks: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) firmware: Option<Firmware>,
    pub(crate) items: Vec<Item>,
    /// Instance ids of what is booted from, in order; `None` for what is named by its kind alone.
    pub(crate) boot_order: Vec<Option<String>>,
    /// The configuration that is deployed where nobody chooses one.
    pub(crate) configuration: Option<String>,
}

/// The elements that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Document,
    Envelope,
    References,
    Disks,
    Networks,
    Configurations,
    System,
    Name,
    Hardware,
    Item,
    Field(Field),
    Machine,
    MachineHardware,
    /// Nothing in it means anything here.
    Other,
}

/// Parses a descriptor.
pub(crate) fn parse(bytes: &[u8]) -> Result<Envelope> {
    let mut document = Document::new(bytes)?;
    let mut builder = Builder::default();
    // As deep as the document lets its elements be.
    let mut open = vec![State::Document];
    let mut text = String::new();
    while let Some(part) = document.next_part()? {
        let state = open.last().copied().unwrap_or(State::Document);
        match part {
            Part::Start(element) => {
                text.clear();
                open.push(builder.start(state, &element)?);
            }
            Part::Text(piece) if matches!(state, State::Name | State::Field(_)) => {
                if text.len().saturating_add(piece.len()) > VALUE_MAX {
                    return Err(too_long());
                }
                text.push_str(&piece);
            }
            Part::Text(_) => {}
            Part::End => {
                builder.end(state, &text)?;
                open.pop();
            }
        }
    }
    if !builder.seen.contains(&State::System) {
        return Err(invalid("has no virtual system"));
    }
    Ok(builder.envelope)
}

#[derive(Default)]
struct Builder {
    envelope: Envelope,
    /// Sections of which there is one.
    seen: Vec<State>,
    first_configuration: Option<String>,
}

impl Builder {
    /// What `element` inside of `parent` is, after its attributes were read.
    fn start(&mut self, parent: State, element: &Element) -> Result<State> {
        let ovf = |name: &str| element.is(Space::Ovf, name);
        match parent {
            State::Document if ovf("Envelope") => Ok(State::Envelope),
            State::Document if element.name == "Envelope" => {
                Err(unsupported("ovf-version", "is of a version other than 1 and 2"))
            }
            State::Document => Err(invalid("is no OVF envelope")),

            State::Envelope if ovf("References") => self.once(State::References),
            State::Envelope if ovf("DiskSection") => self.once(State::Disks),
            State::Envelope if ovf("NetworkSection") => self.once(State::Networks),
            State::Envelope if ovf("DeploymentOptionSection") => self.once(State::Configurations),
            State::Envelope if ovf("VirtualSystem") && !self.seen.contains(&State::System) => {
                self.envelope.name = element.attribute(Space::Ovf, "id").map(kept).transpose()?;
                self.once(State::System)
            }
            State::Envelope if ovf("VirtualSystem") || ovf("VirtualSystemCollection") => Err(several_systems()),
            State::Envelope if ovf("EncryptionSection") => {
                Err(unsupported("ovf-encrypted", "says that files of the package are encrypted"))
            }

            State::References if ovf("File") => self.file(element),
            State::Disks if ovf("Disk") => self.disk(element),
            State::Networks if ovf("Network") => {
                let network = required(element, "name")?;
                add(&mut self.envelope.networks, network)
            }
            State::Configurations if ovf("Configuration") => self.configuration(element),

            State::System if ovf("Name") => Ok(State::Name),
            State::System if ovf("VirtualHardwareSection") && self.seen.contains(&State::Hardware) => {
                Err(several_systems())
            }
            State::System if ovf("VirtualHardwareSection") => self.once(State::Hardware),
            State::System if element.is(Space::Vmware, "BootOrderSection") => self.boot_order(element),
            State::System if element.is(Space::VirtualBox, "Machine") => Ok(State::Machine),
            State::Machine if element.name == "Hardware" => Ok(State::MachineHardware),
            State::MachineHardware if element.name == "Firmware" => {
                self.firmware(element.attribute(Space::Other, "type"));
                Ok(State::Other)
            }

            State::Hardware if ovf("Item") || ovf("StorageItem") || ovf("EthernetPortItem") => self.item(element),
            State::Hardware if element.is(Space::Vmware, "Config") => {
                if element.attribute(Space::Vmware, "key") == Some("firmware") {
                    self.firmware(element.attribute(Space::Vmware, "value"));
                }
                Ok(State::Other)
            }
            State::Item if element.space == Space::Setting => {
                Ok(Field::of(&element.name).map_or(State::Other, State::Field))
            }
            _ => Ok(State::Other),
        }
    }

    /// The element of `state` ends, `text` was in it.
    fn end(&mut self, state: State, text: &str) -> Result<()> {
        match state {
            State::Name => {
                let name = kept(text)?;
                if !name.is_empty() {
                    self.envelope.name = Some(name);
                }
            }
            State::Field(field) => {
                if let Some(item) = self.envelope.items.last_mut() {
                    item.set(field, kept(text)?).ok_or_else(|| invalid("has an item that says something twice"))?;
                }
            }
            State::Configurations if self.envelope.configuration.is_none() => {
                self.envelope.configuration = self.first_configuration.take();
            }
            _ => {}
        }
        Ok(())
    }

    fn once(&mut self, section: State) -> Result<State> {
        if self.seen.contains(&section) {
            return Err(invalid("has two sections of a kind that there is one of"));
        }
        self.seen.push(section);
        Ok(section)
    }

    fn file(&mut self, element: &Element) -> Result<State> {
        let attribute = |name| element.attribute(Space::Ovf, name);
        if !matches!(attribute("compression"), None | Some("" | "identity")) {
            return Err(unsupported("ovf-compression", "refers to a file that is compressed as a whole"));
        }
        if attribute("chunkSize").is_some() {
            return Err(unsupported("ovf-chunked", "refers to a file that is split into several members"));
        }
        let href = required(element, "href")?;
        // A colon would be that of a URL; and what is kept of a name has blanks where it had control characters.
        let altered = attribute("href").is_some_and(|href| href.contains(char::is_control));
        let member = name::plain(href.as_bytes()).filter(|name| !altered && !name.contains(':'));
        let href = member.ok_or_else(|| unsupported("ovf-href", "refers to a file outside of the package"))?.to_owned();
        let size = match attribute("size").filter(|size| !size.trim().is_empty()) {
            Some(size) => Some(units::number(size.trim()).ok_or_else(|| invalid("has a malformed size of a file"))?),
            None => None,
        };
        add(&mut self.envelope.files, File { id: required(element, "id")?, href, size })
    }

    fn disk(&mut self, element: &Element) -> Result<State> {
        let attribute = |name| element.attribute(Space::Ovf, name);
        if attribute("parentRef").is_some() {
            return Err(unsupported("ovf-parent", "has a disk that is a difference to another one"));
        }
        let capacity = match attribute("capacity").map(str::trim) {
            None | Some("") => None,
            Some(reference) if reference.starts_with("${") && reference.ends_with('}') => None,
            Some(number) => {
                let unit = attribute("capacityAllocationUnits").filter(|unit| !unit.trim().is_empty());
                Some(capacity(number, unit.unwrap_or("byte")).ok_or_else(bad_capacity)?)
            }
        };
        let id = required(element, "diskId")?;
        let file = attribute("fileRef").map(kept).transpose()?.filter(|file| !file.is_empty());
        let format = match file {
            Some(_) => Some(Format::of_uri(attribute("format").unwrap_or_default()).ok_or_else(|| {
                unsupported("ovf-disk-format", "has a disk of a format that is neither VMDK nor raw")
            })?),
            None => None,
        };
        if file.is_none() && capacity.is_none() {
            let message = "has an empty disk whose capacity is not given as a number";
            return Err(unsupported("ovf-capacity-reference", message));
        }
        add(&mut self.envelope.disks, Disk { id, file, capacity, format })
    }

    fn configuration(&mut self, element: &Element) -> Result<State> {
        let id = required(element, "id")?;
        if matches!(element.attribute(Space::Ovf, "default"), Some("true" | "1")) {
            self.envelope.configuration.get_or_insert(id);
        } else {
            self.first_configuration.get_or_insert(id);
        }
        Ok(State::Other)
    }

    fn item(&mut self, element: &Element) -> Result<State> {
        let attribute = |name| element.attribute(Space::Ovf, name).map(kept).transpose();
        let item = Item::new(attribute("configuration")?, attribute("bound")?);
        add(&mut self.envelope.items, item)?;
        Ok(State::Item)
    }

    /// One section for each device, in the order of booting; it names instances of disks and adapters.
    fn boot_order(&mut self, element: &Element) -> Result<State> {
        let instances = element.attribute(Space::Vmware, "instanceId").map(kept).transpose()?.unwrap_or_default();
        if instances.is_empty() {
            return add(&mut self.envelope.boot_order, None);
        }
        for instance in instances.split_ascii_whitespace() {
            add(&mut self.envelope.boot_order, Some(instance.to_owned()))?;
        }
        Ok(State::Other)
    }

    fn firmware(&mut self, value: Option<&str>) {
        let value = value.unwrap_or_default().to_ascii_lowercase();
        self.envelope.firmware = match value.as_str() {
            "bios" => Some(Firmware::Bios),
            efi if efi.starts_with("efi") => Some(Firmware::Efi),
            _ => self.envelope.firmware,
        };
    }
}

/// Adds one more entry, if there may be.
fn add<T>(entries: &mut Vec<T>, entry: T) -> Result<State> {
    if entries.len() >= ENTRIES_MAX {
        let message = format!("the OVF descriptor has more than {ENTRIES_MAX} entries of a kind");
        return Err(Error::new(ErrorKind::Limit, "ovf-too-many", message));
    }
    entries.push(entry);
    Ok(State::Other)
}

/// The value of an attribute that must be there and say something.
fn required(element: &Element, name: &str) -> Result<String> {
    let value = kept(element.attribute(Space::Ovf, name).unwrap_or_default())?;
    match value.is_empty() {
        false => Ok(value),
        true => Err(invalid(&format!("has an element without its ovf:{name}"))),
    }
}

/// `value` as it is kept: without spaces around it, and without characters that cannot be seen.
fn kept(value: &str) -> Result<String> {
    if value.len() > VALUE_MAX {
        return Err(too_long());
    }
    let visible = |character: char| if character.is_control() { ' ' } else { character };
    Ok(value.trim().chars().map(visible).collect())
}

fn capacity(number: &str, unit: &str) -> Option<u64> {
    units::number(number)?.checked_mul(units::bytes(unit)?).filter(|bytes| (1..=i64::MAX as u64).contains(bytes))
}

/// The error of a descriptor that contradicts itself or lacks something.
pub(crate) fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "ovf-invalid", format!("the OVF descriptor {what}"))
}

fn unsupported(code: &'static str, what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, code, format!("the OVF descriptor {what}"))
}

fn several_systems() -> Error {
    unsupported("ovf-several-systems", "has more than one virtual system, or more than one hardware for it")
}

fn bad_capacity() -> Error {
    let message = "the OVF descriptor has a disk whose capacity is no number of bytes, or more than there can be";
    Error::new(ErrorKind::Corrupt, "ovf-capacity", message)
}

fn too_long() -> Error {
    let message = format!("the OVF descriptor has a value of more than {VALUE_MAX} bytes");
    Error::new(ErrorKind::Limit, "ovf-value-too-long", message)
}
