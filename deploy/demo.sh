#!/usr/bin/env bash
# The main job, from nothing: a token, a service, a pretend QTSP and bank, a payment. Run it as root or not, as often as
# you like. --keep leaves everything running and says how to talk to it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

KEEP=no
case ${1:-} in
    '') ;;
    --keep) KEEP=yes ;;
    *) fail "usage: deploy/demo.sh [--keep]" ;;
esac

step() { printf '\n== %s\n' "$*"; }
# expect_refusal NAME WHAT COMMAND...: runs what must be refused, and shows the refusal.
expect_refusal() {
    local who=$1 what=$2 text
    shift 2
    if text=$(as "$who" "$@" 2>&1); then fail "$what: was not refused"; fi
    printf '  %-34s %s\n' "$what" "$(printf '%s\n' "$text" | head -n 1)"
}

install_packages softhsm2 opensc
# SEALKEEP_BUILT: the tests have built everything already.
if [ -z "${SEALKEEP_BUILT:-}" ]; then
    command -v cargo >/dev/null || fail "a Rust toolchain is needed: https://rustup.rs"
    say "building (the first time takes some minutes)"
    (cd "$ROOT" && cargo build --quiet --locked -p sealkeep-service -p sealkeep-client -p sealkeep-sandbox --bins --examples)
fi

HOUSE=$(mktemp -d "${TMPDIR:-/tmp}/sealkeep-demo.XXXXXX")
export SEALKEEP_HOUSE=$HOUSE
clean() {
    local code=$?
    if [ "$KEEP" = yes ] && [ $code -eq 0 ]; then return; fi
    house_stop "$HOUSE"
    [ $code -eq 0 ] || { say "log of sealkeepd:"; tail -n 20 "$HOUSE/sealkeepd.log" 2>/dev/null; }
    rm -rf "$HOUSE"
}
trap clean EXIT

step "A SoftHSM token, an internal CA, sealkeepd with SQLite and its first officer"
house_token "$HOUSE"
house_pki "$HOUSE"
house_qtsp "$HOUSE"
house_lists "$HOUSE"
house_config "$HOUSE"
"$BIN/sealkeepd" init --config "$HOUSE/sealkeep.toml" --officer spiffe://demo.example/officer | sed "s|$HOUSE/||; s/^/  /"
house_start "$HOUSE"
say "  sealkeepd listens on ${SEALKEEP_ADDR#https://} (mutual TLS 1.3)"

