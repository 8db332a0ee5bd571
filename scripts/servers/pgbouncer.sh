# PgBouncer in transaction mode, in front of TEST_POSTGRES_URL. Sourced by scripts/with-servers.
# shellcheck shell=bash

# Usage: start_bouncer NAME MAX_PREPARED_STATEMENTS; prints the address.
start_bouncer() {
    local home=$folder/$1 port host
    server_folder "$home"
    port=$(free_port)
    host=${TEST_POSTGRES_URL##*@}
    host=${host%%/*}
    # Every client becomes `test`. One server connection more than one client needs at a time, so
    # that connections are shared as in production.
    cat >"$home/pgbouncer.ini" <<INI
[databases]
* = host=${host%:*} port=${host##*:} user=test
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
max_prepared_statements = $2
logfile = $home/log
pidfile = $home/pgbouncer.pid
INI
    (cd "$home" && "${as_user[@]}" "$bouncer" -d "$home/pgbouncer.ini") >"$home/start.log" 2>&1 ||
        fail "PgBouncer did not start: $(cat "$home/start.log")"
    echo "postgres://test@127.0.0.1:$port/postgres"
}

start_pgbouncer() {
    [ -z "${TEST_PGBOUNCER_URL:-}" ] || [ -z "${TEST_PGBOUNCER_OLD_URL:-}" ] || return 0
    [ -n "${TEST_POSTGRES_URL:-}" ] || start_postgres
    local bouncer
    bouncer=$(newer_command pgbouncer pgbouncer 1.21)
    if [ -z "${TEST_PGBOUNCER_URL:-}" ]; then
        TEST_PGBOUNCER_URL=$(start_bouncer pgbouncer 200)
    fi
    if [ -z "${TEST_PGBOUNCER_OLD_URL:-}" ]; then
        TEST_PGBOUNCER_OLD_URL=$(start_bouncer pgbouncer-old 0)
    fi
    export TEST_PGBOUNCER_URL TEST_PGBOUNCER_OLD_URL
}
