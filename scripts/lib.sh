# Shared by the scripts here; sourced, not run. Callers set -euo pipefail and stand in the repository's root.

# stage NAME COMMAND...: runs the command, prints how long it took, writes "NAME<TAB>seconds<TAB>result" to the
# ledger when one is kept (OUTFITTER_LEDGER), and answers with the command's own status.
stage() {
    local name=$1 began status=0 seconds
    shift
    echo
    echo "== $name"
    began=${EPOCHREALTIME/[.,]/}
    "$@" || status=$?
    seconds=$(((${EPOCHREALTIME/[.,]/} - began) / 100000))
    seconds=$((seconds / 10)).$((seconds % 10))
    if ((status == 0)); then
        echo "== $name: ok, $seconds s"
    else
        echo "== $name: FAILED (status $status), $seconds s"
    fi
    if [[ -n ${OUTFITTER_LEDGER:-} ]]; then
        printf '%s\t%s\t%s\n' "$name" "$seconds" "$( ((status == 0)) && echo ok || echo FAILED)" >>"$OUTFITTER_LEDGER"
    fi
    return "$status"
}

# fail MESSAGE...: one sentence to stderr, then the end.
fail() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}
