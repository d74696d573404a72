//! A collection of forged tokens, and of true ones that were tampered with: none is believed, each for its reason.

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

use super::{
    algorithm::Algorithm,
    error::JwtError,
    keys::KeySet,
    samples::{
        NOW, SigningKey, at, decode, encode, good_claims, good_token, header, key, key_set, kid, set_of,
        verifier,
    },
    token::Token,
};

fn verdict_with(token: &str, keys: &KeySet) -> Result<(), JwtError> {
    verifier().verify(&Token::parse(token)?, keys, at(NOW)).map(|_| ())
}

/// Judged by a verifier that allows every algorithm: what the configuration would refuse anyway proves little.
fn check(forgery: &str, token: &str, expected: JwtError) {
    assert_eq!(verdict_with(token, &key_set()), Err(expected), "{forgery}: {token}");
}

/// Header, claims and signature as they are, encoded.
fn token(header: &str, claims: &str, signature: impl AsRef<[u8]>) -> String {
    format!("{}.{}.{}", encode(header), encode(claims), encode(signature))
}

/// The parts of a good token.
fn parts(algorithm: Algorithm) -> (String, String, Vec<u8>) {
    let token = good_token(algorithm);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    (header.to_owned(), claims.to_owned(), decode(signature))
}

#[test]
fn unsigned_tokens() {
    let claims = good_claims().to_string();
    for name in ["none", "None", "NONE", "nOnE", "none ", "", "null", "no\u{0}ne"] {
        for kid in [r#","kid":"rsa""#, ""] {
            let header = format!(r#"{{"alg":{}{kid}}}"#, json!(name));
            for signature in [&b""[..], b"x", &decode("AAAA")] {
                check("unsigned", &token(&header, &claims, signature), JwtError::Algorithm);
            }
        }
    }
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        check("signature left out", &token(&header(algorithm), &claims, b""), JwtError::Signature);
    }
}

#[test]
fn public_keys_used_as_secrets() {
    let claims = good_claims().to_string();
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        let jwk = key(algorithm).jwk(kid(algorithm));
        let mut secrets = vec![jwk.to_string().into_bytes()];
        for member in ["n", "x", "e"] {
            if let Some(text) = jwk.get(member).and_then(Value::as_str) {
                secrets.extend([text.as_bytes().to_vec(), decode(text)]);
            }
        }
        if let SigningKey::Rsa(pair) = key(algorithm) {
            secrets.push(pair.public_key().as_ref().to_vec());
        }
        for secret in secrets {
            let named = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, kid(algorithm));
            for (header, expected) in
                [(named.as_str(), JwtError::Algorithm), (r#"{"alg":"HS256"}"#, JwtError::UnknownKey)]
            {
                let input = format!("{}.{}", encode(header), encode(&claims));
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
                check("public key as secret", &format!("{input}.{}", encode(tag)), expected);
            }
        }
    }
}

#[test]
fn keys_brought_along() {
    let stranger = SigningKey::generate(Algorithm::EdDsa);
    let claims = good_claims().to_string();
    let jwk = stranger.jwk("eddsa");
    for brought in [
        json!({"jwk": jwk}),
        json!({"jku": "https://evil.example/keys"}),
        json!({"x5u": "https://evil.example/chain"}),
        json!({"x5c": ["MIIB"]}),
        json!({"jwk": jwk, "jku": "https://evil.example/keys", "x5u": "https://evil.example/chain"}),
    ] {
        for (kid, expected) in [
            (Some("eddsa"), JwtError::Signature),
            (Some("mine"), JwtError::UnknownKey),
            (None, JwtError::Signature),
        ] {
            let mut header = brought.clone();
            header["alg"] = "EdDSA".into();
            if let Some(kid) = kid {
                header["kid"] = kid.into();
            }
            let forged = stranger.token(Algorithm::EdDsa, &header.to_string(), &claims);
            check("key brought along", &forged, expected);
        }
    }
}

#[test]
fn names_of_keys_that_are_paths_queries_or_wildcards() {
    let stranger = SigningKey::generate(Algorithm::EdDsa);
    for kid in
        ["../../dev/null", "' OR 1=1 --", "*", "eddsa\0", "EDDSA", "e\u{301}ddsa", "еddsa", "rsa,eddsa", " "]
    {
        let header = json!({"alg": "EdDSA", "kid": kid}).to_string();
        let forged = stranger.token(Algorithm::EdDsa, &header, &good_claims().to_string());
        check("name of a key", &forged, JwtError::UnknownKey);
    }
    // A name that belongs to a key of another type, curve or provider.
    for (algorithm, kid) in [
        (Algorithm::EdDsa, "es256"),
        (Algorithm::Es256, "es384"),
        (Algorithm::Es384, "es256"),
        (Algorithm::Rs256, "eddsa"),
        (Algorithm::Es256, "rsa"),
    ] {
        let header = json!({"alg": algorithm.name(), "kid": kid}).to_string();
        let confused = key(algorithm).token(algorithm, &header, &good_claims().to_string());
        check("another key's name", &confused, JwtError::Algorithm);
    }
}

