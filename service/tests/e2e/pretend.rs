//! A pretend bank in the process of the test, whose other end is not ours to fool.

use sealkeep_client::rustls;
use sealkeep_profiles::profile::Settings;
use sealkeep_profiles::roles::Role;
use sealkeep_sandbox::bank::{
    Bank, BankConfig, Identity, Log, RunningBank, TlsVersion, sample_accounts,
};
use sealkeep_sandbox::clock::Clock;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp};

use crate::house::House;

/// A pretend bank that believes this house's QTSP, unless it is changed.
pub async fn open_bank(house: &House, change: impl FnOnce(&mut BankConfig)) -> RunningBank {
    let now = jiff::Timestamp::now();
    let identity = |kind, name: &str| {
        let mut order = Order::new(kind, &[Role::PSP_AS]);
        order.country = Some("DE".into());
        order.organization = Some("Sandbox Bank AG".into());
        order.organization_identifier = Some("PSDDE-BAFIN-999999".into());
        order.common_name = Some(name.into());
        if kind == Kind::Qwac {
            order.dns_names = vec![name.into()];
        }
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let chain = house.qtsp.issue_for(&order, &key, now).unwrap().to_vec();
        Identity { chain, key }
    };
    let mut config = BankConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        issuer: None,
        roots: vec![house.qtsp.root().clone()],
        issuing: vec![house.qtsp.issuing().clone()],
        tls: identity(Kind::Qwac, "localhost"),
        seal: identity(Kind::Qsealc, "Sandbox Bank AG"),
        tls_versions: vec![TlsVersion::V1_3],
        profile: "berlin-group-1.3.4".into(),
        settings: Settings::new(),
        accounts: sample_accounts(),
        clock: Clock::system(),
        log: Log::silent(),
    };
    change(&mut config);
    Bank::start(config).await.unwrap()
}

/// What its server certificate chains to.
pub fn roots(qtsp: &Qtsp) -> rustls::RootCertStore {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(qtsp.root().clone()).unwrap();
    roots
}
