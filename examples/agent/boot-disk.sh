#!/bin/sh
# Boot code on the agent: places the disk of a VM, with curl, and says what to do when that fails.
#
#   boot-disk.sh IMAGE-ID TARGET < token
#
# The caller's Keystone token comes on standard input; it is in no argument list. Exit status: 0 the disk is there, 75 try again
# later (EX_TEMPFAIL), 1 something has to be changed first.
set -eu

socket=${LANDFALL_SOCKET:-/run/landfall/agent.sock}
image=$1
target=$2

# JSON without quoting: ids are plain words, and this script takes no other targets.
case $image$target in
*[!A-Za-z0-9/._-]*) echo "boot-disk.sh: a name with odd characters" >&2; exit 1 ;;
esac

token=$(cat)
end=$(($(date +%s) + 900))

# Three times: the agent may be restarting, and goes on with what it had begun.
for try in 1 2 3; do
    # One deadline for all tries.
    left=$((end - $(date +%s)))
    [ "$left" -gt 0 ] || break
    body="{\"image\":{\"id\":\"$image\"${token:+,\"token\":\"$token\"}},\"to\":\"$target\",\"deadline_seconds\":$left}"
    # The body comes from a pipe: no secret among the arguments.
    answer=$(printf %s "$body" | curl --silent --show-error --unix-socket "$socket" --data-binary @- http://agent/v0/place) || answer=
    case $answer in
    *'"ok":true'*) exit 0 ;;
    *'"retry":"no"'*) echo "$answer" >&2; exit 1 ;;
    esac
    echo "boot-disk.sh: try $try: ${answer:-the agent does not answer}" >&2
    sleep "$try"
done
exit 75
