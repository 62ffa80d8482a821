"""What unpacking costs: a real Debian file system as VMDK and OVA, against qemu-img and what people put around it."""

import os
import shutil
import subprocess
from pathlib import Path

from cases import Result, judged, measure_pairs
from downloads import APART, OURS, PEER, STORE, command, config, finish, runner
from place import GIB, MIB
from server import Server
from workers import run_together

VIRTUAL = 4 * GIB
# Of files in the image; less than all of a small Debian with a compiler.
DATA = 1700 * MIB
TREES = ("bin", "lib/x86_64-linux-gnu", "lib/gcc", "lib/python3", "share", "include", "lib", "sbin", "libexec", "src")
VMDK = "debian.vmdk"
SMALL = 4
SMALL_SIZE = 512 * MIB
# Of all our processes together.
MOST_KIBIBYTES = 96 << 10

WARM = "Both sides sync the file; ours also syncs the directory and its ledger. The source is in the page cache."
CONVERT = 'qemu-img convert -O raw "$1" "$2" && sync "$2"'
DIGEST = 'openssl dgst -sha512 "$1" && ' + CONVERT
FETCH = (
    'curl -s -S -f -o "$3/d.ova" "$1" && openssl dgst -sha512 "$3/d.ova" && tar -xf "$3/d.ova" -C "$3" && '
    'qemu-img convert -O raw "$3/debian.vmdk" "$2" && sync "$2"; status=$?; rm -f "$3"/d.ova "$3"/debian.*; exit $status'
)


def debian(place):
    """A file system of this machine's own Debian, as streamOptimized VMDK in the store. Made once."""
    vmdk = place.path(f"{STORE}/{VMDK}")
    if vmdk.exists():
        return
    tree, disk = place.path("tree"), place.path("debian.raw")
    fill(tree, DATA)
    with open(disk, "wb") as file:
        file.truncate(VIRTUAL)
    subprocess.run(["mkfs.ext4", "-q", "-d", tree, disk], check=True)
    shutil.rmtree(tree)
    convert(disk, vmdk)


def fill(tree, most):
    """Copies of files of this machine, `most` bytes of them."""
    left = most
    for name in TREES:
        for folder, _, files in os.walk(Path("/usr") / name, followlinks=False):
            to = tree / Path(folder).relative_to("/usr")
            to.mkdir(parents=True, exist_ok=True)
            for file in files:
                source = Path(folder) / file
                if (to / file).exists() or not source.is_file() or source.is_symlink():
                    continue
                left -= source.stat().st_size
                if left < 0:
                    return
                shutil.copyfile(source, to / file)


def convert(disk, vmdk):
    words = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", disk, vmdk]
    subprocess.run(words, check=True)


def conditions(place, *more):
    stored = place.path(f"{STORE}/{VMDK}").stat().st_size
    data = place.path("debian.raw").stat().st_blocks * 512
    image = (
        f"The image is an ext4 of {VIRTUAL // GIB} GiB with {data / 1e9:.2f} GB of files of this machine's Debian, "
        f"streamOptimized {stored / 1e9:.2f} GB. Ours unpacks in a worker, with all defaults."
    )
    return [image, *more]


def same_disk(place, words, target):
    """Looked at once: what ours writes is what was put in."""
    place.run(words)
    subprocess.run(["cmp", place.path("debian.raw"), place.path(target)], check=True)
    place.remove(target)


def file_case(place, name, script, more, factor, of, title, target):
    debian(place)
    config(place, "images.toml", "")
    file = f"{STORE}/{VMDK}"
    peer_command = ["sh", "-c", script, "sh", file, PEER]
    ours_command = command(str(place.path(file)), "--disk-format", "vmdk", *more(place, file), settings="images.toml")
    verified = "computed" if "--hash" in ours_command else "no"

    def measure():
        same_disk(place, ours_command, OURS)
        return measure_pairs(
            5,
            runner(place, peer_command, PEER, VMDK),
            runner(place, ours_command, OURS, VMDK, method="unpack", verified=verified),
        )

    # Wall and CPU time are of the same runs.
    pairs = place.once(script, measure)
    finish(place)
    return Result(
        name, title, target, judged(pairs, factor, of=of), conditions(place, WARM), [peer_command, ours_command], pairs, of=of
    )


def unhashed(_place, _file):
    return ["--allow-unhashed"]


def hashed(place, file):
    return ["--hash", f"sha512:{place.digest(file, 'sha512')}"]


def vmdk(place):
    """a streamOptimized VMDK of a Debian to raw, against qemu-img"""
    return file_case(
        place,
        "vmdk",
        CONVERT,
        unhashed,
        0.35,
        "wall",
        "A streamOptimized VMDK to raw, unverified",
        "at most 0.35 x (`qemu-img convert`, then `sync FILE`)",
    )


def vmdk_processor(place):
    """the CPU time of a streamOptimized VMDK of a Debian to raw, against qemu-img"""
    return file_case(
        place,
        "vmdk_processor",
        CONVERT,
        unhashed,
        0.36,
        "processor",
        "CPU time of a streamOptimized VMDK to raw, unverified",
        "at most 0.36 x the CPU time of `qemu-img convert`, then `sync FILE` (held against the medians of CPU time)",
    )


def vmdk_digest(place):
    """a streamOptimized VMDK of a Debian to raw with its SHA-512, against openssl and then qemu-img"""
    return file_case(
        place,
        "vmdk_digest",
        DIGEST,
        hashed,
        0.42,
        "wall",
        "A streamOptimized VMDK to raw, its SHA-512 verified",
        "at most 0.42 x (`openssl dgst -sha512`, `qemu-img convert`, then `sync FILE`)",
    )


