//! The items of the virtual hardware: which resources they are, and where the disks are attached.
//!
//! Numbers of resource types: DMTF CIM_ResourceAllocationSettingData, `ResourceType`.

use landfall_handler_api::{Error, ErrorKind, Result};

use crate::descriptor::{Adapter, Bus, Controller, Network};
use crate::envelope::{Envelope, invalid};
use crate::units;

const PROCESSOR: &str = "3";
const MEMORY: &str = "4";
const IDE: &str = "5";
const SCSI: &str = "6";
const ETHERNET: &str = "10";
const DISK: &str = "17";
/// "Other storage device": what SATA and NVMe controllers are written as.
const STORAGE: &str = "20";

/// What an item says of its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    InstanceId,
    ResourceType,
    ResourceSubType,
    Parent,
    AddressOnParent,
    Address,
    VirtualQuantity,
    AllocationUnits,
    Connection,
    HostResource,
}

impl Field {
    const ALL: [(Self, &str); 10] = [
        (Self::InstanceId, "InstanceID"),
        (Self::ResourceType, "ResourceType"),
        (Self::ResourceSubType, "ResourceSubType"),
        (Self::Parent, "Parent"),
        (Self::AddressOnParent, "AddressOnParent"),
        (Self::Address, "Address"),
        (Self::VirtualQuantity, "VirtualQuantity"),
        (Self::AllocationUnits, "AllocationUnits"),
        (Self::Connection, "Connection"),
        (Self::HostResource, "HostResource"),
    ];

    /// The field that an element of this name is.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, element)| *element == name).map(|(field, _)| field)
    }
}

/// One resource of the virtual hardware.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Item {
    configuration: Option<String>,
    bound: Option<String>,
    values: Vec<(Field, String)>,
}

impl Item {
    pub(crate) fn new(configuration: Option<String>, bound: Option<String>) -> Self {
        Self { configuration, bound, values: Vec::new() }
    }

    /// Sets a field; `None` if it is set already. An adapter may list several networks that would do; it keeps the
    /// first.
    pub(crate) fn set(&mut self, field: Field, value: String) -> Option<()> {
        if self.get(field).is_some() {
            return (field == Field::Connection).then_some(());
        }
        self.values.push((field, value));
        Some(())
    }

    fn get(&self, field: Field) -> Option<&str> {
        self.values.iter().find(|(found, _)| *found == field).map(|(_, value)| value.as_str())
    }

    fn is(&self, resource: &str) -> bool {
        self.get(Field::ResourceType) == Some(resource)
    }

    fn number(&self, field: Field) -> Result<Option<u64>> {
        let number = |value| units::number(value).ok_or_else(|| invalid("has an item with a malformed number"));
        self.get(field).map(number).transpose()
    }

    /// Whether the item is part of the hardware: not the bound of a range, nor of a configuration that is not chosen.
    fn applies(&self, configuration: Option<&str>) -> bool {
        let chosen = |ids: &String| ids.split_ascii_whitespace().any(|id| Some(id) == configuration);
        matches!(self.bound.as_deref(), None | Some("normal")) && self.configuration.as_ref().is_none_or(chosen)
    }

    fn instance(&self) -> Option<&str> {
        self.get(Field::InstanceId).filter(|instance| !instance.is_empty())
    }

    /// The id of the disk that a drive holds; three forms are written.
    fn disk(&self) -> Option<&str> {
        let host = self.get(Field::HostResource).filter(|_| self.is(DISK))?;
        ["ovf:/disk/", "ovf://disk/", "/disk/"].into_iter().find_map(|form| host.strip_prefix(form))
    }

    fn bus(&self) -> Option<Bus> {
        let model = self.get(Field::ResourceSubType).unwrap_or_default().to_ascii_lowercase();
        match self.get(Field::ResourceType)? {
            IDE => Some(Bus::Ide),
            SCSI => Some(Bus::Scsi),
            STORAGE if model.contains("nvme") => Some(Bus::Nvme),
            STORAGE if model.contains("sata") || model.contains("ahci") => Some(Bus::Sata),
            STORAGE => Some(Bus::Other),
            _ => None,
        }
    }
}

/// The items of `envelope` that make the hardware. An item of the chosen configuration replaces the one of the same
/// instance that is of none.
fn chosen(envelope: &Envelope) -> Vec<&Item> {
    let applies = |item: &&Item| item.applies(envelope.configuration.as_deref());
    let items: Vec<&Item> = envelope.items.iter().filter(applies).collect();
    let replaced = |item: &Item| {
        item.configuration.is_none()
            && item.instance().is_some()
            && items.iter().any(|other| other.configuration.is_some() && other.instance() == item.instance())
    };
    items.iter().copied().filter(|item| !replaced(item)).collect()
}

