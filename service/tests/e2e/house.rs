//! A whole house for one test: a token, an internal CA, a pretend QTSP, and the real `sealkeepd` as a process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use jiff::Timestamp;
use sealkeep_client::v1::access_service_client::AccessServiceClient;
use sealkeep_client::v1::audit_service_client::AuditServiceClient;
use sealkeep_client::v1::bank_service_client::BankServiceClient;
use sealkeep_client::v1::credential_service_client::CredentialServiceClient;
use sealkeep_client::v1::{self, Environment, KeyAlgorithm, Operation, Purpose, Role};
use sealkeep_client::{Config, Error, Retry, Sealkeep};
use sealkeep_pkcs11_tests::{Kind as TokenKind, TestToken};
use sealkeep_profiles::roles::Role as Psd2Role;
use sealkeep_sandbox::key::KeyKind;
use sealkeep_sandbox::pki::{Pki, Subject};
use sealkeep_sandbox::postgres::Postgres;
use sealkeep_sandbox::qtsp::{Kind, Order, Qtsp, SigningRequest};
use sealkeep_service::domain::Name;
use sealkeep_service::store::Place;

pub const OFFICER: &str = "spiffe://test.example/officer";
/// A second officer, made by [`House::second_officer`].
pub const SECOND: &str = "spiffe://test.example/second-officer";
pub const TPP: &str = "spiffe://test.example/tpp";
pub const ORGANIZATION: &str = "PSDDE-BAFIN-123456";

/// Where the module of all houses runs: `process` (as in production) or `thread`.
pub const ISOLATION_ENV: &str = "SEALKEEP_TEST_ISOLATION";
/// A proxy that is not there: no house looks for the QTSP's names in the world.
pub const NOBODY: &str = "http://127.0.0.1:1";
/// Where the state of all houses is kept: `sqlite` (by default) or `postgres`.
pub const STORE_ENV: &str = "SEALKEEP_TEST_STORE";
/// How long a started service may take to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

pub struct House {
    pub hsm: TestToken,
    pub pki: Pki,
    pub qtsp: Qtsp,
    pub service: Option<Running>,
    /// What `sealkeepd` finds in its environment beside the test's own and the token's.
    pub environment: Vec<(&'static str, PathBuf)>,
    /// The database, when it is not a file.
    pub postgres: Option<Postgres>,
}

/// A running `sealkeepd`.
pub struct Running {
    child: Child,
    pub address: String,
}

impl House {
    /// Everything but the running service.
    pub fn build() -> Self {
        Self::build_on(TokenKind::from_env(), Self::postgres_from_env())
    }

    fn postgres_from_env() -> Option<Postgres> {
        let postgres = std::env::var(STORE_ENV).is_ok_and(|store| store == "postgres");
        postgres.then(|| Postgres::start().unwrap())
    }

    pub fn build_on(kind: TokenKind, postgres: Option<Postgres>) -> Self {
        let now = Timestamp::now();
        let hsm = TestToken::of(kind);
        let dir = hsm.dir().to_owned();
        let pki = Pki::create(now).unwrap();
        pki.save(&dir.join("pki")).unwrap();
        let qtsp = Qtsp::create(KeyKind::EcP256, now).unwrap();
        qtsp.save(&dir.join("qtsp")).unwrap();
        let house = Self {
            hsm,
            pki,
            qtsp,
            service: None,
            environment: Vec::new(),
            postgres,
        };
        house.write_server_certificate();
        write_pin(&dir.join("pin"), house.hsm.pin());
        if let Some(postgres) = &house.postgres {
            write_pin(&dir.join("postgres.url"), &postgres.url());
        }
        std::fs::write(house.config_file(), house.config()).unwrap();
        house
    }

    /// With PostgreSQL, and the first replica initialised and running.
    pub fn replicated() -> Self {
        let mut house = Self::build_on(TokenKind::from_env(), Some(Postgres::start().unwrap()));
        house.init();
        house.start();
        house
    }

