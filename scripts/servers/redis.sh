# Redis in its many forms, and Valkey. Sourced by scripts/with-servers.
# shellcheck shell=bash

need_redis() {
    need redis-server=redis-server redis-cli=redis-tools
}

# A script that starts and stops a server, so that a test can do it too.
# Usage: redis_ctl SERVER FOLDER PORT ARGUMENT..
redis_ctl() {
    local server=$1 home=$2 port=$3 tls=
    shift 3
    case "$*" in *--tls-port*) tls='--tls --insecure' ;; esac
    server_folder "$home"
    cat >"$home/ctl" <<CTL
#!/bin/sh
cd "$home"
case "\$1" in
    start)
        ${as_user[*]} $server --bind 127.0.0.1 --dir $home --daemonize yes \\
            --pidfile $home/pid --logfile $home/log $(printf '%q ' "$@") >/dev/null
        until redis-cli $tls -p $port ping 2>/dev/null | grep -q PONG; do sleep 0.02; done ;;
    stop)
        pid=\$(cat $home/pid 2>/dev/null) || exit 0
        kill "\$pid"
        while [ -f $home/pid ]; do sleep 0.02; done ;;
esac
CTL
    chmod 755 "$home/ctl"
    "$home/ctl" start || fail "$server did not start: $(tail -n 5 "$home/log")"
}

start_redis() {
    [ -z "${TEST_REDIS_URL:-}" ] || return 0
    need_redis
    local port
    port=$(free_port)
    redis_ctl redis-server "$folder/redis" "$port" --port "$port" --appendonly yes --appendfsync always
    export TEST_REDIS_URL="redis://127.0.0.1:$port/"
    export TEST_REDIS_CTL="$folder/redis/ctl"
}

start_redis_tls() {
    [ -z "${TEST_REDIS_TLS_URL:-}" ] || return 0
    need_redis
    local port
    port=$(free_port)
    redis_ctl redis-server "$folder/redis-tls" "$port" --port 0 --tls-port "$port" --save '' \
        --tls-cert-file "$certificates/server.crt" --tls-key-file "$certificates/server.key" \
        --tls-ca-cert-file "$certificates/ca.crt" --tls-auth-clients no
    export TEST_REDIS_TLS_URL="rediss://localhost:$port/"
}

start_redis_acl() {
    [ -z "${TEST_REDIS_ACL_URL:-}" ] || return 0
    need_redis
    local port
    port=$(free_port)
    redis_ctl redis-server "$folder/redis-acl" "$port" --port "$port" --save '' \
        --user no_channels on '>secret' '~*' '+@all'
    export TEST_REDIS_ACL_URL="redis://no_channels:secret@127.0.0.1:$port/"
    export TEST_REDIS_ACL_ADMIN_URL="redis://127.0.0.1:$port/"
}

start_redis_failover() {
    [ -z "${TEST_REDIS_FAILOVER_URL:-}" ] || return 0
    need_redis
    local pair=$folder/redis-failover node port
    server_folder "$pair"
    for node in primary standby; do
        port=$(free_port)
        redis_ctl redis-server "$pair/$node" "$port" --port "$port" --save ''
        echo "127.0.0.1:$port" >"$pair/$node/address"
    done
    printf '#!/bin/sh\nPAIR=%q exec %q "$@"\n' "$pair" "$scripts/redis-failover" >"$pair/ctl"
    chmod 755 "$pair/ctl"
    "$pair/ctl" reset
    port=$(free_port)
    start_forwarder "$pair" "$port"
    export TEST_REDIS_FAILOVER_URL="redis://127.0.0.1:$port/"
    export TEST_REDIS_FAILOVER_CTL="$pair/ctl"
}

start_redis_cluster() {
    [ -z "${TEST_REDIS_CLUSTER_URL:-}" ] || return 0
    need_redis
    local port node nodes=() urls=()
    for node in 1 2 3; do
        port=$(free_port)
        redis_ctl redis-server "$folder/redis-cluster/$node" "$port" --port "$port" --save '' \
            --cluster-enabled yes --cluster-port "$(free_port)" --cluster-config-file nodes.conf
        nodes+=("127.0.0.1:$port")
        urls+=("redis://127.0.0.1:$port/")
    done
    redis-cli --cluster create "${nodes[@]}" --cluster-yes >"$folder/redis-cluster/log" 2>&1 ||
        fail "the Redis cluster was not formed: $(tail -n 5 "$folder/redis-cluster/log")"
    for node in "${nodes[@]}"; do
        wait_for sh -c 'redis-cli -p "$1" cluster info | grep -q cluster_state:ok' sh "${node#*:}"
    done
    export TEST_REDIS_CLUSTER_URL=${urls[0]}
    TEST_REDIS_CLUSTER_NODES=$(IFS=,; echo "${urls[*]}")
    export TEST_REDIS_CLUSTER_NODES
}

start_valkey() {
    [ -z "${TEST_VALKEY_URL:-}" ] || return 0
    need_redis
    local port valkey
    valkey=$(newer_command valkey-server valkey-server 7.2)
    port=$(free_port)
    redis_ctl "$valkey" "$folder/valkey" "$port" --port "$port" --save ''
    export TEST_VALKEY_URL="redis://127.0.0.1:$port/"
}
