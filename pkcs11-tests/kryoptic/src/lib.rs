//! Nothing: this package only says which kryoptic `deploy/kryoptic.sh` builds, and with what.