#[test]
fn algorithms_exchanged_after_signing() {
    let claims = good_claims().to_string();
    for signed in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        for said in Algorithm::ALL.into_iter().filter(|other| *other != signed) {
            let header = json!({"alg": said.name(), "kid": kid(signed)}).to_string();
            let exchanged = key(signed).token(signed, &header, &claims);
            let is_rsa = |algorithm| kid(algorithm) == "rsa";
            let expected =
                if is_rsa(signed) && is_rsa(said) { JwtError::Signature } else { JwtError::Algorithm };
            check("algorithm exchanged", &exchanged, expected);
        }
    }
}

#[test]
fn signatures_cut_padded_doubled_and_of_other_tokens() {
    for algorithm in
        [Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa]
    {
        let (header, claims, signature) = parts(algorithm);
        let half = signature.len() / 2;
        let mut turned = signature.clone();
        turned[half] ^= 1;
        let mut swapped = signature[half..].to_vec();
        swapped.extend(&signature[..half]);
        for (forgery, signature) in [
            ("cut", signature[1..].to_vec()),
            ("cut at the end", signature[..signature.len() - 1].to_vec()),
            ("half", signature[..half].to_vec()),
            ("padded", [&signature[..], &[0]].concat()),
            ("padded in front", [&[0], &signature[..]].concat()),
            ("doubled", [&signature[..], &signature[..]].concat()),
            ("one bit", turned),
            ("halves swapped", swapped),
            ("zero", vec![0; signature.len()]),
            ("one", [vec![0; half - 1], vec![1], vec![0; half - 1], vec![1]].concat()),
            ("all ones", vec![0xff; signature.len()]),
            ("empty", Vec::new()),
        ] {
            check(forgery, &format!("{header}.{claims}.{}", encode(signature)), JwtError::Signature);
        }
        let other_claims = encode(good_claims().to_string().replace("alice", "admin"));
        check(
            "other claims",
            &format!("{header}.{other_claims}.{}", encode(&signature)),
            JwtError::Signature,
        );
        let other_header = encode(json!({"kid": kid(algorithm), "alg": algorithm.name()}).to_string());
        check(
            "other header",
            &format!("{other_header}.{claims}.{}", encode(&signature)),
            JwtError::Signature,
        );
        for token in [
            format!("{header}.{claims}.{}.{}", encode(&signature), encode(&signature)),
            format!("{header}.{claims}.{}=", encode(&signature)),
            format!("{header}.{claims}"),
            format!("{header}.{claims}.{}\n", encode(&signature)),
        ] {
            check("not three parts of base64url", &token, JwtError::Malformed);
        }
    }
}

#[test]
fn ecdsa_signatures_in_der_or_out_of_range() {
    let (header, claims, _) = parts(Algorithm::Es256);
    let input = format!("{header}.{claims}");
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, document.as_ref()).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let jwk = json!({"kty": "EC", "crv": "P-256", "kid": "es256", "x": encode(&point[..32]), "y": encode(&point[32..])});
    let der = pair.sign(&random, input.as_bytes()).unwrap();
    let verdict = verdict_with(&format!("{input}.{}", encode(der)), &set_of(&[jwk]));
    assert_eq!(verdict, Err(JwtError::Signature), "RFC 7518 section 3.4 wants R and S side by side");
    // The order of P-256: as R or S it is zero.
    let order = decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    for (r, s) in [(&order, &order), (&order, &vec![0; 32]), (&vec![0; 32], &order)] {
        let signature = [r.as_slice(), s].concat();
        check("r or s out of range", &format!("{input}.{}", encode(signature)), JwtError::Signature);
    }
}

#[test]
fn eddsa_signatures_of_small_order_or_not_reduced() {
    let (header, claims, signature) = parts(Algorithm::EdDsa);
    let mut identity = vec![0; 32];
    identity[0] = 1;
    // The group's order; added to S it gives another text for the same number (RFC 8032 section 5.1.7 forbids it).
    let order = decode("7dP1XBpjEljWnPei3vneFAAAAAAAAAAAAAAAAAAAABA");
    let mut carry = 0u16;
    let increased: Vec<u8> = signature[32..]
        .iter()
        .zip(&order)
        .map(|(&a, &b)| {
            carry += u16::from(a) + u16::from(b);
            let low = carry.to_le_bytes()[0];
            carry >>= 8;
            low
        })
        .collect();
    for (forgery, signature) in [
        ("small order R, zero S", [identity.clone(), vec![0; 32]].concat()),
        ("zero R, zero S", vec![0; 64]),
        ("small order R", [&identity[..], &signature[32..]].concat()),
        ("order as S", [identity, order].concat()),
        ("S plus the order", [&signature[..32], &increased].concat()),
    ] {
        check(forgery, &format!("{header}.{claims}.{}", encode(signature)), JwtError::Signature);
    }
}

