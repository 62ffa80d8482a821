#!/bin/sh
# Boot code in small: gives a virtual machine its disk, by landfall where that can be done, else by Glance's own download.
#
#     OS_IMAGE_URL=https://glance.example.org OS_TOKEN=... boot-disk.sh IMAGE_ID /var/lib/vms/NAME/disk
#
# It needs curl, sha512sum and friends, and python3 for JSON (a machine with OpenStack's tools has it). The disk is there,
# whole and verified, when the exit status is 0; it is not there otherwise. Other configuration than landfall's usual one
# goes into LANDFALL_CONFIG.
#
# What to take from here for boot code of your own:
#
# - `landfall place` is one call that leaves either the whole disk or no disk. Of a large download that failed it keeps what it
#   has in a hidden file beside the target, for the next call; whoever gives the target up removes .landfall-stage-* there.
# - Whether trying elsewhere makes sense is in the exit status and in the answer's error.scope: where no handler could be used
#   (10, 12, 14, 22), and after `location` and `handler`, another way may do better; else it would do the same again, or hide
#   something that people must see, such as bytes with the right digest in the wrong format, or a full disk.
# - A token never goes into an argument list, where every user of the machine can read it.

set -eu
# Records and half-made disks are nobody else's business.
umask 077

fail() {
    echo "boot-disk: $*" >&2
    exit 1
}

[ $# -eq 2 ] || fail "usage: boot-disk.sh IMAGE_ID TARGET"
image=$1
target=$2
: "${OS_IMAGE_URL:?the image service}" "${OS_TOKEN:?a token for it}"

# An id that is not one could reach another part of the API.
case $image in
*[!0-9a-fA-F-]* | '') fail "not an image id: $image" ;;
esac

scratch=$(mktemp -d)
stage=
trap 'rm -rf "$scratch"; [ -z "$stage" ] || rm -f "$stage"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# glance PATH FILE: fetches from the image service. curl reads the token from its standard input.
glance() {
    printf 'header = "X-Auth-Token: %s"\n' "$OS_TOKEN" |
        curl --config - --silent --show-error --fail --location --retry 3 --output "$2" "${OS_IMAGE_URL%/}$1"
}

# field FILE NAME...: a member of a JSON document, by its path; empty where there is none.
field() {
    python3 -c '
import json, sys
value = json.load(open(sys.argv[1]))
for name in sys.argv[2:]:
    value = value.get(name) if isinstance(value, dict) else None
print("" if value is None else value)' "$@"
}

record=$scratch/image.json
answer=$scratch/answer.json

# The image's record. Its locations are in it where the service's policy shows them to this user.
glance "/v2/images/$image" "$record" || fail "the image service does not give the record of $image"

# People's progress goes to standard error, the answer to standard output.
status=0
landfall ${LANDFALL_CONFIG:+--config "$LANDFALL_CONFIG"} \
    place "$record" --to "$target" --json --progress none >"$answer" || status=$?

if [ "$status" -eq 0 ]; then
    echo "placed $target by $(field "$answer" handler), $(field "$answer" method)"
    exit 0
fi

# A command that is not installed or was killed gives no answer. That is a reason to go on, and to tell.
scope=request
why="landfall ended with status $status and no answer"
if [ "$status" -ge 126 ]; then
    scope=handler
elif [ -s "$answer" ]; then
    scope=$(field "$answer" error scope)
    why="$(field "$answer" error kind) $(field "$answer" error code): $(field "$answer" error message)"
fi
# Unsupported, not found, unavailable, crashed: whatever was ruled out here, the image may be as good as any.
case $status in
10 | 12 | 14 | 22) [ "$scope" = image ] || scope=handler ;;
esac
case $scope in
location | handler) echo "boot-disk: no direct location would do ($why); downloading" >&2 ;;
# Wrong configuration, full disk, existing target, image that is not what its record says: for people.
*) fail "$why" ;;
esac

# The way everyone has: Glance's download, here for the simplest of images, with the same promises: beside the target, on
# its file system; verified; synced; visible in one step that replaces nothing.
format=$(field "$record" container_format)/$(field "$record" disk_format)
[ "$format" = bare/raw ] || fail "this example converts nothing, and the image is $format"
algorithm=$(field "$record" os_hash_algo)
expected=$(field "$record" os_hash_value)
case $algorithm in
sha256 | sha384 | sha512) ;;
*) fail "the record has no digest to verify the image by" ;;
esac

stage=$(mktemp "$(dirname -- "$target")/.boot-disk-XXXXXX")
glance "/v2/images/$image/file" "$stage" || fail "the image service does not give the bytes of $image"
echo "$expected  $stage" | "${algorithm}sum" --check --status || fail "what was downloaded is not the image"
sync "$stage"
# Unlike a rename, a link never takes the place of a disk that somebody else put there meanwhile.
ln -T -- "$stage" "$target"
rm -f "$stage"
sync "$(dirname -- "$target")"
stage=
echo "placed $target by download"
