//! What a gateway knows of gRPC: which requests are calls, how long their callers wait, and how a refusal is told to them
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>). Messages are not looked into.

/// How a call fares.
pub mod status;
/// How long its caller waits.
pub mod timeout;

use http::{HeaderValue, header::CONTENT_TYPE};

use crate::fields::Fields;

/// In which protocol a client waits to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// HTTP.
    #[default]
    Http,
    /// gRPC, which tells its status in fields of its own, whatever the status of HTTP.
    Grpc,
    /// gRPC as browsers can speak it.
    GrpcWeb(WebForm),
}

/// How messages of gRPC-Web travel (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebForm {
    /// As they are.
    Binary,
    /// In base64.
    Text,
}

impl Dialect {
    /// That of a message, by its `Content-Type`.
    #[must_use]
    pub fn of(fields: &Fields) -> Self {
        Self::of_media_type(fields.get(CONTENT_TYPE))
    }

    /// The dialect of a message of this media type.
    #[must_use]
    pub fn of_media_type(media_type: Option<&HeaderValue>) -> Self {
        media_type.and_then(split).map_or(Self::Http, |(dialect, _)| dialect)
    }

    /// Whether it has gRPC's statuses.
    #[must_use]
    pub fn is_call(self) -> bool {
        self != Self::Http
    }

    /// The `Content-Type` of an answer that has no messages.
    #[must_use]
    pub fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Http => "application/json",
            Self::Grpc => "application/grpc",
            Self::GrpcWeb(WebForm::Binary) => "application/grpc-web",
            Self::GrpcWeb(WebForm::Text) => "application/grpc-web-text",
        })
    }
}

/// The longest name first: one begins another.
const MEDIA_TYPES: [(&str, Dialect); 3] = [
    ("application/grpc-web-text", Dialect::GrpcWeb(WebForm::Text)),
    ("application/grpc-web", Dialect::GrpcWeb(WebForm::Binary)),
    ("application/grpc", Dialect::Grpc),
];

/// A `Content-Type` as another dialect has it, with what it says of the messages; none: it is no call's.
#[must_use]
pub fn translated(media_type: &HeaderValue, dialect: Dialect) -> Option<HeaderValue> {
    let (_, rest) = split(media_type)?;
    HeaderValue::from_bytes(&[dialect.media_type().as_bytes(), rest].concat()).ok()
}

/// The dialect that a `Content-Type` names, and what it says of the messages (`+proto`, parameters); none: HTTP.
fn split(value: &HeaderValue) -> Option<(Dialect, &[u8])> {
    let value = value.as_bytes();
    MEDIA_TYPES.into_iter().find_map(|(name, dialect)| {
        let (begin, rest) = value.split_at_checked(name.len())?;
        let is_whole = matches!(rest.first(), None | Some(b'+' | b';' | b' ' | b'\t'));
        (is_whole && begin.eq_ignore_ascii_case(name.as_bytes())).then_some((dialect, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Dialect {
        let mut fields = Fields::new();
        fields.insert(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        Dialect::of(&fields)
    }

    #[test]
    fn what_is_said_of_messages_is_kept_in_translation() {
        let translated = |value: &'static str, dialect| translated(&HeaderValue::from_static(value), dialect);
        let web = translated("application/grpc+proto;v=1", Dialect::GrpcWeb(WebForm::Text));
        assert_eq!(web.unwrap(), "application/grpc-web-text+proto;v=1");
        assert_eq!(translated("application/grpc-web-text", Dialect::Grpc).unwrap(), "application/grpc");
        assert_eq!(translated("text/html", Dialect::Grpc), None);
    }

    #[test]
    fn calls_are_told_by_their_media_type() {
        for value in
            ["application/grpc", "Application/GRPC+proto", "application/grpc;v=1", "application/grpc "]
        {
            assert_eq!(of(value), Dialect::Grpc, "{value}");
        }
        for value in ["application/grpc-web", "application/grpc-web+proto", "application/GRPC-web; a=b"] {
            assert_eq!(of(value), Dialect::GrpcWeb(WebForm::Binary), "{value}");
        }
        for value in ["application/grpc-web-text", "application/grpc-web-text+proto"] {
            assert_eq!(of(value), Dialect::GrpcWeb(WebForm::Text), "{value}");
        }
        for value in
            ["", "application/json", "application/grpcx", "application/grpc-we", "text/application/grpc"]
        {
            assert_eq!(of(value), Dialect::Http, "{value}");
        }
        assert_eq!(Dialect::of(&Fields::new()), Dialect::Http);
    }
}
