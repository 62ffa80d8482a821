#!/bin/sh
# Installs what the end-to-end tests and the benchmarks use and what is missing: Debian packages as root, and as anybody, from
# the Python package index, the services of tests/services. What cannot be had is named: the tests that need it are then
# skipped, by name.
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
tar tar
gzip gzip
zstd zstd
xz xz-utils
bzip2 bzip2
memcached memcached
python3 python3
'

PATH="$PATH:/usr/sbin:/sbin"
missing=$(
    echo "$wanted" | while read -r program package; do
        [ -z "$program" ] || command -v "$program" >/dev/null || echo "$package"
    done | sort -u
    # No program of its own: Debian's Python makes no environments without it.
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    # For Debian's own interpreter, whichever else is there. It does not go with what Glance wants, so it is none of the services'.
    /usr/bin/python3 -c 'import boto3' 2>/dev/null || echo python3-boto3
)

install_packages() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "not installed:" $missing "(tests that need them are skipped)" >&2
        return
    fi
    # Servers would begin to serve as soon as they are installed; the tests start their own.
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
}

if [ -n "$missing" ]; then
    install_packages
fi
python3 "$(dirname "$0")/agent/fuzzer/fuzzer.py" install || echo "schemathesis is not installed" >&2
python3 "$(dirname "$0")/services/services.py" install || echo "Swift, Keystone and Glance are not installed" >&2
