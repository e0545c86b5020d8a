//! The network: questions to responders, lists from their places.
//!
//! In: a URL of a certificate under a pinned anchor, a request. Out: bytes, which prove nothing yet. Never: another scheme
//! than plain HTTP, an answer beyond its limit in size or time, a connection into this machine or its link. What comes
//! back is signed, so nothing is lost in the open but who asks about which certificate.
//!
//! A QTSP writes the URLs, yet whoever can have a certificate issued may have a say in them: so addresses that no QTSP
//! has are refused after the name was looked up, and that address is the one connected to. Private networks are allowed,
//! for firms mirror lists there. Where a proxy is configured it looks names up, and decides.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::uri::Authority;
use http::{Method, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::domain::Failure;

/// How long one exchange may take, redirects included, seconds.
const EXCHANGE_TIMEOUT_S: u64 = 5;
/// How long a list may take, seconds: QTSPs have some of megabytes.
const LIST_TIMEOUT_S: u64 = 30;
/// Largest answer of a responder, bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Largest list, bytes.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often a list may be said to be elsewhere.
const REDIRECTS_MAX: u32 = 2;
const HTTP_PORT: u16 = 80;

/// Fetches, directly or through a proxy.
#[derive(Debug, Clone, Default)]
pub(super) struct Fetcher {
    proxy: Option<Authority>,
}

impl Fetcher {
    pub(super) fn new(proxy: Option<Authority>) -> Self {
        Self { proxy }
    }

    /// Posts a question to a responder (RFC 6960 appendix A.1).
    pub(super) async fn ask(&self, uri: &Uri, question: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let asking = async {
            let request = Request::builder()
                .method(Method::POST)
                .header(header::CONTENT_TYPE, "application/ocsp-request")
                .header(header::ACCEPT, "application/ocsp-response");
            let response = self.exchange(uri, request, Bytes::from(question)).await?;
            match response.status().is_success() {
                true => body(response, ANSWER_BYTES_MAX).await,
                false => Err(refused(&response)),
            }
        };
        within(EXCHANGE_TIMEOUT_S, asking).await
    }

    /// Gets a list (RFC 5280 section 4.2.1.13).
    pub(super) async fn list(&self, uri: &Uri) -> Result<Vec<u8>, Failure> {
        let getting = async {
            let mut uri = uri.clone();
            for _ in 0..=REDIRECTS_MAX {
                let request = Request::builder().method(Method::GET);
                let response = self.exchange(&uri, request, Bytes::new()).await?;
                if response.status().is_success() {
                    return body(response, LIST_BYTES_MAX).await;
                }
                uri = elsewhere(&response)?;
            }
            Err(failure(
                "REDIRECTED",
                format!("more than {REDIRECTS_MAX} times"),
            ))
        };
        within(LIST_TIMEOUT_S, getting).await
    }

    async fn exchange(
        &self,
        uri: &Uri,
        request: http::request::Builder,
        content: Bytes,
    ) -> Result<Response<Incoming>, Failure> {
        let unfit = |what: &str| failure("URL_UNFIT", what.to_owned());
        let authority = uri.authority().ok_or_else(|| unfit("without a host"))?;
        // A proxy wants the whole URL, a server only its path (RFC 9112 section 3.2).
        let (stream, target) = match &self.proxy {
            Some(proxy) => (connect(lookup(proxy).await?).await?, uri.clone()),
            None => {
                let addresses = lookup(authority).await?;
                let public: Vec<_> = addresses
                    .into_iter()
                    .filter(|address| !is_forbidden(address.ip()))
                    .collect();
                if public.is_empty() {
                    let detail = format!("{authority} is an address of this machine or its link");
                    return Err(failure("ADDRESS_FORBIDDEN", detail));
                }
                let path = uri.path_and_query().map_or("/", |path| path.as_str());
                let path = path.parse().map_err(|_| unfit("its path"))?;
                (connect(public).await?, path)
            }
        };
        let request = request
            .uri(target)
            .header(header::HOST, authority.as_str())
            .header(
                header::USER_AGENT,
                concat!("sealkeepd/", env!("CARGO_PKG_VERSION")),
            )
            .body(Full::new(content))
            .map_err(|_| unfit("cannot be written as a request"))?;
        let broken = |error: hyper::Error| failure("UNREACHABLE", error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // It ends with the sender, or with the last byte of the body.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(broken)
    }
}

async fn lookup(authority: &Authority) -> Result<Vec<SocketAddr>, Failure> {
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(HTTP_PORT);
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|error| failure("UNREACHABLE", format!("{host}: {error}")))?;
    Ok(found.collect())
}

async fn connect(addresses: Vec<SocketAddr>) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(addresses.as_slice()).await;
    stream.map_err(|error| failure("UNREACHABLE", format!("{addresses:?}: {error}")))
}

/// Addresses that no QTSP serves from: this machine, its link (cloud metadata is there), and no single machine at all.
fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
        }
    }
}

