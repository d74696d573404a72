//! What a verified token says: its subject, its scopes and any claim by name. As large as a token may be.
//!
//! Nothing here decides who is let in; it answers whether a claim has a value and a scope was granted.

use std::borrow::Cow;

use http::HeaderValue;
use serde_json::{Map, Value};

/// The claims of a verified token.
#[derive(Clone, PartialEq)]
pub struct Claims {
    members: Map<String, Value>,
    /// Whom they are about, found once: a token that comes again is asked for that each time, and nothing else of what most routes
    /// want to know.
    subject: Option<Box<str>>,
}

impl Claims {
    pub(crate) fn new(members: Map<String, Value>) -> Self {
        let subject = members.get("sub").and_then(Value::as_str).map(Into::into);
        Self { members, subject }
    }

    /// Whom the token is about (`sub`).
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// What the caller may do: the words of `scope` (RFC 8693 section 4.2), or of `scp`, which some issuers write in
    /// its place; each may be one text or an array of words. Anything else grants nothing.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let claim = self.members.get("scope").or_else(|| self.members.get("scp"));
        let text = claim.and_then(Value::as_str).unwrap_or_default();
        let words = claim.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        text.split(' ').filter(|word| !word.is_empty()).chain(words.iter().filter_map(Value::as_str))
    }

    /// The scopes among these that were not granted.
    pub fn missing_scopes<'s>(
        &self,
        required: impl IntoIterator<Item = &'s str>,
    ) -> impl Iterator<Item = &'s str> {
        required.into_iter().filter(|required| !self.scopes().any(|scope| scope == *required))
    }

    /// A claim as text: a string as it is, a number or truth value as JSON writes it. Arrays, objects and null have none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.members.get(name).and_then(text)
    }

    /// Whether a claim has this value, or is an array that contains it.
    #[must_use]
    pub fn holds(&self, name: &str, expected: &str) -> bool {
        let is_it = |value: &Value| text(value).is_some_and(|text| text == expected);
        match self.members.get(name) {
            Some(Value::Array(values)) => values.iter().any(is_it),
            Some(value) => is_it(value),
            None => false,
        }
    }

    /// A claim as the value of a header field: visible ASCII, spaces only inside. Any other text has none; an upstream
    /// would have to guess at its encoding (RFC 9110 section 5.5).
    #[must_use]
    pub fn header_value(&self, name: &str) -> Option<HeaderValue> {
        let text = self.text(name)?;
        let is_safe = !text.is_empty()
            && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
            && !text.starts_with(' ')
            && !text.ends_with(' ');
        is_safe.then(|| HeaderValue::from_str(&text).ok()).flatten()
    }

    /// About how many bytes of memory the claims take.
    pub(super) fn memory(&self) -> usize {
        members_memory(&self.members) + self.subject.as_ref().map_or(0, |subject| subject.len())
    }
}

fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn members_memory(members: &Map<String, Value>) -> usize {
    // A leaf of the tree has room for 11 members, whether it needs it or not.
    const LEAF: usize = 11 * (size_of::<String>() + size_of::<Value>()) + 16;
    let leaves = if members.is_empty() { 0 } else { (members.len() / 5 + 1) * LEAF };
    leaves + members.iter().map(|(name, value)| name.len() + memory(value)).sum::<usize>()
}

fn memory(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity(),
        Value::Array(values) => {
            values.capacity() * size_of::<Value>() + values.iter().map(memory).sum::<usize>()
        }
        Value::Object(members) => members_memory(members),
    }
}

impl std::fmt::Debug for Claims {
    /// Names only: what claims say is the caller's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.members.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        Claims::new(value.as_object().unwrap().clone())
    }

    fn check_scopes(value: &Value, expected: &[&str]) {
        assert_eq!(claims(value).scopes().collect::<Vec<_>>(), expected, "{value}");
    }

    #[test]
    fn scopes_are_words_of_a_text_or_an_array() {
        check_scopes(&json!({"scope": "a:read b"}), &["a:read", "b"]);
        check_scopes(&json!({"scope": " a  b "}), &["a", "b"]);
        check_scopes(&json!({"scp": ["a", "b"]}), &["a", "b"]);
        check_scopes(&json!({"scp": "a b"}), &["a", "b"]);
        check_scopes(&json!({"scope": ["a", 5, null, "b"]}), &["a", "b"]);
        check_scopes(&json!({"scope": "", "scp": "admin"}), &[]);
        for nothing in [json!({}), json!({"scope": 1}), json!({"scope": null}), json!({"scope": {"a": true}})]
        {
            check_scopes(&nothing, &[]);
        }
    }

    #[test]
    fn scopes_match_whole_and_in_their_case() {
        let granted = claims(&json!({"scope": "orders:read users"}));
        let missing: Vec<_> =
            granted.missing_scopes(["orders:read", "orders", "Users", "orders:read users", ""]).collect();
        assert_eq!(missing, ["orders", "Users", "orders:read users", ""]);
    }

    #[test]
    fn claims_have_the_values_they_say() {
        let said = claims(
            &json!({"tier": "gold", "level": 7, "ratio": 0.5, "admin": true, "roles": ["a", 1, ["x"]],
            "nothing": null, "nested": {"tier": "gold"}}),
        );
        for (name, value) in [
            ("tier", "gold"),
            ("level", "7"),
            ("ratio", "0.5"),
            ("admin", "true"),
            ("roles", "a"),
            ("roles", "1"),
        ] {
            assert!(said.holds(name, value), "{name} {value}");
        }
        for (name, value) in [
            ("tier", "Gold"),
            ("tier", ""),
            ("tiers", "gold"),
            ("level", "07"),
            ("admin", "1"),
            ("roles", "x"),
            ("roles", "[\"a\"]"),
            ("nothing", "null"),
            ("nothing", ""),
            ("nested", "gold"),
        ] {
            assert!(!said.holds(name, value), "{name} {value}");
        }
    }

    #[test]
    fn only_texts_that_are_safe_in_a_header_are_forwarded() {
        let header = |value: Value| claims(&json!({"c": value})).header_value("c");
        for (value, expected) in [
            (json!("alice"), "alice"),
            (json!("Alice B."), "Alice B."),
            (json!(7), "7"),
            (json!(false), "false"),
        ] {
            assert_eq!(header(value).unwrap(), expected);
        }
        for unsafe_value in [
            json!(""),
            json!(" a"),
            json!("a "),
            json!("a\r\nx-admin: 1"),
            json!("a\tb"),
            json!("a\0"),
            json!("é"),
            json!("a\u{7f}"),
            json!(["a"]),
            json!(null),
            json!({}),
        ] {
            assert_eq!(header(unsafe_value.clone()), None, "{unsafe_value}");
        }
        assert_eq!(claims(&json!({})).header_value("c"), None);
    }

    #[test]
    fn claims_are_not_shown() {
        assert_eq!(format!("{:?}", claims(&json!({"email": "alice@example.com"}))), r#"{"email"}"#);
    }
}
