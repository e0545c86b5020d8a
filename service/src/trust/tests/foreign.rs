//! Lists of others and verifiers of others: xmlsec1, and what the EU has published.

use std::process::Command;

use sealkeep_sandbox::files;
use sealkeep_sandbox::key::KeyKind;

use super::super::list;
use super::super::signature::{self, SignatureError};
use super::super::signers::Signer;
use super::Scene;

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
