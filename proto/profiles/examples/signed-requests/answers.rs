//! Random answers to random requests, bound to them by RFC 9421 section 2.4.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sealkeep_profiles::profile::{Catalog, Settings};
use sealkeep_profiles::refusal::Refusal;
use sealkeep_profiles::request::{BodyParts, HttpResponse};

use super::support::{answered, format_of, lines};
use super::{ATTEMPTS_A_REQUEST_MAX, Source, about, headers, signed};

pub(super) fn print(count: usize, source: &mut Source) {
    let mut profiles: Vec<_> = Catalog::embedded().iter().collect();
    profiles.retain(|profile| {
        profile.signs_responses() && format_of(profile.name()).as_deref() == Some("http_message")
    });
    for index in 0..count {
        let profile = profiles[index % profiles.len()];
        let (mut line, request) = signed("http_message answers", profile, source);
        line["request_headers"] = headers(request.headers());
        let settings: Settings = profile
            .settings()
            .map(|(name, _)| (name, "registered-1"))
            .collect();
        for attempt in 0.. {
            let response = any_response(source).answering(request.clone());
            let which = source.any(&any::<prop::sample::Index>());
            let seal = which.get(&source.seals);
            let prepared =
                profile.prepare_response(&response, &seal.certificate, &settings, source.now);
            match prepared {
                Ok(prepared) => {
                    let signs = about("http_message answers", profile, seal, &prepared);
                    for (name, value) in signs.as_object().unwrap() {
                        line[name] = value.clone();
                    }
                    let answer = answered(&response, &seal.finish(prepared));
                    line["status"] = answer.status().into();
                    line["headers"] = headers(answer.headers());
                    line["body"] = STANDARD.encode(answer.body().bytes().unwrap()).into();
                    break;
                }
                Err(Refusal::AlgorithmNotAllowed { .. }) if attempt < ATTEMPTS_A_REQUEST_MAX => {}
                Err(refusal) => panic!("{}: {refusal}", profile.name()),
            }
        }
        println!("{line}");
    }
}

fn any_response(source: &mut Source) -> HttpResponse {
    let strategy = (
        200_u16..600,
        proptest::option::of("[!-~]([ -~]{0,30}[!-~])?"),
        proptest::collection::vec(any::<u8>(), 0..300),
    );
    let (status, other, body) = source.any(&strategy);
    let mut sent = lines(&[("Content-Type", "application/json")]);
    sent.extend(other.map(|value| ("X-Other".to_owned(), value.into_bytes())));
    let body = BodyParts {
        bytes: Some(&body),
        digests: &[],
    };
    HttpResponse::parse(status, &sent, body).unwrap()
}
