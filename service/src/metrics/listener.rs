//! The HTTP door of monitoring: `GET /metrics`, and nothing else.
//!
//! In: plain HTTP/1.1. Out: the exposition, in the format that `Accept` asks for. It has no authentication, so it says
//! nothing secret and does nothing: names of credentials and banks, dates, counts.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};

use super::{Exposition, Format};
use crate::door;

/// Connections at once.
const CONNECTIONS_MAX: usize = 32;

const OPEN_METRICS: &str = "application/openmetrics-text";

/// A bound socket.
#[derive(Debug)]
pub struct MetricsListener(TcpListener);

impl MetricsListener {
    /// Binds the address.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(address).await?))
    }

    /// Where it listens; tells the port when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves until it is dropped; its connections end with it.
    pub async fn serve(self, exposition: Exposition) {
        let converse = |stream| converse(stream, exposition.clone());
        door::accept(self.0, CONNECTIONS_MAX, converse).await;
    }
}

async fn converse(stream: TcpStream, exposition: Exposition) {
    let respond = |request: &Request<Incoming>| {
        let path = request.uri().path();
        answer(request.method(), path, request.headers(), &exposition)
    };
    door::converse(stream, respond).await;
}

fn answer(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    exposition: &Exposition,
) -> Response<Full<Bytes>> {
    let plain = "text/plain; charset=utf-8";
    if path != "/metrics" {
        return respond(
            StatusCode::NOT_FOUND,
            plain,
            "only /metrics is here\n".into(),
        );
    }
    if method != Method::GET {
        let mut refused = respond(StatusCode::METHOD_NOT_ALLOWED, plain, "GET it\n".into());
        let allow = HeaderValue::from_static("GET");
        refused.headers_mut().insert(header::ALLOW, allow);
        return refused;
    }
    let format = wanted(headers.get(header::ACCEPT));
    let content_type = match format {
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        Format::Text => "text/plain; version=0.0.4; charset=utf-8",
    };
    match exposition.encode(format) {
        Ok(text) => respond(StatusCode::OK, content_type, text),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            respond(
                StatusCode::INTERNAL_SERVER_ERROR,
                plain,
                "see the log\n".into(),
            )
        }
    }
}

fn respond(status: StatusCode, content_type: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// OpenMetrics for whoever names it with a weight above zero, and not below that of plain text (RFC 9110 section
/// 12.5.1); the text format for everybody else, as Prometheus itself does it.
fn wanted(accept: Option<&HeaderValue>) -> Format {
    let accept = accept
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let weight = |media: &str| {
        let mut ranges = accept
            .split(',')
            .map(|range| range.split(';').map(str::trim));
        ranges.find_map(|mut parts| {
            (parts.next() == Some(media)).then(|| {
                let q = parts.find_map(|parameter| parameter.strip_prefix("q="));
                q.map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0))
            })
        })
    };
    match (weight(OPEN_METRICS), weight("text/plain")) {
        (Some(open), text) if open > 0.0 && open >= text.unwrap_or(0.0) => Format::OpenMetrics,
        _ => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_accept_asks_for() {
        let wanted = |accept: &str| wanted(Some(&HeaderValue::from_str(accept).unwrap()));
        for open in [
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "text/plain; q=0.3, application/openmetrics-text; q=0.8",
        ] {
            assert_eq!(wanted(open), Format::OpenMetrics, "{open}");
        }
        for text in [
            "",
            "*/*",
            "text/plain",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=much",
            "application/openmetrics-text;q=0.2,text/plain;q=0.9",
            "text/html,application/xhtml+xml",
        ] {
            assert_eq!(wanted(text), Format::Text, "{text}");
        }
        assert_eq!(super::wanted(None), Format::Text);
    }
}
