"""Images to ask both inspectors about: made by qemu-img, and written byte by byte."""

import struct
import subprocess
import zlib

KIB = 1024
MIB = 1024 * KIB
SECTOR = 512
SIZE = 256 * KIB


def put(image, at, data):
    """Writes data into an image, in place; a negative offset counts from the end."""
    at = len(image) + at if at < 0 else at
    image[at:at + len(data)] = data
    return image


def zeros(size=SIZE):
    return bytearray(size)


def qcow2():
    image = zeros()
    put(image, 0, struct.pack('>4sIQIIQ', b'QFI\xfb', 3, 0, 0, 16, 10 * MIB))
    return put(image, 100, struct.pack('>I', 104))


def qed():
    return put(zeros(), 0, b'QED\0')


def protective():
    entry = b'\0\0\x02\0\xee\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff'
    image = put(zeros(), 446, entry)
    return put(put(image, 510, b'\x55\xaa'), 512, b'EFI PART')


def partitioned():
    entry = b'\x80\x20\x21\0\x83\x10\0\0\0\x08\0\0\0\0\x01\0'
    return put(put(zeros(), 446, entry), 510, b'\x55\xaa')


def iso():
    image = put(zeros(), 32 * KIB, b'\x01CD001\x01')
    put(image, 32 * KIB + 80, struct.pack('<I', 128))
    return put(image, 32 * KIB + 128, struct.pack('<H', 2048))


def luks():
    image = put(zeros(), 0, b'LUKS\xba\xbe\0\x01')
    return put(image, 104, struct.pack('>I', 4))


def vdi():
    image = put(zeros(), 0x40, struct.pack('<IIII', 0xbeda107f, 0x10001, 0x180, 1))
    return put(image, 0x170, struct.pack('<Q', 10 * MIB))


def vhd_footer(disk_type, data_offset):
    footer = zeros(SECTOR)
    put(footer, 0, struct.pack('>8sIIQ', b'conectix', 2, 0x10000, data_offset))
    put(footer, 40, struct.pack('>QQ', 10 * MIB, 10 * MIB))
    return put(footer, 60, struct.pack('>I', disk_type))


def vhd():
    image = put(zeros(), 0, vhd_footer(3, 512))
    return put(put(image, 512, b'cxsparse'), -512, vhd_footer(3, 512))


def fixed_vhd():
    return put(zeros(), -512, vhd_footer(2, 2**64 - 1))


DESCRIPTOR = '''# Disk DescriptorFile
version=1
CID=f431b526
parentCID=ffffffff
createType="monolithicSparse"

# Extent description
RW 4096 SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.adapterType = "ide"
'''


def vmdk_header(version=1, capacity=4096, offset=1, sectors=20, directory=21):
    return struct.pack('<4sIIQQQQIQQQB4sH', b'KDMV', version, 3, capacity, 128, offset, sectors, 512, 0, directory,
                       128, 0, b'\n \r\n', 0)


def vmdk(text=DESCRIPTOR, size=SIZE, **header):
    image = put(zeros(size), 0, vmdk_header(**header))
    return put(image, header.get('offset', 1) * SECTOR, text.encode())


def stream_optimized():
    at_end = 2**64 - 1
    image = vmdk(DESCRIPTOR.replace('monolithicSparse', 'streamOptimized'), version=3, directory=at_end)
    put(image, -1536, struct.pack('<QII', 1, 0, 3))
    return put(image, -1024, vmdk_header(version=3, directory=200))


def guid(text):
    a, b, c, d, e = text.split('-')
    return struct.pack('<IHH', int(a, 16), int(b, 16), int(c, 16)) + bytes.fromhex(d + e)


METADATA = guid('8B7CA206-4790-4B9A-B8FE-575F050F886E')
PARAMETERS = guid('CAA16737-FA36-4D43-B3B6-33F0AA44E76B')
DISK_SIZE = guid('2FA54224-CD1B-4876-B211-5DBED83BF4B8')
LOCATOR = guid('A8D35F2D-B30B-454D-ABF7-D3D84834AB0C')


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def sealed(part):
    return put(part, 4, struct.pack('<I', crc32c(part)))


