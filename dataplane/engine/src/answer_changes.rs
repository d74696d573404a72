//! What a route makes of its answers' header fields: what a preset says, then what the file changes.
//!
//! The preset speaks where nobody else has: what the upstream says of the same stays, as it knows its answers and the gateway
//! does not, and what the file says comes after both.

use apigw_config::{
    model::AnswerChanges,
    names::{AnswerPreset, Scheme},
};
use http::{
    HeaderName, HeaderValue,
    header::{
        CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
};

use crate::{
    fields::Fields,
    header_changes::{Facts, ReadyChanges},
};

/// Those of OWASP's secure headers that say something of any answer of an API, but for the one below and the one that is
/// for TLS. Why each: docs/configuration.md.
static SECURITY: [(HeaderName, HeaderValue); 6] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), HeaderValue::from_static("none")),
];

/// Who may show the answer in a frame, as browsers ask first; where it is there, they do not look at `X-Frame-Options`.
static NOBODY_FRAMES: HeaderValue = HeaderValue::from_static("frame-ancestors 'none'");

/// A year. Of other names than its own a gateway knows nothing, so they are not included.
static TLS_FROM_NOW_ON: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Changes of answers with their values.
#[derive(Debug)]
pub struct ReadyAnswerChanges {
    preset: AnswerPreset,
    scheme: Scheme,
    changes: ReadyChanges,
}

impl ReadyAnswerChanges {
    /// Puts the values together. `scheme` is how the client speaks, as far as trusted proxies tell.
    #[must_use]
    pub fn new(changes: &AnswerChanges, facts: &Facts<'_>, scheme: Scheme) -> Self {
        let preset = changes.preset();
        Self { preset, scheme, changes: ReadyChanges::new(changes.as_changes(), facts) }
    }

    /// Makes them.
    pub fn apply(self, headers: &mut Fields) {
        match self.preset {
            AnswerPreset::None => {}
            AnswerPreset::Security => secure(headers, self.scheme),
        }
        self.changes.apply(headers);
    }
}

fn secure(headers: &mut Fields, scheme: Scheme) {
    // An upstream that has said by the older field who may frame it would be overruled by the newer one.
    if !headers.contains_key(X_FRAME_OPTIONS) {
        headers.insert_if_absent(CONTENT_SECURITY_POLICY, || NOBODY_FRAMES.clone());
    }
    for (name, value) in &SECURITY {
        headers.insert_if_absent(name.clone(), || value.clone());
    }
    // In clear it must not be said (RFC 6797 section 7.2).
    if scheme == Scheme::Https {
        headers.insert_if_absent(STRICT_TRANSPORT_SECURITY, || TLS_FROM_NOW_ON.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values that these fields have after the preset, of all that it may write.
    fn secured(said: &[(&'static str, &'static str)], scheme: Scheme) -> Vec<(String, String)> {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers: Fields = said.iter().map(field).collect();
        secure(&mut headers, scheme);
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        headers.iter().map(text).collect()
    }

    fn values<'f>(fields: &'f [(String, String)], name: &str) -> Vec<&'f str> {
        fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
    }

    #[test]
    fn each_field_is_written_once_where_nobody_has_said_it() {
        let fields = secured(&[], Scheme::Http);
        let mut names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let expected = [
            "content-security-policy",
            "cross-origin-opener-policy",
            "cross-origin-resource-policy",
            "referrer-policy",
            "x-content-type-options",
            "x-frame-options",
            "x-permitted-cross-domain-policies",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn tls_is_asked_for_of_those_alone_who_have_it() {
        let over = |scheme| {
            let fields = secured(&[], scheme);
            values(&fields, "strict-transport-security").len()
        };
        assert_eq!((over(Scheme::Https), over(Scheme::Http)), (1, 0));
    }

    #[test]
    fn what_the_upstream_says_stays() {
        for said in [
            ("content-security-policy", "default-src 'self'"),
            ("referrer-policy", "origin"),
            ("strict-transport-security", "max-age=1"),
            ("cross-origin-resource-policy", "cross-origin"),
        ] {
            let fields = secured(&[said], Scheme::Https);
            assert_eq!(values(&fields, said.0), [said.1], "{said:?}");
        }
    }

    #[test]
    fn who_may_frame_an_answer_is_not_overruled() {
        let older = secured(&[("x-frame-options", "SAMEORIGIN")], Scheme::Http);
        assert_eq!(values(&older, "x-frame-options"), ["SAMEORIGIN"]);
        assert!(values(&older, "content-security-policy").is_empty());
        // Browsers that know the newer one do not look at the older.
        let newer = secured(&[("content-security-policy", "frame-ancestors 'self'")], Scheme::Http);
        assert_eq!(values(&newer, "content-security-policy"), ["frame-ancestors 'self'"]);
        assert_eq!(values(&newer, "x-frame-options"), ["DENY"]);
    }
}
