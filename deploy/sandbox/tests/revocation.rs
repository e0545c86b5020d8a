//! What the pretend QTSP says about revocation, judged by openssl, which knows nothing of this crate.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use jiff::SignedDuration;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::clock::Clock;
use sealkeep_sandbox::files::certificates_pem;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::pki::Pki;
use sealkeep_sandbox::qtsp::{
    Chain, CrlKind, Kind, Order, Qtsp, QtspError, Reason, RunningQtsp, ServeConfig, serve,
};

struct Desk {
    folder: tempfile::TempDir,
    qtsp: Qtsp,
    chain: Chain,
    clock: Clock,
    running: RunningQtsp,
}

impl Desk {
    async fn open(kind: KeyKind) -> Self {
        // openssl looks at the clock of the machine.
        let clock = Clock::system();
        let qtsp = Qtsp::create(kind, clock.now()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        qtsp.save(folder.path()).unwrap();
        let mut order = Order::new(Kind::Qsealc, &[Role::PSP_AI]);
        order.country = Some("DE".to_owned());
        order.organization = Some("Demo TPP GmbH".to_owned());
        order.organization_identifier = Some("PSDDE-BAFIN-123456".to_owned());
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let chain = qtsp.issue_for(&order, &key, clock.now()).unwrap();
        let leaf = certificates_pem([&chain.leaf]);
        std::fs::write(folder.path().join("leaf.pem"), leaf).unwrap();
        let config = ServeConfig {
            folder: folder.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            fresh: SignedDuration::from_hours(1),
            clock: clock.clone(),
        };
        let running = serve(config).await.unwrap();
        Self {
            folder,
            qtsp,
            chain,
            clock,
            running,
        }
    }

    fn revoke(&self, reason: Reason) {
        let now = self.clock.now();
        self.qtsp.revoke(&self.chain.leaf, reason, now).unwrap();
        self.qtsp.save(self.folder.path()).unwrap();
    }

    /// What openssl's client makes of the answer about a certificate.
    async fn ocsp(&self, issuer: &str, certificate: &str, more: &str) -> String {
        let url = format!("http://{}/ocsp", self.running.addr());
        let arguments = format!(
            "ocsp {more} -issuer {issuer}.pem -cert {certificate}.pem -url {url} -CAfile root.pem -verify_other issuing.pem"
        );
        openssl(self.folder.path(), arguments).await
    }
}

/// Runs openssl beside the server; answers what it prints.
async fn openssl(folder: &Path, arguments: String) -> String {
    let folder = folder.to_owned();
    let run = move || {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        let done = Command::new("openssl")
            .args(arguments)
            .current_dir(folder)
            .output();
        let done = done.unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        )
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn openssl_hears_good_then_revoked_then_good_again() {
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let desk = Desk::open(kind).await;
        for more in ["", "-sha256", "-no_nonce"] {
            let said = desk.ocsp("issuing", "leaf", more).await;
            assert!(said.contains("Response verify OK"), "{said}");
            assert!(said.contains("leaf.pem: good"), "{said}");
        }
        let said = desk.ocsp("root", "issuing", "").await;
        assert!(said.contains("issuing.pem: good"), "{said}");
        assert!(said.contains("Response verify OK"), "{said}");
        desk.revoke(Reason::CertificateHold);
        let said = desk.ocsp("issuing", "leaf", "").await;
        assert!(said.contains("leaf.pem: revoked"), "{said}");
        assert!(said.contains("Reason: certificateHold"), "{said}");
        let leaf = sealkeep_profiles::certificate::Certificate::from_der(&desk.chain.leaf).unwrap();
        desk.qtsp.restore(&leaf);
        desk.qtsp.save(desk.folder.path()).unwrap();
        let said = desk.ocsp("issuing", "leaf", "").await;
        assert!(said.contains("leaf.pem: good"), "{said}");
    }
}

#[tokio::test]
async fn openssl_reads_the_lists() {
    let desk = Desk::open(KeyKind::EcP256).await;
    let day = SignedDuration::from_hours(24);
    let write = |name: &str, der: Vec<u8>| {
        std::fs::write(desk.folder.path().join(name), der).unwrap();
    };
    // As PEM under other names, and what openssl thinks of the leaf with them.
    let verified = async || {
        let now = desk.clock.now();
        write("full.crl", desk.qtsp.crl(CrlKind::Full, now, day).unwrap());
        write("authorities.crl", desk.qtsp.root_crl(now, day).unwrap());
        for name in ["full", "authorities"] {
            let to_pem = format!("crl -inform DER -in {name}.crl -out {name}-crl.pem");
            openssl(desk.folder.path(), to_pem).await;
        }
        let verify = "verify -crl_check_all -x509_strict -CAfile root.pem -untrusted issuing.pem \
                      -CRLfile full-crl.pem -CRLfile authorities-crl.pem leaf.pem";
        openssl(desk.folder.path(), verify.to_owned()).await
    };
    let good = verified().await;
    assert!(good.contains("leaf.pem: OK"), "{good}");
    desk.revoke(Reason::Superseded);
    let revoked = verified().await;
    assert!(revoked.contains("certificate revoked"), "{revoked}");
    let now = desk.clock.now();
    write(
        "delta.crl",
        desk.qtsp.crl(CrlKind::Delta, now, day).unwrap(),
    );
    let text = "crl -inform DER -in delta.crl -noout -text -CAfile issuing.pem";
    let text = openssl(desk.folder.path(), text.to_owned()).await;
    for expected in [
        "verify OK",
        "X509v3 Delta CRL Indicator: critical",
        "Superseded",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

#[tokio::test]
async fn revokes_only_what_it_has_issued() {
    let desk = Desk::open(KeyKind::EcP256).await;
    let stranger = Pki::create(desk.clock.now()).unwrap();
    let now = desk.clock.now();
    let refused = desk.qtsp.revoke(stranger.ca(), Reason::Unspecified, now);
    assert!(matches!(refused, Err(QtspError::Order(_))), "{refused:?}");
    assert!(desk.qtsp.revoked().is_empty());
}
