#!/usr/bin/env bash
# Runs the token worker under valgrind's memcheck, on SoftHSM with a module around it that breaks: it makes, adopts and
# destroys keys, signs, decrypts, and climbs its ladder of recovery. Prints valgrind's report; fails on any error or
# definite leak. A few minutes, so not part of test.sh.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

install_packages softhsm2 opensc openssl valgrind >&2
SEALKEEP_TEST_TOKEN=softhsm cargo test --quiet --locked -p sealkeep-pkcs11-tests --test contract -- \
    --ignored --exact --nocapture faulty::memcheck::the_worker_makes_no_memory_error
cat "$TARGET/tmp/memcheck.log"
