# Postgres, and a pair of primary and hot standby. Sourced by scripts/with-servers.
# shellcheck shell=bash

postgres_bin() {
    local initdb
    for initdb in /usr/lib/postgresql/*/bin/initdb "$(command -v initdb || true)"; do
        [ -x "$initdb" ] && dirname "$initdb" && return
    done
    return 1
}

# An empty database cluster that each server copies.
need_postgres() {
    [ -z "${bin:-}" ] || return 0
    bin=$(postgres_bin) || { install postgresql; bin=$(postgres_bin); }
    template=$folder/empty
    server_folder "$template"
    (cd "$folder" && "${as_user[@]}" "$bin/initdb" -D "$template" -U test -A trust -N) \
        >"$folder/initdb.log" 2>&1 || fail "initdb failed: $(cat "$folder/initdb.log")"
    cat >>"$template/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
fsync = off
max_connections = 200
shared_preload_libraries = 'pg_stat_statements'
ssl = on
ssl_cert_file = '$certificates/server.crt'
ssl_key_file = '$certificates/server.key'
CONF
}

# A script that starts and stops a server, so that a test can do it too.
# Usage: postgres_ctl FOLDER PORT
postgres_ctl() {
    cat >"$1/ctl" <<CTL
#!/bin/sh
cd "$1"
exec ${as_user[*]} $bin/pg_ctl -D $1/data -w -s -l $1/log -o "-p $2 -k $1" -m fast "\$@" </dev/null >/dev/null
CTL
    chmod 755 "$1/ctl"
}

tls_url() {
    echo "postgres://test@localhost:$1/postgres?sslmode=verify-full&sslrootcert=$TEST_CA_FILE"
}

start_postgres() {
    [ -z "${TEST_POSTGRES_URL:-}" ] || return 0
    need_postgres
    local port
    port=$(free_port)
    server_folder "$folder/postgres"
    cp -a "$template" "$folder/postgres/data"
    postgres_ctl "$folder/postgres" "$port"
    "$folder/postgres/ctl" start || fail "Postgres did not start: $(cat "$folder/postgres/log")"
    export TEST_POSTGRES_URL="postgres://test@127.0.0.1:$port/postgres"
    export TEST_POSTGRES_CTL="$folder/postgres/ctl"
    export TEST_POSTGRES_TLS_URL="${TEST_POSTGRES_TLS_URL:-$(tls_url "$port")}"
}

start_failover() {
    [ -z "${TEST_POSTGRES_FAILOVER_URL:-}" ] || return 0
    need_postgres
    local pair=$folder/failover node port
    server_folder "$pair"
    for node in primary standby; do
        server_folder "$pair/$node"
        port=$(free_port)
        echo "127.0.0.1:$port" >"$pair/$node/address"
        postgres_ctl "$pair/$node" "$port"
    done
    {
        printf '#!/bin/sh\n'
        printf 'PAIR=%q BIN=%q TEMPLATE=%q AS_USER=%q exec %q "$@"\n' \
            "$pair" "$bin" "$template" "${as_user[*]}" "$scripts/postgres-failover"
    } >"$pair/ctl"
    chmod 755 "$pair/ctl"
    "$pair/ctl" reset || fail "the standby did not start: $(tail -n 5 "$pair"/*/log)"
    port=$(free_port)
    start_forwarder "$pair" "$port"
    export TEST_POSTGRES_FAILOVER_URL="postgres://test@127.0.0.1:$port/postgres"
    export TEST_POSTGRES_FAILOVER_CTL="$pair/ctl"
    TEST_POSTGRES_FAILOVER_TLS_URL=$(tls_url "$port")
    export TEST_POSTGRES_FAILOVER_TLS_URL
}
