# A private CA, and one certificate of it for localhost and 127.0.0.1. Sourced by scripts/with-servers.
# shellcheck shell=bash

create_certificates() {
    certificates=$folder/certificates
    server_folder "$certificates"
    (
        cd "$certificates"
        new=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
        openssl req -x509 "${new[@]}" -days 2 -subj /CN=test-ca -keyout ca.key -out ca.crt
        openssl req "${new[@]}" -subj /CN=localhost -keyout server.key -out server.csr
        printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' >server.ext
        openssl x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial \
            -extfile server.ext -out server.crt
        chmod 600 server.key
        if [ "$(id -u)" -eq 0 ]; then chown nobody server.key; fi
    ) >"$folder/certificates.log" 2>&1 || fail "openssl failed: $(cat "$folder/certificates.log")"
    export TEST_CA_FILE=${TEST_CA_FILE:-$certificates/ca.crt}
}
