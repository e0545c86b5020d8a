//! Which module and which token a report is about, in their own words.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bench::Bench;
use super::{Finding, Subject};

/// What `C_GetInfo` and `C_GetTokenInfo` say: what a vendor's support asks for first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// `manufacturerID` of `CK_INFO`.
    pub manufacturer: String,
    /// `libraryDescription` of `CK_INFO`.
    pub library: String,
    /// Version of the library.
    pub library_version: String,
    /// Version of PKCS#11 that it implements.
    pub cryptoki_version: String,
    /// Who made the token.
    pub token_manufacturer: String,
    /// Its model.
    pub token_model: String,
    /// Its serial number.
    pub token_serial: String,
    /// Version of its hardware.
    pub hardware_version: String,
    /// Version of its firmware.
    pub firmware_version: String,
    /// Mechanisms that it lists.
    pub mechanism_count: usize,
}

impl Described {
    /// Asks the module; in a process of its own, as every law.
    ///
    /// # Errors
    /// What a law would find of a module that does not start.
    pub fn of(subject: &Subject) -> Result<Self, Finding> {
        let bench = Bench::new(subject)?;
        let library = bench.context.get_library_info()?;
        let token = bench.context.get_token_info(bench.slot)?;
        let text = |padded: &str| padded.trim().to_owned();
        Ok(Self {
            manufacturer: text(library.manufacturer_id()),
            library: text(library.library_description()),
            library_version: library.library_version().to_string(),
            cryptoki_version: library.cryptoki_version().to_string(),
            token_manufacturer: text(token.manufacturer_id()),
            token_model: text(token.model()),
            token_serial: text(token.serial_number()),
            hardware_version: token.hardware_version().to_string(),
            firmware_version: token.firmware_version().to_string(),
            mechanism_count: bench.context.get_mechanism_list(bench.slot)?.len(),
        })
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "library   {}: {} {}, PKCS#11 {}",
            self.manufacturer, self.library, self.library_version, self.cryptoki_version
        )?;
        writeln!(
            f,
            "token     {}: {}, serial {}, hardware {}, firmware {}, {} mechanisms",
            self.token_manufacturer,
            self.token_model,
            self.token_serial,
            self.hardware_version,
            self.firmware_version,
            self.mechanism_count
        )
    }
}
