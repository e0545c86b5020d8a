# shellcheck shell=bash
# Mutual TLS with a key in the token, towards `openssl s_server`. Sourced by run.sh; needs a furnished house and the
# example `get` of the client crate. Defines functions only.

# handshake DIR BANK CREDENTIAL VERSION: one connection. The client's exit code; its words in DIR/get.log, those of
# s_server in DIR/s_server.log.
handshake() {
    local dir=$1 bank=$2 credential=$3 version=$4 code=0 port pid
    # -Verify demands a certificate, -verify_return_error makes a bad one fatal. 3: root, issuing CA, ours.
    openssl s_server -accept 127.0.0.1:0 "-$version" -www -naccept 1 -Verify 3 -verify_return_error \
        -CAfile "$dir/qtsp/root.pem" -no-CApath -cert "$dir/bank/tls.pem" -key "$dir/bank/tls.key" \
        -cert_chain "$dir/qtsp/issuing.pem" >"$dir/s_server.log" 2>&1 &
    pid=$!
    say $pid >"$dir/s_server.pid"
    if port=$(wait_for "$dir/s_server.log" 'ACCEPT 127.0.0.1:' "$pid"); then
        as tpp "$BIN/examples/get" --bank "$bank" --credential "$credential" --bank-ca "$dir/qtsp/root.pem" \
            "https://localhost:$port/" >"$dir/get.log" 2>&1 || code=$?
    else
        say "s_server did not start" >"$dir/get.log"
        code=1
    fi
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    rm -f "$dir/s_server.pid"
    return $code
}

# handshake_accepted DIR BANK CREDENTIAL VERSION PROTOCOL SIGNATURE: has to succeed, and s_server has to say that it
# verified our chain, saw our leaf, and got that kind of signature over that protocol.
handshake_accepted() {
    local dir=$1 bank=$2 credential=$3 version=$4 protocol=$5 signature=$6 name why=''
    name="openssl s_server verifies us over $protocol with $credential"
    handshake "$dir" "$bank" "$credential" "$version" || why="no answer"
    # s_server writes its log as things happen, and sends what it knows of us as the page.
    [ "$(grep -c '^verify return:1' "$dir/s_server.log")" -eq 3 ] || why=${why:-"not three verified certificates"}
    ! grep -q '^verify return:0' "$dir/s_server.log" || why="a certificate did not verify"
    grep -q '^depth=0 .*CN *= *tpp\.demo-tpp\.com' "$dir/s_server.log" || why=${why:-"another subject"}
    grep -q "Verify return code: 0 (ok)" "$dir/get.log" || why=${why:-"no good return code"}
    grep -q "Protocol *: $protocol\$" "$dir/get.log" || why=${why:-"another protocol"}
    grep -q "^Peer signature type: $signature\$" "$dir/get.log" || why=${why:-"another kind of signature"}
    [ "$(fingerprint <"$dir/get.log")" = "$(fingerprint <"$dir/$credential.pem")" ] || why=${why:-"another certificate"}
    if [ -n "$why" ]; then
        say "FAILED $name: $why; client: $(head -n 2 "$dir/get.log" | tr '\n' ' '); server: $(tail -n 2 "$dir/s_server.log" | tr '\n' ' ')"
    else
        say "ok $name ($(head -n 1 "$dir/get.log"), $signature)"
    fi
}

# handshake_refused DIR BANK CREDENTIAL VERSION WORDS NAME: must not succeed, the client has to say so in these words,
# and s_server must not have seen a certificate of ours.
handshake_refused() {
    local dir=$1 bank=$2 credential=$3 version=$4 words=$5 name=$6
    if handshake "$dir" "$bank" "$credential" "$version"; then
        say "FAILED $name: it succeeded"
    elif ! grep -q '^ACCEPT' "$dir/s_server.log" || grep -q '^depth=0' "$dir/s_server.log"; then
        say "FAILED $name: s_server says $(tail -n 1 "$dir/s_server.log")"
    elif ! grep -q "$words" "$dir/get.log"; then
        say "FAILED $name: refused with other words: $(head -n 1 "$dir/get.log")"
    else
        say "ok $name ($(head -n 1 "$dir/get.log"))"
    fi
}

# fingerprint: of the first PEM certificate of stdin.
fingerprint() { openssl x509 -noout -fingerprint -sha256 2>&1; }

# handshakes DIR: both versions with both kinds of key, and what must not be.
handshakes() {
    local dir=$1
    handshake_accepted "$dir" interop-tls12 interop-transport-rsa tls1_3 TLSv1.3 RSA-PSS
    handshake_accepted "$dir" interop-tls12 interop-transport-ec tls1_3 TLSv1.3 ECDSA
    handshake_accepted "$dir" interop-tls12 interop-transport-rsa tls1_2 TLSv1.2 RSA-PSS
    handshake_accepted "$dir" interop-tls12 interop-transport-ec tls1_2 TLSv1.2 ECDSA
    handshake_refused "$dir" interop-tls13 interop-transport-ec tls1_2 ProtocolVersion \
        "no TLS 1.2 with a bank that is not cleared for it"
    handshake_refused "$dir" interop-tls13 interop-seal-ec tls1_3 NOT_GRANTED "no mutual TLS with a seal"
}
