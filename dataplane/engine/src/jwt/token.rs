//! A compact JSON Web Signature taken apart (RFC 7515 section 7.1), as strictly as the text allows.
//!
//! Nothing here is verified. What the header offers for its own verification (`jwk`, `jku`, `x5u`, `x5c`) is not even
//! kept; a header that demands to be understood (`crit`) is refused, because nothing that may stand there is known here.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{
    algorithm::Algorithm,
    authorization,
    error::JwtError,
    json::{Bounds, read_object},
};

/// Of a header: enough for a certificate chain that nobody looks at.
const HEADER_BOUNDS: Bounds = Bounds { depth: 8, values: 128 };

/// Of claims.
const CLAIMS_BOUNDS: Bounds = Bounds { depth: 16, values: 2_048 };

/// A token's parts.
#[derive(Clone)]
pub struct Token<'a> {
    /// All of it.
    text: &'a str,
    /// What is signed: the first two parts and the dot between.
    signing_input: &'a str,
    /// base64url.
    signature: &'a str,
    /// None: no algorithm that is known here, such as `none`.
    algorithm: Option<Algorithm>,
    kid: Option<String>,
    claims: Map<String, Value>,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is too large, not three parts of base64url (no padding, no stray bits), not two JSON objects of one
    /// meaning, or its header is not one.
    pub fn parse(text: &'a str) -> Result<Self, JwtError> {
        if text.len() > authorization::MAX_BYTES {
            return Err(JwtError::TooLarge);
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signing_input.split_once('.').ok_or(JwtError::Malformed)?;
        // A fourth part is not base64url.
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed);
        let header = read_object(&decode(header)?, HEADER_BOUNDS).map_err(|_| JwtError::Malformed)?;
        let claims = read_object(&decode(claims)?, CLAIMS_BOUNDS).map_err(|_| JwtError::Malformed)?;
        decode(signature)?;
        let (algorithm, kid) = read_header(header)?;
        Ok(Self { text, signing_input, signature, algorithm, kid, claims })
    }

    /// The token as it was sent.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The key it says it is signed with.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Who it says has issued it: good for choosing the provider that is to verify it, and for nothing else.
    ///
    /// # Errors
    /// When `iss` is not a string.
    pub fn claimed_issuer(&self) -> Result<Option<&str>, JwtError> {
        match self.claims.get("iss") {
            None => Ok(None),
            Some(Value::String(issuer)) => Ok(Some(issuer)),
            Some(_) => Err(JwtError::Claims),
        }
    }

    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    pub(super) fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    pub(super) fn signature(&self) -> &'a str {
        self.signature
    }

    pub(super) fn unverified_claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// The algorithm, where it is a known one, and the key's name.
fn read_header(mut header: Map<String, Value>) -> Result<(Option<Algorithm>, Option<String>), JwtError> {
    if header.contains_key("crit") {
        return Err(JwtError::Critical);
    }
    let mut text = |name| match header.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwtError::Malformed),
    };
    let algorithm = text("alg")?.ok_or(JwtError::Malformed)?;
    // Types are checked; their values decide nothing.
    text("typ")?;
    text("cty")?;
    Ok((Algorithm::named(&algorithm), text("kid")?))
}