step "A pretend bank (Berlin Group 1.3.4, mutual TLS, OAuth2, signed answers)"
"$BIN/sandbox-qtsp" issue-bank --dir "$HOUSE/qtsp" --out "$HOUSE/bank" >/dev/null
cat >"$HOUSE/bank.toml" <<EOF
listen = "127.0.0.1:0"
qtsp_root = "$HOUSE/qtsp/root.pem"
qtsp_issuing = "$HOUSE/qtsp/issuing.pem"
tls_chain = "$HOUSE/bank/tls.pem"
tls_key = "$HOUSE/bank/tls.key"
seal_chain = "$HOUSE/bank/seal.pem"
seal_key = "$HOUSE/bank/seal.key"
EOF
cat "$HOUSE/qtsp/root.pem" "$HOUSE/qtsp/issuing.pem" >"$HOUSE/bank-ca.pem"
"$BIN/sandbox-bank" run --config "$HOUSE/bank.toml" >"$HOUSE/bank.log" 2>&1 &
say $! >"$HOUSE/bank.pid"
BANK=$(wait_for "$HOUSE/bank.log" 'listening on ' "$(cat "$HOUSE/bank.pid")") || { cat "$HOUSE/bank.log"; fail "the bank did not start"; }
BANK=localhost:${BANK##*:}     # its certificate names localhost
say "  the bank listens on $BANK"

step "Credentials: keys made in the token, certificates issued by the sandbox QTSP, checked, activated"
# The trusted list of the pretend country names the QTSP: what it issues is qualified.
quiet as officer "$BIN/sealkeep" trust import --lotl "$HOUSE/trust/lotl.xml" --list "$HOUSE/trust/list.xml"
house_credential "$HOUSE" demo-tpp-transport transport ec-p256 PSP_AI,PSP_PI
house_credential "$HOUSE" demo-tpp-seal seal rsa-2048 PSP_AI,PSP_PI
house_credential "$HOUSE" demo-ais-seal seal rsa-2048 PSP_AI
cat >"$HOUSE/banks.toml" <<EOF
[[bank]]
name = "sandbox-bank"
environment = "sandbox"
hosts = ["$BANK"]
profile = "berlin-group-1.3.4"
credentials = ["demo-tpp-transport", "demo-tpp-seal", "demo-ais-seal"]
EOF
quiet as officer "$BIN/sealkeep" bank apply -f "$HOUSE/banks.toml"
cat >"$HOUSE/access.toml" <<EOF
[[caller]]
name = "spiffe://demo.example/tpp"
role = "signer"

[[caller.grant]]
operations = ["tls"]
credential = "demo-tpp-transport"
banks = ["sandbox-bank"]

[[caller.grant]]
operations = ["sign-http", "sign-jws"]
credential = "demo-tpp-seal"
banks = ["sandbox-bank"]

[[caller.grant]]
operations = ["sign-http"]
credential = "demo-ais-seal"
banks = ["sandbox-bank"]
EOF
quiet as officer "$BIN/sealkeep" access apply -f "$HOUSE/access.toml"
as officer "$BIN/sealkeep" credential list | sed 's/^/  /'

step "A TPP service, through the client crate: no key in its hands"
as tpp "$BIN/examples/pay" --bank-url "https://$BANK" --bank sandbox-bank --bank-ca "$HOUSE/bank-ca.pem" --client-id PSDDE-BAFIN-123456

step "Refused, before anything reached the bank"
SIGN=("$BIN/sealkeep" sign http --bank sandbox-bank -X POST "https://$BANK/v1/payments/sepa-credit-transfers"
    -H "X-Request-ID: 99391c7e-ad88-49ec-a2ad-99ddcb1f7721" -d '{"amount":"1.00"}')
expect_refusal tpp "payment, AIS-only certificate" "${SIGN[@]}" --credential demo-ais-seal
expect_refusal tpp "header with CR/LF" "${SIGN[@]}" -H $'PSU-ID: anna\r\ndigest: forged'
expect_refusal stranger "caller without a grant" "${SIGN[@]}"

step "Revoked by the QTSP: noticed, and signed with no more (sealkeep credential check-revocation)"
"$BIN/sandbox-qtsp" revoke --dir "$HOUSE/qtsp" --certificate "$HOUSE/demo-ais-seal.pem" --reason key-compromise
code=0
as officer "$BIN/sealkeep" --quiet credential check-revocation demo-ais-seal@1 >"$HOUSE/revoked" || code=$?
[ $code -eq 7 ] || fail "the revocation was not noticed"
sed 's/^/  /' "$HOUSE/revoked"
expect_refusal tpp "revoked certificate" "${SIGN[@]}" --credential demo-ais-seal

step "What expires when (sealkeep status)"
as officer "$BIN/sealkeep" status | sed 's/^/  /'

step "Everything that just happened, in the log (sealkeep audit verify)"
as officer "$BIN/sealkeep" audit verify | sed 's/^/  /'

if [ "$KEEP" = yes ]; then
    step "Kept running. Talk to it:"
    say "  export SEALKEEP_ADDR=$SEALKEEP_ADDR SEALKEEP_CACERT=$SEALKEEP_CACERT \\"
    say "    SEALKEEP_CLIENT_CERT=$HOUSE/tls/officer.pem SEALKEEP_CLIENT_KEY=$HOUSE/tls/officer.key"
    say "  $BIN/sealkeep status"
    say "  stop: kill $(cat "$HOUSE"/*.pid | tr '\n' ' '); rm -r $HOUSE"
fi
