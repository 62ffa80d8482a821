#!/usr/bin/env bash
# `make demo`: places a small disk image from a record with four locations, of which one is good. Shows every command as a
# person would type it, checks what came of it, and leaves nothing behind. Needs no root.
#
#     demo.sh DIRECTORY_OF_THE_BINARY
set -euo pipefail

bin=$(cd "$1" && pwd)
PATH=$bin:$PATH:/usr/sbin:/sbin
# What the demo makes is for nobody else, and landfall refuses a configuration that everyone can write to.
umask 077

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

say() { printf '\n# %s\n' "$*"; }

# Shows a command, then runs it.
run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

# The tools that make a disk are on every Debian machine but the smallest containers.
missing=
command -v mke2fs >/dev/null || missing+=" e2fsprogs"
command -v sfdisk >/dev/null || missing+=" fdisk"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing$missing"
        # shellcheck disable=SC2086 # several words are meant
        { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $missing; } >/dev/null
    else
        fail "needs the Debian packages$missing"
    fi
fi

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
trap 'exit 130' INT TERM
cd "$place"

# A bar for people, lines for files.
progress=json
if [ -t 2 ]; then progress=bar; fi

say "A disk of 64 MiB: a partition table, and in its partition an ext4 file system with a few files."
mkdir -p nfs images instances tree/boot tree/etc
cp "$bin/landfall" tree/boot/payload
printf 'NAME="Landfall demo"\n' >tree/etc/os-release
run truncate -s 64M images/demo.raw
printf '\n$ echo "2048,+,L" | sfdisk images/demo.raw\n'
echo "2048,+,L" | sfdisk -q images/demo.raw
run mke2fs -q -t ext4 -d tree -E offset=1048576 images/demo.raw 63M
digest=$(sha512sum images/demo.raw | cut -d ' ' -f 1)
size=$(stat -c %s images/demo.raw)

# The copy on the shared store has the right size and one wrong byte.
cp images/demo.raw nfs/demo.raw
printf 'X' | dd of=nfs/demo.raw bs=1 seek=33554432 conv=notrunc status=none

say "Its record, as Glance's API gives it. The shared store's copy, which this node should prefer, has one wrong byte."
cat >image.json <<JSON
{
  "id": "5f0f3f0e-9d1c-4a57-8a43-1b6d1d2f7c11",
  "name": "demo",
  "status": "active",
  "disk_format": "raw",
  "container_format": "bare",
  "size": $size,
  "os_hash_algo": "sha512",
  "os_hash_value": "$digest",
  "locations": [
    { "url": "file://$place/images/demo.raw", "metadata": { "store": "local", "metrics": { "weight": 1 } } },
    { "url": "file:///var/lib/glance/images/demo.raw",
      "metadata": { "store": "shared", "metrics": { "weight": 0, "node-weights": { "novahost1": 2 } } } },
    { "url": "file://$place/images/old.raw", "status": "pending_delete",
      "metadata": { "store": "local", "metrics": { "weight": 9 } } },
    { "url": "swift+https://project:user@objects.example.org/images/demo", "metadata": { "store": "objects" } }
  ]
}
JSON
run cat image.json

cat >landfall.toml <<TOML
node = "novahost1"
state_dir = "$place/state"

[[store]]
id = "local"
type = "file"
root = "$place/images"

# Glance's directory, as this node has it mounted.
[[store]]
id = "shared"
type = "file"
root = "/var/lib/glance/images"
mountpoint = "$place/nfs"
TOML
run cat landfall.toml

say "Which handlers there are, and what would be done, with the reason for everything."
run landfall --config landfall.toml handlers
run landfall --config landfall.toml plan image.json --to instances/disk.raw

say "Placing it."
run landfall --config landfall.toml place image.json --to instances/disk.raw --progress "$progress"

say "The placed disk is what the record says."
run sha512sum instances/disk.raw
placed=$(sha512sum instances/disk.raw | cut -d ' ' -f 1)
[ "$placed" = "$digest" ] || fail "the placed disk has the SHA-512 $placed, the record says $digest"
run sfdisk --list instances/disk.raw

say "What is on this node, and what became of it when it is removed."
run landfall --config landfall.toml placements
run landfall --config landfall.toml remove instances/disk.raw
run landfall --config landfall.toml history

# Hidden files count.
left=$(ls -A instances)
[ -z "$left" ] || fail "left behind in the directory of disks: $left"
say "Done: placed from the second location after the first turned out corrupt, verified, listed, removed."
