//! What a route makes of header fields, on the way up and on the way down.
//!
//! A value that cannot be told (a claim that nobody made, or one that cannot stand in a header) is not written: a field
//! that was to be set is then removed, so that what a sender wrote in it never stands for the gateway's word. Nothing that
//! a client or an issuer chose can end a line: every value is judged again when it is put together.

use std::net::IpAddr;

use apigw_config::{
    model::HeaderChanges,
    names::{Scheme, TemplatePart, ValueTemplate, Variable},
};
use http::{HeaderName, HeaderValue, Method};

use crate::{fields::Fields, jwt::claims::Claims, spelling::are_alike};

/// The most bytes of a value that was put together; a longer one cannot be told.
const MAX_VALUE_BYTES: usize = 8_192;

/// What variables stand for.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Of the client.
    pub client: IpAddr,
    /// As the client wrote it; none: it named none.
    pub host: Option<&'a HeaderValue>,
    /// The route's name.
    pub route: &'a str,
    /// The request's id.
    pub request_id: &'a HeaderValue,
    /// In the one form.
    pub path: &'a str,
    /// The method.
    pub method: &'a Method,
    /// How the client speaks to the gateway.
    pub scheme: Scheme,
    /// Of a caller who is known.
    pub claims: Option<&'a Claims>,
}

/// Changes with their values.
#[derive(Debug, Default)]
pub struct ReadyChanges(Vec<Change>);

#[derive(Debug)]
enum Change {
    Remove(HeaderName),
    Set(HeaderName, HeaderValue),
    Add(HeaderName, HeaderValue),
}

impl ReadyChanges {
    /// Puts the values together.
    #[must_use]
    pub fn new(changes: &HeaderChanges, facts: &Facts<'_>) -> Self {
        let removed = changes.remove().iter().map(|name| Change::Remove(name.as_http().clone()));
        let set = changes.set().iter().map(|(name, template)| {
            let name = name.as_http().clone();
            match value(template, facts) {
                Some(value) => Change::Set(name, value),
                None => Change::Remove(name),
            }
        });
        let added = changes.add().iter().filter_map(|(name, template)| {
            Some(Change::Add(name.as_http().clone(), value(template, facts)?))
        });
        Self(removed.chain(set).chain(added).collect())
    }

    /// Makes them on a request. What is only spelt otherwise goes with what is removed or set: some upstream would take it for that.
    pub fn apply_to_request(self, headers: &mut Fields) {
        headers.retain(|name| !self.0.iter().any(|change| change.replaces(name)));
        self.apply(headers);
    }

    /// Makes them, in their order.
    pub fn apply(self, headers: &mut Fields) {
        for change in self.0 {
            match change {
                Change::Remove(name) => headers.remove(name),
                Change::Set(name, value) => headers.insert(name, value),
                Change::Add(name, value) => headers.append(name, value),
            }
        }
    }
}

impl Change {
    /// Whether nothing else may stand for what it leaves of its field.
    fn replaces(&self, name: &HeaderName) -> bool {
        match self {
            Self::Remove(own) | Self::Set(own, _) => own != name && are_alike(own.as_str(), name.as_str()),
            Self::Add(..) => false,
        }
    }
}

/// Removes from trailers what a route changes in heads, in every spelling.
pub fn keep_back(changes: &HeaderChanges, trailers: &mut Fields) {
    let named = || changes.remove().iter().chain(changes.templates().map(|(name, _)| name));
    trailers.retain(|name| !named().any(|other| are_alike(other.as_str(), name.as_str())));
}

/// What a template says of a request; none: it cannot be told.
fn value(template: &ValueTemplate, facts: &Facts<'_>) -> Option<HeaderValue> {
    if let [TemplatePart::Text(text)] = template.parts() {
        return Some(text.clone());
    }
    let mut bytes = Vec::new();
    for part in template.parts() {
        match part {
            TemplatePart::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            TemplatePart::Variable(variable) => write(variable, facts, &mut bytes)?,
        }
        if bytes.len() > MAX_VALUE_BYTES {
            return None;
        }
    }
    // What is no text of one line is no value.
    HeaderValue::from_bytes(&bytes).ok()
}

