//! What ends soon is told of once, whoever is away or restarts; monitoring reads the rest.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::PrivateKeyDer;
use sealkeep_client::v1::watch_service_client::WatchServiceClient;
use sealkeep_client::v1::{self, KeyAlgorithm, Purpose};
use sealkeep_client::{Error, Sealkeep};
use sealkeep_sandbox::pki::Subject;
use sealkeep_service::watch::sink::Secrets;
use tokio::sync::mpsc;

use crate::house::{House, OFFICER, TPP, bank, payment};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
const METRICS: &str = "[metrics]\naddress = \"127.0.0.1:0\"\n";
/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A house with more in its configuration, and a server certificate that ends in a few days.
fn open_with(extra: &str, days_left: i64) -> House {
    let mut house = House::build();
    let config = format!("{}{extra}", house.config());
    std::fs::write(house.config_file(), config).unwrap();
    std::fs::write(house.dir().join("webhook.secret"), SECRET).unwrap();
    server_certificate(&house, "server", 100, days_left);
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    house.start();
    house
}

/// A certificate for this machine with so many days left of its life.
fn server_certificate(house: &House, file: &str, days: u32, days_left: i64) {
    let subject = Subject {
        name: file.to_owned(),
        dns_names: vec!["localhost".to_owned()],
        addresses: vec![[127, 0, 0, 1].into()],
        server: true,
        days,
        ..Subject::default()
    };
    // An hour more, so that no midnight falls into the test.
    let age = SignedDuration::from_hours(24 * (i64::from(days) - days_left) - 1);
    let issued = house.pki.issue(&subject, Timestamp::now() - age).unwrap();
    let pem = sealkeep_sandbox::files::certificates_pem([&issued.certificate]);
    std::fs::write(house.dir().join(format!("{file}.pem")), pem).unwrap();
    let key = house.dir().join(format!("{file}.key"));
    std::fs::remove_file(&key).ok();
    issued.key.save(&key).unwrap();
}

/// One delivery as it came.
#[derive(Debug, Clone)]
struct Received {
    headers: http::HeaderMap,
    body: Vec<u8>,
}

/// A receiver on HTTPS that answers with these codes, the last one for ever.
struct Receiver {
    url: String,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    async fn start(house: &House, answers: &[u16]) -> Self {
        server_certificate(house, "receiver", 30, 29);
        let read = |ending| std::fs::read(house.dir().join(format!("receiver.{ending}"))).unwrap();
        let chain = pem_certificates(&read("pem"));
        let key: PrivateKeyDer =
            rustls_pki_types::pem::PemObject::from_pem_slice(&read("key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/hook", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.to_vec()));
        tokio::spawn(serve(listener, Arc::new(tls).into(), sender, answers));
        Self { url, received }
    }

    async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(PATIENCE, self.received.recv()).await;
        next.expect("a delivery within a minute").unwrap()
    }
}

async fn serve(
    listener: tokio::net::TcpListener,
    tls: tokio_rustls::TlsAcceptor,
    sender: mpsc::UnboundedSender<Received>,
    answers: Arc<Mutex<Vec<u16>>>,
) {
    while let Ok((tcp, _)) = listener.accept().await {
        let Ok(stream) = tls.accept(tcp).await else {
            continue;
        };
        let (sender, answers) = (sender.clone(), answers.clone());
        tokio::spawn(async move {
            let service =
                hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (sender, answers) = (sender.clone(), answers.clone());
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await?.to_bytes().to_vec();
                        let mut answers = answers.lock().unwrap();
                        let code = if answers.len() > 1 {
                            answers.remove(0)
                        } else {
                            answers[0]
                        };
                        let headers = parts.headers;
                        sender.send(Received { headers, body }).ok();
                        let answer = http::Response::builder().status(code);
                        Ok::<_, hyper::Error>(answer.body(Full::<bytes::Bytes>::default()).unwrap())
                    }
                });
            let connection = hyper::server::conn::http1::Builder::new();
            connection
                .serve_connection(TokioIo::new(stream), service)
                .await
                .ok();
        });
    }
}

fn pem_certificates(pem: &[u8]) -> Vec<rustls_pki_types::CertificateDer<'static>> {
    use rustls_pki_types::pem::PemObject;
    rustls_pki_types::CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .unwrap()
}

/// The body of `GET path` on the newest metrics listener, after its head.
pub fn get(house: &House, path: &str, accept: &str) -> (String, String) {
    let log = house.log();
    let (_, at) = log
        .rsplit_once("metrics on http://")
        .expect("metrics listener");
    let address = at.split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: h\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The value of a sample.
pub(crate) fn sample(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    });
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{metrics}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

