#!/usr/bin/env bash
# Implementations that are not ours check a real service: PyPI grpcio calls it, openssl, httpsig, http-signature, jwcrypto
# and jose verify what it signs, `openssl s_server` what its keys authenticate, pkilint what the sandbox QTSP issues and
# revokes, pyHanko what trusted lists say of it, pkcs11-tool and python-pkcs11 how the keys are kept. They,
# http-message-signatures (PyPI and npm) and joserfc also verify requests signed under every shipped profile. One line a
# check; exit code 0 only when all are ok.
#
# SEALKEEP_INTEROP_SEED repeats the random requests of an earlier run.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/tools.sh"
. "$(dirname "$0")/handshakes.sh"
. "$(dirname "$0")/attributes.sh"

[ $# -eq 0 ] || fail "usage: deploy/interop/run.sh"
SEED=${SEALKEEP_INTEROP_SEED:-$(od -An -N 4 -t u4 /dev/urandom | tr -d ' ')}
# What checks/signatures.py, refusals.py and handshakes.sh have signed when all went well.
SIGNATURE_COUNT=1406
CREDENTIAL_COUNT=5
# Of each format, so that 1,000 are left where a verifier cannot read every profile.
REQUEST_COUNT=1400

# built: what of our own is needed; only the first time, test.sh has it built already.
built() {
    local name release=()
    [ "$(basename "$BIN")" != release ] || release=(--release)
    for name in sealkeepd sealkeep sandbox-pki sandbox-qtsp examples/get examples/signed-requests; do
        [ -x "$BIN/$name" ] && continue
        say "building"
        (cd "$ROOT" && cargo build --quiet --locked "${release[@]}" -p sealkeep-service -p sealkeep-client -p sealkeep-sandbox --bins &&
            cargo build --quiet --locked "${release[@]}" -p sealkeep-client --example get \
                -p sealkeep-profiles --example signed-requests)
        return
    done
}

# furnish DIR: token, internal CA, QTSP, bank's TLS, a running sealkeepd.
furnish() {
    local dir=$1
    house_token "$dir"
    house_pki "$dir"
    "$BIN/sandbox-pki" issue --dir "$dir/pki" --name two-names --uri spiffe://demo.example/tpp --dns tpp.demo.example \
        --out "$dir/tls/two-names" >/dev/null
    house_qtsp "$dir"
    "$BIN/sandbox-qtsp" issue-bank --dir "$dir/qtsp" --out "$dir/bank" >/dev/null
    house_lists "$dir"
    house_config "$dir"
    "$BIN/sealkeepd" init --config "$dir/sealkeep.toml" --officer spiffe://demo.example/officer >/dev/null
    house_start "$dir"
}

# catalogue DIR: requests, answers and JWTs signed under every shipped profile, without the service.
catalogue() {
    "$BIN/examples/signed-requests" "$REQUEST_COUNT" "$SEED" "$(date +%s)" >"$1/signed-requests"
    python catalogue "$1/signed-requests"
}

# step NAME COMMAND...: its lines are shown and counted; that it broke is a failed check too.
step() {
    local name=$1 code=0
    shift
    "$@" | tee -a "$HOUSE/results" || code=$?
    [ $code -eq 0 ] || say "FAILED step $name: exit code $code" | tee -a "$HOUSE/results"
}

# python STEP [ARGUMENT]: a module of checks/.
python() { "$TOOLS/venv/bin/python" -W ignore -m checks "$@"; }

install_packages softhsm2 opensc
interop_tools
built

HOUSE=$(mktemp -d "${TMPDIR:-/tmp}/sealkeep-interop.XXXXXX")
clean() {
    local code=$?
    house_stop "$HOUSE"
    [ $code -eq 0 ] || tail -n 5 "$HOUSE/sealkeepd.log" >&2 2>/dev/null || true
    rm -rf "$HOUSE"
}
trap clean EXIT
trap 'exit 130' INT TERM

export SEALKEEP_HOUSE=$HOUSE SEALKEEP_ROOT=$ROOT SEALKEEP_BIN=$BIN SEALKEEP_NPM_PREFIX=$TOOLS/npm
SEALKEEP_PKCS11_MODULE=$(softhsm_module)
export SEALKEEP_PKCS11_MODULE PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$HOUSE/stubs:$INTEROP RUST_BACKTRACE=0
# It reports refused connections on stderr, which is what some checks are about.
export GRPC_VERBOSITY=NONE
furnish "$HOUSE"
interop_stubs "$HOUSE/stubs"

say "seed $SEED"
step setup python setup
step signatures python signatures "$SEED"
step catalogue catalogue "$HOUSE"
step refusals python refusals
step encryption python encryption
step handshakes handshakes "$HOUSE"
step audit python audit "$SIGNATURE_COUNT"
step attributes attributes "$HOUSE" "$CREDENTIAL_COUNT"
step token python token
step certificates python certificates
step trust python trust

PASSED=$(grep -c '^ok ' "$HOUSE/results" || true)
FAILED=$(grep -c '^FAILED ' "$HOUSE/results" || true)
say "interop: $PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ]