fn write(variable: &Variable, facts: &Facts<'_>, bytes: &mut Vec<u8>) -> Option<()> {
    match variable {
        Variable::ClientIp => bytes.extend_from_slice(facts.client.to_string().as_bytes()),
        Variable::Host => bytes.extend_from_slice(facts.host?.as_bytes()),
        Variable::Route => bytes.extend_from_slice(facts.route.as_bytes()),
        Variable::RequestId => bytes.extend_from_slice(facts.request_id.as_bytes()),
        Variable::Path => bytes.extend_from_slice(facts.path.as_bytes()),
        Variable::Method => bytes.extend_from_slice(facts.method.as_str().as_bytes()),
        Variable::Scheme => bytes.extend_from_slice(match facts.scheme {
            Scheme::Http => b"http",
            Scheme::Https => b"https",
        }),
        Variable::Claim(name) => {
            bytes.extend_from_slice(facts.claims?.header_value(name.as_str())?.as_bytes());
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What becomes of these fields under what a file says in `request_headers`.
    fn changed(changes: &str, fields: &[(&str, &str)], claims: &serde_json::Value) -> Vec<(String, String)> {
        let file = format!(
            "routes: [{{name: orders, upstream: http://h, match: {{path_prefix: /}}, request_headers: {{{changes}}}}}]"
        );
        let config = apigw_config::read("test.yaml", file.as_bytes()).unwrap();
        let claims = Claims::new(claims.as_object().unwrap().clone());
        let (host, request_id) = (HeaderValue::from_static("a.example:80"), HeaderValue::from_static("id-7"));
        let facts = Facts {
            client: [192, 0, 2, 7].into(),
            host: Some(&host),
            route: "orders",
            request_id: &request_id,
            path: "/x",
            method: &Method::PUT,
            scheme: Scheme::Https,
            claims: Some(&claims),
        };
        let mut headers = Fields::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        ReadyChanges::new(&config.route(0).unwrap().request_headers, &facts).apply_to_request(&mut headers);
        let mut left: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        left.sort();
        left
    }

    fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let changes = "remove: [x-a, x-c], set: {x-a: new, x-b: one}, add: {x-b: two, x-c: three}";
        let before = [("x-a", "old"), ("x-b", "old"), ("x-b", "older"), ("x-c", "old"), ("x-d", "kept")];
        let expected = [("x-a", "new"), ("x-b", "one"), ("x-b", "two"), ("x-c", "three"), ("x-d", "kept")];
        assert_eq!(changed(changes, &before, &json!({})), fields(&expected));
    }

    #[test]
    fn other_spellings_of_what_is_removed_or_set_are_removed() {
        let changes = "remove: [x-a-b], set: {x-c-d: new}, add: {x-e-f: two}";
        let before = [("x_a_b", "1"), ("x-c_d", "1"), ("X.C.D", "1"), ("x_e_f", "1"), ("x-c-d", "old")];
        assert_eq!(
            changed(changes, &before, &json!({})),
            fields(&[("x-c-d", "new"), ("x-e-f", "two"), ("x_e_f", "1")])
        );
    }

    #[test]
    fn variables_stand_for_what_a_request_has() {
        for (template, expected) in [
            ("${client_ip}", "192.0.2.7"),
            ("${scheme}://${host}${path}", "https://a.example:80/x"),
            ("${method} on ${route}, ${request_id}", "PUT on orders, id-7"),
            ("${claim:sub}", "alice"),
            ("$5 and $${path}", "$5 and ${path}"),
        ] {
            let found = changed(&format!("set: {{x-a: '{template}'}}"), &[], &json!({"sub": "alice"}));
            assert_eq!(found, fields(&[("x-a", expected)]), "{template}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_not_written_and_nobody_elses_word_stands_for_it() {
        let long = "x".repeat(MAX_VALUE_BYTES + 1);
        for claim in [json!({}), json!({"sub": "a\r\nx-admin: 1"}), json!({"sub": ""}), json!({"sub": long})]
        {
            let found = changed(
                "set: {x-a: 'by ${claim:sub}'}, add: {x-b: '${claim:sub}'}",
                &[("x-a", "forged")],
                &claim,
            );
            assert_eq!(found, fields(&[]), "{claim:.40}");
        }
    }
}
