//! OVA archives: an OVF, a manifest, and `tar`.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Sha256, Sha512};

use super::needs::find_program;
use super::record::digest;

/// What an OVF calls a VMDK, and a raw disk.
pub(crate) const VMDK: &str = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized";
pub(crate) const RAW: &str = "urn:example:disk:raw";

/// Digests that manifests are made of.
pub(crate) const ALGORITHMS: [&str; 3] = ["SHA1", "SHA256", "SHA512"];

/// The OVF of disks with these files, sizes and formats.
pub(crate) fn ovf(disks: &[(&str, u64, &str)]) -> String {
    let mut files = String::new();
    let (mut section, mut items) = (String::new(), String::new());
    for (number, (name, bytes, format)) in disks.iter().enumerate() {
        write!(files, "<File ovf:id=\"file{number}\" ovf:href=\"{name}\"/>").unwrap();
        write!(
            section,
            "<Disk ovf:diskId=\"vmdisk{number}\" ovf:fileRef=\"file{number}\" ovf:capacity=\"{bytes}\" ovf:format=\"{format}\"/>"
        )
        .unwrap();
        write!(
            items,
            "<Item><rasd:AddressOnParent>{number}</rasd:AddressOnParent><rasd:ElementName>disk{number}</rasd:ElementName>\
             <rasd:HostResource>ovf:/disk/vmdisk{number}</rasd:HostResource><rasd:InstanceID>{}</rasd:InstanceID>\
             <rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>",
            number + 10
        )
        .unwrap();
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Envelope xmlns=\"http://schemas.dmtf.org/ovf/envelope/1\" xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\" \
         xmlns:rasd=\"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData\">\
         <References>{files}</References><DiskSection><Info>Disks</Info>{section}</DiskSection>\
         <VirtualSystem ovf:id=\"vm\"><Info>A machine</Info><Name>appliance</Name><VirtualHardwareSection><Info>Hardware</Info>\
         <Item><rasd:ElementName>cpu</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType>\
         <rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>\
         <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>memory</rasd:ElementName>\
         <rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>\
         <Item><rasd:Address>0</rasd:Address><rasd:ElementName>scsi</rasd:ElementName><rasd:InstanceID>3</rasd:InstanceID>\
         <rasd:ResourceSubType>lsilogic</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>\
         {items}</VirtualHardwareSection></VirtualSystem></Envelope>"
    )
}

/// The manifest of these files of a directory, by one of [`ALGORITHMS`].
pub(crate) fn manifest(dir: &Path, names: &[&str], algorithm: &str) -> String {
    let line = |name: &&str| {
        let file = dir.join(name);
        let value = match algorithm {
            "SHA1" => sha1(&file),
            "SHA256" => digest::<Sha256>(&file),
            "SHA512" => digest::<Sha512>(&file),
            _ => panic!("no such algorithm: {algorithm}"),
        };
        format!("{algorithm}({name})= {value}\n")
    };
    names.iter().map(line).collect()
}

/// By somebody else's code.
pub(crate) fn sha1(file: &Path) -> String {
    let output = Command::new(find_program("sha1sum").unwrap()).arg(file).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..40].to_owned()
}

/// Makes an archive of these files of a directory, in this order, in one of `tar`'s formats.
pub(crate) fn archive(to: &Path, dir: &Path, members: &[&str], format: &str) {
    let mut tar = Command::new(find_program("tar").unwrap());
    tar.arg(format!("--format={format}")).args(["--owner=64", "--group=64", "-cf"]).arg(to);
    let output = tar.arg("-C").arg(dir).args(members).output().unwrap();
    assert!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::metadata(to).unwrap().len() > 0);
}
