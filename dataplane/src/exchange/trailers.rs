//! Fields behind a body, in both directions. Whoever merges them into the head would take there what nobody has judged, so what
//! only a head can say does not go on (RFC 9110 section 6.5.1).

use apigw_config::model::HeaderChanges;
use apigw_engine::{
    access::VouchedHeaders,
    fields::{Fields, X_REQUEST_ID},
    header_changes,
    spelling::{are_alike, folded},
    trace_context::{TRACEPARENT, TRACESTATE},
};
use http::HeaderName;

use super::forwarding::{Sender, remove_foreign_words, remove_hop_by_hop};

/// Removes from a request's trailers what the gateway writes, keeps back or judges in heads. `changes` are those of the route.
pub(super) fn prepare_request(trailers: &mut Fields, vouched: &VouchedHeaders, changes: &HeaderChanges) {
    prepare(trailers, Some(changes));
    remove_foreign_words(trailers, Sender::Stranger);
    vouched.strip(trailers);
    trailers.remove(TRACEPARENT);
    trailers.remove(TRACESTATE);
}

/// Removes from an answer's trailers what the gateway writes or keeps back in heads. `changes` are those of the route, if one is known.
pub(super) fn prepare_answer(trailers: &mut Fields, changes: Option<&HeaderChanges>) {
    prepare(trailers, changes);
    trailers.remove(X_REQUEST_ID);
}

fn prepare(trailers: &mut Fields, changes: Option<&HeaderChanges>) {
    remove_hop_by_hop(trailers);
    trailers.retain(|name| !is_of_heads_alone(name));
    if let Some(changes) = changes {
        header_changes::keep_back(changes, trailers);
    }
}

/// What frames, routes, authenticates or modifies a request, or says how a body is to be read, besides what is for one connection
/// only: the kinds of RFC 9110 section 6.5.1.
const OF_HEADS_ALONE: [&str; 17] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "set-cookie",
    "trailer",
    "transfer-encoding",
    "www-authenticate",
];

fn is_of_heads_alone(name: &HeaderName) -> bool {
    let name = name.as_str();
    folded(name).take(3).eq(*b"if-") || OF_HEADS_ALONE.iter().any(|word| are_alike(word, name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use apigw_config::names::{ValueTemplate, WritableHeader};

    use super::*;

    fn fields(names: &[&str]) -> Fields {
        let field = |name: &&str| (name.parse::<HeaderName>().unwrap(), "1".parse().unwrap());
        names.iter().map(field).collect()
    }

    fn names(fields: &Fields) -> Vec<&str> {
        fields.keys().map(HeaderName::as_str).collect()
    }

    /// Removes `x-removed`, sets `x-set`, adds `x-added`.
    fn changes() -> HeaderChanges {
        let name = |name| WritableHeader::new(name).unwrap();
        let written = |header| BTreeMap::from([(name(header), "2".parse::<ValueTemplate>().unwrap())]);
        HeaderChanges::new(vec![name("x-removed")], written("x-set"), written("x-added")).unwrap()
    }

    #[test]
    fn trailers_forge_nothing_that_heads_cannot() {
        let mut trailers =
            fields(&["x-forwarded-for", "x_request_id", "connection", "x-kept", "proxy", "te"]);
        prepare_request(&mut trailers, &VouchedHeaders::default(), &HeaderChanges::default());
        assert_eq!(names(&trailers), ["x-kept"]);
    }

    #[test]
    fn what_only_a_head_can_say_is_not_said_behind_a_body() {
        let respelt = ["content_length", "Transfer_Encoding", "if-match", "If_None_Match", "CONTENT-TYPE"];
        let said = [&OF_HEADS_ALONE[..], &respelt, &["x-kept", "authorization-info", "grpc-status"]].concat();
        let kept = ["x-kept", "authorization-info", "grpc-status"];
        let mut trailers = fields(&said);
        prepare_request(&mut trailers, &VouchedHeaders::default(), &HeaderChanges::default());
        assert_eq!(names(&trailers), kept);
        let mut trailers = fields(&said);
        prepare_answer(&mut trailers, None);
        assert_eq!(names(&trailers), kept);
    }

    #[test]
    fn what_a_route_changes_is_not_said_behind_a_body() {
        let said = ["x-removed", "x_set", "X-Set", "x-added", "x-kept"];
        let mut trailers = fields(&said);
        prepare_request(&mut trailers, &VouchedHeaders::default(), &changes());
        assert_eq!(names(&trailers), ["x-kept"]);
        let mut trailers = fields(&said);
        prepare_answer(&mut trailers, Some(&changes()));
        assert_eq!(names(&trailers), ["x-kept"]);
    }
}