#[test]
fn true_signatures_over_what_has_two_readings() {
    let signer = key(Algorithm::EdDsa);
    let sign = |header: &str, claims: &str| signer.token(Algorithm::EdDsa, header, claims);
    let (good_header, good) = (header(Algorithm::EdDsa), good_claims().to_string());
    let with = |member: &str| good.replace('}', &format!(",{member}}}"));
    for claims in [
        with(r#""exp":9999999999"#),
        with(r#""\u0065xp":9999999999"#),
        with(r#""sub":"admin""#),
        with(r#""more":{"a":1,"a":2}"#),
        format!("{good}{{}}"),
        format!("{good}\0"),
        format!("\u{feff}{good}"),
        format!("[{good}]"),
        with(&format!("\"deep\":{}{}", "[".repeat(40), "]".repeat(40))),
        with(r#""x":1e999"#),
        with(r#""x":"\ud800""#),
    ] {
        check("claims of two readings", &sign(&good_header, &claims), JwtError::Malformed);
    }
    for (header, expected) in [
        (r#"{"alg":"EdDSA","alg":"none","kid":"eddsa"}"#, JwtError::Malformed),
        (r#"{"alg":"EdDSA","kid":"eddsa","kid":"rsa"}"#, JwtError::Malformed),
        (r#"{"alg":"EdDSA","kid":["eddsa"]}"#, JwtError::Malformed),
        (r#"{"alg":["EdDSA"],"kid":"eddsa"}"#, JwtError::Malformed),
        (r#"{"kid":"eddsa"}"#, JwtError::Malformed),
        (r#"{"alg":"EdDSA","kid":"eddsa","crit":["exp"],"exp":1}"#, JwtError::Critical),
        (r#"{"alg":"EdDSA","kid":"eddsa","crit":["b64"],"b64":false}"#, JwtError::Critical),
        (r#"{"alg":"EdDSA","kid":"eddsa","crit":[]}"#, JwtError::Critical),
        (r#"{"alg":"eddsa","kid":"eddsa"}"#, JwtError::Algorithm),
        ("{\"alg\":\"EdDSA\u{200b}\",\"kid\":\"eddsa\"}", JwtError::Algorithm),
        (r#"{"alg":"ＥdDSA","kid":"eddsa"}"#, JwtError::Algorithm),
    ] {
        check("header", &sign(header, &good), expected);
    }
    // The same text by escapes is the same text: one reading.
    let escaped = good_header.replace("EdDSA", r"Ed\u0044SA");
    assert_eq!(verdict_with(&sign(&escaped, &good.replace("alice", r"\u0061lice")), &key_set()), Ok(()));
}

#[test]
fn true_signatures_over_claims_of_the_wrong_type() {
    let sign = |name: &str, value: Value| {
        let mut claims = good_claims();
        claims[name] = value;
        key(Algorithm::EdDsa).token(Algorithm::EdDsa, &header(Algorithm::EdDsa), &claims.to_string())
    };
    for (name, value) in [
        ("exp", json!("9999999999")),
        ("exp", json!(null)),
        ("exp", json!([9_999_999_999_u64])),
        ("exp", json!(1e30)),
        ("exp", json!(-9_999_999_999_i64)),
        ("exp", json!(u64::MAX)),
        ("nbf", json!("0")),
        ("iat", json!(true)),
        ("aud", json!(1)),
        ("aud", json!({"0": "apigw"})),
        ("aud", json!(["apigw", null])),
        ("iss", json!(["https://issuer"])),
        ("sub", json!(0)),
    ] {
        check("wrong type", &sign(name, value), JwtError::Claims);
    }
}

#[test]
fn encrypted_and_nested_tokens() {
    let (header, claims, signature) = parts(Algorithm::EdDsa);
    let signature = encode(signature);
    check(
        "five parts",
        &format!("{header}.{claims}.{signature}.{signature}.{signature}"),
        JwtError::Malformed,
    );
    let json_form = json!({"protected": header, "payload": claims, "signature": signature}).to_string();
    check("JSON form", &json_form, JwtError::Malformed);
    let inner = good_token(Algorithm::EdDsa);
    let nested =
        key(Algorithm::EdDsa).token(Algorithm::EdDsa, r#"{"alg":"EdDSA","kid":"eddsa","cty":"JWT"}"#, &inner);
    check("nested", &nested, JwtError::Malformed);
    check(
        "encrypted",
        &token(r#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa"}"#, "{}", b"x"),
        JwtError::Algorithm,
    );
}
