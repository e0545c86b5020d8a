# shellcheck shell=bash
# Installs the foreign implementations. Sourced by run.sh after deploy/lib.sh; defines functions and paths only.

INTEROP=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Kept between runs; made anew when what is pinned changes.
TOOLS=$TARGET/interop-tools

# interop_tools: PyPI packages in a virtual environment, npm packages beside it.
interop_tools() {
    local stamp
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or later is needed"
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then install_packages nodejs npm; fi
    command -v openssl >/dev/null || install_packages openssl
    stamp=$(cat "$INTEROP/requirements.txt" "$INTEROP/package-lock.json" <(python3 -V; node --version; say "$TOOLS") | sha256sum)
    [ "$(cat "$TOOLS/stamp" 2>/dev/null)" = "$stamp" ] && return 0
    say "installing the foreign implementations"
    rm -rf "$TOOLS" 2>/dev/null || fail "cannot replace $TOOLS, which belongs to somebody else; remove it, or set CARGO_TARGET_DIR"
    mkdir -p "$TOOLS/npm"
    python3 -m venv "$TOOLS/venv"
    "$TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check -r "$INTEROP/requirements.txt" ||
        fail "pip could not install $INTEROP/requirements.txt"
    cp "$INTEROP/package.json" "$INTEROP/package-lock.json" "$INTEROP/.npmrc" "$TOOLS/npm/"
    (cd "$TOOLS/npm" && npm ci --silent --ignore-scripts --no-audit --no-fund >/dev/null) ||
        fail "npm could not install $INTEROP/package-lock.json"
    printf '%s\n' "$stamp" >"$TOOLS/stamp"
}

# interop_stubs DIR: Python code for our .proto files.
interop_stubs() {
    local dir=$1
    mkdir -p "$dir"
    "$TOOLS/venv/bin/python" -m grpc_tools.protoc -I "$ROOT/proto" --python_out="$dir" --grpc_python_out="$dir" \
        "$ROOT"/proto/sealkeep/v1/*.proto
}
