//! Every limit of a JWT: the last that is taken, and the first that is not.

use super::*;

/// A refusal, or what was signed.
fn asked(profile: &Profile, asked: &JwtRequest<'_>, seal: &Seal) -> Result<(), String> {
    let prepared = prepare(profile, asked, seal);
    prepared
        .map(drop)
        .map_err(|refusal| format!("{} {}", refusal.reason(), refusal.field()))
}

fn refused<T>(what: &str) -> Result<T, String> {
    Err(what.to_owned())
}

#[test]
fn claims_are_signed_and_read_up_to_256_kib() {
    const MAX: usize = 262_144;
    let (profile, seal) = (profile("open-finance-brasil"), Seal::rsa());
    let filled = |len: usize| payment(&format!("{{\"data\":\"{}\"}}", "x".repeat(len)));
    let empty = token(profile, &JwtRequest::Body(&filled(0)), &seal);
    let own = URL_SAFE_NO_PAD
        .decode(empty.split('.').nth(1).unwrap())
        .unwrap()
        .len();

    let longest = filled(MAX - own);
    let signed = token(profile, &JwtRequest::Body(&longest), &seal);
    let settings = settings_of(profile);
    let url = format!("https://bank.example{}", longest.path());
    let read =
        verify::jwt_request_body(profile, &signed, &url, &seal.certificate, &settings, now());
    assert_eq!(
        read.unwrap().claims["data"].as_str().unwrap().len(),
        MAX - own
    );

    let longer = filled(MAX - own + 1);
    let refusal = prepare(profile, &JwtRequest::Body(&longer), &seal).unwrap_err();
    let expected = Refusal::BodyTooLong {
        len: MAX + 1,
        max: MAX,
    };
    assert_eq!(refusal, expected);
}

#[test]
fn a_token_is_read_up_to_its_length_and_its_header_up_to_8_kib() {
    const CHARS_MAX: usize = 365_909;
    const PROTECTED_CHARS_MAX: usize = 8192;
    let (profile, seal) = (profile("fapi-1-advanced"), Seal::p256());
    let made = token(profile, &assertion(), &seal);
    let reason = |token: &str| {
        let found = verdict(profile, JwtKind::ClientAssertion, token, &seal).unwrap_err();
        found.split(' ').next().unwrap().to_owned()
    };
    // Base64url of zeroes, whose length has no remainder of one: what is too long is not also malformed.
    let of_length = |len: usize| {
        let spaced = |blanks: usize| {
            resigned(&made, &seal, |_, claims| {
                claims.insert("jti".into(), "x".repeat(1 + blanks).into());
            })
        };
        (0..9).find_map(|blanks| {
            let token = spaced(blanks);
            let (signed, _) = token.rsplit_once('.').unwrap();
            let rest = len - signed.len() - 1;
            (rest % 4 != 1).then(|| format!("{signed}.{}", "A".repeat(rest)))
        })
    };
    assert_eq!(reason(&of_length(CHARS_MAX).unwrap()), "SIGNATURE_INVALID");
    assert_eq!(
        reason(&of_length(CHARS_MAX + 1).unwrap()),
        "PARAMETER_MALFORMED"
    );

    let with_header = |len: usize| {
        let header =
            |typ: usize| json!({"alg": "ES256", "kid": "tpp-seal-1", "typ": "x".repeat(typ)});
        let bytes = len * 3 / 4;
        let filler = bytes - header(0).to_string().len();
        let protected = URL_SAFE_NO_PAD.encode(header(filler).to_string());
        assert_eq!(protected.len(), len);
        signed_text(&protected, made.split('.').nth(1).unwrap(), &seal)
    };
    assert_eq!(reason(&with_header(PROTECTED_CHARS_MAX)), "MEMBER_MISMATCH");
    assert_eq!(
        reason(&with_header(PROTECTED_CHARS_MAX + 2)),
        "PARAMETER_MALFORMED"
    );
}

#[test]
fn a_jti_has_up_to_128_characters() {
    let (profile, seal) = (profile("fapi-2"), Seal::p256());
    let settings = settings_of(profile);
    let with = |len: usize| {
        let jti = "j".repeat(len);
        let prepared = prepare_with(profile, &assertion(), &seal, &settings, &jti);
        prepared.map(drop).map_err(|refusal| refusal.to_string())
    };
    assert_eq!(with(128), Ok(()));
    assert_eq!(
        with(129),
        refused("claim jti is not 1 to 128 printable characters")
    );
}

