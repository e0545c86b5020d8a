#!/usr/bin/env bash
# Builds kryoptic, a PKCS#11 token written in Rust, for tests: the version that pkcs11-tests/kryoptic pins, into the
# target directory, with the system's OpenSSL and SQLite. Prints where the module is. About a minute, once.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# bindgen wants libclang.
install_packages pkg-config libclang-dev libssl-dev libsqlite3-dev >&2
cargo build --quiet --locked --manifest-path "$ROOT/pkcs11-tests/kryoptic/Cargo.toml" --target-dir "$TARGET/kryoptic" -p kryoptic >&2
say "$TARGET/kryoptic/debug/libkryoptic_pkcs11.so"
