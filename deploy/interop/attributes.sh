# shellcheck shell=bash
# What OpenSC's pkcs11-tool says of the private keys in the token. Sourced by run.sh; defines functions only.

# attributes DIR COUNT: every private key is sensitive, always was, was never extractable, was made in the token.
attributes() {
    local dir=$1 count=$2 module wanted='sensitive, always sensitive, never extractable, local' id
    local -a tool
    module=$(softhsm_module)
    tool=(pkcs11-tool --module "$module" --token-label sealkeep --login --pin env:TOKEN_PIN)
    # The PIN goes through the environment of the tool: the command line is readable by every user.
    TOKEN_PIN=$(cat "$dir/pin") "${tool[@]}" --list-objects --type privkey >"$dir/privkeys" 2>"$dir/pkcs11-tool.log" || {
        say "FAILED pkcs11-tool lists the private keys: $(tail -n 1 "$dir/pkcs11-tool.log")"
        return
    }
    if [ "$(grep -c '^Private Key Object' "$dir/privkeys")" -ne "$count" ]; then
        say "FAILED pkcs11-tool: $(grep -c '^Private Key Object' "$dir/privkeys") private keys, not $count"
    elif [ "$(grep -c "^  Access: *$wanted\$" "$dir/privkeys")" -ne "$count" ]; then
        say "FAILED pkcs11-tool: a key is not $wanted: $(grep '^  Access:' "$dir/privkeys" | sort -u | tr '\n' ';')"
    elif [ "$(grep -c '^  Usage: *sign$' "$dir/privkeys")" -ne "$count" ]; then
        say "FAILED pkcs11-tool: a key does more than sign: $(grep '^  Usage:' "$dir/privkeys" | sort -u | tr '\n' ';')"
    else
        say "ok pkcs11-tool lists $count private keys ($wanted; sign only)"
    fi
    # This tool refuses by itself, whatever the token would say; the step `token` asks the token.
    while read -r id; do
        TOKEN_PIN=$(cat "$dir/pin") "${tool[@]}" --read-object --type privkey --id "$id" --output-file "$dir/stolen" >/dev/null 2>&1 || true
        [ ! -e "$dir/stolen" ] || break
    done < <(sed -n 's/^  ID: *//p' "$dir/privkeys")
    if [ -e "$dir/stolen" ]; then
        say "FAILED pkcs11-tool reads no private key: it read $id"
    else
        say "ok pkcs11-tool reads no private key ($count keys)"
    fi
}
