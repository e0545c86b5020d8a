//! The module stays in memory once it is loaded: what it knows about handles must outlive an application that unloads
//! and loads it again.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
