# Runs on the desktop, as root, in any POSIX shell. Reads one verb a line; answers lines that begin with the mark.
# Nothing here may read more of standard input than is its own: bytes of the program follow some of the lines.
set -u
umask 022
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:${PATH:-}
export LC_ALL PATH
home=/opt/outfitter-agent
program=$home/outfitter-agent
state=/var/lib/outfitter-agent
unit_folder=/etc/systemd/system
unit=outfitter-agent.service
pid_file=/run/outfitter-agent.pid
log=/var/log/outfitter-agent.log

say() { printf "@outfitter %s\n" "$*"; }
line() { printf "%s" "$*" | tr "\n\r\t" "   "; }
fail() { code=$1; shift; say failed "$code" "$(line "$*")"; exit 1; }
digest_of() { sha256sum <"$1" 2>/dev/null | cut -c1-64; }
bytes_of() { [ ! -f "$1" ] || wc -c <"$1" | tr -d " "; }
runs_systemd() { [ -d /run/systemd/system ]; }

# The agent that was started without systemd, where it still is one of ours.
detached_pid() {
    pid=$(cat "$pid_file" 2>/dev/null) || return 1
    case $pid in "" | *[!0-9]*) return 1 ;; esac
    # A newer program that it fetched by itself lies in the state folder.
    case $(readlink "/proc/$pid/exe" 2>/dev/null) in "$home"/* | "$state"/programs/*) ;; *) return 1 ;; esac
    printf "%s" "$pid"
}

stop_agent() {
    if runs_systemd; then systemctl stop "$unit" >/dev/null 2>&1; fi
    pid=$(detached_pid) || return 0
    kill "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 50 ]; do
        sleep 0.2 2>/dev/null || sleep 1
        tries=$((tries + 1))
    done
    kill -9 "$pid" 2>/dev/null
    rm -f "$pid_file"
}

last_log() {
    if runs_systemd; then journalctl -u "$unit" -n 5 -o cat 2>/dev/null; else tail -n 5 "$log" 2>/dev/null; fi
}

say fact kernel "$(uname -s)"
say fact arch "$(uname -m)"
say fact system "$(. /etc/os-release 2>/dev/null; line "${PRETTY_NAME:-unknown}")"
say fact host "$(line "$(uname -n)")"
folder=$home
while [ ! -d "$folder" ]; do folder=${folder%/*}; [ -n "$folder" ] || folder=/; done
say fact free_kib "$(df -Pk "$folder" 2>/dev/null | { read -r _; read -r _ _ _ free _; printf "%s" "$free"; })"
if runs_systemd; then say fact init systemd; else say fact init none; fi
if [ -s "$state/identity.json" ]; then
    say fact agent "$(tr -d "\n" <"$state/identity.json" | sed -n "s/.*\"agent\": *\"\([^\"]*\)\".*/\1/p")"
fi
[ ! -f "$program" ] || say fact program "$(digest_of "$program")"
for tool in sha256sum head wc tr cut sed df mv; do
    command -v "$tool" >/dev/null 2>&1 || fail no_tools "there is no $tool"
done
say ready

digest= part=
while IFS=" " read -r verb one two three; do
    case $verb in
    have) # have DIGEST SIZE: how much of the program is here
        digest=$one part=$home/$digest.part
        words=$(mkdir -p "$home" 2>&1) || fail write_failed "$words"
        if [ -f "$program" ] && [ "$(digest_of "$program")" = "$digest" ]; then
            say have all
        else
            held=$(bytes_of "$part")
            held=${held:-0}
            if [ "$held" -gt "$two" ]; then rm -f "$part"; held=0; fi
            say have "$held"
        fi
        ;;
    put) # put COUNT: that many bytes follow
        words=$({ head -c "$one" >>"$part"; } 2>&1) || fail write_failed "$words"
        say put "$(bytes_of "$part")"
        ;;
    verify) # the digest, and whether the program runs here
        if [ "$(digest_of "$part")" != "$digest" ]; then
            rm -f "$part"
            fail digest_differs "the uploaded bytes have another digest"
        fi
        words=$(chmod 755 "$part" 2>&1) || fail write_failed "$words"
        words=$("$part" --version 2>&1 </dev/null) || fail will_not_run "$words"
        say verified "$(line "$words")"
        ;;
    install) # install COUNT: the unit of that many bytes follows; the program is in place already or verified
        unit_text=$(head -c "$one")
        if [ -f "$part" ]; then
            [ ! -f "$program" ] || ln -f "$program" "$program.previous" 2>/dev/null || cp -p "$program" "$program.previous"
            words=$(mv -f "$part" "$program" 2>&1) || fail install_failed "$words"
            rm -f "$home"/*.part
            sync "$program" 2>/dev/null || sync
        fi
        ln -sf "$program" /usr/local/bin/outfitter-agent 2>/dev/null
        if [ -d "$unit_folder" ] || runs_systemd; then
            words=$({ mkdir -p "$unit_folder/multi-user.target.wants" &&
                printf "%s\n" "$unit_text" >"$unit_folder/$unit.new" &&
                mv -f "$unit_folder/$unit.new" "$unit_folder/$unit" &&
                ln -sf "../$unit" "$unit_folder/multi-user.target.wants/$unit"; } 2>&1) || fail install_failed "$words"
            say installed unit
        else
            say installed program
        fi
        ;;
    enroll) # enroll SERVER NAME TOKEN; the name - is the host's own
        stop_agent
        set --
        [ "$two" = - ] || set -- --name "$two"
        words=$(printf "%s\n" "$three" | "$program" --log error enroll --server "$one" --token - --state-dir "$state" \
            --replace "$@" 2>&1)
        case $? in
        0) if [ -s "$state/identity.json" ]; then say enrolled; else say waiting; fi ;;
        4) fail enroll_refused "$words" ;;
        5) fail enroll_unreachable "$words" ;;
        *) fail enroll_failed "$words" ;;
        esac
        ;;
    start)
        if runs_systemd; then
            words=$({ systemctl daemon-reload && systemctl enable "$unit" && systemctl restart "$unit"; } 2>&1) ||
                fail start_failed "$words"
            say started systemd
        else
            stop_agent
            cd /
            if command -v setsid >/dev/null 2>&1; then
                setsid "$program" run --state-dir "$state" </dev/null >>"$log" 2>&1 &
            else
                nohup "$program" run --state-dir "$state" </dev/null >>"$log" 2>&1 &
            fi
            printf "%s\n" "$!" >"$pid_file"
            say started detached
        fi
        ;;
    log) say log "$(line "$(last_log)")" ;;
    quit) exit 0 ;;
    *) fail not_understood "$verb" ;;
    esac
done
