//! The signature and the reading of lists, against whoever would have another list read than the one that was signed.
#![allow(clippy::unwrap_used)]

mod foreign;
mod laws;

use jiff::{SignedDuration, Timestamp};
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::qtsp::Qtsp;
use sealkeep_sandbox::qtsp::trusted_list::{Entry, Supervisor};

use super::list::{self, ListError, ListKind, TrustedList};
use super::signature::{self, SignatureError};
use super::signers::Signer;

pub(super) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const DS: &str = "http://www.w3.org/2000/09/xmldsig#";

/// A supervisor with its QTSP, and who signs what.
pub(super) struct Scene {
    pub(super) qtsp: Qtsp,
    pub(super) supervisor: Supervisor,
}

impl Scene {
    pub(super) fn new(kind: KeyKind) -> Self {
        let begin = NOW - SignedDuration::from_hours(24 * 30);
        Self {
            qtsp: Qtsp::create(KeyKind::EcP256, begin).unwrap(),
            supervisor: Supervisor::create(kind, begin).unwrap(),
        }
    }

    pub(super) fn entry(&self) -> Entry {
        Entry::granted(self.qtsp.founded().unwrap())
    }

    pub(super) fn lotl(&self) -> String {
        self.supervisor.list_of_lists(&self.entry(), NOW).unwrap()
    }

    pub(super) fn list(&self) -> String {
        let (qtsp, entry) = (&self.qtsp, self.entry());
        self.supervisor.list(qtsp, &entry, NOW).unwrap()
    }

    pub(super) fn commission(&self) -> Signer {
        Signer::from_certificate(self.supervisor.commission()).unwrap()
    }

    /// Who may sign the national list, as the list of the lists says.
    pub(super) fn state(&self) -> Vec<Signer> {
        let signed = signature::verify(self.lotl().as_bytes(), &[self.commission()]).unwrap();
        let (_, pointers) = list::read(&signed).unwrap();
        pointers[0].signers.clone()
    }

    pub(super) fn verify(&self, list: &str) -> Result<TrustedList, SignatureError> {
        let signed = signature::verify(list.as_bytes(), &self.state())?;
        Ok(list::read(&signed).unwrap().0)
    }
}

#[test]
fn reads_what_is_signed_with_either_kind_of_key() {
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let scene = Scene::new(kind);
        let list = scene.verify(&scene.list()).unwrap();
        assert_eq!(list.kind, ListKind::National);
        assert_eq!((list.version, list.territory.as_str()), (6, "FR"));
        assert_eq!(list.issued, NOW);
        assert_eq!(list.next_update, NOW + SignedDuration::from_hours(24 * 180));
        assert_eq!(list.skipped.count, 0);
        let [service] = list.services.as_slice() else {
            panic!("one service: {list:?}");
        };
        assert_eq!(service.provider, "Sealkeep Sandbox QTSP");
        assert_eq!(service.certificates[0].der(), scene.qtsp.issuing().as_ref());
        assert_eq!(service.periods[0].status, "granted");
        let uses = ["ForWebSiteAuthentication", "ForeSeals"];
        assert_eq!(service.periods[0].issues_for, uses);
    }
}

#[test]
fn reads_the_store_s_text_back_as_it_was() {
    let scene = Scene::new(KeyKind::EcP256);
    let mut entry = Entry::withdrawn(scene.qtsp.founded().unwrap(), NOW);
    entry.overrule = Some(("NotQualified".to_owned(), vec!["1.2.3".to_owned()]));
    let list = scene.supervisor.list(&scene.qtsp, &entry, NOW).unwrap();
    let list = scene.verify(&list).unwrap();
    assert_eq!(list.services[0].periods.len(), 2);
    let text = serde_json::to_string(&list).unwrap();
    assert_eq!(serde_json::from_str::<TrustedList>(&text).unwrap(), list);
}

/// The mark of UTF-8 and the declaration are outside of what is signed.
#[test]
fn takes_a_byte_order_mark() {
    let scene = Scene::new(KeyKind::EcP256);
    let marked = format!("\u{feff}{}", scene.list());
    scene.verify(&marked).unwrap();
}

