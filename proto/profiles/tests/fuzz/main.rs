//! The fuzz targets on a stable toolchain: every seed, and what random changes make of them. Without coverage to guide it,
//! this finds less a second than `cargo fuzz`; it keeps the targets and what was found alive in every run of the tests.
//!
//! `SEALKEEP_FUZZ_CASES` says how many changed seeds a target gets; without it, [`CASES`].
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod targets;

use std::path::{Path, PathBuf};

use targets::{TARGETS, Target};

/// How many changed seeds a target gets.
const CASES: u64 = 20_000;
/// The longest input, in bytes: seeds are shorter, and what is longer is slow and says no more.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// What parsers like to trip over.
const MORSELS: [&[u8]; 16] = [
    b"\"",
    b"\\",
    b",",
    b";",
    b"=",
    b":",
    b"\r\n",
    b"\n\n",
    b"\0",
    b"(",
    b"eyJ",
    b"..",
    b"%2e",
    b"\xff",
    b"\x30\x80",
    b"99999999999999999999",
];

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// xorshift64: the same changes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// One to four changes: a bit, a byte, a part taken out, doubled, or from another seed, a morsel.
fn changed(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            4 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                let part = other[from..(from + random.below(200)).min(other.len())].to_vec();
                drop(bytes.splice(at..end, part));
            }
            _ => drop(bytes.splice(at..at, MORSELS[random.below(MORSELS.len())].to_vec())),
        }
        bytes.truncate(INPUT_BYTES_MAX);
    }
    bytes
}

fn drive(name: &str, target: Target) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    for seed in &seeds {
        assert!(
            seed.len() <= INPUT_BYTES_MAX,
            "a seed of {name} is too long"
        );
        target(seed);
    }
    let cases = std::env::var("SEALKEEP_FUZZ_CASES");
    let cases = cases.map_or(CASES, |text| {
        text.parse().expect("SEALKEEP_FUZZ_CASES is a number")
    });
    let mut random = Random(0x5ea1_6eeb);
    for _ in 0..cases {
        let bytes = changed(&seeds, &mut random);
        if std::panic::catch_unwind(|| target(&bytes)).is_err() {
            panic!("{name} fails on {}", hex::encode(&bytes));
        }
    }
}

macro_rules! tests {
    ($($name:ident)*) => {
        $(#[test] fn $name() { drive(stringify!($name), targets::$name); })*

        #[test]
        fn every_target_is_driven_here_and_has_a_binary_for_cargo_fuzz() {
            let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
            for name in names {
                let text = std::fs::read_to_string(folder.join(format!("{name}.rs"))).unwrap();
                assert!(text.contains(&format!("targets::{name}(")), "{name}");
            }
        }
    };
}

tests! {
    certificate ecdsa_signature jwe jwt profile_file public_key qc_statements request tls12_transcript
    verify_cavage verify_http_message verify_jades verify_jws
}

/// Seeds that verify are what makes changes of them worth while.
#[test]
fn seeds_of_messages_verify() {
    for name in [
        "verify_cavage",
        "verify_http_message",
        "verify_jades",
        "verify_jws",
    ] {
        let verified = seeds(name)
            .iter()
            .filter(|seed| targets::verifies(seed))
            .count();
        assert!(verified >= 1, "no seed of {name} verifies");
    }
}
