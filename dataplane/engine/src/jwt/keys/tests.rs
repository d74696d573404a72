//! Which keys of a document are used, and which are skipped.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jwt::samples::{SigningKey, encode, key, kid, set_of};

fn fault_of(jwk: &Value) -> Option<KeyFault> {
    let set = set_of(std::slice::from_ref(jwk));
    assert_eq!(set.keys().len() + set.skipped().len(), 1);
    set.skipped().first().map(|skipped| skipped.fault)
}

/// A good key with one member replaced, or removed where the value is null.
fn with(algorithm: Algorithm, member: &str, value: &Value) -> Value {
    let mut jwk = key(algorithm).jwk(kid(algorithm));
    if value.is_null() {
        jwk.as_object_mut().unwrap().remove(member);
    } else {
        jwk[member] = value.clone();
    }
    jwk
}

fn check(algorithm: Algorithm, member: &str, value: &Value, expected: Option<KeyFault>) {
    assert_eq!(fault_of(&with(algorithm, member, value)), expected, "{member}: {value}");
}

#[test]
fn keys_must_be_for_verifying_signatures() {
    let rsa = Algorithm::Rs256;
    check(rsa, "use", &json!("sig"), None);
    check(rsa, "key_ops", &json!(["verify"]), None);
    check(rsa, "key_ops", &json!(["sign", "verify"]), None);
    for (member, value, fault) in [
        ("use", json!("enc"), KeyFault::Use),
        ("use", json!("SIG"), KeyFault::Use),
        ("use", json!(["sig"]), KeyFault::Use),
        ("key_ops", json!(["sign"]), KeyFault::Operations),
        ("key_ops", json!([]), KeyFault::Operations),
        ("key_ops", json!("verify"), KeyFault::Operations),
        ("key_ops", json!(["verify", "verify"]), KeyFault::Operations),
        ("key_ops", json!(["verify", 1]), KeyFault::Operations),
        ("kty", Value::Null, KeyFault::Type),
        ("kty", json!("rsa"), KeyFault::Type),
        ("kty", json!(1), KeyFault::Type),
        ("kty", json!("oct"), KeyFault::Secret),
        ("kty", json!("EC"), KeyFault::Curve),
        ("kty", json!("OKP"), KeyFault::Curve),
        ("kid", json!(1), KeyFault::Kid),
        ("kid", json!("k".repeat(257)), KeyFault::Kid),
    ] {
        check(rsa, member, &value, Some(fault));
    }
    check(rsa, "kid", &json!("k".repeat(256)), None);
}

#[test]
fn algorithms_of_keys_must_fit_their_type() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa] {
        for said in Algorithm::ALL {
            let is_rsa = |algorithm| AlgorithmSet::RSA.contains(algorithm);
            let fits = said == algorithm || is_rsa(said) && is_rsa(algorithm);
            let expected = (!fits).then_some(KeyFault::Algorithm);
            check(algorithm, "alg", &json!(said.name()), expected);
        }
        for unknown in [json!("none"), json!("RSA-OAEP"), json!(""), json!(5), json!(["RS256"])] {
            check(algorithm, "alg", &unknown, Some(KeyFault::Algorithm));
        }
    }
}

#[test]
fn a_key_verifies_nothing_by_an_algorithm_it_is_not_for() {
    let set = set_of(&[with(Algorithm::Rs256, "alg", &json!("RS256"))]);
    for (algorithm, expected) in
        [(Algorithm::Rs256, true), (Algorithm::Rs512, false), (Algorithm::Ps256, false)]
    {
        let signature = encode(key(algorithm).sign(algorithm, b"text"));
        assert_eq!(set.keys()[0].verifies(algorithm, "text", &signature), expected, "{}", algorithm.name());
    }
}

#[test]
fn rsa_keys_must_be_neither_weak_nor_costly() {
    let modulus = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] = 0xff >> (bytes.len() * 8 - bits);
        json!(encode(bytes))
    };
    let rsa = Algorithm::Rs256;
    for bits in [512, 1_024, 2_047, 8_193, 16_384] {
        check(rsa, "n", &modulus(bits), Some(KeyFault::ModulusSize { bits }));
    }
    for bits in [2_048, 2_049, 4_096, 8_192] {
        check(rsa, "n", &modulus(bits), None);
    }
    let mut even = vec![0xff; 256];
    even[255] = 0xfe;
    check(rsa, "n", &json!(encode(even)), Some(KeyFault::Modulus));
    check(rsa, "e", &json!(encode([0, 1, 0, 1])), None);
    check(rsa, "e", &json!(encode([1, 0, 0, 1])), None);
    for exponent in [&[1][..], &[3], &[17], &[255, 255], &[1, 0, 0], &[1, 0, 0, 0, 1], &[255; 300]] {
        check(rsa, "e", &json!(encode(exponent)), Some(KeyFault::Exponent));
    }
    for member in ["n", "e"] {
        for wrong in [
            Value::Null,
            json!(""),
            json!("AQAB="),
            json!("AQ AB"),
            json!(65_537),
            json!("AA"),
            json!("+/+/"),
        ] {
            assert!(
                matches!(fault_of(&with(rsa, member, &wrong)), Some(KeyFault::Encoding { member: it }) if it == member),
                "{member}: {wrong}"
            );
        }
    }
}

