//! Compiles the .proto files without a system `protoc` and keeps the descriptor set for reflection and tests.

use prost::Message;
use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 16] = [
    "sealkeep/v1/environment.proto",
    "sealkeep/v1/signing.proto",
    "sealkeep/v1/jwt.proto",
    "sealkeep/v1/decryption.proto",
    "sealkeep/v1/tls.proto",
    "sealkeep/v1/credential.proto",
    "sealkeep/v1/bank.proto",
    "sealkeep/v1/rotation.proto",
    "sealkeep/v1/access.proto",
    "sealkeep/v1/audit.proto",
    "sealkeep/v1/status.proto",
    "sealkeep/v1/watch.proto",
    "sealkeep/v1/approval.proto",
    "sealkeep/v1/enrolment.proto",
    "sealkeep/v1/key.proto",
    "sealkeep/v1/trust.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=sealkeep");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("sealkeep.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