/// Blanks in tags, quotes and the order of attributes are no change: canonicalization is for that.
#[test]
fn takes_the_same_list_in_another_spelling() {
    let scene = Scene::new(KeyKind::EcP256);
    let list = scene.list();
    let spelled = list
        .replace("<TSLType>", "<TSLType  >")
        .replace(
            " Id=\"list\" TSLTag=\"http://uri.etsi.org/19612/TSLTag\"",
            " TSLTag='http://uri.etsi.org/19612/TSLTag'   Id='list'",
        )
        .replace(
            "<Locality>Paris</Locality>",
            "<Locality>P&#97;r<!-- -->is</Locality>",
        );
    assert_ne!(spelled, list);
    scene.verify(&spelled).unwrap();
}

#[test]
fn refuses_every_flipped_character_of_what_is_read() {
    let scene = Scene::new(KeyKind::EcP256);
    let (list, state) = (scene.list(), scene.state());
    for (from, to) in [
        ("Svcstatus/granted", "Svcstatus/grantee"),
        ("<SchemeTerritory>FR", "<SchemeTerritory>DE"),
        ("ForeSeals", "ForeSealt"),
        (
            "<DigitalId><X509Certificate>MII",
            "<DigitalId><X509Certificate>MIJ",
        ),
        ("<xades:SigningTime>2027", "<xades:SigningTime>2028"),
        ("<ds:DigestValue>", "<ds:DigestValue>A"),
        ("<ds:SignatureValue>", "<ds:SignatureValue>AAAA"),
    ] {
        let changed = list.replacen(from, to, 1);
        assert_ne!(changed, list, "{from}");
        let refused = signature::verify(changed.as_bytes(), &state).unwrap_err();
        let word = refused.reason();
        assert!(
            ["SIGNATURE_INVALID", "SIGNATURE_FORM"].contains(&word),
            "{from}: {refused}"
        );
    }
}

#[test]
fn says_who_signed_that_may_not() {
    let scene = Scene::new(KeyKind::EcP256);
    let stranger = Scene::new(KeyKind::EcP256);
    let list = stranger.list();
    let refused = scene.verify(&list).unwrap_err();
    assert_eq!(refused.reason(), "SIGNER_UNKNOWN");
    assert!(
        refused.to_string().contains("Trusted List Signer"),
        "{refused}"
    );
    // The list of the lists is not signed by who signs the national one.
    let lotl = signature::verify(scene.lotl().as_bytes(), &scene.state());
    assert_eq!(lotl.unwrap_err().reason(), "SIGNER_UNKNOWN");
}

/// Signature wrapping: the signature stays sound, and something else is to be read.
#[test]
fn refuses_to_read_anything_but_what_was_signed() {
    let scene = Scene::new(KeyKind::EcP256);
    let (list, state) = (scene.list(), scene.state());
    let begin = list.find("<ds:Signature ").unwrap();
    let end = list.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    let signature = &list[begin..end];
    let root_begin = list.find("<TrustServiceStatusList").unwrap();
    let unsigned = format!("{}{}", &list[root_begin..begin], &list[end..]);
    let forged = unsigned.replace("granted", "revoked");
    let plain = |text: &str| text.trim_end().to_owned();
    let into = |text: &str, what: &str| {
        text.trim_end().replacen(
            "</TrustServiceStatusList>",
            &format!("{what}</TrustServiceStatusList>"),
            1,
        )
    };
    let object = |what: &str| {
        signature.replacen(
            "</ds:Signature>",
            &format!("<ds:Object>{what}</ds:Object></ds:Signature>"),
            1,
        )
    };
    let attacks = [
        ("no signature", plain(&unsigned)),
        ("two signatures", into(&list, signature)),
        ("the signature of another list", into(&forged, signature)),
        (
            "the signed list moved into the signature",
            into(&forged, &object(&plain(&unsigned))),
        ),
        (
            "the signed list moved beside",
            into(&forged, &plain(&list[root_begin..])),
        ),
        (
            "the signature deeper",
            list.replacen(signature, &format!("<x>{signature}</x>"), 1),
        ),
        (
            "a root around it all",
            format!("<x>{}</x>", plain(&list[root_begin..])),
        ),
        (
            "the identifier of the properties twice",
            list.replacen(
                "<TrustServiceProvider>",
                "<TrustServiceProvider ID=\"properties\">",
                1,
            ),
        ),
        (
            "a second object",
            list.replacen("</ds:Object>", "</ds:Object><ds:Object></ds:Object>", 1),
        ),
    ];
    for (attack, text) in attacks {
        let refused = signature::verify(text.as_bytes(), &state);
        assert!(refused.is_err(), "{attack}");
    }
}