#[test]
fn points_must_be_on_their_curves() {
    let off = json!(encode([7; 32]));
    check(Algorithm::Es256, "x", &off, Some(KeyFault::NotOnCurve));
    check(Algorithm::Es384, "y", &json!(encode([7; 48])), Some(KeyFault::NotOnCurve));
    check(Algorithm::Es256, "x", &json!(encode([7; 31])), Some(KeyFault::Encoding { member: "x" }));
    check(Algorithm::Es256, "y", &json!(encode([7; 33])), Some(KeyFault::Encoding { member: "y" }));
    check(Algorithm::Es384, "x", &json!(encode([7; 32])), Some(KeyFault::Encoding { member: "x" }));
    for curve in ["P-521", "secp256k1", "p-256", "P-384"] {
        let fault = fault_of(&with(Algorithm::Es256, "crv", &json!(curve)));
        assert!(matches!(fault, Some(KeyFault::Curve | KeyFault::Encoding { .. })), "{curve}: {fault:?}");
    }
    check(Algorithm::Es256, "crv", &Value::Null, Some(KeyFault::Curve));
    check(Algorithm::EdDsa, "crv", &json!("Ed448"), Some(KeyFault::Curve));
    check(Algorithm::EdDsa, "crv", &json!("X25519"), Some(KeyFault::Curve));
    for length in [31, 33, 57] {
        let point = json!(encode(vec![9; length]));
        check(Algorithm::EdDsa, "x", &point, Some(KeyFault::Encoding { member: "x" }));
    }
}

#[test]
fn points_that_sign_anything_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    for sign in [0, 0x80] {
        for (lowest, between, highest) in
            [(0, 0, 0), (1, 0, 0), (0xec, 0xff, 0x7f), (0xed, 0xff, 0x7f), (0xee, 0xff, 0x7f)]
        {
            let mut point = [between; 32];
            (point[0], point[31]) = (lowest, highest | sign);
            check(Algorithm::EdDsa, "x", &json!(encode(point)), Some(KeyFault::SmallOrder));
        }
    }
    // The danger is real: with the identity for a key, the identity and zero are a signature of anything.
    let signature = [identity, [0; 32]].concat();
    let library = DecodingKey::from_ed_der(&identity);
    let verdict = jsonwebtoken::crypto::verify(
        &encode(signature),
        b"anything",
        &library,
        jsonwebtoken::Algorithm::EdDSA,
    );
    assert!(verdict.unwrap_or(false), "the library has begun to refuse such keys itself");
}

#[test]
fn unusable_keys_do_not_spoil_the_others() {
    let good = key(Algorithm::EdDsa).jwk("good");
    let set =
        set_of(&[json!(null), json!({"kty": "RSA", "kid": "b\u{1b}[31m", "n": "AQ", "e": "AQAB"}), good]);
    assert_eq!(set.keys().iter().map(Key::kid).collect::<Vec<_>>(), [Some("good")]);
    let reasons: Vec<_> = set.skipped().iter().map(ToString::to_string).collect();
    assert_eq!(
        reasons,
        [
            "key 0 is not used: it is not an object",
            "key 1 (kid \"b\\u{1b}[31m\") is not used: its modulus has 1 bits; 2048 to 8192 are accepted",
        ]
    );
}

#[test]
fn names_that_two_keys_share_are_nobodys() {
    let (first, second) = (SigningKey::generate(Algorithm::EdDsa), SigningKey::generate(Algorithm::EdDsa));
    let set = set_of(&[first.jwk("a"), key(Algorithm::Es256).jwk("b"), second.jwk("a")]);
    assert_eq!(set.keys().iter().map(Key::kid).collect::<Vec<_>>(), [Some("b")]);
    let faults: Vec<_> = set.skipped().iter().map(|skipped| (skipped.position, skipped.fault)).collect();
    assert_eq!(faults, [(0, KeyFault::AmbiguousKid), (2, KeyFault::AmbiguousKid)]);
    // A third of the same name does not come into its own because the others fell.
    let third = SigningKey::generate(Algorithm::EdDsa);
    assert!(set_of(&[first.jwk("a"), second.jwk("a"), third.jwk("a")]).keys().is_empty());
}

