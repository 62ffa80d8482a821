"""Holds our verdicts against those of the real oslo.utils.

    services.py python compare.py INSPECT [--only NAME]... [--also DIRECTORY]

INSPECT is the built example `inspect`, services.py that of tests/services, which has oslo.utils. Needs qemu-img for a
part of the images. NAME is one of them, alone; DIRECTORY has more, named NAME.DISK_FORMAT, about which nobody may
differ. Each image is asked about under its own format, as raw, and as qcow2, by the rule of Nova: one format is found,
its safety check passes, and it is the claimed one; gpt may be called raw, iso+gpt is an iso. Every difference must be
in EXPECTED, and everything there must differ.
"""

import argparse
import json
import logging
import pathlib
import struct
import subprocess
import sys
import tempfile
from itertools import chain

from oslo_utils.imageutils import format_inspector

sys.dont_write_bytecode = True

import images  # noqa: E402

# Image, claim: why our verdict is another one. We refuse what oslo.utils accepts, unless the reason says ACCEPTED.
EXPECTED = {
    ('qcow2-backing-size', 'qcow2'): 'readers differ in whether offset or size tells of a backing file',
    ('qcow2-feature-1', 'qcow2'): 'the corrupt bit: qemu reads on, what is read is anything',
    ('qcow2-feature-3', 'qcow2'): 'the compression bit without a compression type: qemu refuses it too',
    ('qcow2-feature-4', 'qcow2'): 'ACCEPTED: extended L2 entries, which qemu reads and which name no other file',
    ('qemu-extended.qcow2', 'qcow2'): 'ACCEPTED: the same',
    ('qcow2-version-2-extension', 'qcow2'): 'ACCEPTED: of a header of version 2 the bytes at 72 are no features',
    ('qcow2-aes', 'qcow2'): 'encrypted: nobody can inspect what is inside',
    ('qcow2-luks', 'qcow2'): 'encrypted: nobody can inspect what is inside',
    ('qcow2-data-file-name', 'qcow2'): 'the name of a data file, its bit or not',
    ('qcow2-size-2-63', 'qcow2'): 'no file is as large',
    ('qcow2-cut', 'raw'): 'a qcow2 cut short is no more raw for that',
    ('iso-udf-bea', 'iso'): 'ACCEPTED: a UDF without ISO 9660 begins so',
    ('iso-udf-bea', 'raw'): 'the same: it is an iso',
    ('iso-cut', 'raw'): 'an ISO image cut short is no more raw for that',
    ('luks-payload-0', 'luks'): 'a header without data, or over it',
    ('vdi-differencing', 'vdi'): 'another file is its parent',
    ('vdi-parent', 'vdi'): 'another file is its parent',
    ('vhd-differencing', 'vhd'): 'another file is its parent',
    ('vhd-parent-name', 'vhd'): 'another file is its parent',
    ('vhd-footer-size', 'vhd'): 'two readers see two disks',
    ('vhd-fixed', 'vhd'): 'ACCEPTED: a fixed VHD is known by its footer alone, which oslo.utils does not see',
    ('vhd-fixed', 'raw'): 'the same: it is a vhd',
    ('qemu-fixed.vhd', 'vhd'): 'ACCEPTED: the same',
    ('qemu-fixed.vhd', 'raw'): 'the same: it is a vhd',
    ('vhdx-parent', 'vhdx'): 'another file is its parent',
    ('vhdx-locator', 'vhdx'): 'another file is its parent',
    ('vhdx-log', 'vhdx'): 'what is to be replayed may change what was inspected',
    ('vhdx-table-over-limit', 'vhdx'): 'where its metadata is cannot be told',
    ('vhdx-no-table', 'vhdx'): 'where its metadata is cannot be told',
    ('vhdx-tables-differ', 'vhdx'): 'two readers see two disks',
    ('vmdk-descriptor-of-2-mib', 'vmdk'): 'qemu stops reading at 1 MiB - 1, and others may not',
    ('vmdk-parent', 'vmdk'): 'another file is its parent',
    ('vmdk-hint', 'vmdk'): 'another file is its parent',
    ('vmdk-track', 'vmdk'): 'another file is named',
    ('vmdk-flat-sibling', 'vmdk'): 'another file is named',
    ('vmdk-capacity', 'vmdk'): 'two readers see two disks',
    ('vmdk-capacity-0', 'vmdk'): 'qemu takes it for a text descriptor, and opens its extents',
    ('vmdk-not-ascii', 'vmdk'): 'ACCEPTED: a name may have letters beyond ASCII',
    ('vmdk-footer-flags', 'vmdk'): 'two readers see two disks',
    ('vmdk-footer-capacity', 'vmdk'): 'two readers see two disks',
    ('vmdk-footer-grain', 'vmdk'): 'two readers see two disks',
    ('vmdk-footer-grain-table', 'vmdk'): 'two readers see two disks',
    ('vmdk-footer-compression', 'vmdk'): 'two readers see two disks',
    ('vmdk-text-sparse', 'vmdk'): 'a descriptor alone names a file that is not here',
    ('vmdk-text-padded', 'raw'): 'NUL padding hides it from oslo.utils, and not from qemu',
    ('vmdk-text-nul', 'raw'): 'NUL hides it from oslo.utils, and not from qemu',
    ('qemu-flat.vmdk', 'raw'): 'the same, as qemu-img makes it',
    ('qemu-split.vmdk', 'raw'): 'the same, as qemu-img makes it',
    ('cowd', 'raw'): 'qemu probes it',
    ('sesparse', 'raw'): 'qemu probes it',
    ('parallels', 'raw'): 'qemu probes it',
    ('bochs', 'raw'): 'qemu probes it',
    ('cloop', 'raw'): 'qemu probes it',
    ('dmg', 'raw'): 'qemu opens it by its name',
}