    pub fn init(&self) {
        let init = self.sealkeepd(&["init", "--officer", OFFICER]);
        assert!(init.status.success(), "{init:?}");
    }

    /// Starts another replica, with the same token.
    pub fn replica(&self, name: &str) -> Running {
        let config = self
            .config()
            .replace("replica = \"a\"", &format!("replica = \"{name}\""));
        let file = self.dir().join(format!("replica-{name}.toml"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealkeepd"));
        command.args(["run", "--config"]).arg(file);
        command.envs([self.hsm.env()]).stdin(Stdio::null());
        Running::start(command, &self.dir().join(format!("replica-{name}.log")))
    }

    /// With the service initialised and running.
    pub fn open() -> Self {
        Self::open_on(TokenKind::from_env())
    }

    pub fn open_on(kind: TokenKind) -> Self {
        let mut house = Self::build_on(kind, Self::postgres_from_env());
        house.init();
        house.start();
        house
    }

    pub fn dir(&self) -> &Path {
        self.hsm.dir()
    }

    /// Where the service keeps its state.
    pub fn place(&self) -> Place {
        match &self.postgres {
            None => self.dir().join("sealkeep.db").into(),
            Some(postgres) => Place::Postgres {
                url: postgres.url().into(),
                replica: Name::try_from("a".to_owned()).unwrap(),
            },
        }
    }

    pub fn config_file(&self) -> PathBuf {
        self.dir().join("sealkeep.toml")
    }

    pub fn config(&self) -> String {
        format!(
            r#"
[listen]
address = "127.0.0.1:0"
certificate_file = "server.pem"
key_file = "server.key"
caller_ca_file = "pki/ca.pem"
[token]
name = "main"
module = "{module}"
label = "{label}"
pin_file = "pin"
isolation = "{isolation}"
worker_crashes_per_minute_max = 1000000
{token_files}{store}
[trust]
sandbox_anchor_files = ["qtsp/root.pem"]
[revocation]
proxy = "{NOBODY}"
[approval]
destroy_delay_s = 1
"#,
            store = match self.postgres {
                None => "[store]\nsqlite_file = \"sealkeep.db\"",
                Some(_) =>
                    "[store.postgres]\nurl_file = \"postgres.url\"\nreplica = \"a\"\nlocal_directory = \".\"",
            },
            module = self.hsm.module().display(),
            label = self.hsm.label(),
            isolation = std::env::var(ISOLATION_ENV).unwrap_or_else(|_| "process".to_owned()),
            token_files = match self.hsm.kind() {
                // It is known from SoftHSM's own configuration.
                TokenKind::SoftHsm => "",
                TokenKind::Kryoptic => "worker_write_paths = [\"tokens\"]\n",
            },
        )
    }

    pub fn write_server_certificate(&self) {
        let subject = Subject {
            name: "sealkeepd".to_owned(),
            dns_names: vec!["localhost".to_owned()],
            addresses: vec![[127, 0, 0, 1].into()],
            server: true,
            days: 30,
            ..Subject::default()
        };
        let issued = self.pki.issue(&subject, Timestamp::now()).unwrap();
        let pem = sealkeep_sandbox::files::certificates_pem([&issued.certificate]);
        std::fs::write(self.dir().join("server.pem"), pem).unwrap();
        std::fs::remove_file(self.dir().join("server.key")).ok();
        issued.key.save(&self.dir().join("server.key")).unwrap();
    }

    /// The command with this house's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealkeepd"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config_file())
            .envs([self.hsm.env()])
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Runs `sealkeepd` to its end.
    pub fn sealkeepd(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts the service and waits until it is ready.
    pub fn start(&mut self) {
        let command = self.command(&["run"]);
        self.service = Some(Running::start(command, &self.dir().join("sealkeepd.log")));
    }

    /// Kills the service without warning.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.service.take() {
            running.child.kill().unwrap();
            running.child.wait().unwrap();
        }
    }

    /// The service's process.
    pub fn pid(&self) -> u32 {
        self.service.as_ref().unwrap().child.id()
    }

    /// The process that holds the token.
    pub fn worker_pid(&self) -> u32 {
        let children = self.worker_pids();
        assert_eq!(children.len(), 1, "one worker for one token: {children:?}");
        children[0]
    }

    /// The processes that hold tokens, the oldest first; fewer while one is replaced.
    pub fn worker_pids(&self) -> Vec<u32> {
        let service = self.pid().to_string();
        let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // After the name in brackets: state, parent (proc(5)).
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let (state, parent) = (fields.next()?, fields.next()?);
            (parent == service && state != "Z").then_some(pid)
        });
        let mut children: Vec<u32> = children.collect();
        children.sort_unstable();
        children
    }

