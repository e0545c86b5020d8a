//! What tests of this room ask: OpenSSL, which knows nothing of us, as the responder and as the maker of lists.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use sealkeep_profiles::certificate::Certificate;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::files::certificates_pem;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};

use crate::clock::{Clock, SystemClock};

/// A CA, two of its certificates, and what OpenSSL needs to speak about them.
pub(super) struct Scene {
    pub(super) dir: tempfile::TempDir,
    pub(super) qtsp: Qtsp,
    /// OpenSSL looks at the clock of the machine.
    pub(super) now: Timestamp,
    pub(super) leaf: Certificate,
    pub(super) other: Certificate,
    pub(super) issuing: Certificate,
    pub(super) root: Certificate,
}

impl Scene {
    pub(super) fn new(kind: KeyKind) -> Self {
        Self::with(kind, |_| ())
    }

    pub(super) fn with(kind: KeyKind, change: impl Fn(&mut Order)) -> Self {
        let now = SystemClock.now();
        let qtsp = Qtsp::create(kind, now).unwrap();
        let dir = tempfile::tempdir().unwrap();
        qtsp.save(dir.path()).unwrap();
        let issue = || {
            let mut order = Order::new(Kind::Qsealc, &[Role::PSP_AI]);
            order.country = Some("DE".to_owned());
            order.organization = Some("Demo TPP GmbH".to_owned());
            order.organization_identifier = Some("PSDDE-BAFIN-123456".to_owned());
            change(&mut order);
            let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
            let chain = qtsp.issue_for(&order, &key, now).unwrap();
            Certificate::from_der(&chain.leaf).unwrap()
        };
        let (leaf, other) = (issue(), issue());
        let read = |der: &[u8]| Certificate::from_der(der).unwrap();
        let (issuing, root) = (read(qtsp.issuing()), read(qtsp.root()));
        let text = certificates_pem([&leaf.der().into()]);
        std::fs::write(dir.path().join("leaf.pem"), text).unwrap();
        Self {
            dir,
            qtsp,
            now,
            leaf,
            other,
            issuing,
            root,
        }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Runs OpenSSL in the folder of the scene; arguments are parted by blanks.
    pub(super) fn openssl(&self, arguments: &str) {
        let done = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "openssl {arguments}: {done:?}");
    }

    /// Writes OpenSSL's list of certificates: each a serial number, and `reason` when it is revoked.
    pub(super) fn index(&self, rows: &[(&Certificate, Option<&str>)]) {
        let since = (self.now - jiff::SignedDuration::from_hours(2)).strftime("%y%m%d%H%M%SZ");
        let line = |(certificate, reason): &(&Certificate, Option<&str>)| {
            let serial = certificate.serial_hex().to_uppercase();
            let serial = format!("{serial:0>width$}", width = serial.len() + serial.len() % 2);
            match reason {
                None => format!("V\t491231235959Z\t\t{serial}\tunknown\t/CN={serial}\n"),
                Some(reason) => {
                    format!("R\t491231235959Z\t{since},{reason}\t{serial}\tunknown\t/CN={serial}\n")
                }
            }
        };
        let text: String = rows.iter().map(line).collect();
        std::fs::write(self.path().join("index.txt"), text).unwrap();
    }
}