def oslo(path, claim):
    """The verdict of oslo.utils by Nova's rule, and the virtual size."""
    wrapper = format_inspector.InspectWrapper(path.open('rb'))
    try:
        while wrapper.read(64 * 1024):
            pass
    finally:
        wrapper.close()
    found = {str(inspector): inspector for inspector in wrapper.formats}
    if set(found) == {'iso', 'gpt'}:
        del found['gpt']
    if len(found) != 1:
        return False, None
    (name, inspector), = found.items()
    try:
        inspector.safety_check()
    except (format_inspector.SafetyCheckFailed, format_inspector.ImageFormatError):
        return False, None
    try:
        size = inspector.virtual_size
    except (KeyError, struct.error):
        # A text descriptor alone has no header to read it from, a damaged VHDX not 8 bytes.
        size = None
    return name == claim or (name, claim) == ('gpt', 'raw'), size


def ours(inspect, path, claim):
    done = subprocess.run([inspect, path, claim, 'bare'], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    return answer['verdict'] == 'ok', answer['virtual_size'], answer


def agree(name, claim, theirs, mine):
    """Whether the verdicts are the same, or differ as EXPECTED says."""
    reason = EXPECTED.get((name, claim))
    return theirs == mine or (reason is not None and reason.startswith('ACCEPTED: ') == mine)


def given(directory):
    """Images that somebody else made."""
    for path in sorted(directory.iterdir()) if directory else ():
        yield path.name, path.read_bytes(), path.suffix[1:]


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument('inspect', type=pathlib.Path)
    parser.add_argument('--only', action='append', default=[])
    parser.add_argument('--also', type=pathlib.Path)
    return parser.parse_args()


def main():
    args = arguments()
    inspect = args.inspect.resolve()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        wrong, differences, asked, found = [], set(), 0, set()
        for name, data, disk_format in chain(images.written(), images.made(directory), given(args.also)):
            if args.only and name not in args.only:
                continue
            found.add(name)
            path = directory / name
            path.write_bytes(data)
            for claim in {disk_format: 0, 'raw': 0, 'qcow2': 0}:
                asked += 1
                theirs, their_size = oslo(path, claim)
                mine, my_size, answer = ours(inspect, path, claim)
                if mine != theirs:
                    differences.add((name, claim))
                if not agree(name, claim, theirs, mine):
                    wrong.append(f'{name} as {claim}: oslo.utils {theirs}, we {answer}')
                elif mine and theirs and my_size != their_size and not (my_size is None and not their_size):
                    wrong.append(f'{name} as {claim}: oslo.utils sees {their_size} bytes, we {my_size}')
        wrong += [f'{name} as {claim}: expected to differ, and does not'
                  for name, claim in sorted(set(EXPECTED) - differences) if name in found]
        missing = {name for name, _ in EXPECTED} - found
        missing -= {name for name, *_ in images.MADE if not (directory / name).exists()}
        wrong += [f'{name}: expected to differ, and there is none' for name in sorted(missing) if not args.only]
    print(f'{asked} verdicts, {len(differences)} differences, {len(wrong)} unexpected')
    print('\n'.join(wrong))
    sys.exit(1 if wrong else 0)


if __name__ == '__main__':
    main()