#[test]
fn parameters_of_a_request_object_have_their_limits() {
    let (profile, seal) = (profile("fapi-1-advanced"), Seal::p256());
    let with = |change: &dyn Fn(&mut RequestObject)| {
        let mut object = RequestObject {
            nonce: Some("n".into()),
            ..authorization()
        };
        change(&mut object);
        asked(profile, &object_of(object), &seal)
    };
    let of = |len: usize| Some("x".repeat(len));
    assert_eq!(with(&|o| o.state = of(512)), Ok(()));
    assert_eq!(with(&|o| o.state = of(513)), refused("CLAIM_INVALID state"));
    assert_eq!(with(&|o| o.nonce = of(513)), refused("CLAIM_INVALID nonce"));
    assert_eq!(
        with(&|o| o.login_hint = of(513)),
        refused("CLAIM_INVALID login_hint")
    );
    assert_eq!(with(&|o| o.scope = of(2048)), Ok(()));
    assert_eq!(
        with(&|o| o.scope = of(2049)),
        refused("CLAIM_INVALID scope")
    );
    let details = |len: usize| {
        let empty = json!([{"type": "t", "x": ""}]).to_string().len();
        Some(json!([{"type": "t", "x": "x".repeat(len - empty)}]).to_string())
    };
    assert_eq!(with(&|o| o.authorization_details = details(16_384)), Ok(()));
    let too_long = with(&|o| o.authorization_details = details(16_385));
    assert_eq!(too_long, refused("CLAIM_INVALID authorization_details"));
}

#[test]
fn an_intent_has_up_to_8_acr_values() {
    let (profile, seal) = (profile("obuk-oauth"), Seal::rsa());
    let with = |count: usize, len: usize| {
        let intent_acr = vec!["a".repeat(len); count];
        let object = RequestObject {
            intent_acr,
            ..uk_authorization()
        };
        asked(profile, &object_of(object), &seal)
    };
    assert_eq!(with(8, 512), Ok(()));
    assert_eq!(with(9, 1), refused("CLAIM_INVALID intent_id"));
    assert_eq!(with(1, 513), refused("CLAIM_INVALID intent_id"));
}

#[test]
fn lists_and_the_statement_of_a_registration_have_their_limits() {
    let (profile, seal) = (profile("obuk-oauth"), Seal::rsa());
    let with = |change: &dyn Fn(&mut Registration)| {
        let mut registration = registration();
        change(&mut registration);
        asked(profile, &registration_of(registration), &seal)
    };
    let uris = |count| vec!["https://tpp.example/cb".to_owned(); count];
    assert_eq!(with(&|r| r.redirect_uris = uris(64)), Ok(()));
    assert_eq!(
        with(&|r| r.redirect_uris = uris(65)),
        refused("CLAIM_INVALID redirect_uris")
    );
    assert_eq!(
        with(&|r| r.grant_types = vec!["a".into(); 65]),
        refused("CLAIM_INVALID grant_types")
    );
    // The name of a subject is not ASCII everywhere.
    let subject = Some("CN=Société Générale".to_owned());
    let named = |r: &mut Registration| r.tls_client_auth_subject_dn.clone_from(&subject);
    assert_eq!(with(&named), Ok(()));
    // The signature is made longer, by zeroes.
    let of_length = |len: usize| {
        move |registration: &mut Registration| {
            let statement = &mut registration.software_statement;
            let (signed, _) = statement.rsplit_once('.').unwrap();
            let signed = match (len - signed.len() - 1) % 4 {
                1 => format!("{signed}AA"),
                _ => signed.to_owned(),
            };
            *statement = format!("{signed}.{}", "A".repeat(len - signed.len() - 1));
        }
    };
    let lengths: Vec<usize> = (65_530..=65_536).collect();
    let taken = lengths
        .iter()
        .filter(|len| with(&of_length(**len)) == Ok(()))
        .count();
    assert!(taken > 4 && with(&of_length(65_536)) == Ok(()), "{taken}");
    for len in 65_537..65_541 {
        assert_eq!(
            with(&of_length(len)),
            refused("CLAIM_INVALID software_statement")
        );
    }
}

