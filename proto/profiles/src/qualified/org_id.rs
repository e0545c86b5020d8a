//! The PSD2 syntaxes of NCA identifier and organizationIdentifier, and their agreement.
//!
//! In: decoded texts. Out: findings. Never trims or changes case, never splits an authorisation number: it may hold
//! dots, hyphens, blanks and letters. Serves TS 119 495 clauses 5.2.1 and 5.2.3.

use super::{Finding, Psd2Statement};

/// Letters an NCA's short name has, least and most (GEN-5.2.3-2).
const NCA_LETTERS_MIN: usize = 2;
const NCA_LETTERS_MAX: usize = 8;

/// Reports what is wrong with the two identifiers of a certificate that carries a PSD2 statement.
pub(super) fn check(psd2: &Psd2Statement, org_id: Option<&str>, findings: &mut Vec<Finding>) {
    if let Some(nca_id) = psd2.nca_id()
        && !is_nca_id(nca_id)
    {
        findings.push(Finding::NcaIdSyntax);
    }
    let Some(org_id) = org_id else {
        return findings.push(Finding::OrgIdMissing);
    };
    let Some(authority) = psd_authority(org_id) else {
        return findings.push(Finding::OrgIdNotPsdSyntax);
    };
    if psd2.nca_id().is_some_and(|nca_id| nca_id != authority) {
        findings.push(Finding::NcaIdVsOrgIdMismatch);
    }
}

/// `DE-BAFIN`: two capital letters, hyphen, two to eight capital letters (TS 119 495 GEN-5.2.3-2).
fn is_nca_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(country, nca)| {
        country.len() == 2
            && capitals(country)
            && (NCA_LETTERS_MIN..=NCA_LETTERS_MAX).contains(&nca.len())
            && capitals(nca)
    })
}

/// The `CC-NCA` part of `PSDCC-NCA-number`, when the text has that syntax.
fn psd_authority(org_id: &str) -> Option<&str> {
    let rest = org_id.strip_prefix("PSD")?;
    let (country, after) = rest.split_once('-')?;
    let (nca, number) = after.split_once('-')?;
    let authority = rest.get(..country.len() + 1 + nca.len())?;
    // The number may hold any character but a line end: such text never is an identifier on purpose.
    let plain = !number.is_empty() && !number.contains('\n');
    (is_nca_id(authority) && plain).then_some(authority)
}

fn capitals(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_authority_whatever_the_number_holds() {
        assert_eq!(psd_authority("PSDBE-NBB-1234.567.890"), Some("BE-NBB"));
        assert_eq!(psd_authority("PSDFI-FINFSA-1234567-8"), Some("FI-FINFSA"));
        assert_eq!(psd_authority("PSDMT-MFSA-A 12345"), Some("MT-MFSA"));
        assert_eq!(
            psd_authority("PSDGB-OB-Unknown0015800001HQQrZAAX"),
            Some("GB-OB")
        );
    }

    #[test]
    fn refuses_what_only_resembles_the_syntax() {
        for text in [
            "PSDFIN-FINFSA-1",
            "PDSDE-BAFIN-1",
            "PSDde-BAFIN-1",
            "PSDDE-BAFIN1",
            "PSDDE-BAFIN-",
            "PSD",
        ] {
            assert_eq!(psd_authority(text), None, "{text}");
        }
    }

    #[test]
    fn knows_an_nca_identifier_from_its_deployed_misspellings() {
        assert!(is_nca_id("DE-BAFIN"));
        for text in [
            "DE+BAFIN",
            "de-BAFIN",
            "DE-bafin",
            "DEU-BAFIN",
            "DE-BAFINANCE",
            "DE-B",
            "DE",
            "",
            "France",
        ] {
            assert!(!is_nca_id(text), "{text}");
        }
    }
}