def vhdx(regions=(), count=None, flags=0, items=(), log=0):
    image = put(zeros(3 * MIB), 0, b'vhdxfile')
    for at, sequence in ((64 * KIB, 1), (128 * KIB, 2)):
        header = put(zeros(4096), 0, b'head')
        put(header, 8, struct.pack('<Q', sequence))
        put(header, 48, bytes([log] * 16))
        put(image, at, sealed(put(header, 64, struct.pack('<HH', 0, 1))))
    regions = [*regions, (METADATA, 2 * MIB)]
    table = put(zeros(64 * KIB), 0, b'regi')
    put(table, 8, struct.pack('<I', len(regions) if count is None else count))
    for nth, (which, offset) in enumerate(regions):
        put(table, 16 + 32 * nth, which + struct.pack('<QII', offset, MIB, 0))
    sealed(table)
    put(put(image, 192 * KIB, table), 256 * KIB, table)

    items = [(PARAMETERS, 65536, 4), (DISK_SIZE, 65544, 6), *items]
    put(image, 2 * MIB, b'metadata\0\0' + struct.pack('<H', len(items)))
    for nth, (which, offset, item_flags) in enumerate(items):
        put(image, 2 * MIB + 32 + 32 * nth, which + struct.pack('<IIII', offset, 8, item_flags, 0))
    return put(image, 2 * MIB + 65536, struct.pack('<IIQ', 2 * MIB, flags, 10 * MIB))


