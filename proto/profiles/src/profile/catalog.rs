//! The profiles there are: the shipped ones, and the operator's own beside them.
//!
//! Comes in: the files of `catalog/`, embedded when the crate is built, and files read elsewhere. Goes out: profiles by
//! name. Never two of one name, never a part of a catalogue: one wrong file refuses all.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::layer::{Layers, Source};
use super::{Profile, ProfileError};

/// Profiles by name. Shipped are:
///
#[doc = include_str!("../../CATALOG.md")]
#[derive(Clone, Debug, Default)]
pub struct Catalog(BTreeMap<String, Profile>);

/// A shipped profile and its vectors, two files of one name.
#[derive(Clone, Copy, Debug)]
pub struct Shipped<'a> {
    /// In `catalog/`.
    pub profile: Source<'a>,
    /// In `vectors/`.
    pub vectors: Source<'a>,
}

macro_rules! shipped {
    ($($file:literal),* $(,)?) => {
        [$(Shipped {
            profile: Source { file: $file, text: include_str!(concat!("../../catalog/", $file)) },
            vectors: Source { file: $file, text: include_str!(concat!("../../vectors/", $file)) },
        }),*]
    };
}

/// The shipped files; a test compares with the folder. A profile without vectors does not build.
const SHIPPED: &[Shipped<'static>] = &shipped![
    "abanca.toml",
    "adorsys-xs2a.toml",
    "alpha-gr.toml",
    "amazon-sp-api.toml",
    "argenta.toml",
    "arkea.toml",
    "atruvia.toml",
    "bank-of-ireland.toml",
    "berlin-group-1.3.3.toml",
    "berlin-group-1.3.4-sha512.toml",
    "berlin-group-1.3.4.toml",
    "berlin-group-openfinance-jades.toml",
    "bng.toml",
    "bnp-paribas-fortis.toml",
    "bnp-paribas.toml",
    "boursorama.toml",
    "bpce.toml",
    "cbi-globe.toml",
    "cec-consent.toml",
    "cec.toml",
    "ceska-sporitelna.toml",
    "chebanca.toml",
    "credit-agricole.toml",
    "credit-mutuel.toml",
    "danske-uk.toml",
    "dhb-enrolment.toml",
    "ebay.toml",
    "fapi-1-advanced.toml",
    "fapi-2-http-signatures.toml",
    "fapi-2.toml",
    "fintecture.toml",
    "hsbc-uk.toml",
    "icard.toml",
    "indice-psd2.toml",
    "ing-api.toml",
    "ing-premium-jws.toml",
    "ing-token.toml",
    "knab-consent.toml",
    "knab.toml",
    "lcl-ais.toml",
    "lcl-pis.toml",
    "libra.toml",
    "nbg-gr.toml",
    "nordea.toml",
    "obe-jws-sigt.toml",
    "obe-jws.toml",
    "obp.toml",
    "obuk-3.1.3.toml",
    "obuk-3.1.4.toml",
    "obuk-4.0.toml",
    "obuk-oauth.toml",
    "op.toml",
    "open-finance-brasil.toml",
    "permanent-tsb.toml",
    "polish-api.toml",
    "qonto.toml",
    "rabobank-ais.toml",
    "rabobank-enrolment.toml",
    "rabobank-pis.toml",
    "redsys.toml",
    "revolut.toml",
    "rfc9421.toml",
    "salt-edge-priora.toml",
    "santander-uk.toml",
    "societe-generale.toml",
    "starling.toml",
    "stet-1.4.toml",
    "stet-1.5.toml",
    "stet-1.6-jades.toml",
    "stet-1.6.toml",
    "tbc.toml",
    "triodos.toml",
    "truelayer.toml",
    "wso2-nextgenpsd2.toml",
];

impl Catalog {
    /// The shipped profiles.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
            // Cannot fail: the files are part of the crate, and a test loads each of them.
            Catalog::beside_shipped([]).unwrap_or_default()
        });
        &CATALOG
    }

    /// The shipped profiles and these beside them, which may extend any of both; all of them are good, or none is taken.
    ///
    /// # Errors
    /// [`ProfileError`] of the first that is wrong, or of the second of one name.
    pub fn beside_shipped<'a>(
        sources: impl IntoIterator<Item = Source<'a>>,
    ) -> Result<Self, ProfileError> {
        let shipped: &[Shipped<'a>] = SHIPPED;
        let shipped = shipped.iter().map(|shipped| shipped.profile);
        let layers = Layers::parse(shipped.chain(sources))?;
        let mut profiles = BTreeMap::new();
        for name in layers.names() {
            profiles.insert(name.to_owned(), Profile::read(&layers, name)?);
        }
        Ok(Self(profiles))
    }

    /// The files behind [`Self::embedded`].
    pub fn shipped() -> impl Iterator<Item = Shipped<'static>> {
        SHIPPED.iter().copied()
    }

    /// The profile of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// Every profile, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_shipped_under_its_name_and_loads() {
        Catalog::beside_shipped([]).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let shipped: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.profile.file).collect();
        assert_eq!(shipped, files);
        let mut named: Vec<String> = Catalog::embedded()
            .iter()
            .map(|profile| format!("{}.toml", profile.name()))
            .collect();
        named.sort();
        assert_eq!(named, files);
    }

    #[test]
    fn refuses_a_second_profile_of_one_name() {
        let first = SHIPPED[0].profile;
        let copy = Source {
            file: "copy.toml",
            ..first
        };
        let name = first.file.strip_suffix(".toml").unwrap();
        assert_eq!(
            Catalog::beside_shipped([copy]).unwrap_err().to_string(),
            format!("copy.toml: {name}.toml has a profile `{name}` already, give it another name")
        );
    }
}
