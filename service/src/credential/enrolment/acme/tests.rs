//! Against a server that is not ours: Debian's `pebble`, with external account binding and real http-01 challenges.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sealkeep_sandbox::files::certificates_pem;
use sealkeep_sandbox::key::{KeyKind, SoftwareKey};
use sealkeep_sandbox::pki::{Pki, Subject};

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::credential::enrolment::Signer;
use crate::outgoing::trusting;

const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "tpp.demo-tpp.com";
const KEY_ID: &str = "kid-1";
const SECRET: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// A CA with its own DNS, in which every name is this machine.
struct Ca {
    dir: tempfile::TempDir,
    directory_url: String,
    children: Vec<Child>,
}

impl Drop for Ca {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// A web server of one directory, as nginx would be; lives as long as the test.
fn web_server(directory: &Path) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..read]);
            let path = head.split(' ').nth(1).unwrap_or_default();
            let token = path.strip_prefix("/.well-known/acme-challenge/");
            let says = token.and_then(|token| std::fs::read(directory.join(token)).ok());
            let (status, body) = match says {
                Some(says) => ("200 OK", says),
                None => ("404 Not Found", Vec::new()),
            };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.0 {status}\r\ncontent-length: {length}\r\n\r\n"
            )
            .unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    port
}

impl Ca {
    /// Names are proven on this port.
    fn start(http_port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemClock.now();
        let pki = Pki::create(now).unwrap();
        let subject = Subject {
            name: "pebble".to_owned(),
            dns_names: vec!["localhost".to_owned()],
            server: true,
            days: 2,
            ..Subject::default()
        };
        let server = pki.issue(&subject, now).unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("ca.pem"), certificates_pem([pki.ca()])).unwrap();
        std::fs::write(file("tls.pem"), certificates_pem([&server.certificate])).unwrap();
        server.key.save(&file("tls.key")).unwrap();
        let (port, dns) = (free_port(), free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{}", free_port()),
            "certificate": file("tls.pem"),
            "privateKey": file("tls.key"),
            "httpPort": http_port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": true,
            "externalAccountMACKeys": { KEY_ID: SECRET },
        }});
        std::fs::write(file("pebble.json"), config.to_string()).unwrap();
        let names = Command::new("pebble-challtestsrv")
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &format!("127.0.0.1:{dns}")])
            .args(["-management", &format!("127.0.0.1:{}", free_port())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let ca = Command::new("pebble")
            .arg("-config")
            .arg(file("pebble.json"))
            .args(["-dnsserver", &format!("127.0.0.1:{dns}")])
            .envs([("PEBBLE_VA_NOSLEEP", "1"), ("PEBBLE_AUTHZREUSE", "100")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = crate::clock::monotonic();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "pebble does not listen");
            std::thread::yield_now();
        }
        Self {
            directory_url: format!("https://localhost:{port}/dir"),
            dir,
            children: vec![names, ca],
        }
    }

    fn account_file(&self) -> PathBuf {
        self.dir.path().join("account")
    }

    /// A new one each time, as after a restart.
    fn enroller(&self, secret: &str, challenges: Option<&Path>) -> AcmeEnroller {
        AcmeEnroller::new(AcmeServer {
            directory_url: self.directory_url.clone(),
            tls: trusting(Some(&self.dir.path().join("ca.pem"))).unwrap(),
            account: AccountFile {
                path: self.account_file(),
                contacts: vec!["mailto:security@demo-tpp.com".to_owned()],
                binding: Some(Binding {
                    key_id: KEY_ID.to_owned(),
                    secret: secret.to_owned().into(),
                }),
            },
            challenge_directory: challenges.map(Path::to_owned),
            patience: SignedDuration::from_hours(1),
        })
    }
}

fn order(names: &[&str]) -> Order {
    let key = SoftwareKey::generate(KeyKind::EcP256).unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = rcgen::CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = params.serialize_request(key.pair()).unwrap();
    let (_, parsed) = X509CertificationRequest::from_der(csr.der()).unwrap();
    let spki = parsed.certification_request_info.subject_pki.raw;
    let spki = sealkeep_profiles::algorithm::PublicKey::from_spki_der(spki).unwrap();
    Order {
        version: crate::domain::VersionId::from_resource("credentials/qwac/versions/1").unwrap(),
        csr_der: csr.der().to_vec(),
        spki_sha256: spki.spki_sha256(),
        ticket: None,
        errand: Errand::Certificate { renews: None },
        key: Signer::none(),
    }
}