/// Where a disk is attached.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) controller: Option<String>,
    pub(crate) unit: Option<u64>,
    pub(crate) boot_order: Option<usize>,
}

/// The virtual hardware.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub(crate) vcpus: Option<u64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) networks: Vec<Network>,
    pub(crate) controllers: Vec<Controller>,
    /// For each disk of the envelope.
    pub(crate) places: Vec<Place>,
}

impl Hardware {
    pub(crate) fn of(envelope: &Envelope) -> Result<Self> {
        let items = chosen(envelope);
        let mut networks: Vec<Network> =
            envelope.networks.iter().map(|name| Network { name: name.clone(), adapters: Vec::new() }).collect();
        let mut controllers = Vec::new();
        for item in &items {
            if item.is(ETHERNET) {
                attach(&mut networks, item);
            }
            if let (Some(bus), Some(id)) = (item.bus(), item.instance()) {
                let model = item.get(Field::ResourceSubType).map(str::to_owned);
                let number = item.get(Field::Address).and_then(units::number);
                controllers.push(Controller { id: id.to_owned(), bus, model, number });
            }
        }
        let vcpus = sum(&items, PROCESSOR, |_| Some(1))?;
        let memory_bytes = sum(&items, MEMORY, |item| match item.get(Field::AllocationUnits) {
            None | Some("") => Some(1 << 20),
            Some(unit) => units::bytes(unit),
        })?;
        let places = places(envelope, &items, &controllers)?;
        Ok(Self { vcpus, memory_bytes, networks, controllers, places })
    }
}

/// The quantities of all items of one resource, in its units.
fn sum(items: &[&Item], resource: &str, unit: impl Fn(&Item) -> Option<u64>) -> Result<Option<u64>> {
    let wrong = || invalid("has an item whose quantity cannot be counted");
    let mut total: Option<u64> = None;
    for item in items.iter().filter(|item| item.is(resource)) {
        let Some(quantity) = item.number(Field::VirtualQuantity)? else { continue };
        let part = quantity.checked_mul(unit(item).ok_or_else(wrong)?).ok_or_else(wrong)?;
        total = Some(total.unwrap_or_default().checked_add(part).ok_or_else(wrong)?);
    }
    Ok(total)
}

/// Adds a network adapter to its network, which is made if no section names it.
fn attach(networks: &mut Vec<Network>, item: &Item) {
    let name = item.get(Field::Connection).unwrap_or_default();
    let model = item.get(Field::ResourceSubType).map(str::to_owned);
    let adapter = Adapter { model, address: item.get(Field::Address).map(str::to_owned) };
    match networks.iter_mut().find(|network| network.name == name) {
        Some(network) => network.adapters.push(adapter),
        None => networks.push(Network { name: name.to_owned(), adapters: vec![adapter] }),
    }
}

/// Where the disks of `envelope` are attached. An id that means two disks, drives or controllers is refused.
fn places(envelope: &Envelope, items: &[&Item], controllers: &[Controller]) -> Result<Vec<Place>> {
    let wrong = |what: &str| Error::new(ErrorKind::Corrupt, "ovf-reference", format!("the OVF descriptor {what}"));
    let mut places: Vec<Option<Place>> = vec![None; envelope.disks.len()];
    for item in items {
        let Some(id) = item.disk() else { continue };
        let disk = envelope.disks.iter().position(|disk| disk.id == id);
        let place = disk.and_then(|disk| places.get_mut(disk));
        let place = place.ok_or_else(|| wrong("has a drive for a disk that there is not"))?;
        let controller = item.get(Field::Parent).filter(|parent| !parent.is_empty());
        if controllers.iter().filter(|known| Some(known.id.as_str()) == controller).count() > 1 {
            return Err(wrong("has a drive at a controller whose id is that of two"));
        }
        let boots = |known: &Option<String>| known.is_some() && known.as_deref() == item.instance();
        let position = envelope.boot_order.iter().position(boots);
        let found = Place {
            controller: controller.map(str::to_owned),
            unit: item.get(Field::AddressOnParent).and_then(units::number),
            boot_order: position.map(|position| position.saturating_add(1)),
        };
        if place.replace(found).is_some() {
            return Err(wrong("has two drives for one disk"));
        }
    }
    Ok(places.into_iter().map(Option::unwrap_or_default).collect())
}