impl fmt::Debug for Token<'_> {
    /// Without what would let a reader use the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(text: &str) -> String {
        URL_SAFE_NO_PAD.encode(text)
    }

    fn check(header: &str, claims: &str, expected: Result<(), JwtError>) {
        let text = format!("{}.{}.c2ln", encode(header), encode(claims));
        assert_eq!(Token::parse(&text).map(|_| ()), expected, "{header} {claims}");
    }

    #[test]
    fn headers_of_the_wrong_shape_are_refused() {
        for header in [
            "",
            "{}",
            "[]",
            "null",
            r#""RS256""#,
            r#"{"alg":null}"#,
            r#"{"alg":5}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{"alg":"RS256","kid":1}"#,
            r#"{"alg":"RS256","kid":null}"#,
            r#"{"alg":"RS256","typ":7}"#,
            r#"{"alg":"RS256","cty":{}}"#,
            r#"{"alg":"RS256","alg":"RS256"}"#,
            r#"{"alg":"RS256","alg":"none"}"#,
            r#"{"alg":"RS256","x":{"a":1,"a":2}}"#,
            r#"{"alg":"RS256"} {}"#,
            "\u{feff}{\"alg\":\"RS256\"}",
        ] {
            check(header, "{}", Err(JwtError::Malformed));
        }
        check(r#"{"alg":"RS256","crit":["exp"]}"#, "{}", Err(JwtError::Critical));
        check(r#"{"alg":"RS256","crit":[]}"#, "{}", Err(JwtError::Critical));
        check(r#"{"alg":"RS256","crit":null}"#, "{}", Err(JwtError::Critical));
        check(r#"{"alg":"RS256","b64":false,"crit":["b64"]}"#, "{}", Err(JwtError::Critical));
    }

    #[test]
    fn claims_of_the_wrong_shape_are_refused() {
        for claims in ["", "[]", "1", r#""{}""#, r#"{"sub":"a","sub":"b"}"#, r#"{"a":{"b":1,"b":1}}"#, "{}{}"]
        {
            check(r#"{"alg":"RS256"}"#, claims, Err(JwtError::Malformed));
        }
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        check(r#"{"alg":"RS256"}"#, &nested(16), Ok(()));
        check(r#"{"alg":"RS256"}"#, &nested(17), Err(JwtError::Malformed));
    }

    #[test]
    fn parts_are_three_and_of_strict_base64url() {
        let (header, claims) = (encode(r#"{"alg":"RS256"}"#), encode("{}"));
        assert!(Token::parse(&format!("{header}.{claims}.c2ln")).is_ok());
        assert!(Token::parse(&format!("{header}.{claims}.")).is_ok(), "it is verified to be wrong later");
        for text in [
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            header.clone(),
            format!("{header}.{claims}"),
            format!(".{claims}.c2ln"),
            format!("{header}..c2ln"),
            format!("{header}.{claims}.c2ln."),
            format!("{header}.{claims}.c2ln.c2ln"),
            format!("{header}.{claims}.c2ln.c2ln.c2ln"),
            format!("{header}.{claims}.c2ln="),
            format!("{header}.{claims}=.c2ln"),
            format!("{header}.{claims}.c"),
            format!("{header}.{claims}.c2l/"),
            format!("{header}.{claims}.c2l+"),
            format!(" {header}.{claims}.c2ln"),
            format!("{header}.{claims}.c2ln\n"),
            format!("{header}.{claims}.c2\u{200b}ln"),
        ] {
            assert_eq!(Token::parse(&text).map(|_| ()).err(), Some(JwtError::Malformed), "{text:?}");
        }
        // "YQ" is one byte; "YR" says the same with a stray bit.
        assert!(Token::parse(&format!("{header}.{claims}.YQ")).is_ok());
        assert_eq!(Token::parse(&format!("{header}.{claims}.YR")).err(), Some(JwtError::Malformed));
    }

    #[test]
    fn tokens_over_the_bound_are_not_looked_at() {
        let head = encode(r#"{"alg":"RS256"}"#) + ".e30.";
        let signature = |length: usize| "A".repeat(length - head.len());
        assert!(Token::parse(&(head.clone() + &signature(8_192))).is_ok());
        assert_eq!(Token::parse(&(head.clone() + &signature(8_193))).err(), Some(JwtError::TooLarge));
    }

    #[test]
    fn a_token_is_not_shown() {
        let text =
            format!("{}.{}.c2ln", encode(r#"{"alg":"RS256","kid":"k1"}"#), encode(r#"{"sub":"alice"}"#));
        let shown = format!("{:?}", Token::parse(&text).unwrap());
        assert!(shown.contains("k1") && !shown.contains("alice") && !shown.contains("c2ln"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = Token::parse(&text);
        }

        #[test]
        fn no_parts_make_it_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..5)) {
            let parts: Vec<_> = parts.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
            let _ = Token::parse(&parts.join("."));
        }
    }
}