/// A signer who may sign, but not in another form than that of trusted lists: each would cover something else.
#[test]
fn refuses_other_forms_of_signature() {
    let scene = Scene::new(KeyKind::EcP256);
    let (list, state) = (scene.list(), scene.state());
    let exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#";
    let enveloped = format!("<ds:Transform Algorithm=\"{DS}enveloped-signature\"></ds:Transform>");
    let xpath = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"><ds:XPath>false()</ds:XPath></ds:Transform>";
    for (from, to) in [
        (enveloped.as_str(), ""),
        (enveloped.as_str(), xpath),
        ("</ds:Transforms>", &format!("{xpath}</ds:Transforms>")),
        (
            &format!("<ds:CanonicalizationMethod Algorithm=\"{exclusive}\">"),
            "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\">",
        ),
        ("xmldsig-more#ecdsa-sha256", "xmldsig-more#ecdsa-sha1"),
        (
            "04/xmldsig-more#ecdsa-sha256",
            "04/xmldsig-more#hmac-sha256",
        ),
        ("xmlenc#sha256", "xmldsig#sha1"),
        ("URI=\"\"", "URI=\"#list\""),
        ("URI=\"\"", "URI=\"http://h/list.xml\""),
        ("Type=\"http://uri.etsi.org/01903#SignedProperties\" ", ""),
    ] {
        let changed = list.replacen(from, to, 1);
        assert_ne!(changed, list, "{from}");
        let refused = signature::verify(changed.as_bytes(), &state).unwrap_err();
        assert_eq!(
            refused.reason(),
            "SIGNATURE_FORM",
            "{from} -> {to}: {refused}"
        );
    }
}

#[test]
fn refuses_what_is_no_list() {
    let scene = Scene::new(KeyKind::EcP256);
    let large = vec![b' '; signature::LIST_BYTES_MAX + 1];
    let list = scene.list();
    let truncated = &list[..list.len() / 2];
    let doctype = scene
        .list()
        .replacen("?>", "?><!DOCTYPE a [<!ENTITY b 'c'>]>", 1);
    for (file, word) in [
        (large.as_slice(), "LIST_TOO_LARGE"),
        (b"", "LIST_UNREADABLE"),
        (b"\xff\xfe", "LIST_UNREADABLE"),
        (b"%PDF-1.7", "LIST_UNREADABLE"),
        (b"<html></html>", "SIGNATURE_NOT_ONE"),
        (truncated.as_bytes(), "LIST_UNREADABLE"),
        (doctype.as_bytes(), "LIST_UNREADABLE"),
    ] {
        let refused = signature::verify(file, &scene.state()).unwrap_err();
        assert_eq!(refused.reason(), word, "{refused}");
    }
}

#[test]
fn refuses_versions_it_does_not_know() {
    let scene = Scene::new(KeyKind::EcP256);
    for version in 4..=7 {
        let mut entry = scene.entry();
        entry.version = version;
        let list = scene.supervisor.list(&scene.qtsp, &entry, NOW).unwrap();
        let signed = signature::verify(list.as_bytes(), &scene.state()).unwrap();
        match list::read(&signed) {
            Ok((list, _)) => assert!(list::VERSIONS.contains(&list.version), "{version}"),
            Err(error) => assert_eq!(error, ListError::Version(version.to_string())),
        }
    }
}
