//! The examples of the standards, verified as they stand there.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    algorithm::{Algorithm, AlgorithmSet},
    error::JwtError,
    keys::KeySet,
    samples::{at, encode, set_of},
    token::Token,
    verify::{Demands, Verifier},
};

/// When the examples of RFC 7515 end.
const END: u64 = 1_300_819_380;

/// `{"iss":"joe", "exp":1300819380, "http://example.com/is_root":true}` with line ends as in RFC 7515.
const CLAIMS: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn verdict(token: &str, keys: &KeySet, now: u64) -> Result<(), JwtError> {
    let verifier = Verifier::new(
        "joe",
        Demands {
            issuers: vec!["joe".into()],
            audiences: Vec::new(),
            algorithms: AlgorithmSet::of(&Algorithm::ALL),
            leeway: Duration::ZERO,
        },
    );
    let verdict = verifier.verify(&Token::parse(token)?, keys, at(now))?;
    verdict.claims().holds("http://example.com/is_root", "true").then_some(()).ok_or(JwtError::Claims)
}

fn check(token: &str, keys: &KeySet) {
    assert_eq!(verdict(token, keys, END - 1), Ok(()));
    assert_eq!(verdict(token, keys, END), Err(JwtError::Expired));
    let (input, signature) = token.rsplit_once('.').unwrap();
    let changed = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{input}.{changed}{}", &signature[1..]);
    assert_eq!(verdict(&forged, keys, END - 1), Err(JwtError::Signature));
}

/// Also the example of RFC 7519 section 3.1.
#[test]
fn rfc_7515_appendix_a_1_hs256() {
    let secret = [
        3, 35, 53, 75, 43, 15, 165, 188, 131, 126, 6, 101, 119, 123, 166, 143, 90, 179, 40, 230, 240, 84,
        201, 40, 169, 15, 132, 178, 210, 80, 46, 191, 211, 251, 90, 146, 210, 6, 71, 239, 150, 138, 180, 195,
        119, 98, 61, 34, 61, 46, 33, 114, 5, 46, 79, 8, 192, 205, 154, 245, 103, 208, 128, 163,
    ];
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    check(&token, &KeySet::from_secret(&secret));
}

fn rsa_jwk() -> Value {
    json!({"kty": "RSA", "e": "AQAB", "n": concat!(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR",
        "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQ",
        "OS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj",
        "8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    )})
}

#[test]
fn rfc_7515_appendix_a_2_rs256() {
    let token = format!(
        "eyJhbGciOiJSUzI1NiJ9.{CLAIMS}.{}",
        concat!(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9",
            "uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_",
            "eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5",
            "AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        )
    );
    check(&token, &set_of(&[rsa_jwk()]));
}

#[test]
fn rfc_7515_appendix_a_3_es256() {
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let token = format!(
        "eyJhbGciOiJFUzI1NiJ9.{CLAIMS}.{}",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    check(&token, &set_of(&[jwk]));
}

#[test]
fn rfc_7515_appendix_a_5_unsecured() {
    let token = format!("eyJhbGciOiJub25lIn0.{CLAIMS}.");
    assert_eq!(verdict(&token, &set_of(&[rsa_jwk()]), END - 1), Err(JwtError::Algorithm));
}

/// A signature by a true key over what is no JSON: good cryptography makes no token.
#[test]
fn rfc_8037_appendix_a_4_eddsa() {
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let (header, text) = ("eyJhbGciOiJFZERTQSJ9", "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let set = set_of(&[jwk]);
    let key = &set.keys()[0];
    assert!(key.verifies(Algorithm::EdDsa, &format!("{header}.{text}"), signature));
    assert!(!key.verifies(Algorithm::EdDsa, &format!("{header}.{text}x"), signature));
    assert_eq!(Token::parse(&format!("{header}.{text}.{signature}")).err(), Some(JwtError::Malformed));
    assert_eq!(encode(b"Example of Ed25519 signing"), text);
}