/// Where a redirect points to, when it is one that may be followed.
fn elsewhere(response: &Response<Incoming>) -> Result<Uri, Failure> {
    if !response.status().is_redirection() {
        return Err(refused(response));
    }
    let location = response.headers().get(header::LOCATION);
    let location = location.and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    match location {
        Some(uri) if uri.scheme_str() == Some("http") => Ok(uri),
        _ => Err(failure("REDIRECTED", "not to plain HTTP".to_owned())),
    }
}

async fn body(response: Response<Incoming>, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let too_large = || failure("TOO_LARGE", format!("more than {bytes_max} bytes"));
    let announced = response.body().size_hint().lower();
    if usize::try_from(announced).is_ok_and(|announced| announced > bytes_max) {
        return Err(too_large());
    }
    let collected = Limited::new(response.into_body(), bytes_max)
        .collect()
        .await;
    let collected = collected.map_err(|error| match error.downcast_ref::<hyper::Error>() {
        Some(_) => failure("UNREACHABLE", error.to_string()),
        None => too_large(),
    })?;
    Ok(collected.to_bytes().to_vec())
}

fn refused(response: &Response<Incoming>) -> Failure {
    failure(
        "HTTP_STATUS",
        format!("HTTP {}", response.status().as_u16()),
    )
}

async fn within<T>(
    seconds: u64,
    exchange: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = tokio::time::timeout(Duration::from_secs(seconds), exchange).await;
    done.unwrap_or_else(|_| {
        let detail = format!("no answer within {seconds} s");
        Err(failure("TIMED_OUT", detail))
    })
}

pub(super) fn failure(reason: &str, detail: String) -> Failure {
    let reason = reason.to_owned();
    Failure { reason, detail }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_address_of_this_machine_or_its_link_is_connected_to() {
        for forbidden in [
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
        ] {
            assert!(is_forbidden(forbidden.parse().unwrap()), "{forbidden}");
        }
        for allowed in ["93.184.215.14", "10.1.2.3", "2001:db8::1", "fd00::1"] {
            assert!(!is_forbidden(allowed.parse().unwrap()), "{allowed}");
        }
    }

    #[tokio::test]
    async fn a_name_for_this_machine_is_refused_before_anything_is_sent() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fetcher = Fetcher::default();
        for host in ["localhost", "127.0.0.1"] {
            let uri = format!("http://{host}:{port}/list").parse().unwrap();
            let refused = fetcher.list(&uri).await.unwrap_err();
            assert_eq!(refused.reason, "ADDRESS_FORBIDDEN");
        }
    }

    /// A proxy that gives each connection the next of these answers, the last one for ever.
    async fn proxy(answers: &'static [&'static str]) -> Fetcher {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut answers = answers.iter();
            let mut answer = "";
            while let Ok((mut stream, _)) = listener.accept().await {
                answer = answers.next().unwrap_or(&answer);
                let mut asked = [0; 4_096];
                let read = stream.read(&mut asked).await.unwrap();
                let asked = String::from_utf8_lossy(&asked[..read]);
                // A proxy is told the whole URL.
                assert!(asked.contains(" http://qtsp.example/a HTTP/1.1"), "{asked}");
                stream.write_all(answer.as_bytes()).await.ok();
            }
        });
        Fetcher::new(Some(at.to_string().parse().unwrap()))
    }

    const ELSEWHERE: &str =
        "HTTP/1.1 302 Found\r\nlocation: http://qtsp.example/a\r\ncontent-length: 0\r\n\r\n";

    #[tokio::test]
    async fn answers_have_limits_and_redirects_an_end() {
        const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        for (answers, question, list) in [
            (&[OK][..], "ok", "ok"),
            (&[ELSEWHERE, ELSEWHERE, OK], "HTTP_STATUS", "ok"),
            (&[ELSEWHERE], "HTTP_STATUS", "REDIRECTED"),
            (
                &[
                    "HTTP/1.1 301 Moved\r\nlocation: https://qtsp.example/\r\ncontent-length: 0\r\n\r\n",
                ],
                "HTTP_STATUS",
                "REDIRECTED",
            ),
            (
                &["HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n"],
                "HTTP_STATUS",
                "HTTP_STATUS",
            ),
            (
                &["HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"],
                "TOO_LARGE",
                "TOO_LARGE",
            ),
            (
                &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"],
                "UNREACHABLE",
                "UNREACHABLE",
            ),
            (&["hello"], "UNREACHABLE", "UNREACHABLE"),
            (&[""], "UNREACHABLE", "UNREACHABLE"),
        ] {
            let uri: Uri = "http://qtsp.example/a".parse().unwrap();
            let word = |fetched: Result<Vec<u8>, Failure>| {
                fetched.map_or_else(
                    |failure| failure.reason,
                    |body| String::from_utf8(body).unwrap(),
                )
            };
            let fetcher = proxy(answers).await;
            assert_eq!(word(fetcher.list(&uri).await), list, "{answers:?}");
            let fetcher = proxy(answers).await;
            assert_eq!(
                word(fetcher.ask(&uri, vec![1]).await),
                question,
                "{answers:?}"
            );
        }
    }
}
