# What every server's file uses. Sourced by scripts/with-servers; $folder is the temporary folder.
# shellcheck shell=bash

# initdb, postgres and pgbouncer refuse to run as root; every server runs as the same plain user.
as_user=()
if [ "$(id -u)" -eq 0 ]; then as_user=(runuser -u nobody --); fi

fail() {
    echo "with-servers: $*" >&2
    exit 1
}

# A port that the system keeps for a minute for a server that names it: one with a closed connection.
free_port() {
    python3 -c '
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
server.accept()[0].close()
client.close()
print(server.getsockname()[1])'
}

# A folder that the servers' user may write to.
server_folder() {
    mkdir -p "$1"
    if [ "$(id -u)" -eq 0 ]; then chown nobody "$1"; fi
}

# Runs a command again and again until it succeeds: for at most ten seconds.
wait_for() {
    local _
    for _ in $(seq 200); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.05
    done
    fail "this did not succeed within ten seconds: $*"
}

# Starts a forwarder. Its target is read from FOLDER/target at each new connection; SIGHUP closes
# the open ones. Usage: start_forwarder FOLDER PORT
start_forwarder() {
    setsid python3 "$scripts/forward.py" "$2" "$1/target" "$1/forwarder.pid" </dev/null \
        >"$1/forwarder.log" 2>&1 &
    wait_for test -s "$1/forwarder.pid"
}

# Whether that process runs. One that has ended stays visible until its parent asks for its exit
# status, which the first process of a container may never do.
is_running() {
    [ -d "/proc/$1" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# Every server leaves its process id in a file below $folder, so that this finds them all,
# those included that a control script has started.
stop_servers() {
    local file pid pids=() _
    while IFS= read -r file; do
        pid=$(head -n 1 "$file" 2>/dev/null) || continue
        case $file in
            # SIGQUIT is Postgres's immediate shutdown.
            */postmaster.pid) kill -QUIT "$pid" 2>/dev/null && pids+=("$pid") ;;
            *) kill "$pid" 2>/dev/null && pids+=("$pid") ;;
        esac
    done < <(find "$folder" \( -name '*.pid' -o -name pid \) -type f 2>/dev/null)
    for pid in "${pids[@]}"; do
        for _ in $(seq 60); do
            is_running "$pid" || continue 2
            sleep 0.05
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
}
