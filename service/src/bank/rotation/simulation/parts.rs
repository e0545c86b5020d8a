//! A clock that the test holds, a token that nobody may touch, certificates from a QTSP, a store that opens again.

use super::*;

#[derive(Debug)]
pub(super) struct Manual(pub(super) AtomicI64);

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// A rotation moves names and pointers; no verb of it may touch a key.
pub(super) struct Untouchable;

impl KeyBackend for Untouchable {
    fn generate(
        &self,
        _: KeyId,
        _: &str,
        _: KeySpec,
        _: KeyUsage,
        _: Instant,
    ) -> BoxFuture<Result<GeneratedKey, BackendError>> {
        panic!("a rotation generated a key")
    }
    fn sign(
        &self,
        _: &KeyRef,
        _: SignatureScheme,
        _: &[u8],
        _: Instant,
    ) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        panic!("a rotation used a key")
    }
    fn decrypt(
        &self,
        _: &KeyRef,
        _: TokenWork<'_>,
        _: Instant,
    ) -> BoxFuture<Result<Unwrapped, BackendError>> {
        panic!("a rotation decrypted")
    }
    fn adopt(&self, _: &[KeyRef], _: Instant) -> BoxFuture<Result<Vec<Adopted>, BackendError>> {
        panic!("a rotation looked for keys")
    }
    fn public_key(&self, _: &KeyRef, _: Instant) -> BoxFuture<Result<Vec<u8>, BackendError>> {
        panic!("a rotation read a key")
    }
    fn destroy(&self, _: &KeyRef, _: Instant) -> BoxFuture<Result<(), BackendError>> {
        panic!("a rotation destroyed a key")
    }
    fn info(&self) -> TokenInfo {
        panic!("a rotation asked for the token")
    }
}

impl Simulation {
    /// A key and its certificate, installed.
    pub(super) async fn issue(&self, credential: &str, purpose: Purpose) -> u32 {
        let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
        let kind = match purpose {
            Purpose::Transport => Kind::Qwac,
            _ => Kind::Qsealc,
        };
        let mut order = Order::new(kind, &[Psd2Role::PSP_AI]);
        order.days = LIFE_DAYS;
        order.country = Some("DE".into());
        order.organization = Some("Acme".into());
        order.organization_identifier = Some("PSDDE-BAFIN-123456".into());
        order.common_name = Some("tpp.acme.example".into());
        if purpose == Purpose::Transport {
            order.dns_names = vec!["tpp.acme.example".into()];
        }
        let chain = self.qtsp.issue_for(&order, &key, self.now()).unwrap();
        let leaf = sealkeep_profiles::certificate::Certificate::from_der(&chain.leaf).unwrap();
        let new = NewVersion {
            credential: name(credential),
            purpose,
            token_set: "main".to_owned(),
            key_id: KeyId::random(),
            spki_der: leaf.public_key().spki_der().to_vec(),
            origin: crate::domain::KeyOrigin::Generated,
            key_algorithm: "ec-p256".to_owned(),
            evidence: KeyEvidence {
                sensitive: true,
                extractable: false,
                always_sensitive: true,
                never_extractable: true,
                local: true,
                limits: Default::default(),
            },
            csr_der: None,
            created: self.now(),
        };
        let store = self.registry().world.store();
        let number = store.insert_version(&new).await.unwrap();
        let row = IssuedRow {
            chain_pem: chain.to_pem(),
            environment: Environment::Sandbox,
        };
        let id = VersionId {
            credential: name(credential),
            number,
        };
        let change = change(id, VersionState::Requested, VersionState::Staged);
        store.install(&change, &row).await.unwrap();
        self.registry().world.refresh().await.unwrap();
        number
    }
}

/// A process that another test starts just now holds the files of this one until it runs its own program.
pub(super) async fn open(place: &Place, mode: OpenMode) -> Store {
    let opened = async {
        loop {
            match Store::open(place, mode).await {
                Err(StoreError::InUse(_)) => tokio::task::yield_now().await,
                opened => return opened.unwrap(),
            }
        }
    };
    let opened = tokio::time::timeout(Duration::from_secs(10), opened).await;
    opened.expect("the store is free again")
}