#[test]
fn the_times_of_a_token_hold_to_the_second() {
    let (profile, seal) = (profile("fapi-1-advanced"), Seal::p256());
    let settings = settings_of(profile);
    let made = token(profile, &assertion(), &seal);
    let at = |token: &str, seconds: i64| {
        let now = now() + SignedDuration::from_secs(seconds);
        let kind = JwtKind::ClientAssertion;
        let found = verify::jwt(profile, kind, token, &seal.certificate, &settings, now);
        found.map(drop).map_err(|error| error.to_string())
    };
    let started = now().as_second();
    // It lives for 60 seconds, and clocks may be 10 apart.
    assert_eq!(at(&made, -10), Ok(()));
    assert_eq!(at(&made, -11), refused("claim iat is not in the past"));
    assert_eq!(at(&made, 69), Ok(()));
    assert_eq!(at(&made, 70), refused("claim exp is not in the future"));
    let with = |issued: i64, begins: i64, ends: i64| {
        resigned(&made, &seal, |_, claims| {
            claims["iat"] = issued.into();
            claims["nbf"] = begins.into();
            claims["exp"] = ends.into();
        })
    };
    assert_eq!(at(&with(started, started + 10, started + 60), 0), Ok(()));
    let early = at(&with(started, started + 11, started + 60), 0);
    assert_eq!(early, refused("claim nbf is not in the past"));
    assert_eq!(at(&with(started, started, started + 3600), 0), Ok(()));
    let lifetime = "claim exp is not 1 to 3600 seconds after it begins";
    assert_eq!(
        at(&with(started, started, started + 3601), 0),
        refused(lifetime)
    );
    assert_eq!(at(&with(started, started, started), 0), refused(lifetime));
    let zero = at(&with(0, started, started + 60), 0);
    assert_eq!(
        zero,
        refused("claim iat is not a time in whole seconds since 1970")
    );
}

#[test]
fn a_proof_is_taken_up_to_its_age_and_a_nonce_up_to_512_characters() {
    let (profile, seal) = (profile("fapi-2"), Seal::p256());
    let get = request("GET", "/accounts", &[], b"");
    let with = |nonce: &str, seconds: i64| {
        let proof = DpopProof {
            request: &get,
            access_token_sha256: None,
            nonce: Some(nonce),
        };
        let prepared =
            prepare(profile, &JwtRequest::DpopProof(proof), &seal).map_err(|r| r.to_string())?;
        let signed = seal.finish(prepared);
        let expected = ExpectedProof {
            request: &get,
            access_token_sha256: None,
            nonce: Some(nonce),
            age_seconds_max: 30,
        };
        let now = now() + SignedDuration::from_secs(seconds);
        let found = verify::dpop_proof(signed.jws().unwrap(), expected, now);
        found.map(drop).map_err(|error| error.reason().to_owned())
    };
    assert_eq!(with("n", 30), Ok(()));
    assert_eq!(with("n", 31), refused("STALE"));
    assert_eq!(with("n", -30), Ok(()));
    assert_eq!(with("n", -31), refused("CLAIM_INVALID"));
    assert_eq!(with(&"n".repeat(512), 0), Ok(()));
    for nonce in [&"n".repeat(513), "a b", "a\"b", "a\\b"] {
        assert!(with(nonce, 0).unwrap_err().contains("nonce"), "{nonce}");
    }
}

#[test]
fn clocks_may_be_moved_by_a_minute_and_one_audience_has_to_be_set() {
    let load = |more: &str, audiences: &str| {
        Profile::from_toml(&format!(
            "name = \"x\"\ntitle = \"x\"\nsource = \"x\"\nconfidence = \"seen\"\n\
             [settings]\nclient_id = \"c\"\nissuer = \"i\"\nother = \"o\"\n\
             [jwt]\nschemes = [\"rsa-pss-sha256\"]\n{more}\n\
             [jwt.client_assertion]\naudience = [{audiences}]\nlifetime_seconds = 600\n"
        ))
    };
    let both = "\"issuer\", \"other\"";
    for more in [
        "iat_offset_seconds = 60",
        "iat_offset_seconds = -60",
        "skew_seconds_max = 60",
    ] {
        assert!(load(more, both).is_ok(), "{more}");
    }
    assert!(load("iat_offset_seconds = -61", both).is_err());
    assert_eq!(load("", both).unwrap().required_settings(), ["client_id"]);
    let alone = profile("fapi-2").required_settings();
    assert!(alone.iter().any(|name| name == "issuer"), "{alone:?}");
    let late = load("iat_offset_seconds = -2", both).unwrap();
    let made = token(&late, &assertion(), &Seal::rsa());
    assert_eq!(parts(&made).1["iat"], now().as_second() - 2);
}
