"""Writes OVF descriptors, manifests and packages. DMTF DSP0243 1.1.0: "OVF package structure", "OVF descriptor"."""

import hashlib
from dataclasses import dataclass

import tar
from vmdk import SECTOR, deflated, stream

VMDK_URI = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"
RAW_URI = "urn:example:disk:raw"


@dataclass(frozen=True)
class Disk:
    """A disk of a package, as the descriptor has it."""

    href: str
    capacity: int | str
    uri: str = VMDK_URI


def descriptor(*disks: Disk) -> str:
    """The descriptor of a machine with these disks. What tests change is there once."""
    files, section, items = "", "", ""
    for number, disk in enumerate(disks):
        files += f'<File ovf:id="file{number}" ovf:href="{disk.href}"/>'
        section += (
            f'<Disk ovf:diskId="vmdisk{number}" ovf:fileRef="file{number}" ovf:capacity="{disk.capacity}" '
            f'ovf:format="{disk.uri}"/>'
        )
        items += (
            f"<Item><rasd:AddressOnParent>{number}</rasd:AddressOnParent><rasd:ElementName>disk</rasd:ElementName>"
            f"<rasd:HostResource>ovf:/disk/vmdisk{number}</rasd:HostResource>"
            f"<rasd:InstanceID>{number + 10}</rasd:InstanceID><rasd:Parent>3</rasd:Parent>"
            "<rasd:ResourceType>17</rasd:ResourceType></Item>"
        )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" '
        'xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">\n'
        f"<References>{files}</References>\n<DiskSection><Info>Disks</Info>{section}</DiskSection>\n"
        '<VirtualSystem ovf:id="vm"><Info>A machine</Info><Name>appliance</Name>'
        "<VirtualHardwareSection><Info>Hardware</Info>"
        "<Item><rasd:ElementName>cpu</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID>"
        "<rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>"
        "<Item><rasd:Address>0</rasd:Address><rasd:ElementName>scsi</rasd:ElementName>"
        "<rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType>"
        "<rasd:ResourceType>6</rasd:ResourceType></Item>"
        f"{items}</VirtualHardwareSection></VirtualSystem></Envelope>\n"
    )


def line(name: str, data: bytes, algorithm: str = "SHA256") -> str:
    return f"{algorithm}({name})= {hashlib.new(algorithm, data).hexdigest()}\n"


def manifest(members: dict[str, bytes], algorithm: str = "SHA256") -> str:
    return "".join(line(name, data, algorithm) for name, data in members.items())


def packed(disk: bytes) -> bytes:
    """A disk as it is usually stored in a package."""
    return stream(len(disk) // SECTOR, deflated(disk)).bytes()


def package(members: dict[str, bytes], listed: str | bytes | None = None) -> bytes:
    """An archive of these members, the manifest behind the first one; the right one unless it is given."""
    text = manifest(members) if listed is None else listed
    (first, data), *rest = members.items()
    text = text.encode() if isinstance(text, str) else text
    members = [(first, data), ("image.mf", text), *rest]
    return tar.archive(*(tar.member(name, data) for name, data in members))
