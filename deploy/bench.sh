#!/usr/bin/env bash
# Measures a throw-away house, release build: the token alone against the whole way (sealkeep bench), start-up with 100
# keys, memory at rest, and the PKCS#11 calls of a steady minute. Not a test: numbers depend on the machine.
# usage: deploy/bench.sh [--seconds N] [-o json]
set -euo pipefail
export SEALKEEP_PROFILE_DIR=release
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

SECONDS_EACH=5 OUTPUT=table
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) SECONDS_EACH=${2:?}; shift 2 ;;
        -o) OUTPUT=${2:?}; shift 2 ;;
        *) fail "usage: deploy/bench.sh [--seconds N] [-o table|json]" ;;
    esac
done
talk() { printf '%s\n' "$*" >&2; }

install_packages softhsm2 opensc opensc-pkcs11 >&2
[ -n "${SEALKEEP_BUILT:-}" ] ||
    (cd "$ROOT" && cargo build --release --quiet --locked -p sealkeep-service -p sealkeep-client -p sealkeep-sandbox --bins)
HOUSE=$(mktemp -d "${TMPDIR:-/tmp}/sealkeep-bench.XXXXXX")
export SEALKEEP_HOUSE=$HOUSE
trap 'house_stop "$HOUSE"; rm -rf "$HOUSE"' EXIT

house_token "$HOUSE"
house_pki "$HOUSE"
house_qtsp "$HOUSE"
house_config "$HOUSE"
"$BIN/sealkeepd" init --config "$HOUSE/sealkeep.toml" --officer spiffe://demo.example/officer >/dev/null
house_start "$HOUSE"
house_credential "$HOUSE" p256 seal ec-p256 PSP_PI
house_credential "$HOUSE" rsa seal rsa-2048 PSP_PI
printf '[[bank]]\nname = "bench"\nenvironment = "sandbox"\nhosts = ["bank.example.com"]\nprofile = "berlin-group-1.3.4"\ncredentials = ["p256", "rsa"]\n' >"$HOUSE/banks.toml"
printf '[[caller]]\nname = "spiffe://demo.example/tpp"\nrole = "signer"\n' >"$HOUSE/access.toml"
for credential in p256 rsa; do
    printf '[[caller.grant]]\noperations = ["sign-http"]\ncredential = "%s"\nbanks = ["bench"]\n' $credential >>"$HOUSE/access.toml"
done
quiet as officer "$BIN/sealkeep" bank apply -f "$HOUSE/banks.toml"
quiet as officer "$BIN/sealkeep" access apply -f "$HOUSE/access.toml"
resident() { awk '/VmRSS/ { printf "%.1f MiB\n", $2 / 1024 }' "/proc/$(cat "$HOUSE/sealkeepd.pid")/status"; }
talk "resident memory at rest: $(resident)"

bench() {
    as tpp "$BIN/sealkeep" bench --bank bench --host bank.example.com --config "$HOUSE/sealkeep.toml" \
        --pid "$(cat "$HOUSE/sealkeepd.pid")" "$@"
}
bench --credential p256 --credential rsa --seconds "$SECONDS_EACH" -o "$OUTPUT"
talk "resident memory after it:  $(resident)"

if [ "$OUTPUT" = table ]; then
    for n in $(seq 1 98); do
        quiet as officer "$BIN/sealkeep" credential enrol "key-$n" --purpose seal --key ec-p256 --country DE \
            --organization "Demo TPP GmbH" --organization-identifier PSDDE-BAFIN-123456 --common-name "Demo TPP GmbH" --out /dev/null
    done
    house_stop "$HOUSE"
    : >"$HOUSE/sealkeepd.log"
    house_start "$HOUSE"
    say "start to ready with 100 keys: $(sed -n 's/.*ready_ms=\([0-9]*\).*/\1/p' "$HOUSE/sealkeepd.log") ms"

    spy=$(find /usr/lib -name pkcs11-spy.so -print -quit)
    [ -n "$spy" ] || exit 0
    house_stop "$HOUSE"
    : >"$HOUSE/sealkeepd.log"
    mkdir "$HOUSE/spy"
    sed -i "s|^module = .*|module = \"$spy\"\nallow_spy = true\nworker_write_paths = [\"spy\"]|" "$HOUSE/sealkeep.toml"
    PKCS11SPY=$(softhsm_module)
    export PKCS11SPY PKCS11SPY_OUTPUT=$HOUSE/spy/log
    house_start "$HOUSE"
    as tpp "$BIN/sealkeep" bench --bank bench --host bank.example.com --credential p256 --concurrency 1 --seconds 1 >/dev/null
    before=$(wc -l <"$HOUSE/spy/log")
    as tpp "$BIN/sealkeep" bench --bank bench --host bank.example.com --credential p256 --concurrency 4 --seconds "${STEADY_SECONDS:-60}" >/dev/null
    say "PKCS#11 calls of a steady minute at 4 in flight:"
    tail -n +"$((before + 1))" "$HOUSE/spy/log" | grep -aoE ': C_[A-Za-z]+' | sort | uniq -c | sort -rn | sed 's/: /  /; s/^/ /'
fi
