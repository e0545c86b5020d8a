//! RFC 9421: vectors, golden strings, components one by one, refusals, and the other side.

mod components;
mod foreign;
mod golden;
mod refusals;
mod tampering;
mod vectors;

use sealkeep_profiles::profile::{Profile, ProfileError};

/// A profile for requests, from the lines that matter.
fn requests(parameters: &str) -> Profile {
    try_profile(&format!("[request.http_message]\n{parameters}")).unwrap()
}

fn try_profile(rest: &str) -> Result<Profile, ProfileError> {
    Profile::from_toml(&format!(
        "name = \"case\"\ntitle = \"case\"\nsource = \"test\"\nconfidence = \"seen\"\n{rest}"
    ))
}

/// Parameters of a profile that covers these components and takes every key.
fn covering(components: &str) -> String {
    format!(
        "label = \"sig\"\ncovered = [{components}]\nparameters = [\"created\"]\nage_seconds_max = 300\n\
         schemes = [\"rsa-pss-sha512\", \"ecdsa-p256-sha256\", \"ecdsa-p384-sha384\", \"ecdsa-p521-sha512\", \"ed25519\"]\n"
    )
}