/// Takes steps until something comes of it; each by a new enroller.
async fn play(
    mut order: Order,
    enroller: impl Fn() -> AcmeEnroller,
) -> (Result<Vec<Vec<u8>>, EnrolError>, Vec<String>) {
    let mut details = Vec::new();
    let playing = async {
        loop {
            match enroller().step(order.clone()).await {
                Ok(Progress::Pending { ticket, detail, .. }) => {
                    order.ticket = Some(ticket);
                    details.push(detail);
                }
                Ok(Progress::Issued(chain)) => return Ok(chain),
                Ok(Progress::Revoked) => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, playing).await;
    (ended.expect("an end within a minute"), details)
}

#[tokio::test]
async fn a_certificate_comes_though_we_restart_at_every_step() {
    let challenges = tempfile::tempdir().unwrap();
    let ca = Ca::start(web_server(challenges.path()));
    let first = order(&[NAME]);
    let (chain, details) = play(first.clone(), || {
        ca.enroller(SECRET, Some(challenges.path()))
    })
    .await;
    let chain = chain.unwrap();
    let leaf = Certificate::from_der(&chain[0]).unwrap();
    assert_eq!(leaf.public_key().spki_sha256(), first.spki_sha256);
    assert!(chain.len() >= 2);
    assert_eq!(details[0], "ordered");
    assert!(details.contains(&"the CA has the request".to_owned()));
    let left = std::fs::read_dir(challenges.path()).unwrap().count();
    assert_eq!(left, 0, "challenges that were answered are gone");
    let account = std::fs::metadata(ca.account_file()).unwrap();
    assert_eq!(account.permissions().mode() & 0o777, 0o400);
    // Whoever ordered it may revoke it, and asking twice does no harm.
    let mut revocation = first.clone();
    revocation.errand = Errand::Revocation {
        certificate: chain[0].clone(),
        reason: Reason::Superseded,
    };
    for _ in 0..2 {
        let (revoked, _) = play(revocation.clone(), || ca.enroller("c3BlbnQ", None)).await;
        assert_eq!(revoked.unwrap(), Vec::<Vec<u8>>::new());
    }
    // The name is approved now: no directory of challenges is needed, and the binding is not asked for again.
    let mut second = order(&[NAME]);
    second.spki_sha256 = first.spki_sha256;
    let (ended, _) = play(second, || ca.enroller("c3BlbnQ", None)).await;
    let foreign = ended.unwrap_err();
    assert!(matches!(foreign, EnrolError::Never(_)));
    assert!(foreign.to_string().contains("another key"), "{foreign}");
}

#[tokio::test]
async fn what_the_ca_refuses_ends_with_its_words() {
    let unserved = tempfile::tempdir().unwrap();
    let ca = Ca::start(free_port());
    let (ended, _) = play(order(&[NAME]), || ca.enroller("d3Jvbmc", None)).await;
    let refused = ended.unwrap_err();
    assert!(matches!(refused, EnrolError::Never(_)), "{refused:?}");
    assert!(refused.to_string().contains("refused"), "{refused}");
    assert!(!ca.account_file().exists(), "no account, no file");
    for (challenges, names, words) in [
        (None, vec![NAME], "set challenge_directory"),
        (Some(unserved.path()), vec![NAME], "does not believe"),
        (None, vec![], "DNS names"),
    ] {
        let (ended, _) = play(order(&names), || ca.enroller(SECRET, challenges)).await;
        let refused = ended.unwrap_err();
        assert!(matches!(refused, EnrolError::Never(_)), "{refused:?}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_asked_later_and_costs_no_account() {
    let mut ca = Ca::start(free_port());
    ca.directory_url = format!("https://localhost:{}/dir", free_port());
    let (ended, _) = play(order(&[NAME]), || ca.enroller(SECRET, None)).await;
    assert!(matches!(ended, Err(EnrolError::Later(_))), "{ended:?}");
    assert!(!ca.account_file().exists());
    // What is no account is not taken for one, and is not overwritten.
    std::fs::write(ca.account_file(), "{}").unwrap();
    let mode = std::fs::Permissions::from_mode(0o400);
    std::fs::set_permissions(ca.account_file(), mode).unwrap();
    let (ended, _) = play(order(&[NAME]), || ca.enroller(SECRET, None)).await;
    assert!(ended.unwrap_err().to_string().contains("no ACME account"));
}
