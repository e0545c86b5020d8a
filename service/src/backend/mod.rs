//! What holds keys.