pub(crate) async fn scrape_until(house: &House, true_of: impl Fn(&str) -> bool) -> String {
    let waiting = async {
        loop {
            let (_, metrics) = get(house, "/metrics", "*/*");
            if true_of(&metrics) {
                return metrics;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("metrics as wanted within a minute")
}

/// Waits until the log has told so many times that something ends; more is wrong.
async fn logged(house: &House, count: usize) {
    let told = || house.log().matches("certificate.expiring").count();
    let waiting = async {
        while told() < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("a line in the log within a minute");
    assert_eq!(told(), count, "{}", house.log());
}

async fn expiring(
    who: &Sealkeep,
    within_days: Option<i64>,
    page_size: u32,
    page_token: &str,
) -> Result<v1::ListExpiringResponse, Error> {
    let within = within_days.map(|days| prost_types::Duration {
        seconds: days * 86_400,
        nanos: 0,
    });
    let request = v1::ListExpiringRequest {
        within,
        page_size,
        page_token: page_token.to_owned(),
    };
    who.call(request, async |channel, request| {
        WatchServiceClient::new(channel)
            .list_expiring(request)
            .await
    })
    .await
}

/// A receiver that is away gets the alert later, once, under one id, signed; a restart tells nothing again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_delivered_once_whoever_is_away_or_restarts() {
    let mut house = House::build();
    let mut receiver = Receiver::start(&house, &[503, 204]).await;
    let webhook = format!(
        "{METRICS}[[watch.webhook]]\nname = \"oncall\"\nurl = \"{}\"\nsecret_file = \"webhook.secret\"\nca_file = \"pki/ca.pem\"\n",
        receiver.url
    );
    std::fs::write(house.config_file(), format!("{}{webhook}", house.config())).unwrap();
    std::fs::write(house.dir().join("webhook.secret"), SECRET).unwrap();
    server_certificate(&house, "server", 100, 5);
    let init = house.sealkeepd(&["init", "--officer", OFFICER]);
    assert!(init.status.success(), "{init:?}");
    house.start();

    let (refused, taken) = (receiver.next().await, receiver.next().await);
    let header = |received: &Received, name| received.headers[name].to_str().unwrap().to_owned();
    let id = header(&refused, "webhook-id");
    assert_eq!(
        id,
        header(&taken, "webhook-id"),
        "tried again under the same id"
    );
    assert_eq!(refused.body, taken.body);
    let secrets = Secrets::read(&house.dir().join("webhook.secret")).unwrap();
    for received in [&refused, &taken] {
        let timestamp = header(received, "webhook-timestamp").parse().unwrap();
        let wanted = secrets.sign(&id, timestamp, &received.body);
        assert_eq!(header(received, "webhook-signature"), wanted);
    }
    let body: serde_json::Value = serde_json::from_slice(&taken.body).unwrap();
    assert_eq!(body["type"], "certificate.expiring");
    assert_eq!(body["data"]["kind"], "server_certificate");
    assert_eq!(body["data"]["threshold"], "6d");
    assert_eq!(body["data"]["severity"], "critical");
    let metrics = scrape_until(&house, |metrics| {
        sample(
            metrics,
            "sealkeep_alert_deliveries_pending{sink=\"oncall\"}",
        ) == 0.0
    })
    .await;
    let count = |outcome: &str| {
        let series =
            format!("sealkeep_alert_deliveries_total{{sink=\"oncall\",outcome=\"{outcome}\"}}");
        sample(&metrics, &series)
    };
    assert_eq!((count("failed"), count("delivered")), (1.0, 1.0));
    logged(&house, 1).await;

    house.stop().await;
    house.start();
    scrape_until(&house, |metrics| {
        sample(metrics, "sealkeep_watch_last_evaluation_timestamp_seconds") > 0.0
    })
    .await;
    // Another certificate of the service is another thing that ends: told at once, and the old one not before it.
    server_certificate(&house, "server", 100, 2);
    house.stop().await;
    house.start();
    let next = receiver.next().await;
    let body: serde_json::Value = serde_json::from_slice(&next.body).unwrap();
    assert_eq!(body["data"]["threshold"], "3d");
    assert_ne!(header(&next, "webhook-id"), id);
    logged(&house, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_tell_what_was_signed_and_what_ends() {
    let house = open_with(METRICS, 50);
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await;
    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    let tpp = house.connect(TPP);
    tpp.bank("bank").sign(payment()).await.unwrap();
    tpp.bank("other").sign(payment()).await.unwrap_err();

    let (head, text) = get(&house, "/metrics", "text/plain");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let released = |outcome: &str| {
        let series =
            format!("sealkeep_signatures_total{{operation=\"sign-http\",outcome=\"{outcome}\"}}");
        sample(&text, &series)
    };
    assert_eq!(
        (released("released"), released("denied"), released("failed")),
        (1.0, 1.0, 0.0)
    );
    let main = "token=\"main\",set=\"main\"";
    assert_eq!(sample(&text, &format!("sealkeep_token_up{{{main}}}")), 1.0);
    assert_eq!(
        sample(&text, &format!("sealkeep_token_keys_missing{{{main}}}")),
        0.0
    );
    for rung in ["retry", "login", "initialise", "worker"] {
        let climbed = format!("sealkeep_token_recoveries_total{{{main},rung=\"{rung}\"}}");
        assert_eq!(sample(&text, &climbed), 0.0);
    }
    assert!(sample(&text, "sealkeep_audit_records_total") > 5.0);
    let calls = "sealkeep_grpc_calls_total{method=\"SigningService/SignHttpRequest\",code=\"";
    assert_eq!(sample(&text, &format!("{calls}OK\"}}")), 1.0);
    assert_eq!(sample(&text, &format!("{calls}PERMISSION_DENIED\"}}")), 1.0);
    let binding = "sealkeep_binding_info{bank=\"bank\",credential=\"seal\",name=\"seal@1\"}";
    assert_eq!(sample(&text, binding), 1.0);
    let kinds = |kind: &str| {
        let series = format!("sealkeep_certificate_not_after_timestamp_seconds{{kind=\"{kind}\"");
        text.lines()
            .filter(|line| line.starts_with(&series))
            .count()
    };
    assert_eq!(
        kinds("version") + kinds("caller_ca") + kinds("server_certificate"),
        3
    );
    assert!(kinds("chain") >= 1);
    assert!(
        !text.contains(TPP) && !text.contains(OFFICER),
        "no caller is a label"
    );

    let (head, open) = get(
        &house,
        "/metrics",
        "application/openmetrics-text; version=1.0.0",
    );
    assert!(
        head.contains("application/openmetrics-text; version=1.0.0"),
        "{head}"
    );
    assert!(open.ends_with("# EOF\n"));
    let (head, _) = get(&house, "/other", "*/*");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_can_be_listed_and_watched_by_whoever_may() {
    let house = open_with("", 5);
    house
        .credential("seal", Purpose::Seal, KeyAlgorithm::EcP256)
        .await;
    let officer = house.connect(OFFICER);
    let all = expiring(&officer, None, 0, "").await.unwrap().expiries;
    let kinds: Vec<_> = all.iter().map(|expiry| expiry.kind.as_str()).collect();
    assert_eq!(kinds[0], "server_certificate", "soonest first: {kinds:?}");
    assert!(kinds.contains(&"version") && kinds.contains(&"chain") && kinds.contains(&"caller_ca"));
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page = expiring(&officer, None, 1, &token).await.unwrap();
        paged.extend(page.expiries);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all);
    let soon = expiring(&officer, Some(30), 0, "").await.unwrap().expiries;
    assert_eq!(soon.len(), 1);
    let wrong = expiring(&officer, Some(-1), 0, "").await.unwrap_err();
    assert_eq!(wrong.reason(), "FIELD_INVALID");

    let since = Timestamp::now() - SignedDuration::from_hours(1);
    let request = v1::WatchExpiryRequest {
        since_time: Some(prost_types::Timestamp {
            seconds: since.as_second(),
            nanos: 0,
        }),
    };
    let mut client = WatchServiceClient::new(officer.channel());
    let mut alerts = client.watch_expiry(request).await.unwrap().into_inner();
    let first = tokio::time::timeout(PATIENCE, alerts.message()).await;
    let alert = first
        .expect("an alert within a minute")
        .unwrap()
        .unwrap()
        .alert
        .unwrap();
    assert_eq!(
        (alert.kind.as_str(), alert.threshold.as_str()),
        ("server_certificate", "6d")
    );

    house.apply_bank(bank("bank", &["seal"])).await.unwrap();
    house.grant("bank", &["seal"]).await;
    let denied = expiring(&house.connect(TPP), None, 0, "")
        .await
        .unwrap_err();
    assert_eq!(denied.reason(), "ROLE_REQUIRED");
}

#[test]
fn a_webhook_that_cannot_work_stops_the_start() {
    let house = House::build();
    std::fs::write(house.dir().join("short.secret"), "whsec_AAAA").unwrap();
    std::fs::write(house.dir().join("webhook.secret"), SECRET).unwrap();
    let check = |url: &str, secret: &str, ca: &str| {
        let webhook = format!(
            "[[watch.webhook]]\nname = \"a\"\nurl = \"{url}\"\nsecret_file = \"{secret}\"\nca_file = \"{ca}\"\n"
        );
        std::fs::write(house.config_file(), format!("{}{webhook}", house.config())).unwrap();
        let output = house.sealkeepd(&["check-config"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), text)
    };
    let good = ("https://hooks.example/x", "webhook.secret", "pki/ca.pem");
    assert_eq!(check(good.0, good.1, good.2).0, 0);
    for (url, secret, ca, wanted) in [
        ("http://hooks.example/x", good.1, good.2, "must be https"),
        (good.0, "no.secret", good.2, "no.secret"),
        (good.0, "short.secret", good.2, "24 to 64 bytes"),
        (good.0, good.1, "no.pem", "no.pem"),
        (good.0, good.1, "webhook.secret", "no CA certificate in it"),
    ] {
        let (code, text) = check(url, secret, ca);
        assert!(
            text.contains("CONFIG_INVALID") && text.contains(wanted),
            "{text}"
        );
        assert_eq!(code, 78);
        assert!(!text.contains("AAAA") && !text.contains("MfKQ"), "{text}");
    }
}