# Name, bytes, disk_format. What one of the formats is called otherwise is asked of all.
def written():
    yield 'zeros', zeros(), 'raw'
    yield 'empty', zeros(0), 'raw'

    yield 'qcow2', qcow2(), 'qcow2'
    yield 'qcow2-backing-offset', put(qcow2(), 8, b'\0\0\0\0\0\0\x02\0'), 'qcow2'
    yield 'qcow2-backing-size', put(qcow2(), 16, b'\0\0\0\x05'), 'qcow2'
    for bit in range(64):
        yield f'qcow2-feature-{bit}', put(qcow2(), 79 - bit // 8, bytes([1 << bit % 8])), 'qcow2'
    for version in (0, 1, 2, 4):
        yield f'qcow2-version-{version}', put(qcow2(), 7, bytes([version])), 'qcow2'
    second = put(put(qcow2(), 7, b'\x02'), 100, bytes(4))
    yield 'qcow2-version-2-extension', put(second, 72, b'\x12\x34\x56\x78\0\0\0\x04name'), 'qcow2'
    yield 'qcow2-aes', put(qcow2(), 35, b'\x01'), 'qcow2'
    yield 'qcow2-luks', put(qcow2(), 35, b'\x02'), 'qcow2'
    yield 'qcow2-data-file-name', put(put(qcow2(), 103, b'\x70'), 112, b'DATA\0\0\0\x01x'), 'qcow2'
    yield 'qcow2-size-2-63', put(qcow2(), 24, b'\x80'), 'qcow2'
    yield 'qcow2-cut', qcow2()[:511], 'qcow2'
    yield 'qed', qed(), 'qed'

    yield 'gpt', protective(), 'gpt'
    yield 'mbr', partitioned(), 'gpt'
    for name, at, data in (
        ('boot-flag', 446, b'\x0a'), ('boot-flag-4', 494, b'\x01'), ('no-partitions', 450, b'\0'),
        ('second-entry', 466, b'\xee'), ('second-entry-linux', 466, b'\x83'), ('chs', 448, b'\x01'),
        ('lba', 454, b'\x02'), ('bootable', 446, b'\x80'),
    ):
        yield f'gpt-{name}', put(protective(), at, data), 'gpt'
    moved = put(put(zeros(), 462, protective()[446:462]), 510, b'\x55\xaa')
    yield 'gpt-in-second-entry', moved, 'gpt'
    fat = put(put(put(zeros(), 0x10, b'\x02'), 0x15, b'\xf8'), 510, b'\x55\xaa')
    yield 'fat', fat, 'raw'
    yield 'fat-one', put(fat, 0x10, b'\x01'), 'raw'

    yield 'iso', iso(), 'iso'
    yield 'iso-udf-2', put(iso(), 32 * KIB, b'\0NSR02'), 'iso'
    yield 'iso-udf-3', put(iso(), 32 * KIB, b'\0NSR03'), 'iso'
    yield 'iso-udf-bea', put(iso(), 32 * KIB, b'\0BEA01'), 'iso'
    yield 'iso-hybrid', put(iso(), 446, partitioned()[446:512]), 'iso'
    yield 'iso-hybrid-odd', put(iso(), 510, b'\x55\xaa'), 'iso'
    yield 'iso-qcow2', put(iso(), 0, qcow2()[:512]), 'iso'
    yield 'iso-cut', iso()[:34 * KIB - 1], 'iso'

    yield 'luks', luks(), 'luks'
    yield 'luks-2', put(luks(), 6, b'\0\x02'), 'luks'
    yield 'luks-cut', luks()[:591], 'luks'
    yield 'luks-payload-0', put(luks(), 104, bytes(4)), 'luks'

    yield 'vdi', vdi(), 'vdi'
    yield 'vdi-differencing', put(vdi(), 0x4c, b'\x04'), 'vdi'
    yield 'vdi-parent', put(vdi(), 0x1b8, b'\x01'), 'vdi'

    yield 'vhd', vhd(), 'vhd'
    yield 'vhd-differencing', put(put(vhd(), 63, b'\x04'), -512 + 63, b'\x04'), 'vhd'
    yield 'vhd-parent-name', put(vhd(), 512 + 64, b'\0b'), 'vhd'
    yield 'vhd-footer-size', put(vhd(), -512 + 48, b'\x01'), 'vhd'
    yield 'vhd-fixed', fixed_vhd(), 'vhd'

    yield 'vhdx', vhdx(), 'vhdx'
    yield 'vhdx-parent', vhdx(flags=2), 'vhdx'
    yield 'vhdx-locator', vhdx(items=[(LOCATOR, 65600, 4)]), 'vhdx'
    yield 'vhdx-log', vhdx(log=1), 'vhdx'
    yield 'vhdx-full-table', vhdx(regions=[(bytes(range(16)), 0)] * 2046), 'vhdx'
    yield 'vhdx-table-over-limit', vhdx(count=2048), 'vhdx'
    yield 'vhdx-no-table', put(put(vhdx(), 192 * KIB, b'xxxx'), 256 * KIB, b'xxxx'), 'vhdx'
    yield 'vhdx-tables-differ', put(vhdx(), 256 * KIB + 100, b'x'), 'vhdx'

    yield 'vmdk', vmdk(), 'vmdk'
    yield 'vmdk-stream', stream_optimized(), 'vmdk'
    for version in (0, 2, 3, 4):
        yield f'vmdk-version-{version}', vmdk(version=version), 'vmdk'
    yield 'vmdk-descriptor-at-2', vmdk(offset=2), 'vmdk'
    yield 'vmdk-stream-descriptor-at-2', put(stream_optimized(), 0x1c, b'\x02'), 'vmdk'
    yield 'vmdk-descriptor-of-1-mib', vmdk(sectors=2047, size=2 * MIB), 'vmdk'
    yield 'vmdk-descriptor-of-2-mib', vmdk(sectors=4096, size=3 * MIB), 'vmdk'
    extent = 'RW 4096 SPARSE "disk.vmdk"'
    for name, old, new in (
        ('flat', 'monolithicSparse', 'monolithicFlat'), ('broken-type', 'createType="', 'createType='),
        ('unquoted-type', '"monolithicSparse"', 'monolithicSparse'), ('blank-type', 'Type=', 'Type = '),
        ('blank-key', 'version=1', 'version = 1'),
        ('no-type', 'createType="monolithicSparse"', ''), ('wronly', 'RW 4096', 'WRONLY 4096'),
        ('path', 'disk.vmdk', '/etc/hosts'), ('no-extent', extent, ''), ('line', 'version=1', 'version 1'),
        ('parent', 'ffffffff', '81f019b7'), ('hint', 'CID=f4', 'parentFileNameHint="base.vmdk"\nCID=f4'),
        ('flat-sibling', extent, extent + '\nRW 8 FLAT "passwd" 0'), ('dotdot', 'disk.vmdk', '..'),
        ('capacity', 'RW 4096', 'RW 8192'), ('upper-case', 'createType', 'CREATETYPE'),
        ('not-ascii', 'disk.vmdk', 'd\u00efsk.vmdk'), ('track', 'CID=f4', 'changeTrackPath="x"\nCID=f4'),
    ):
        yield f'vmdk-{name}', vmdk(DESCRIPTOR.replace(old, new, 1)), 'vmdk'
    yield 'vmdk-capacity-0', vmdk(capacity=0), 'vmdk'
    for name, at, data in (
        ('signature', 0, b'x'), ('version', 4, b'\x01'), ('flags', 8, b'\x01'), ('capacity', 0x0c, b'\0\x20'),
        ('grain', 0x14, b'\x40'), ('descriptor-length', 0x24, b'\x15'), ('descriptor-moved', 0x1c, b'\x02'),
        ('grain-table', 0x2c, b'\0\x04'), ('another-footer', 0x38, b'\xff' * 8), ('compression', 0x4d, b'\x01'),
    ):
        yield f'vmdk-footer-{name}', put(stream_optimized(), -1024 + at, data), 'vmdk'
    for name, at, data in (
        ('marker-type', -1536 + 12, b'\x01'), ('marker-size', -1536 + 8, b'\x01'), ('marker-pad', -1025, b'x'),
        ('marker-number', -1536, b'\x07'), ('end-number', -512, b'\x01'), ('end-type', -512 + 12, b'\x01'),
        ('end-size', -512 + 8, b'\x01'), ('end-pad', -1, b'x'),
    ):
        yield f'vmdk-{name}', put(stream_optimized(), at, data), 'vmdk'
    flat = DESCRIPTOR.replace('monolithicSparse', 'monolithicFlat').replace(extent, 'RW 8 FLAT "/etc/passwd" 0')
    yield 'vmdk-text', bytearray(flat.encode()), 'vmdk'
    yield 'vmdk-text-sparse', bytearray(DESCRIPTOR.encode()), 'vmdk'
    yield 'vmdk-text-padded', put(zeros(1024), 0, flat.encode()), 'vmdk'
    yield 'vmdk-text-nul', put(put(zeros(), 0, b'#\0\n'), 3, flat.encode()), 'vmdk'

    for name, mark in (
        ('qcow1', b'QFI\xfb\0\0\0\x01'), ('cowd', b'COWD'), ('sesparse', b'\xbe\xba\xfe\xca\0\0\0\0'),
        ('parallels', b'WithoutFreeSpace'), ('bochs', b'Bochs Virtual HD Image'),
        ('cloop', b'#!/bin/sh\n#V2.0 Format\n'),
    ):
        yield name, put(zeros(), 0, mark), 'raw'
    yield 'dmg', put(zeros(), -512, b'koly'), 'raw'
    yield 'gzip', put(zeros(), 0, zlib.compress(b'x', wbits=31)), 'raw'


# Name, qemu's format and options, disk_format.
MADE = [
    ('qemu.raw', 'raw', '', 'raw'), ('qemu-2.qcow2', 'qcow2', 'compat=0.10', 'qcow2'),
    ('qemu-3.qcow2', 'qcow2', 'compat=1.1', 'qcow2'), ('qemu-zstd.qcow2', 'qcow2', 'compression_type=zstd', 'qcow2'),
    ('qemu-extended.qcow2', 'qcow2', 'extended_l2=on', 'qcow2'), ('qemu.qed', 'qed', '', 'qed'),
    ('qemu.vhd', 'vpc', 'subformat=dynamic', 'vhd'), ('qemu-fixed.vhd', 'vpc', 'subformat=fixed,force_size=on', 'vhd'),
    ('qemu.vhdx', 'vhdx', '', 'vhdx'), ('qemu-fixed.vhdx', 'vhdx', 'subformat=fixed', 'vhdx'),
    ('qemu-sparse.vmdk', 'vmdk', 'subformat=monolithicSparse', 'vmdk'),
    ('qemu-stream.vmdk', 'vmdk', 'subformat=streamOptimized', 'vmdk'),
    ('qemu-flat.vmdk', 'vmdk', 'subformat=monolithicFlat', 'vmdk'),
    ('qemu-split.vmdk', 'vmdk', 'subformat=twoGbMaxExtentSparse', 'vmdk'),
    ('qemu.vdi', 'vdi', '', 'vdi'), ('qemu-static.vdi', 'vdi', 'static=on', 'vdi'),
    ('qemu.luks', 'luks', 'key-secret=key,iter-time=10', 'luks'),
]


def made(directory):
    """Makes the images of qemu-img, those that this one can make."""
    (directory / 'source').write_bytes(bytes(partitioned()) + b'\x5a' * (2 * MIB - SIZE))
    for name, kind, options, disk_format in MADE:
        command = ['qemu-img', 'convert', '-f', 'raw', '-O', kind, *(['-o', options] if options else [])]
        command += ['--object', 'secret,id=key,data=landfall'] if kind == 'luks' else []
        done = subprocess.run([*command, 'source', name], cwd=directory, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            yield name, (directory / name).read_bytes(), disk_format
        else:
            print(f'NOT MADE: {name}: {done.stderr.strip()}')