#[test]
fn names_may_be_shared_by_keys_of_different_algorithms() {
    let set = set_of(&[
        key(Algorithm::EdDsa).jwk("a"),
        key(Algorithm::Es256).jwk("a"),
        key(Algorithm::Es384).jwk("a"),
    ]);
    assert_eq!(set.keys().len(), 3);
    let select = |algorithm| set.select(algorithm, Some("a")).map(Key::kind);
    assert_eq!(select(Algorithm::EdDsa), Ok(KeyKind::Ed25519));
    assert_eq!(select(Algorithm::Es256), Ok(KeyKind::P256));
    assert_eq!(select(Algorithm::Es384), Ok(KeyKind::P384));
    assert_eq!(select(Algorithm::Rs256), Err(JwtError::Algorithm));
    let (mut rs, mut ps) = (key(Algorithm::Rs256).jwk("r"), key(Algorithm::Rs256).jwk("r"));
    (rs["alg"], ps["alg"]) = ("RS256".into(), "PS256".into());
    assert_eq!(set_of(&[rs.clone(), ps]).keys().len(), 2);
    assert_eq!(set_of(&[rs.clone(), rs.clone()]).keys().len(), 1, "a repeated key is one key");
    assert_eq!(
        set_of(&[rs, key(Algorithm::Rs256).jwk("r")]).keys().len(),
        0,
        "one of them fits RS256, both do"
    );
}

#[test]
fn documents_that_are_no_key_sets_are_refused() {
    for (document, error) in [
        ("", KeySetError::NotJson),
        ("<html>", KeySetError::NotJson),
        ("[]", KeySetError::NotJson),
        (r#"{"keys":[],"keys":[]}"#, KeySetError::NotJson),
        (r#"{"keys":[{"kid":"a","kid":"b"}]}"#, KeySetError::NotJson),
        (r#"{"keys":[]} trailing"#, KeySetError::NotJson),
        ("{}", KeySetError::NoKeys),
        (r#"{"keys":{}}"#, KeySetError::NoKeys),
        (r#"{"keys":null}"#, KeySetError::NoKeys),
        (r#"{"Keys":[]}"#, KeySetError::NoKeys),
    ] {
        assert_eq!(KeySet::parse(document.as_bytes()).err(), Some(error), "{document}");
    }
    assert!(KeySet::parse(br#"{"keys":[]}"#).is_ok());
    assert!(KeySet::parse(br#"{"keys":[],"more":{"x":1}}"#).is_ok());
}

#[test]
fn documents_are_bounded_in_bytes_and_keys() {
    let sized = |length: usize| r#"{"keys":[]}"#.to_owned() + &" ".repeat(length - 11);
    assert!(KeySet::parse(sized(MAX_BYTES).as_bytes()).is_ok());
    assert_eq!(KeySet::parse(sized(MAX_BYTES + 1).as_bytes()).err(), Some(KeySetError::TooLarge));
    let counted = |count: usize| json!({"keys": vec![json!({}); count]}).to_string();
    assert!(KeySet::parse(counted(MAX_KEYS).as_bytes()).is_ok());
    assert_eq!(KeySet::parse(counted(MAX_KEYS + 1).as_bytes()).err(), Some(KeySetError::TooManyKeys));
}

#[test]
fn sets_are_equal_by_what_they_hold() {
    let jwk = key(Algorithm::EdDsa).jwk("a");
    let set = set_of(std::slice::from_ref(&jwk));
    let mark = set.keys()[0].mark();
    let with_more = with_member(&jwk, "x5t", "ignored");
    assert_eq!(
        set_of(std::slice::from_ref(&with_more)).mark(),
        set.mark(),
        "what is not read changes nothing"
    );
    for other in [
        set_of(&[]),
        set_of(&[with_member(&jwk, "kid", "b")]),
        set_of(&[SigningKey::generate(Algorithm::EdDsa).jwk("a")]),
        set_of(&[with_without_kid(&jwk)]),
    ] {
        assert_ne!(other.mark(), set.mark());
        assert!(!other.holds(&mark));
    }
    let grown = set_of(&[key(Algorithm::Es256).jwk("b"), jwk]);
    assert_ne!(grown.mark(), set.mark());
    assert!(grown.holds(&mark));
}

fn with_member(jwk: &Value, member: &str, value: &str) -> Value {
    let mut jwk = jwk.clone();
    jwk[member] = value.into();
    jwk
}

fn with_without_kid(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove("kid");
    jwk
}

#[test]
fn keys_and_secrets_are_not_shown() {
    let set = key(Algorithm::EdDsa).jwk("a");
    let shown =
        format!("{:?} {:?}", set_of(std::slice::from_ref(&set)), KeySet::from_secret(b"hunter2-hunter2"));
    let material = set["x"].as_str().unwrap();
    assert!(!shown.contains(material) && !shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains("104, 117, 110"), "not as numbers either: {shown}");
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = KeySet::parse(&bytes);
    }

    #[test]
    fn no_key_makes_it_panic(
        kty in "RSA|EC|OKP|oct", crv in "P-256|P-384|Ed25519",
        n in "[A-Za-z0-9_=-]{0,400}", e in "[A-Za-z0-9_-]{0,8}", x in "[A-Za-z0-9_-]{40,66}", y in "[A-Za-z0-9_-]{40,66}",
    ) {
        let set = set_of(&[json!({"kty": kty, "crv": crv, "n": n, "e": e, "x": x, "y": y})]);
        prop_assert_eq!(set.keys().len() + set.skipped().len(), 1);
    }
}
