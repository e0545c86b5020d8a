//! What to ask the QTSP for, or to do, about a finding. One line a code.

pub(super) fn of(code: &str) -> &'static str {
    match code {
        "key.match" => {
            "have it issued for the request of this version: `sealkeep credential csr` prints it"
        }
        "key.proof" => "the token answers with another key; check the token before anything else",
        "key.replicas" => {
            "copy the key to these tokens with the vendor's tools, then `sealkeep credential prove`"
        }
        "key.strength" => "ask for a key of 2048 bits or more and a signature over SHA-256",
        "kind" => "ask for a QWAC (transport) or a QSealC (seal) under TS 119 495",
        "kind.ca" => "send the certificate issued to you, followed by that of the CA",
        "ct.precert" => "ask for the final certificate; this is the one sent to transparency logs",
        "eku.client_auth" => "ask for clientAuth beside serverAuth in the extended key usage",
        "ku" => "ask for digitalSignature in the key usage if one of your banks wants it",
        "qcs.psd2_missing" => {
            "ask for the PSD2 statement with your roles and authority (TS 119 495)"
        }
        "qcs.roles_empty" => {
            "ask for the roles that your authority granted to be in the PSD2 statement"
        }
        "orgid.continuity" => {
            "ask for the same organizationIdentifier as before; banks know you by it"
        }
        "roles.coverage" => "ask for all roles of the certificate before, or tell why one is gone",
        "nca.consistency" => "ask whether the authority in the PSD2 statement is yours",
        "san.domain" => "ask for the DNS names of the request",
        "chain.build" => {
            "ask for the certificates of all issuers, or have the right anchor configured under [trust]"
        }
        "tl.granted" => {
            "ask whether its issuer is still on the trusted list, and import the newest issue: `sealkeep trust import`"
        }
        "tl.type" => {
            "ask for a certificate that is qualified for this use, by a CA that is listed for it"
        }
        "tl.unchecked" => "import the list of the issuer's country: `sealkeep trust import`",
        "tl.stale" => "import the newest issue of the list: `sealkeep trust import`",
        "chain.issuer_changed" => "tell the banks that pin the issuer before you switch",
        "validity.window" => "ask for a certificate that is valid now",
        "validity.overlap" => "begin earlier next time; plan the banks that need days first",
        "validity.schedule" => "ask for a shorter validity if one of your banks enforces it",
        "rev.ocsp" | "rev.crl" => {
            "ask the QTSP why; `sealkeep credential check-revocation` shows who was asked and what came back"
        }
        "dup" => "send the certificate of this version; a key serves one version",
        other if other.starts_with("qcs.") => {
            "ask for QcStatements as TS 119 495 and EN 319 412-5 lay them out"
        }
        _ => "",
    }
}
