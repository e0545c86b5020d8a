//! The signature and the reading of lists: against xmlsec1, which knows nothing of this crate, and against whoever would
//! have another list read than the one that was signed.
#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use sealkeep_sandbox::files;
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::qtsp::Qtsp;
use sealkeep_sandbox::qtsp::trusted_list::{Entry, Supervisor};

use super::list::{self, ListError, ListKind, TrustedList};
use super::signature::{self, SignatureError, SignedXml};
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
    fn state(&self) -> Vec<Signer> {
        let signed = signature::verify(self.lotl().as_bytes(), &[self.commission()]).unwrap();
        let (_, pointers) = list::read(&signed).unwrap();
        pointers[0].signers.clone()
    }

    fn verify(&self, list: &str) -> Result<TrustedList, SignatureError> {
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

/// The other way round: xmlsec1 signs, this verifies. Its list is spelled as people spell XML, not canonically.
#[test]
fn verifies_what_xmlsec1_signs() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(KeyKind::Rsa2048);
    scene.supervisor.save(folder.path()).unwrap();
    let list = scene.list();
    let empty = |text: &str, name: &str| {
        let begin = text.find(&format!("<ds:{name}>")).unwrap() + name.len() + 5;
        let end = begin + text[begin..].find(&format!("</ds:{name}>")).unwrap();
        format!("{}{}", &text[..begin], &text[end..])
    };
    let info = list.find("<ds:SignedInfo").unwrap();
    let info_end = list.find("</ds:SignedInfo>").unwrap();
    // Both digests of SignedInfo; those within the properties stay.
    let digests = list[info..info_end].replace("<ds:DigestValue>", "<ds:DigestValue><!--");
    let digests = digests.replace("</ds:DigestValue>", "--></ds:DigestValue>");
    let template = format!("{}{digests}{}", &list[..info], &list[info_end..]);
    let template = empty(&template, "SignatureValue");
    let template = template
        .replace(
            "<SchemeTerritory>FR",
            "\n  <SchemeTerritory\n>DE<!-- moved -->",
        )
        .replace("</TSPService>", "</TSPService>\n\t<TSPService/>");
    let (unsigned, signed) = (folder.path().join("t.xml"), folder.path().join("s.xml"));
    std::fs::write(&unsigned, template).unwrap();
    let output = Command::new("xmlsec1")
        .args(["--sign", "--privkey-pem"])
        .arg(folder.path().join("list-signer.key"))
        .args([
            "--id-attr:Id",
            "http://uri.etsi.org/01903/v1.3.2#:SignedProperties",
        ])
        .arg("--output")
        .args([&signed, &unsigned])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let signed = std::fs::read_to_string(signed).unwrap();
    let list = scene.verify(&signed).unwrap();
    assert_eq!(list.territory.as_str(), "DE");
    let forged = signed.replacen("granted", "grantee", 1);
    let refused = scene.verify(&forged).unwrap_err();
    assert_eq!(refused, SignatureError::Changed("list"));
}

#[test]
fn xmlsec1_verifies_what_the_sandbox_signs() {
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let folder = tempfile::tempdir().unwrap();
        let scene = Scene::new(kind);
        scene.supervisor.save(folder.path()).unwrap();
        let forged = scene.list().replacen("granted", "grantee", 1);
        for (text, signer, sound) in [
            (scene.list(), "list-signer.pem", true),
            (scene.lotl(), "lotl-signer.pem", true),
            (forged, "list-signer.pem", false),
        ] {
            let file = folder.path().join("list.xml");
            files::write_public(&file, &text).unwrap();
            let output = Command::new("xmlsec1")
                .args(["--verify", "--insecure", "--enabled-key-data", "rsa,ec"])
                .arg("--pubkey-cert-pem")
                .arg(folder.path().join(signer))
                .args([
                    "--id-attr:Id",
                    "http://uri.etsi.org/01903/v1.3.2#:SignedProperties",
                ])
                .arg(&file)
                .output()
                .unwrap();
            assert_eq!(output.status.success(), sound, "{output:?}");
        }
    }
}

/// Lists as they were published, when somebody has some: `lotl.xml` and national ones beside it, in the folder that
/// `SEALKEEP_TRUSTED_LISTS` names. They are no part of the project.
#[test]
fn reads_published_lists() {
    let Some(folder) = std::env::var_os("SEALKEEP_TRUSTED_LISTS").map(std::path::PathBuf::from)
    else {
        #[allow(clippy::print_stderr)] // A test that could not look at anything has to say so.
        {
            eprintln!("SEALKEEP_TRUSTED_LISTS is not set: no published list was read");
        }
        return;
    };
    let lotl = std::fs::read(folder.join("lotl.xml")).unwrap();
    let pinned = std::fs::read(folder.join("lotl-signers.pem")).unwrap();
    let pinned = Signer::from_pem(&pinned).unwrap();
    let signed = signature::verify(&lotl, &pinned).unwrap();
    let (_, pointers) = list::read(&signed).unwrap();
    assert!(pointers.len() >= 30, "one for each country of the EEA");
    let signers: Vec<_> = pointers.iter().flat_map(|p| p.signers.clone()).collect();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let is_list = path.extension().is_some_and(|ending| ending == "xml");
        if !is_list || path.ends_with("lotl.xml") {
            continue;
        }
        let signed = signature::verify(&std::fs::read(&path).unwrap(), &signers);
        let (list, _) = list::read(&signed.unwrap()).unwrap();
        assert!(!list.services.is_empty(), "{}", path.display());
        count += 1;
    }
    assert!(count > 0, "no national list in {}", folder.display());
}

/// A list, who may sign it, and what it reads as.
static SIGNED: LazyLock<(String, Vec<Signer>, TrustedList)> = LazyLock::new(|| {
    let scene = Scene::new(KeyKind::EcP256);
    let list = scene.list();
    let read = scene.verify(&list).unwrap();
    (list, scene.state(), read)
});

proptest! {
    /// Whatever is changed: it is refused, or it was of no consequence. Nothing panics.
    #[test]
    fn changed_bytes_are_refused_or_mean_nothing(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let (text, state, read) = &*SIGNED;
        let mut bytes = text.clone().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(signed) = signature::verify(&bytes, state) {
            prop_assert_eq!(&list::read(&signed).unwrap().0, read);
        }
    }

    /// What a signer of good standing may publish by mistake: no list makes the reader panic.
    #[test]
    fn any_signed_text_is_read_without_panic(
        at in any::<prop::sample::Index>(),
        length in 0_usize..400,
        instead in "[<>/a-zA-Z0-9:\" =]{0,40}",
    ) {
        let (text, ..) = &*SIGNED;
        let begin = text.find("<TrustServiceStatusList").unwrap();
        let end = text.find("<ds:Signature ").unwrap();
        let mut list = format!("{}</TrustServiceStatusList>", &text[begin..end]);
        let at = at.index(list.len());
        let length = length.min(list.len() - at);
        list.replace_range(at..at + length, &instead);
        let _ = list::read(&SignedXml::unverified_for_test(list));
    }
}
