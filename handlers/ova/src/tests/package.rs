//! Writers of archives, descriptors and manifests, so that every field can be made wrong.

use std::fmt::Write as _;

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

/// A tar archive in the making.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// Adds a regular file.
    pub(crate) fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.entry(header(name, bytes.len() as u64, b'0'), bytes)
    }

    /// Adds a header and what follows it.
    pub(crate) fn entry(mut self, header: [u8; 512], bytes: &[u8]) -> Self {
        self.0.extend_from_slice(&header);
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Adds two blocks of zeros, and the padding to a record.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0.resize(self.0.len().next_multiple_of(10240), 0);
        self.0
    }
}

/// A header of ustar.
pub(crate) fn header(name: &str, size: u64, kind: u8) -> [u8; 512] {
    let mut header = [0; 512];
    put(&mut header, 0, name.as_bytes());
    put(&mut header, 100, b"0000644\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    put(&mut header, 124, format!("{size:011o}\0").as_bytes());
    put(&mut header, 136, b"14371573000\0");
    header[156] = kind;
    put(&mut header, 257, b"ustar\x0000");
    sealed(header)
}

/// `header` with `bytes` put at `offset`, and the checksum that belongs to that.
pub(crate) fn poked(mut header: [u8; 512], offset: usize, bytes: &[u8]) -> [u8; 512] {
    put(&mut header, offset, bytes);
    sealed(header)
}

fn put(header: &mut [u8; 512], offset: usize, bytes: &[u8]) {
    header[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn sealed(mut header: [u8; 512]) -> [u8; 512] {
    put(&mut header, 148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header, 148, format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A record of a PAX header.
pub(crate) fn pax(keyword: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {keyword}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length).unwrap();
    format!("{length}{rest}").into_bytes()
}

pub(crate) const VMDK: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";

/// A disk of a descriptor: id, file name and size, capacity, format.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) name: Option<String>,
    pub(crate) capacity: usize,
    pub(crate) format: &'static str,
}

impl Disk {
    pub(crate) fn new(name: &str, capacity: usize, format: &'static str) -> Self {
        Self { name: Some(name.to_owned()), capacity, format }
    }
}

/// A descriptor of these disks, which have the ids `disk0`, `disk1`, ...
pub(crate) fn ovf(disks: &[Disk]) -> String {
    let (mut files, mut list, mut items) = (String::new(), String::new(), String::new());
    for (number, Disk { name, capacity, format }) in disks.iter().enumerate() {
        let mut reference = String::new();
        if let Some(name) = name {
            writeln!(files, r#"<File ovf:href="{name}" ovf:id="file{number}"/>"#).unwrap();
            reference = format!(r#"ovf:fileRef="file{number}" "#);
        }
        let disk = format!(r#"ovf:diskId="disk{number}" ovf:capacity="{capacity}" ovf:format="{format}""#);
        writeln!(list, "<Disk {reference}{disk}/>").unwrap();
        let drive = [
            ("AddressOnParent", number.to_string()),
            ("ElementName", format!("Hard disk {number}")),
            ("HostResource", format!("ovf:/disk/disk{number}")),
            ("InstanceID", (100 + number).to_string()),
            ("Parent", "3".to_owned()),
            ("ResourceType", "17".to_owned()),
        ];
        items += &item("", &drive.each_ref().map(|(name, value)| (*name, value.as_str())));
    }
    envelope(&files, &list, &format!("{}{items}", hardware()))
}

/// An `Item`, with attributes and these elements.
pub(crate) fn item(attributes: &str, elements: &[(&str, &str)]) -> String {
    let elements: String =
        elements.iter().map(|(name, value)| format!("<rasd:{name}>{value}</rasd:{name}>\n")).collect();
    format!("<Item{attributes}>\n{elements}</Item>\n")
}

/// The items of a processor, memory and a controller.
pub(crate) fn hardware() -> String {
    let unit = "byte * 2^20";
    let scsi = [("Address", "0"), ("InstanceID", "3"), ("ResourceSubType", "lsilogic"), ("ResourceType", "6")];
    item("", &[("InstanceID", "1"), ("ResourceType", "3"), ("VirtualQuantity", "2")])
        + &item(
            "",
            &[("AllocationUnits", unit), ("InstanceID", "2"), ("ResourceType", "4"), ("VirtualQuantity", "512")],
        )
        + &item("", &scsi)
}

/// A whole descriptor around the insides of its sections.
pub(crate) fn envelope(files: &str, disks: &str, items: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- written for a test -->
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vmw="http://www.vmware.com/schema/ovf">
<References>
{files}</References>
<DiskSection><Info>Disks</Info>
{disks}</DiskSection>
<NetworkSection><Info>Networks</Info><Network ovf:name="VM Network"/></NetworkSection>
<VirtualSystem ovf:id="vm"><Info>A machine</Info><Name>A &amp; B</Name>
<VirtualHardwareSection><Info>Hardware</Info>
{items}</VirtualHardwareSection>
</VirtualSystem>
</Envelope>
"#
    )
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A line of a manifest.
pub(crate) fn line(algorithm: &str, name: &str, bytes: &[u8]) -> String {
    let digest = match algorithm {
        "SHA1" => hex(&Sha1::digest(bytes)),
        "SHA256" => hex(&Sha256::digest(bytes)),
        _ => hex(&Sha512::digest(bytes)),
    };
    format!("{algorithm}({name})= {digest}\n")
}

/// Bytes that look random, and differ by their seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| byte()).collect()
}