    /// SIGTERM; answers how the service ended. Our own connections must be able to hear of it meanwhile.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut running = self.service.take().unwrap();
        let pid = running.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        tokio::task::spawn_blocking(move || running.child.wait().unwrap())
            .await
            .unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir().join("sealkeepd.log")).unwrap_or_default()
    }

    /// How a caller with these names in its certificate connects.
    pub fn client_config(&self, uris: &[&str], dns: &[&str]) -> Config {
        self.client_config_to(&self.service.as_ref().unwrap().address, uris, dns)
    }

    fn client_config_to(&self, address: &str, uris: &[&str], dns: &[&str]) -> Config {
        let subject = Subject {
            name: "caller".to_owned(),
            uris: uris.iter().map(ToString::to_string).collect(),
            dns_names: dns.iter().map(ToString::to_string).collect(),
            days: 30,
            ..Subject::default()
        };
        let issued = self.pki.issue(&subject, Timestamp::now()).unwrap();
        let pem = |der| sealkeep_sandbox::files::certificates_pem([der]).into_bytes();
        let address = format!("https://{address}");
        let key = issued.key.pair().serialize_pem().into_bytes();
        let mut config = Config::new(&address, pem(self.pki.ca()), pem(&issued.certificate), key);
        config.timeout = Duration::from_secs(20);
        config
    }

    /// Connects to another replica.
    pub fn connect_to(&self, replica: &Running, name: &str) -> Sealkeep {
        Sealkeep::connect(self.client_config_to(&replica.address, &[name], &[])).unwrap()
    }

    /// Connects to another replica, and never tries anything twice.
    pub fn connect_impatiently(&self, replica: &Running, name: &str) -> Sealkeep {
        let mut config = self.client_config_to(&replica.address, &[name], &[]);
        config.retry = Retry::NEVER;
        Sealkeep::connect(config).unwrap()
    }

    pub fn connect(&self, name: &str) -> Sealkeep {
        Sealkeep::connect(self.client_config(&[name], &[])).unwrap()
    }

    /// Enrols a credential and answers with its CSR.
    pub async fn enrol(
        &self,
        name: &str,
        purpose: Purpose,
        key: KeyAlgorithm,
    ) -> Result<v1::EnrolCredentialResponse, Error> {
        self.enrol_at("", name, purpose, key).await
    }

    /// The same, the key in a token or set of this name.
    pub async fn enrol_at(
        &self,
        token: &str,
        name: &str,
        purpose: Purpose,
        key: KeyAlgorithm,
    ) -> Result<v1::EnrolCredentialResponse, Error> {
        let request = self.enrol_request(token, name, purpose, key);
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .enrol_credential(request)
                    .await
            })
            .await
    }

    /// The wish for a key and its CSR.
    pub fn enrol_request(
        &self,
        token: &str,
        name: &str,
        purpose: Purpose,
        key: KeyAlgorithm,
    ) -> v1::EnrolCredentialRequest {
        let (common_name, dns_names) = match purpose {
            Purpose::Transport => ("tpp.demo-tpp.com", vec!["tpp.demo-tpp.com".to_owned()]),
            _ => ("Demo TPP GmbH", vec![]),
        };
        v1::EnrolCredentialRequest {
            credential: name.to_owned(),
            purpose: purpose.into(),
            key_algorithm: key.into(),
            subject: (purpose != Purpose::Decryption).then(|| v1::CertificateSubject {
                country: "DE".to_owned(),
                organization: "Demo TPP GmbH".to_owned(),
                organization_identifier: ORGANIZATION.to_owned(),
                common_name: common_name.to_owned(),
                dns_names,
                psd2: None,
            }),
            token: token.to_owned(),
        }
    }

    /// Has the sandbox QTSP issue for a CSR.
    pub fn issue(
        &self,
        csr_pem: &str,
        purpose: Purpose,
        change: impl FnOnce(&mut Order),
    ) -> String {
        let kind = match purpose {
            Purpose::Transport => Kind::Qwac,
            _ => Kind::Qsealc,
        };
        let mut order = Order::new(kind, &[Psd2Role::PSP_AI, Psd2Role::PSP_PI]);
        change(&mut order);
        let request = SigningRequest::from_pem(csr_pem.as_bytes()).unwrap();
        self.qtsp
            .issue(&order, &request, Timestamp::now())
            .unwrap()
            .to_pem()
    }

    pub async fn install(
        &self,
        name: &str,
        chain_pem: String,
    ) -> Result<v1::InstallCertificateResponse, Error> {
        let request = v1::InstallCertificateRequest {
            name: format!("credentials/{name}"),
            certificates: chain_pem.into_bytes(),
            ..Default::default()
        };
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .install_certificate(request)
                    .await
            })
            .await
    }

    pub async fn activate(&self, name: &str, rebind: bool) -> Result<Vec<String>, Error> {
        let request = v1::ActivateVersionRequest {
            name: format!("credentials/{name}"),
            rebind,
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .activate_version(request)
                    .await
            })
            .await?;
        Ok(answer.bound_banks)
    }

    /// Enrolled, issued, installed and active.
    pub async fn credential(&self, name: &str, purpose: Purpose, key: KeyAlgorithm) {
        self.credential_as(name, purpose, key, |_| ()).await;
    }

    pub async fn credential_as(
        &self,
        name: &str,
        purpose: Purpose,
        key: KeyAlgorithm,
        change: impl FnOnce(&mut Order),
    ) {
        let enrolled = self.enrol(name, purpose, key).await.unwrap();
        let chain = self.issue(&enrolled.csr_pem, purpose, change);
        self.install(name, chain).await.unwrap();
        self.activate(name, false).await.unwrap();
    }

    pub async fn apply_bank(&self, bank: v1::Bank) -> Result<Vec<v1::Bank>, Error> {
        let request = v1::ApplyBanksRequest {
            banks: vec![bank],
            validate_only: false,
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                BankServiceClient::new(channel).apply_banks(request).await
            })
            .await?;
        Ok(answer.banks)
    }

    pub async fn apply_callers(&self, callers: Vec<v1::Caller>) -> Result<(), Error> {
        let request = v1::ApplyGrantsRequest {
            callers,
            validate_only: false,
        };
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                AccessServiceClient::new(channel)
                    .apply_grants(request)
                    .await
            })
            .await?;
        Ok(())
    }

    /// Lets the TPP do everything with these credentials at one bank.
    pub async fn grant(&self, bank: &str, credentials: &[&str]) {
        let grants = credentials.iter().map(|credential| v1::Grant {
            operations: [Operation::SignHttp, Operation::SignJws, Operation::Tls]
                .map(i32::from)
                .to_vec(),
            credential: (*credential).to_owned(),
            banks: vec![bank.to_owned()],
        });
        let caller = v1::Caller {
            name: TPP.to_owned(),
            role: Role::Signer.into(),
            grants: grants.collect(),
        };
        self.apply_callers(vec![caller]).await.unwrap();
    }

    /// Lets a second person be an officer.
    pub async fn second_officer(&self) {
        let caller = v1::Caller {
            name: SECOND.to_owned(),
            role: Role::Officer.into(),
            grants: vec![],
        };
        self.apply_callers(vec![caller]).await.unwrap();
    }

    /// A house with one seal for a Berlin Group bank, granted to the TPP.
    pub async fn with_seal(key: KeyAlgorithm) -> Self {
        Self::with_seal_on(TokenKind::from_env(), key).await
    }

    pub async fn with_seal_on(kind: TokenKind, key: KeyAlgorithm) -> Self {
        let house = Self::open_on(kind);
        house.credential("seal", Purpose::Seal, key).await;
        house.apply_bank(bank("bank", &["seal"])).await.unwrap();
        house.grant("bank", &["seal"]).await;
        house
    }

    /// The versions of a credential, oldest first.
    pub async fn versions(&self, credential: &str) -> Vec<v1::Version> {
        let request = v1::GetCredentialRequest {
            credential: credential.to_owned(),
        };
        let answer = self
            .connect(OFFICER)
            .call(request, async |channel, request| {
                CredentialServiceClient::new(channel)
                    .get_credential(request)
                    .await
            })
            .await
            .unwrap();
        answer.credential.unwrap().versions
    }

    pub async fn verify_log(&self) -> v1::VerifyAuditLogResponse {
        self.connect(OFFICER)
            .call(
                v1::VerifyAuditLogRequest::default(),
                async |channel, request| {
                    AuditServiceClient::new(channel)
                        .verify_audit_log(request)
                        .await
                },
            )
            .await
            .unwrap()
    }

    pub async fn records(&self, event_prefix: &str) -> Vec<v1::AuditRecord> {
        let request = v1::ListAuditRecordsRequest {
            page_size: 1000,
            event_prefix: event_prefix.to_owned(),
            ..Default::default()
        };
        self.connect(OFFICER)
            .call(request, async |channel, request| {
                AuditServiceClient::new(channel)
                    .list_audit_records(request)
                    .await
            })
            .await
            .unwrap()
            .records
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of sealkeepd:\n{}", self.log());
        }
        self.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Running {
    /// Starts a command that will say where it listens.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (ready, address) = mpsc::channel();
        let path = log.to_owned();
        std::thread::spawn(move || {
            use std::io::Write;
            let mut file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("sealkeepd ready on ") {
                    let address = rest.split_whitespace().next().unwrap_or_default();
                    ready.send(address.to_owned()).ok();
                }
                writeln!(file, "{line}").ok();
            }
        });
        match address.recv_timeout(READY_TIMEOUT) {
            Ok(address) => Self { child, address },
            Err(_) => {
                let status = child.try_wait();
                child.kill().ok();
                let log = std::fs::read_to_string(log).unwrap_or_default();
                panic!("sealkeepd did not become ready ({status:?}):\n{log}");
            }
        }
    }
}

/// A Berlin Group bank in the sandbox world.
pub fn bank(name: &str, credentials: &[&str]) -> v1::Bank {
    v1::Bank {
        name: name.to_owned(),
        environment: Environment::Sandbox.into(),
        hosts: vec!["api.bank.example".to_owned()],
        profile: "berlin-group-1.3.4".to_owned(),
        credentials: credentials.iter().map(ToString::to_string).collect(),
        ..v1::Bank::default()
    }
}

/// A payment as a caller would send it.
pub fn payment() -> http::Request<String> {
    http::Request::post("https://api.bank.example/v1/payments/sepa-credit-transfers")
        .header("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721")
        .header("content-type", "application/json")
        .body(r#"{"instructedAmount":{"currency":"EUR","amount":"1.00"}}"#.to_owned())
        .unwrap()
}

pub fn write_pin(path: &Path, pin: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::remove_file(path).ok();
    std::fs::write(path, pin).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
}
