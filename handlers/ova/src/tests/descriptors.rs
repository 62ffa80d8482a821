//! Descriptors: what they mean, and what is refused in them.

use landfall_handler_api::ErrorKind;
use serde_json::json;

use super::host::{Way, code, run, run_with, terms, vmdk};
use super::package::{Disk, Tar, VMDK, envelope, hardware, item, noise, ovf};
use crate::Descriptor;
use crate::operation::Terms;

/// The code of a descriptor's error; "" where there is none.
fn parsed(text: &str) -> String {
    Descriptor::parse(text.as_bytes()).err().map_or_else(String::new, |error| error.code().to_owned())
}

fn usual() -> String {
    ovf(&[Disk::new("a.vmdk", 1000, VMDK), Disk::new("b.vmdk", 2000, VMDK)])
}

/// The usual descriptor with one thing changed, which must be there once.
#[track_caller]
fn changed(from: &str, to: &str) -> String {
    let usual = usual();
    assert_eq!(usual.matches(from).count(), 1, "{from}");
    parsed(&usual.replace(from, to))
}

#[test]
fn what_may_be_said_otherwise() {
    for (from, to) in [
        (r#"<?xml version="1.0" encoding="UTF-8"?>"#, ""),
        (r#"encoding="UTF-8""#, r#"encoding='utf-8' standalone="yes""#),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="./a.vmdk""#),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="a&amp;&#x62;.vmdk""#),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="a.vmdk" ovf:compression="identity" ovf:size="1""#),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="a.vmdk" href="http://elsewhere/""#),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^10""#),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="${disk.size}""#),
        (r#"ovf:capacity="1000""#, ""),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="9223372036854775807""#),
        ("<Info>Disks</Info>", "<Info>Disks</Info><vmw:Unknown><Disk/></vmw:Unknown>"),
        ("<Info>Disks</Info>", "<Info><![CDATA[<Disk/>]]></Info>"),
        ("</References>", "</References><?pi?><StringsSection/>"),
        ("<Info>Hardware</Info>", "<Info>Hardware</Info><Item><rasd:ResourceType>17</rasd:ResourceType></Item>"),
    ] {
        assert_eq!(changed(from, to), "", "{to}");
    }
}

#[test]
fn what_is_refused() {
    let xmlns = r#"xmlns="http://schemas.dmtf.org/ovf/envelope/1""#;
    let system = r#"<VirtualSystem ovf:id="x"/></Envelope>"#;
    let drive = |disk: &str| item("", &[("HostResource", disk), ("InstanceID", "9"), ("ResourceType", "17")]);
    let hardware_end = "</VirtualHardwareSection>";
    let long = "x".repeat(1025);
    for (from, to, expected) in [
        (xmlns, r#"xmlns="http://www.vmware.com/schema/ovf/1/envelope""#, "ovf-version"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="http://example.org/a.vmdk""#, "ovf-href"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="file:a.vmdk""#, "ovf-href"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="../a.vmdk""#, "ovf-href"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="/etc/passwd""#, "ovf-href"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="a&#10;.vmdk""#, "ovf-href"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="b.vmdk""#, "ovf-invalid"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="B.VMDK""#, "ovf-invalid"),
        (r#"ovf:href="a.vmdk""#, r#"href="a.vmdk""#, "ovf-invalid"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="a.vmdk" ovf:compression="gzip""#, "ovf-compression"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="a.vmdk" ovf:chunkSize="1""#, "ovf-chunked"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="a.vmdk" ovf:size="-1""#, "ovf-invalid"),
        (r#"ovf:id="file0""#, r#"ovf:id="file1""#, "ovf-invalid"),
        (r#"ovf:id="file0""#, "", "ovf-invalid"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="p.ovf""#, "ovf-reference"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="p.MF""#, "ovf-reference"),
        (r#"ovf:href="a.vmdk""#, r#"ovf:href="p.cert""#, "ovf-reference"),
        (r#"ovf:fileRef="file0""#, r#"ovf:fileRef="file1""#, "ovf-reference"),
        (r#"ovf:fileRef="file0""#, r#"ovf:fileRef="file9""#, "ovf-reference"),
        (r#"ovf:fileRef="file0""#, r#"ovf:fileRef="file0" ovf:parentRef="disk1""#, "ovf-parent"),
        (r#"ovf:diskId="disk0""#, r#"ovf:diskId="disk1""#, "ovf-reference"),
        (r#"ovf:diskId="disk0""#, "", "ovf-invalid"),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="0""#, "ovf-capacity"),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="-1""#, "ovf-capacity"),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="1e3""#, "ovf-capacity"),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="9223372036854775808""#, "ovf-capacity"),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="18446744073709551616""#, "ovf-capacity"),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="1" ovf:capacityAllocationUnits="byte * 2^63""#, "ovf-capacity"),
        (r#"ovf:capacity="1000""#, r#"ovf:capacity="9" ovf:capacityAllocationUnits="sectors""#, "ovf-capacity"),
        (
            r#"ovf:fileRef="file0" ovf:diskId="disk0" ovf:capacity="1000""#,
            r#"ovf:diskId="disk0""#,
            "ovf-capacity-reference",
        ),
        ("</References>", "</References><References/>", "ovf-invalid"),
        ("</References>", "</References><EncryptionSection/>", "ovf-encrypted"),
        ("</References>", "</References><VirtualSystemCollection/>", "ovf-several-systems"),
        ("</Envelope>", system, "ovf-several-systems"),
        (hardware_end, "</VirtualHardwareSection><VirtualHardwareSection/>", "ovf-several-systems"),
        (hardware_end, &format!("{}{hardware_end}", drive("ovf:/disk/disk9")), "ovf-reference"),
        (hardware_end, &format!("{}{hardware_end}", drive("/disk/disk1")), "ovf-reference"),
        (r#"<Name>A &amp; B"#, &format!("<Name>{long}"), "ovf-value-too-long"),
        (r#"ovf:diskId="disk0""#, &format!(r#"ovf:diskId="{long}""#), "ovf-value-too-long"),
        (">512<", ">half<", "ovf-invalid"),
        (">512<", ">18446744073709551615<", "ovf-invalid"),
        (">lsilogic<", ">lsilogic</rasd:ResourceSubType><rasd:ResourceSubType>x<", "ovf-invalid"),
    ] {
        assert_eq!(changed(from, to), expected, "{to}");
    }
    assert_eq!(
        parsed(&usual().replace(VMDK, "http://www.gnome.org/~markmc/qcow-image-format.html")),
        "ovf-disk-format"
    );
    assert_eq!(parsed(&usual().replace(VMDK, "")), "ovf-disk-format");
    assert_eq!(parsed(&envelope("", "", "")), "ovf-no-disks");
    assert_eq!(parsed("<Domain/>"), "ovf-invalid");
    let cut = usual();
    let cut = &cut[..cut.find("<VirtualSystem").unwrap()];
    assert_eq!(parsed(&format!("{cut}</Envelope>")), "ovf-invalid");
}

#[test]
fn the_disk_list_names_everything() {
    let files = r#"<File ovf:href="sys.vmdk" ovf:id="f1"/><File ovf:href="install.iso" ovf:id="f2"/>"#;
    let disks = format!(
        r#"<Disk ovf:capacity="4" ovf:capacityAllocationUnits="GigaBytes" ovf:diskId="sys"
          ovf:fileRef="f1" ovf:format="{VMDK}"/>
        <Disk ovf:capacity="16" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="scratch"/>"#
    );
    let large = r#" ovf:configuration="large""#;
    let items = hardware()
        + &item(large, &[("InstanceID", "1"), ("ResourceType", "3"), ("VirtualQuantity", "64")])
        + &item(
            r#" ovf:configuration="tiny small""#,
            &[("InstanceID", "1"), ("ResourceType", "3"), ("VirtualQuantity", "4")],
        )
        + &item(r#" ovf:bound="max""#, &[("InstanceID", "2"), ("ResourceType", "4"), ("VirtualQuantity", "9999")])
        + &item("", &[("Address", "1"), ("InstanceID", "4"), ("ResourceType", "5")])
        + &item("", &[("InstanceID", "5"), ("ResourceSubType", "vmware.sata.ahci"), ("ResourceType", "20")])
        + &item("", &[("InstanceID", "6"), ("ResourceSubType", "vmware.nvme.controller"), ("ResourceType", "20")])
        + &item("", &[("HostResource", "ovf:/file/f2"), ("InstanceID", "7"), ("Parent", "4"), ("ResourceType", "15")])
        + &item(
            "",
            &[
                ("AddressOnParent", "1"),
                ("HostResource", "ovf:/disk/sys"),
                ("InstanceID", "8"),
                ("Parent", "3"),
                ("ResourceType", "17"),
            ],
        )
        + &item("", &[("HostResource", "/disk/scratch"), ("InstanceID", "9"), ("Parent", "5"), ("ResourceType", "17")])
        + &item(
            "",
            &[
                ("Address", "00:50:56:00:00:01"),
                ("Connection", "VM Network"),
                ("InstanceID", "10"),
                ("ResourceSubType", "VmxNet3"),
                ("ResourceType", "10"),
            ],
        )
        + &item("", &[("Connection", "Other"), ("InstanceID", "11"), ("ResourceType", "10")])
        + r#"<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>"#;
    let options = r#"<DeploymentOptionSection><Info/><Configuration ovf:id="large"><Label/></Configuration>
        <Configuration ovf:id="small" ovf:default="true"/></DeploymentOptionSection><VirtualSystem"#;
    let boot = r#"</VirtualHardwareSection><vmw:BootOrderSection vmw:instanceId="7" vmw:type="cdrom"><Info/>
        </vmw:BootOrderSection><vmw:BootOrderSection vmw:instanceId="8" vmw:type="disk"/>"#;
    let text = envelope(files, &disks, &items);
    let text = text.replacen("<VirtualSystem", options, 1).replace("</VirtualHardwareSection>", boot);
    let expected = json!({
        "name": "A & B",
        "vcpus": 4,
        "memory_bytes": 512 << 20,
        "firmware": "efi",
        "networks": [
            {"name": "VM Network", "adapters": [{"model": "VmxNet3", "address": "00:50:56:00:00:01"}]},
            {"name": "Other", "adapters": [{"model": null, "address": null}]},
        ],
        "controllers": [
            {"id": "3", "bus": "scsi", "model": "lsilogic", "number": 0},
            {"id": "4", "bus": "ide", "model": null, "number": 1},
            {"id": "5", "bus": "sata", "model": "vmware.sata.ahci", "number": null},
            {"id": "6", "bus": "nvme", "model": "vmware.nvme.controller", "number": null},
        ],
    });
    let descriptor = Descriptor::parse(text.as_bytes()).unwrap();
    assert_eq!(json!(descriptor), expected);
    let known: Vec<_> =
        descriptor.disks.iter().map(|disk| (disk.number, disk.id.as_str(), disk.capacity_bytes)).collect();
    assert_eq!(known, [(0, "sys", Some(4 << 30)), (1, "scratch", Some(16 << 20))]);
    let shown = json!([
        {"member": "sys.vmdk", "stored_format": "vmdk", "controller": "3", "unit": 1, "boot_order": 2},
        {"member": null, "stored_format": null, "controller": "5", "unit": null, "boot_order": null},
    ]);
    assert_eq!(json!(descriptor.disks), shown);
    // The second version of the envelope, with its own items.
    let second = text.replace("/ovf/envelope/1", "/ovf/envelope/2").replace("Item>", "StorageItem>");
    let second = second
        .replace("<Item ", "<StorageItem ")
        .replace("ResourceAllocationSettingData\"", "StorageAllocationSettingData.xsd\"");
    assert_eq!(json!(Descriptor::parse(second.as_bytes()).unwrap()), expected);
}

#[test]
fn virtualbox_says_its_firmware_elsewhere() {
    let machine = r#"</VirtualHardwareSection><vbox:Machine xmlns:vbox="http://www.virtualbox.org/ovf/machine">
        <Hardware><Firmware type="EFI"/></Hardware></vbox:Machine>"#;
    let text = usual().replace("</VirtualHardwareSection>", machine);
    let descriptor = Descriptor::parse(text.as_bytes()).unwrap();
    assert_eq!(descriptor.firmware, Some(crate::Firmware::Efi));
}

fn package(disk: &str, name: &str, file: &[u8]) -> Vec<u8> {
    let files = format!(r#"<File ovf:href="{name}" ovf:id="f"/>"#);
    Tar::default().file("p.ovf", envelope(&files, disk, "").as_bytes()).file(name, file).end()
}

#[test]
fn a_disk_is_what_its_descriptor_says() {
    let bytes = noise(8, 70_000);
    let disk = |capacity: &str, format: &str| {
        format!(r#"<Disk ovf:diskId="d" ovf:fileRef="f" ovf:format="{format}" {capacity}/>"#)
    };
    let right = r#"ovf:capacity="70000""#;
    let reference = r#"ovf:capacity="${size}""#;
    for (capacity, format, file, expected) in [
        (right, VMDK, vmdk(&bytes), ""),
        (reference, VMDK, vmdk(&bytes), ""),
        ("", VMDK, vmdk(&bytes), ""),
        (right, "raw", bytes.clone(), ""),
        ("", "http://example.org/formats#raw", bytes.clone(), ""),
        (r#"ovf:capacity="70001""#, VMDK, vmdk(&bytes), "ovf-capacity-mismatch"),
        (r#"ovf:capacity="69999""#, VMDK, vmdk(&bytes), "ovf-capacity-mismatch"),
        (r#"ovf:capacity="70001""#, "raw", bytes.clone(), "ovf-capacity-mismatch"),
        (r#"ovf:capacity="69999""#, "raw", bytes.clone(), "ovf-capacity-mismatch"),
        (right, VMDK, bytes.clone(), "vmdk-magic"),
        ("", "raw", vmdk(&bytes), "ovf-format-mismatch"),
        ("", "raw", b"# Disk DescriptorFile\nversion=1\n\0\0".to_vec(), "ovf-format-mismatch"),
    ] {
        let outcome = run(&package(&disk(capacity, format), "d.img", &file));
        match expected {
            "" => assert!(outcome.unwrap() == [bytes.clone()], "{capacity} {format}"),
            _ => assert_eq!(outcome.unwrap_err().1, expected, "{capacity} {format}"),
        }
    }
}

#[test]
fn a_file_has_the_size_that_its_descriptor_says() {
    let disk = r#"<Disk ovf:diskId="d" ovf:fileRef="f" ovf:format="raw" ovf:capacity="3"/>"#;
    for (size, expected) in [("3", ""), ("", ""), ("2", "ovf-size-mismatch"), ("4", "ovf-size-mismatch")] {
        let files = format!(r#"<File ovf:href="d" ovf:id="f" ovf:size="{size}"/>"#);
        let tar = Tar::default().file("p.ovf", envelope(&files, disk, "").as_bytes());
        assert_eq!(code(&tar.file("d", b"abc").end()), expected, "{size:?}");
        // Of one that is no disk, too.
        let files = format!(r#"<File ovf:href="d" ovf:id="f"/><File ovf:href="notes" ovf:id="n" ovf:size="{size}"/>"#);
        for tar in [Tar::default().file("notes", b"abc"), Tar::default()] {
            let expected = if tar.0.is_empty() { "" } else { expected };
            let tar = tar.file("p.ovf", envelope(&files, disk, "").as_bytes()).file("d", b"abc");
            assert_eq!(code(&tar.end()), expected, "{size:?}");
        }
    }
}

#[test]
fn limits_hold_before_an_output_is_opened() {
    let bytes = noise(9, 5000);
    let disks: Vec<_> = (0..3).map(|number| Disk::new(&format!("{number}.vmdk"), bytes.len(), VMDK)).collect();
    let tar = Tar::default().file("p.ovf", ovf(&disks).as_bytes());
    let package = (0..3).fold(tar, |tar, number| tar.file(&format!("{number}.vmdk"), &vmdk(&bytes))).end();
    let without = r#"<Disk ovf:diskId="d" ovf:fileRef="f" ovf:format="raw"/>"#;
    let unknown = self::package(without, "d.img", &bytes);
    let means = |disk_bytes| landfall_handler_vmdk::Means { disk_bytes, ..terms().means };
    for (package, limits, expected) in [
        (&package, Terms { disks: 3, means: means(5000), ..terms() }, ""),
        (&package, Terms { disks: 2, ..terms() }, "ovf-too-many-disks"),
        (&package, Terms { means: means(4999), ..terms() }, "disk-too-large"),
        (&unknown, Terms { means: means(5000), ..terms() }, ""),
        (&unknown, Terms { means: means(4999), ..terms() }, "disk-too-large"),
    ] {
        for way in Way::ALL {
            let (host, outcome) = run_with(package, way, &limits);
            match expected {
                "" => outcome.unwrap(),
                _ => {
                    let error = outcome.unwrap_err();
                    assert_eq!((error.kind(), error.code()), (ErrorKind::Limit, expected));
                    assert!(host.finished.into_inner().unwrap().is_empty());
                }
            }
        }
    }
}

#[test]
fn a_package_has_one_descriptor_and_all_its_disks() {
    let (text, file) = (ovf(&[Disk::new("d.vmdk", 3, VMDK)]), vmdk(b"abc"));
    let tar = || Tar::default().file("p.OVF", text.as_bytes());
    assert_eq!(code(&tar().file("d.vmdk", &file).end()), "");
    assert_eq!(code(&tar().end()), "ova-disk-missing");
    assert_eq!(code(&Tar::default().file("d.vmdk", &file).end()), "ova-no-descriptor");
    assert_eq!(code(&tar().file("d.vmdk", &file).file("q.ovf", text.as_bytes()).end()), "ova-several-descriptors");
}