def ova(place):
    """an OVA of a Debian by HTTP to raw with its SHA-512, against curl, openssl, tar and qemu-img"""
    debian(place)
    folder = place.path(STORE)
    describe(folder)
    members = ["debian.ovf", "debian.mf", VMDK]
    subprocess.run(["tar", "--format=ustar", "-cf", folder / "image.ova", "-C", folder, *members], check=True)
    config(place, "images.toml", "")
    with Server(place, "server", STORE) as server:
        url = server.url("image.ova")
        peer_command = ["sh", "-c", FETCH, "sh", url, PEER, "ext4/disks"]
        more = ["--disk-format", "vmdk", "--container-format", "ova", *hashed(place, f"{STORE}/image.ova")]
        ours_command = command(url, *more, settings="images.toml")
        same_disk(place, ours_command, OURS)
        pairs = measure_pairs(
            5,
            runner(place, peer_command, PEER, "image.ova"),
            runner(place, ours_command, OURS, "image.ova", method="unpack", verified="computed"),
        )
    finish(place, "image.ova", "debian.ovf", "debian.mf")
    return Result(
        "ova",
        "An OVA by HTTP to raw, its SHA-512 and its manifest verified",
        "at most 0.35 x (`curl -o`, `openssl dgst -sha512`, `tar -x`, `qemu-img convert`, then `sync FILE`)",
        judged(pairs, 0.35),
        conditions(place, "The manifest has SHA-256; the peer does not look at it.", WARM, APART),
        [peer_command, ours_command],
        pairs,
    )


def describe(folder):
    """Writes the OVF and the manifest of the VMDK."""
    ovf = folder / "debian.ovf"
    ovf.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">'
        f'<References><File ovf:id="file1" ovf:href="{VMDK}"/></References><DiskSection><Info>Disks</Info>'
        f'<Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="{VIRTUAL}" '
        'ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>'
        '<VirtualSystem ovf:id="vm"><Info>A machine</Info><VirtualHardwareSection><Info>Hardware</Info>'
        "</VirtualHardwareSection></VirtualSystem></Envelope>\n"
    )
    lines = []
    for file in (ovf, folder / VMDK):
        answer = subprocess.run(["openssl", "dgst", "-sha256", "-r", file], check=True, stdout=subprocess.PIPE, text=True)
        lines.append(f"SHA256({file.name})= {answer.stdout.split()[0]}\n")
    (folder / "debian.mf").write_text("".join(lines))


def vmdk_four(place):
    """four VMDKs of 512 MiB at once, against four qemu-img at once"""
    names = [f"small{number}.vmdk" for number in range(SMALL)]
    for number, name in enumerate(names):
        tree, disk = place.path("tree"), place.path("small.raw")
        fill(tree, SMALL_SIZE * 6 // 10)
        with open(disk, "wb") as file:
            file.truncate(SMALL_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-U", f"0000000{number}-0000-4000-8000-000000000000", "-d", tree, disk], check=True)
        shutil.rmtree(tree)
        convert(disk, place.path(f"{STORE}/{name}"))
    config(place, "images.toml", "")
    numbers = " ".join(str(number) for number in range(SMALL))
    at_once = '& all="$all $!"; done; for one in $all; do wait $one || exit; done'
    peer = f'qemu-img convert -O raw {STORE}/small$n.vmdk ext4/disks/$n.raw && sync ext4/disks/$n.raw'
    ours = (
        f'"$1" --config images.toml place "$2/small$n.vmdk" --to ext4/disks/$n.raw --disk-format vmdk --allow-unhashed'
        " --progress none --json"
    )
    peer_command = ["sh", "-c", f"for n in {numbers}; do ({peer}) {at_once}", "sh"]
    ours_command = ["sh", "-c", f"for n in {numbers}; do {ours} {at_once}", "sh", "landfall", str(place.path(STORE))]

    def side(words):
        def run():
            for name in names:
                place.warm(f"{STORE}/{name}")
            place.quiet()
            _, sample = place.run(words)
            for number in range(SMALL):
                place.remove(f"ext4/disks/{number}.raw")
            return sample

        return run

    pairs = measure_pairs(5, side(peer_command), side(ours_command))
    finish(place, *names)
    return Result(
        "vmdk_four",
        "Four streamOptimized VMDKs of 512 MiB at once",
        "at most 0.5 x four `qemu-img convert`, each with `sync FILE`, at once",
        judged(pairs, 0.5),
        ["Each image is an ext4 of 512 MiB with about 300 MiB of files of this machine's Debian.", WARM],
        [peer_command, ours_command],
        pairs,
    )


def vmdk_memory(place):
    """peak memory of the agent and its workers while they unpack"""
    debian(place)
    config(place, "images.toml", "")
    file = f"{STORE}/{VMDK}"
    ours_command = command(
        str(place.path(file)), "--disk-format", "vmdk", *hashed(place, file), settings="images.toml"
    )
    singles = []
    for _ in range(3):
        place.quiet()
        singles.append(("with its SHA-512", run_together(place, ours_command)))
        place.remove(OURS)
    finish(place)
    return Result(
        "vmdk_memory",
        "Peak memory of the agent and its workers while they unpack",
        f"at most {MOST_KIBIBYTES >> 10} MiB together",
        all(sample.kibibytes <= MOST_KIBIBYTES for _, sample in singles),
        conditions(place),
        [ours_command],
        singles=singles,
    )


ALL = {case.__name__: case for case in (vmdk, vmdk_processor, vmdk_digest, ova, vmdk_four, vmdk_memory)}
