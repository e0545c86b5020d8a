//! What a bank is sent: the certificate, and what changes with it.
//!
//! In: the old and the new certificate. Out: PEM, a text for people, the differences. Pure.

use std::fmt::Write;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;

use crate::credential::armour;
use crate::domain::{Bank, Issued, Procedure};

/// One thing that the bank will see change, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub what: &'static str,
    /// As it was.
    pub old: String,
    /// As it will be.
    pub new: String,
}

/// What a bank is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// To whom; empty when unknown.
    pub contact: String,
    /// The chain, PEM, our certificate first.
    pub certificate_chain_pem: String,
    /// The text to send.
    pub text: String,
    /// What changes.
    pub changes: Vec<Change>,
    /// What stays.
    pub unchanged: Vec<&'static str>,
}

/// Puts together what a bank is sent.
pub fn bundle(bank: &Bank, old: &Issued, new: &Issued) -> Bundle {
    let (before, after) = (facts(old.leaf()), facts(new.leaf()));
    let (mut changes, mut unchanged) = (Vec::new(), Vec::new());
    for ((what, old), (_, new)) in before.into_iter().zip(after) {
        match old == new {
            true => unchanged.push(what),
            false => changes.push(Change { what, old, new }),
        }
    }
    let text = text(bank, old.leaf(), new.leaf(), &changes, &unchanged);
    let chain = new.chain.iter();
    Bundle {
        contact: bank.rotation.contact.clone(),
        certificate_chain_pem: chain.map(|c| armour("CERTIFICATE", c.der())).collect(),
        text,
        changes,
        unchanged,
    }
}

/// What banks pin, register or compare.
fn facts(leaf: &Certificate) -> [(&'static str, String); 9] {
    let serial = leaf.serial_hex();
    let issuer = leaf.issuer().rfc2253();
    [
        ("key id (Berlin Group)", format!("SN={serial},CA={issuer}")),
        ("serial number", serial),
        ("issuer", issuer),
        ("subject", leaf.subject().rfc2253()),
        (
            "organisation identifier",
            leaf.organization_identifier()
                .unwrap_or_default()
                .to_owned(),
        ),
        ("DNS names", leaf.dns_names().join(" ")),
        ("certificate SHA-256", hex::encode(leaf.sha256())),
        (
            "public key SHA-256",
            hex::encode(leaf.public_key().spki_sha256()),
        ),
        ("validity", validity(leaf.not_before(), leaf.not_after())),
    ]
}

fn validity(begins: Timestamp, ends: Timestamp) -> String {
    format!("{begins} to {ends}")
}

fn text(
    bank: &Bank,
    old: &Certificate,
    new: &Certificate,
    changes: &[Change],
    unchanged: &[&str],
) -> String {
    let organisation = new.organization_identifier().unwrap_or_default();
    let ask = match bank.rotation.procedure {
        Procedure::None => "Nothing is asked of you; this is for your information.",
        Procedure::Overlap => {
            "Please accept the new certificate beside the old one, and tell us when you do."
        }
        Procedure::Announce => {
            "Please load the new certificate. We begin to use it after the agreed lead time."
        }
        Procedure::SwapAt => {
            "Please tell us the date, the time with its time zone and the length of the window in which you replace \
             the old certificate."
        }
        Procedure::Directory => {
            "We upload the new certificate to the directory; please read it from there."
        }
        Procedure::Register => {
            "Please register the new certificate for our existing client. Client id and consents must stay as they are."
        }
        Procedure::PublishUrl => {
            "The new certificate is published beside the old one; please fetch it from there."
        }
    };
    let mut text = format!(
        "Change of certificate of {organisation} at {}\n\nThe certificate that we use with you ends at {}. The attached \
         one takes its place.\n{ask}\n\nWhat changes:\n",
        bank.name,
        old.not_after()
    );
    for Change { what, old, new } in changes {
        // Cannot fail: writing to a String.
        let _ = write!(text, "  {what}\n    was {old}\n    is  {new}\n");
    }
    let _ = write!(text, "\nWhat stays: {}.\n", unchanged.join(", "));
    text
}
