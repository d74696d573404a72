//! What a provider's verifier believes, and what it does not.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jwt::{
    algorithm::Algorithm,
    samples::{
        NOW, SigningKey, at, demands, encode, good_claims, good_token, header, key, key_set, kid, set_of,
        verifier,
    },
};

fn verify_with(verifier: &Verifier, token: &str, keys: &KeySet, now: UnixTime) -> Result<Verified, JwtError> {
    verifier.verify(&Token::parse(token)?, keys, now)
}

fn verdict(token: &str) -> Result<(), JwtError> {
    verify_with(&verifier(), token, &key_set(), at(NOW)).map(|_| ())
}

/// The good claims with one of them replaced, or removed where the value is null.
fn signed_with(name: &str, value: &Value) -> String {
    let mut claims = good_claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value.clone();
    }
    key(Algorithm::Es256).token(Algorithm::Es256, &header(Algorithm::Es256), &claims.to_string())
}

fn check(name: &str, value: &Value, expected: Result<(), JwtError>) {
    assert_eq!(verdict(&signed_with(name, value)), expected, "{name}: {value}");
}

#[test]
fn tokens_of_every_algorithm_are_believed() {
    for algorithm in Algorithm::ALL {
        let keys = match algorithm {
            Algorithm::Hs256 => KeySet::from_secret(b"a secret that nobody else knows."),
            _ => key_set(),
        };
        let verified = verify_with(&verifier(), &good_token(algorithm), &keys, at(NOW));
        let verified = verified.unwrap_or_else(|error| panic!("{}: {error}", algorithm.name()));
        assert_eq!(verified.claims().subject(), Some("alice"));
        assert_eq!(verified.provider(), "staff");
        assert_eq!(verified.expires(), at(NOW + 60));
    }
}

#[test]
fn only_configured_algorithms_are_believed() {
    for allowed in Algorithm::ALL {
        let verifier =
            Verifier::new("one", Demands { algorithms: AlgorithmSet::of(&[allowed]), ..demands() });
        for algorithm in Algorithm::ALL.into_iter().filter(|other| *other != Algorithm::Hs256) {
            let verdict = verify_with(&verifier, &good_token(algorithm), &key_set(), at(NOW)).map(|_| ());
            let expected = if algorithm == allowed { Ok(()) } else { Err(JwtError::Algorithm) };
            assert_eq!(verdict, expected, "{} where {} is allowed", algorithm.name(), allowed.name());
        }
    }
}

#[test]
fn a_key_is_found_by_its_name_only() {
    let named = |kid: &str| json!({"alg": "ES256", "kid": kid}).to_string();
    let sign =
        |header: &str| key(Algorithm::Es256).token(Algorithm::Es256, header, &good_claims().to_string());
    assert_eq!(verdict(&sign(&named("es256"))), Ok(()));
    for unknown in ["ES256", "es256 ", "", "es25", "../es256", "es256\0"] {
        assert_eq!(verdict(&sign(&named(unknown))), Err(JwtError::UnknownKey), "{unknown:?}");
    }
    assert_eq!(verdict(&sign(&named("rsa"))), Err(JwtError::Algorithm), "that key is of another kind");
}

