//! What a request for a certificate is answered.
//!
//! | request | answer |
//! |---|---|
//! | `GET`, `HEAD` of a published name | 200, PEM |
//! | the same, `If-None-Match` with its entity tag or `*` | 304 |
//! | `GET`, `HEAD` of a revoked certificate | 410 |
//! | `GET`, `HEAD` of anything else, a query included | 404 |
//! | any other method | 405 |
//!
//! Pure. Never: a list of what there is.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use jiff::Timestamp;

use super::shelf::{Leaflet, Shelf};

/// How long a cache may keep a certificate, seconds: so long a revoked one can still be had from it.
const MAX_AGE_S: u32 = 3_600;

/// The answer to a request.
pub(super) fn answer(
    method: &Method,
    target: &str,
    headers: &HeaderMap,
    shelf: &Shelf,
    now: Timestamp,
) -> Response<Full<Bytes>> {
    if method != Method::GET && method != Method::HEAD {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD it\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        refused.headers_mut().insert(header::ALLOW, allow);
        return refused;
    }
    match shelf.find(target, now) {
        None => plain(StatusCode::NOT_FOUND, "no certificate of this name\n"),
        Some(leaflet) if leaflet.revoked => {
            plain(StatusCode::GONE, "this certificate is revoked\n")
        }
        Some(leaflet) => published(leaflet, headers, now),
    }
}

fn published(leaflet: &Leaflet, headers: &HeaderMap, now: Timestamp) -> Response<Full<Bytes>> {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let known = known.filter_map(|value| value.to_str().ok());
    // A weak comparison (RFC 9110 section 13.1.2).
    let mut tags = known.flat_map(|list| list.split(',')).map(str::trim);
    let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == leaflet.etag;
    let mut answer = match tags.any(same) {
        true => respond(StatusCode::NOT_MODIFIED, Bytes::new()),
        false => respond(StatusCode::OK, leaflet.pem.clone()),
    };
    let left = leaflet.until.duration_since(now).as_secs();
    let max_age = i64::from(MAX_AGE_S).min(left);
    let cache = format!("public, max-age={max_age}, immutable");
    for (name, value) in [
        (header::ETAG, &leaflet.etag),
        (header::CACHE_CONTROL, &cache),
    ] {
        // Cannot fail: hexadecimal digits, a number and words.
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// Not to be kept: what is not there may be published tomorrow.
fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut answer = respond(status, Bytes::from_static(text.as_bytes()));
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    answer
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=us-ascii");
    answer.headers_mut().insert(header::CONTENT_TYPE, plain);
    let nosniff = HeaderValue::from_static("nosniff");
    let name = header::X_CONTENT_TYPE_OPTIONS;
    answer.headers_mut().insert(name, nosniff);
    answer
}

#[cfg(test)]
mod tests;
