use super::*;

const NAME: &str = "/certs/qseal_ab";

fn now() -> Timestamp {
    "2026-12-01T09:00:00Z".parse().unwrap()
}

fn shelf(revoked: bool, left_s: i64) -> Shelf {
    Shelf::of(
        NAME,
        Leaflet {
            pem: Bytes::from_static(b"-----BEGIN CERTIFICATE-----\n"),
            etag: "\"ab\"".to_owned(),
            until: now() + jiff::SignedDuration::from_secs(left_s),
            revoked,
        },
    )
}

fn ask(method: &str, target: &str, known: Option<&str>, shelf: &Shelf) -> Response<Full<Bytes>> {
    let mut headers = HeaderMap::new();
    if let Some(known) = known {
        headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
    }
    answer(&method.parse().unwrap(), target, &headers, shelf, now())
}

#[test]
fn every_request_has_its_answer() {
    let (published, revoked, ended) = (shelf(false, 86_400), shelf(true, 86_400), shelf(false, 0));
    for (method, target, known, shelf, wanted) in [
        ("GET", NAME, None, &published, 200),
        ("HEAD", NAME, None, &published, 200),
        ("GET", NAME, Some("\"cd\""), &published, 200),
        ("GET", NAME, Some("\"ab\""), &published, 304),
        ("HEAD", NAME, Some("\"cd\", W/\"ab\""), &published, 304),
        ("GET", NAME, Some("*"), &published, 304),
        ("GET", NAME, None, &revoked, 410),
        ("GET", NAME, Some("\"ab\""), &revoked, 410),
        ("GET", NAME, None, &ended, 404),
        ("GET", "/", None, &published, 404),
        ("GET", "/certs/", None, &published, 404),
        ("GET", "/certs/qseal_", None, &published, 404),
        ("GET", "/certs/qseal_ab?x=1", None, &published, 404),
        ("GET", "/certs/../certs/qseal_ab", None, &published, 404),
        ("GET", "/certs/qseal_AB", None, &published, 404),
        ("POST", NAME, None, &published, 405),
        ("DELETE", "/", None, &published, 405),
        ("OPTIONS", "*", None, &published, 405),
    ] {
        let answer = ask(method, target, known, shelf);
        assert_eq!(answer.status(), wanted, "{method} {target} {known:?}");
        assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(answer.headers().contains_key(header::ALLOW), wanted == 405);
        let tagged = matches!(wanted, 200 | 304);
        assert_eq!(answer.headers().contains_key(header::ETAG), tagged);
        let cache = answer.headers()[header::CACHE_CONTROL].to_str().unwrap();
        assert_eq!(cache == "no-store", !tagged, "{cache}");
    }
}

#[test]
fn caches_keep_nothing_beyond_its_end() {
    for (left_s, wanted) in [(86_400, 3_600), (3_601, 3_600), (90, 90)] {
        let answer = ask("GET", NAME, None, &shelf(false, left_s));
        let cache = answer.headers()[header::CACHE_CONTROL].to_str().unwrap();
        assert_eq!(cache, format!("public, max-age={wanted}, immutable"));
    }
}
