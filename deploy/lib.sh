# shellcheck shell=bash
# Functions shared by demo.sh, bench.sh and test.sh. Sourced, never run; defines functions and paths only.
# A "house" is a throw-away folder with a SoftHSM token, an internal CA, a pretend QTSP and a running sealkeepd.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
BIN=$TARGET/${SEALKEEP_PROFILE_DIR:-debug}

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# install_packages NAME...: what is missing of these Debian packages.
install_packages() {
    local missing=() name sudo=()
    if ! { command -v dpkg-query && command -v apt-get; } >/dev/null; then
        for name in "$@"; do
            case $name in
                softhsm2) command -v softhsm2-util >/dev/null || missing+=("$name") ;;
                opensc) command -v pkcs11-tool >/dev/null || missing+=("$name") ;;
            esac
        done
        [ ${#missing[@]} -eq 0 ] && return 0
        fail "please install ${missing[*]} with your system's package manager; this script can do it on Debian and Ubuntu only"
    fi
    for name in "$@"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "please run as root: apt-get install ${missing[*]}"
        sudo=(sudo)
    fi
    say "installing ${missing[*]}"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 || {
        "${sudo[@]}" apt-get update >/dev/null 2>&1 || true
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" >/dev/null ||
            fail "apt-get could not install ${missing[*]}"
    }
}

# softhsm_module: where this system keeps SoftHSM.
softhsm_module() {
    local path
    for path in /usr/lib/softhsm /usr/lib64/softhsm /usr/local/lib/softhsm /usr/lib/*/softhsm /usr/lib64/pkcs11; do
        [ -r "$path/libsofthsm2.so" ] && { say "$path/libsofthsm2.so"; return; }
    done
    fail "libsofthsm2.so not found; is softhsm2 installed?"
}

# random_pin: 12 digits.
random_pin() { od -An -N 12 -t u1 /dev/urandom | tr -d '\n' | awk '{ for (i = 1; i <= NF; i++) printf "%d", $i % 10 }'; }

# house_token DIR: a SoftHSM token in DIR/tokens with a random PIN in DIR/pin. The PINs go through the environment of
# one short-lived child: the command line is readable by every user, the environment only by this one.
house_token() {
    local dir=$1 module so pin
    module=$(softhsm_module)
    mkdir -m 700 "$dir/tokens"
    printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n' \
        "$dir/tokens" >"$dir/softhsm2.conf"
    export SOFTHSM2_CONF=$dir/softhsm2.conf
    so=$(random_pin) pin=$(random_pin)
    SO_PIN=$so pkcs11-tool --module "$module" --init-token --slot-index 0 --label sealkeep --so-pin env:SO_PIN >/dev/null 2>&1 ||
        fail "cannot make a SoftHSM token in $dir/tokens"
    SO_PIN=$so USER_PIN=$pin pkcs11-tool --module "$module" --token-label sealkeep --login --login-type so \
        --so-pin env:SO_PIN --init-pin --new-pin env:USER_PIN >/dev/null 2>&1 || fail "cannot set the token's PIN"
    (umask 377; printf '%s\n' "$pin" >"$dir/pin")
}

# house_pki DIR: the internal CA; certificates for sealkeepd and for callers officer, tpp and stranger.
house_pki() {
    local dir=$1 name
    mkdir -m 700 "$dir/tls"
    "$BIN/sandbox-pki" init --dir "$dir/pki" >/dev/null
    "$BIN/sandbox-pki" issue --dir "$dir/pki" --name sealkeepd --server --dns localhost --ip 127.0.0.1 --out "$dir/tls/server" >/dev/null
    for name in officer tpp stranger; do
        "$BIN/sandbox-pki" issue --dir "$dir/pki" --name "$name" --uri "spiffe://demo.example/$name" --out "$dir/tls/$name" >/dev/null
    done
}

# house_qtsp DIR: the pretend QTSP in DIR/qtsp, and its OCSP responder and lists on the address in DIR/qtsp.address.
house_qtsp() {
    local dir=$1 address pid
    "$BIN/sandbox-qtsp" init --dir "$dir/qtsp" >/dev/null
    "$BIN/sandbox-qtsp" serve --dir "$dir/qtsp" >"$dir/qtsp.log" 2>&1 &
    pid=$!
    say $pid >"$dir/qtsp.pid"
    address=$(wait_for "$dir/qtsp.log" 'listening on ' "$pid") || { cat "$dir/qtsp.log" >&2; fail "the QTSP did not start"; }
    say "$address" >"$dir/qtsp.address"
}

# house_config DIR: DIR/sealkeep.toml for that token and PKI, trusting the sandbox QTSP. The names in its certificates are
# nowhere in the world, so it is its own proxy.
house_config() {
    local dir=$1 signers=
    [ ! -f "$dir/trust/lotl-signer.pem" ] || signers='"trust/lotl-signer.pem"'
    cat >"$dir/sealkeep.toml" <<EOF
[listen]
address = "127.0.0.1:0"
certificate_file = "tls/server.pem"
key_file = "tls/server.key"
caller_ca_file = "pki/ca.pem"

[token]
name = "main"
module = "$(softhsm_module)"
label = "sealkeep"
pin_file = "pin"

[store]
sqlite_file = "sealkeep.db"

[trust]
sandbox_anchor_files = ["qtsp/root.pem"]
sandbox_lotl_signer_files = [$signers]

[revocation]
proxy = "http://$(cat "$dir/qtsp.address")"
EOF
}

# house_lists DIR: trusted lists that name the sandbox QTSP; house_config then pins their signer.
house_lists() { "$BIN/sandbox-qtsp" trusted-list --dir "$1/qtsp" --out "$1/trust" >/dev/null; }

# house_start DIR: starts sealkeepd, waits until it is ready, exports SEALKEEP_ADDR and SEALKEEP_CACERT.
house_start() {
    local dir=$1 address pid
    "$BIN/sealkeepd" run --config "$dir/sealkeep.toml" 2>>"$dir/sealkeepd.log" &
    pid=$!
    say $pid >"$dir/sealkeepd.pid"
    address=$(wait_for "$dir/sealkeepd.log" 'sealkeepd ready on ' "$pid") || {
        tail -n 5 "$dir/sealkeepd.log" >&2
        fail "sealkeepd did not start"
    }
    export SEALKEEP_ADDR="https://$address" SEALKEEP_CACERT="$dir/pki/ca.pem"
}

# wait_for FILE TEXT PID: what follows the last TEXT in FILE, once it is there; fails when PID dies or after 30 s.
wait_for() {
    local file=$1 text=$2 pid=$3 tries=300 found
    while [ $tries -gt 0 ]; do
        found=$(sed -n "s|.*$text\([^ ]*\).*|\1|p" "$file" 2>/dev/null | tail -n 1)
        [ -n "$found" ] && { say "$found"; return 0; }
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.1
        tries=$((tries - 1))
    done
    return 1
}

# house_stop DIR: SIGTERM to what was started, and waits.
house_stop() {
    local dir=$1 file pid
    for file in "$dir"/*.pid; do
        [ -r "$file" ] || continue
        pid=$(cat "$file")
        kill "$pid" 2>/dev/null || true
        # `wait` knows children only; others are polled.
        wait "$pid" 2>/dev/null || while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
        rm -f "$file"
    done
}

# as NAME COMMAND...: the sealkeep command line as one of the callers.
as() {
    local who=$1 dir=${SEALKEEP_HOUSE:?}
    shift
    SEALKEEP_CLIENT_CERT="$dir/tls/$who.pem" SEALKEEP_CLIENT_KEY="$dir/tls/$who.key" "$@"
}

# quiet COMMAND...: shows what a command says only when it fails.
quiet() {
    local said
    said=$("$@" 2>&1) || { printf '%s\n' "$said" >&2; return 1; }
}

# house_credential DIR NAME PURPOSE KEY ROLES: enrol, have the sandbox QTSP issue, install, activate.
house_credential() {
    local dir=$1 name=$2 purpose=$3 key=$4 roles=$5 kind=qsealc common="Demo TPP GmbH" dns=()
    [ "$purpose" = transport ] && { kind=qwac; common=tpp.demo-tpp.com; dns=(--dns tpp.demo-tpp.com); }
    quiet as officer "$BIN/sealkeep" credential enrol "$name" --purpose "$purpose" --key "$key" --country DE \
        --organization "Demo TPP GmbH" --organization-identifier PSDDE-BAFIN-123456 --common-name "$common" "${dns[@]}" \
        --out "$dir/$name.csr" || return
    quiet "$BIN/sandbox-qtsp" issue --dir "$dir/qtsp" --csr "$dir/$name.csr" --kind "$kind" --roles "$roles" --out "$dir/$name.pem" || return
    quiet as officer "$BIN/sealkeep" credential install "$name" "$dir/$name.pem" || return
    quiet as officer "$BIN/sealkeep" credential activate "$name"
}
