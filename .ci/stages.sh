# shellcheck shell=bash
# Sourced by .ci/lint and .ci/test: runs named stages one after the other, all of them, whatever comes of each.
#
# Each stage opens and closes with a line of its own, which .ci/tally.py reads:
#
#     == NAME
#     == NAME: ok, 12 s        or: == NAME: FAILED (status 101), 12 s

failed_stages=()

# stage NAME COMMAND [ARGUMENT...]
stage() {
    local name=$1 began=$SECONDS status=0
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>&1 || status=$?
    if ((status == 0)); then
        printf '== %s: ok, %d s\n' "$name" $((SECONDS - began))
    else
        failed_stages+=("$name")
        printf '== %s: FAILED (status %d), %d s\n' "$name" "$status" $((SECONDS - began))
    fi
}

# Says which stages failed; the status of the whole.
end_of_stages() {
    if ((${#failed_stages[@]} == 0)); then
        return 0
    fi
    local name
    for name in "${failed_stages[@]}"; do
        printf 'failed: %s\n' "$name"
    done
    return 1
}
