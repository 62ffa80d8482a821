#!/bin/sh
# Installs the Debian packages that the end-to-end tests and the benchmarks use and that are missing. Without root it only
# names them: the tests that need them are then skipped, by name.
set -eu

# A program, and the package that has it.
wanted='
mkfs.xfs xfsprogs
mkfs.btrfs btrfs-progs
mkfs.ext4 e2fsprogs
filefrag e2fsprogs
cc gcc
qemu-img qemu-utils
losetup mount
bindfs bindfs
setpriv util-linux
nginx nginx-light
openssl openssl
aria2c aria2
curl curl
'

PATH="$PATH:/usr/sbin:/sbin"
missing=$(echo "$wanted" | while read -r program package; do
    [ -z "$program" ] || command -v "$program" >/dev/null || echo "$package"
done | sort -u)

if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed:" $missing "(tests that need them are skipped)" >&2
    exit 0
fi
# nginx would begin to serve as soon as it is installed; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
apt-get update
# The list is split into words on purpose.
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