#[test]
fn a_token_without_a_key_name_needs_a_set_with_one_fitting_key() {
    let nameless =
        key(Algorithm::Es256).token(Algorithm::Es256, r#"{"alg":"ES256"}"#, &good_claims().to_string());
    let verdict = |jwks: &[Value]| {
        verify_with(&verifier(), &nameless, &set_of(jwks), at(NOW)).map(|_| ()).map_err(JwtError::reason)
    };
    let own = key(Algorithm::Es256).jwk("es256");
    let other = |algorithm| key(algorithm).jwk(kid(algorithm));
    let second = SigningKey::generate(Algorithm::Es256).jwk("second");
    assert_eq!(verdict(std::slice::from_ref(&own)), Ok(()));
    assert_eq!(verdict(&[other(Algorithm::Rs256), own.clone(), other(Algorithm::EdDsa)]), Ok(()));
    assert_eq!(verdict(&[own.clone(), second.clone()]), Err("jwt_unknown_key"));
    assert_eq!(verdict(&[second]), Err("jwt_signature"));
    assert_eq!(verdict(&[other(Algorithm::Rs256)]), Err("jwt_unknown_key"));
    assert_eq!(verdict(&[]), Err("jwt_unknown_key"));
}

#[test]
fn a_key_verifies_only_what_it_says_it_is_for() {
    for (said, algorithm, expected) in [
        ("RS256", Algorithm::Rs256, Ok(())),
        ("RS256", Algorithm::Rs512, Err(JwtError::Algorithm)),
        ("RS256", Algorithm::Ps256, Err(JwtError::Algorithm)),
        ("PS256", Algorithm::Ps256, Ok(())),
        ("PS256", Algorithm::Rs256, Err(JwtError::Algorithm)),
    ] {
        let mut jwk = key(Algorithm::Rs256).jwk("rsa");
        jwk["alg"] = said.into();
        let verdict = verify_with(&verifier(), &good_token(algorithm), &set_of(&[jwk]), at(NOW)).map(|_| ());
        assert_eq!(verdict, expected, "key for {said}, token of {}", algorithm.name());
    }
}

#[test]
fn times_are_kept_to_the_second_with_leeway() {
    let token = signed_with("nbf", &json!(NOW));
    let verdict = |leeway: u64, now: u64| {
        let verifier = Verifier::new("staff", Demands { leeway: Duration::from_secs(leeway), ..demands() });
        verify_with(&verifier, &token, &key_set(), at(now)).map(|_| ())
    };
    assert_eq!(verdict(0, NOW - 1), Err(JwtError::NotYetValid));
    assert_eq!(verdict(0, NOW), Ok(()));
    assert_eq!(verdict(0, NOW + 59), Ok(()));
    assert_eq!(verdict(0, NOW + 60), Err(JwtError::Expired));
    assert_eq!(verdict(30, NOW - 31), Err(JwtError::NotYetValid));
    assert_eq!(verdict(30, NOW - 30), Ok(()));
    assert_eq!(verdict(30, NOW + 89), Ok(()));
    assert_eq!(verdict(30, NOW + 90), Err(JwtError::Expired));
    let half = signed_with("exp", &json!(1_700_000_000.5));
    let at_millis = |millis| UnixTime::new(Duration::from_millis(millis));
    let verdict = |now| verify_with(&verifier(), &half, &key_set(), now).map(|_| ());
    assert_eq!(verdict(at_millis(1_700_000_000_499)), Ok(()));
    assert_eq!(verdict(at_millis(1_700_000_000_500)), Err(JwtError::Expired));
}

#[test]
fn claims_are_read_in_their_types_only() {
    let refused = Err(JwtError::Claims);
    for wrong in
        [json!("1800000000"), json!(true), json!([1_800_000_000]), json!({}), json!(-1), json!(1e300)]
    {
        for name in ["exp", "nbf", "iat"] {
            check(name, &wrong, refused);
        }
    }
    check("exp", &Value::Null, refused);
    for wrong in [json!(7), json!(false), json!(["https://issuer"]), json!({"iss": 1})] {
        for name in ["iss", "sub", "jti"] {
            check(name, &wrong, refused);
        }
    }
    for wrong in
        [json!(1), json!(true), json!({"aud": "apigw"}), json!(["apigw", 1]), json!(["apigw", ["apigw"]])]
    {
        check("aud", &wrong, refused);
    }
    for name in ["exp", "nbf", "iat", "iss", "aud", "sub", "jti"] {
        let mut claims = good_claims();
        claims[name] = Value::Null;
        let token =
            key(Algorithm::Es256).token(Algorithm::Es256, &header(Algorithm::Es256), &claims.to_string());
        assert_eq!(verdict(&token), refused, "{name}: null");
    }
}

#[test]
fn issuer_and_audience_must_be_listed_exactly() {
    for wrong in
        ["", "https://issuer/", "HTTPS://ISSUER", "https://issuer ", "https://issuer\0", "https://issue"]
    {
        check("iss", &json!(wrong), Err(JwtError::Issuer));
    }
    check("iss", &Value::Null, Err(JwtError::Issuer));
    check("aud", &json!(["other", "apigw"]), Ok(()));
    for wrong in [json!(""), json!("APIGW"), json!("apigw other"), json!([]), json!(["other"]), Value::Null] {
        check("aud", &wrong, Err(JwtError::Audience));
    }
    let any = Verifier::new("any", Demands { issuers: Vec::new(), audiences: Vec::new(), ..demands() });
    for name in ["iss", "aud"] {
        for value in [json!("other"), Value::Null] {
            let token = signed_with(name, &value);
            assert!(verify_with(&any, &token, &key_set(), at(NOW)).is_ok(), "{name}: {value}");
        }
    }
}

#[test]
fn claims_are_not_looked_at_before_the_signature() {
    let mut claims = good_claims();
    claims["exp"] = json!("soon");
    let other = SigningKey::generate(Algorithm::Es256);
    let forged = other.token(Algorithm::Es256, &header(Algorithm::Es256), &claims.to_string());
    assert_eq!(verdict(&forged), Err(JwtError::Signature));
}

#[test]
fn a_secret_has_no_name_and_no_other_algorithm() {
    let secret = KeySet::from_secret(b"a secret that nobody else knows.");
    let sign =
        |header: &str| key(Algorithm::Hs256).token(Algorithm::Hs256, header, &good_claims().to_string());
    let verdict = |token: &str| verify_with(&verifier(), token, &secret, at(NOW)).map(|_| ());
    assert_eq!(verdict(&sign(r#"{"alg":"HS256"}"#)), Ok(()));
    assert_eq!(verdict(&sign(r#"{"alg":"HS256","kid":"whatever"}"#)), Ok(()));
    for other in ["HS384", "HS512"] {
        assert_eq!(verdict(&sign(&json!({"alg": other}).to_string())), Err(JwtError::Algorithm), "{other}");
    }
    assert_eq!(verdict(&good_token(Algorithm::Rs256)), Err(JwtError::UnknownKey));
    let shorter = KeySet::from_secret(b"a secret that nobody else knows");
    assert_eq!(
        verify_with(&verifier(), &good_token(Algorithm::Hs256), &shorter, at(NOW)).err(),
        Some(JwtError::Signature)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_mutation_of_a_good_token_is_believed(
        algorithm in prop::sample::select(vec![
            Algorithm::Rs256, Algorithm::Ps384, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa,
        ]),
        place in any::<prop::sample::Index>(),
        character in prop::sample::select(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=".to_vec(),
        ),
        change in 0..3,
    ) {
        let good = good_token(algorithm);
        let mut bytes = good.clone().into_bytes();
        let place = place.index(bytes.len());
        match change {
            0 => bytes[place] = character,
            1 => bytes.insert(place, character),
            _ => { bytes.remove(place); }
        }
        let mutated = String::from_utf8(bytes).unwrap();
        prop_assume!(mutated != good);
        prop_assert!(verdict(&mutated).is_err(), "{mutated}");
    }

    #[test]
    fn no_claims_make_it_panic(claims in "\\{(\"(exp|nbf|iat|iss|aud|sub)\":([0-9eE.-]{1,6}|\"x\"|\\[\\]|\\[\"apigw\"\\]),?){0,5}\\}") {
        let token = key(Algorithm::EdDsa).token(Algorithm::EdDsa, &header(Algorithm::EdDsa), &claims);
        prop_assert!(verdict(&token).is_err());
    }
}

#[test]
fn a_verdict_shows_neither_token_nor_claims() {
    let verified = verify_with(&verifier(), &good_token(Algorithm::EdDsa), &key_set(), at(NOW)).unwrap();
    let shown = format!("{verified:?}");
    assert!(!shown.contains("alice") && !shown.contains(&encode("alice")), "{shown}");
}
