#!/bin/sh
# Installs the Outfitter agent on this machine. Made by the server @SERVER@; holds no secret.
#
#   sh install.sh --token -                reads the enrollment token from standard input
#   OUTFITTER_TOKEN=... sh install.sh      takes it from the environment, where no sudo stands in between
#   --name NAME                            the desktop's name; else the host's
#
# Run again, it brings a newer program and leaves the enrollment as it is.
set -u
umask 077
server=@SERVER@

say() { printf 'outfitter: %s\n' "$*"; }
stop() { printf 'outfitter: %s\n' "$*" >&2; exit 1; }
digest_of() { [ ! -f "$1" ] || sha256sum <"$1" | cut -c1-64; }

name=- token=${OUTFITTER_TOKEN:-} from_input=
while [ $# -gt 0 ]; do
    case $1 in
    --token)
        [ "${2:-}" = - ] || stop "process lists show what stands in a command line: give the token to --token - on standard input"
        from_input=yes
        shift 2
        ;;
    --name)
        [ $# -ge 2 ] || stop "--name needs a name"
        case $2 in "" | [!A-Za-z]* | *- | *[!A-Za-z0-9-]* | ????????????????*)
            stop "--name: at most 15 letters, digits and -, a letter first, no - at the end"
            ;;
        esac
        name=$2
        shift 2
        ;;
    *) stop "$1 is not understood; see the head of this script" ;;
    esac
done

if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || stop "run this as root: there is no sudo"
    set --
    [ "$name" = - ] || set -- --name "$name"
    # Standard input, with the token in it, goes on to the one who may.
    if [ -z "$from_input" ] && [ -n "$token" ]; then
        printf '%s\n' "$token" | sudo -- sh "$0" --token - "$@"
        exit $?
    fi
    [ -z "$from_input" ] || set -- --token - "$@"
    exec sudo -- sh "$0" "$@"
fi
if [ -n "$from_input" ]; then
    if [ -t 0 ]; then
        printf 'enrollment token: ' >&2
        trap 'stty echo 2>/dev/null; exit 1' HUP INT TERM
        stty -echo 2>/dev/null
    fi
    IFS= read -r token || [ -n "$token" ] || stop "no enrollment token on standard input"
    if [ -t 0 ]; then
        stty echo 2>/dev/null
        printf '\n' >&2
    fi
fi
case $token in *[!A-Za-z0-9._-]*) stop "this is no enrollment token" ;; esac
unset OUTFITTER_TOKEN

[ "$(uname -s)" = Linux ] || stop "this machine runs $(uname -s); there is an agent for Linux only"
case $(uname -m) in
@PROGRAMS@
*) stop "the server has no agent for $(uname -m)" ;;
esac

enrolled= here=
[ ! -s /var/lib/outfitter-agent/identity.json ] || enrolled=yes
[ -n "$enrolled" ] || [ -n "$token" ] || stop "an enrollment token is needed: --token - reads it from standard input"
[ "$(digest_of /opt/outfitter-agent/outfitter-agent)" != "$digest" ] || here=yes

folder=$(mktemp -d) || stop "cannot make a temporary folder"
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM

fetch() {
    address=https://$server/agent-programs/$digest
    say "fetching the agent from $server"
    # The server's certificate is not looked at here: what comes is judged by its digest, and the token names the
    # server that the agent enrolls with.
    if command -v curl >/dev/null 2>&1; then
        curl -fsSk --retry 3 -o "$folder/program" "$address" || stop "cannot fetch $address"
    elif command -v wget >/dev/null 2>&1; then
        wget -q --no-check-certificate -O "$folder/program" "$address" || stop "cannot fetch $address"
    else
        stop "neither curl nor wget is here"
    fi
    [ "$(digest_of "$folder/program")" = "$digest" ] ||
        stop "what came has another digest than the server's agent: nothing was installed"
}
[ -n "$here" ] || fetch

cat >"$folder/far_side.sh" <<'OUTFITTER_FAR_SIDE'
@FAR_SIDE@OUTFITTER_FAR_SIDE
cat >"$folder/unit" <<'OUTFITTER_UNIT'
@UNIT@OUTFITTER_UNIT

# The same steps as those of a push over SSH, told in one go. A push that was cut may have left a part.
rm -f /opt/outfitter-agent/*.part
{
    printf 'have %s %s\n' "$digest" "$size"
    if [ -z "$here" ]; then
        printf 'put %s\n' "$size"
        cat "$folder/program"
        printf 'verify\n'
    fi
    printf 'install %s\n' "$(wc -c <"$folder/unit" | tr -d ' ')"
    cat "$folder/unit"
    [ -n "$enrolled" ] || printf 'enroll %s %s %s\n' "$server" "$name" "$token"
    printf 'start\nquit\n'
} 2>/dev/null | sh "$folder/far_side.sh" | {
    started=
    while read -r mark verb words; do
        [ "$mark" = @outfitter ] || continue
        case $verb in
        failed) stop "not installed: ${words#* }" ;;
        verified) say "installing $words" ;;
        enrolled) say "enrolled" ;;
        waiting) say "this machine waits for an administrator's approval; the agent goes to work by itself then" ;;
        started) started=$words ;;
        esac
    done
    case $started in
    systemd) say "the agent runs, and comes back after a restart" ;;
    detached) say "the agent runs detached: systemd does not run here" ;;
    *) stop "the installation ended before the agent was started" ;;
    esac
}
