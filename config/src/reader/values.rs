//! Reads single values: texts, numbers, lists of them. The wrong kind of value is told apart here, the wrong value by the
//! type's own constructor.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    num::{NonZeroU16, NonZeroU32},
    str::FromStr as _,
};

use super::{Contents, Place, Read, Reader, auth::Mode, checks::client_address, rate_limit::Kind};
use crate::{
    model::{
        BalancePolicy, CertificateForwarding, ClientAuthMode, EncodedSlash, ForwardedClaims, HostRewrite,
        MaxKeys, QuestionPart, RateLimitScope, RedisFailure, Required, ServiceFailure, TlsVersion,
    },
    names::{
        AddressRange, Algorithm, Algorithms, AllowedOrigins, AnswerPreset, AnswerStatus, AnswerText,
        AuthMethod, BackendName, ByteCount, CallerName, CheckCount, ClaimValue, CommonName, ContentCoding,
        CookieName, DnsPattern, EmailPattern, ExactPath, Expiry, FilePath, ForwardedHeader, HeaderName,
        HostName, HostPattern, KeyHash, KeyPrefix, ListenAddress, MatchText, MediaRange, MediaType,
        MethodName, OriginPattern, PathPrefix, PathTemplate, Pattern, Percent, Period, PolicyMode, ProbePath,
        ProviderName, QueryName, Realm, RedirectStatus, RetryCondition, RetryCount, RouteName, Scheme,
        Secret, ServerAddress, Span, SplitWeight, TokenScope, TrafficAddress, UpstreamHost, UpstreamUrl,
        UriPattern, ValueError, ValueTemplate, Weight, WritableHeader,
    },
    problem::Position,
    yaml::{Meaning, Value},
};

impl Reader {
    /// Adds the problem that a value is of the wrong kind.
    pub(super) fn expected(&mut self, what: &str, place: Place<'_>) {
        let message = format_args!(
            "expected {what}, found {}",
            Found { value: &place.node.value, contents: self.contents }
        );
        self.problems.report(Some(place.node.position), &place.path, message);
    }

    /// A value as its constructor judged it.
    pub(super) fn take<T>(&mut self, place: Place<'_>, result: Result<T, ValueError>) -> Option<T> {
        result.map_err(|error| self.problems.report(Some(place.node.position), &place.path, error)).ok()
    }
}

/// Names what stands in a document, for people.
struct Found<'a> {
    value: &'a Value<'a>,
    contents: Contents,
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Value::List(_) => f.write_str("a list"),
            Value::Mapping(_) | Value::Probe => f.write_str("a mapping"),
            Value::Scalar(scalar) => match scalar.meaning() {
                Meaning::Null => f.write_str("nothing"),
                _ if self.contents == Contents::Secrets => f.write_str("a text"),
                Meaning::Bool(value) => write!(f, "{value}"),
                // As written: 1e3 is not to be answered with 1000.
                Meaning::Whole(_) | Meaning::Fraction(_) => write!(f, "the number {}", scalar.text),
                Meaning::Text(text) => write!(f, "the text {text:?}"),
            },
        }
    }
}

/// What a scalar means; none for anything else. The probe has no value, and that is no problem.
fn meaning(place: Place<'_>) -> Option<Meaning<'_>> {
    match &place.node.value {
        Value::Scalar(scalar) => Some(scalar.meaning()),
        _ => None,
    }
}

fn is_probe(place: Place<'_>) -> bool {
    matches!(place.node.value, Value::Probe)
}

fn text<'n>(place: Place<'n>, reader: &mut Reader) -> Option<&'n str> {
    match meaning(place) {
        Some(Meaning::Text(text)) => Some(text),
        _ if is_probe(place) => None,
        Some(Meaning::Whole(_) | Meaning::Fraction(_) | Meaning::Bool(_)) => {
            reader.expected("a text (in quotes, as it looks like something else)", place);
            None
        }
        _ => {
            reader.expected("a text", place);
            None
        }
    }
}

fn number(place: Place<'_>, reader: &mut Reader) -> Option<f64> {
    match meaning(place) {
        // Above 2^53 a float is not exact, but every number that is legal anywhere is far below.
        #[expect(clippy::cast_precision_loss, reason = "see above")]
        Some(Meaning::Whole(number)) => Some(number as f64),
        Some(Meaning::Fraction(number)) => Some(number),
        _ if is_probe(place) => None,
        _ => {
            reader.expected("a number", place);
            None
        }
    }
}

pub(super) fn whole(place: Place<'_>, reader: &mut Reader) -> Option<i128> {
    match meaning(place) {
        Some(Meaning::Whole(number)) => Some(number),
        _ if is_probe(place) => None,
        _ => {
            reader.expected("a whole number", place);
            None
        }
    }
}

impl Read for bool {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        match meaning(place) {
            Some(Meaning::Bool(value)) => return Some(value),
            _ if is_probe(place) => {}
            Some(Meaning::Text("yes" | "Yes" | "no" | "No" | "on" | "On" | "off" | "Off")) => {
                reader.expected("true or false (since YAML 1.2 other words for them are texts)", place);
            }
            _ => reader.expected("true or false", place),
        }
        None
    }
}

impl Read for u32 {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = whole(place, reader)?;
        reader.take(
            place,
            Self::try_from(number).map_err(|_| ValueError::OutOfRange { range: "from 0 to 4294967295" }),
        )
    }
}

impl Read for NonZeroU32 {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = whole(place, reader)?;
        let number = u32::try_from(number).ok().and_then(Self::new);
        reader.take(place, number.ok_or(ValueError::OutOfRange { range: "from 1 to 4294967295" }))
    }
}

/// Small numbers that are a status or a port.
macro_rules! read_from_small_number {
    ($($type:ty: $constructor:expr),+ $(,)?) => {
        $(impl Read for $type {
            fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
                let number = whole(place, reader)?;
                // What no counter can hold is as illegal as zero.
                reader.take(place, $constructor(u32::try_from(number).unwrap_or(0)))
            }
        })+
    };
}

read_from_small_number! {
    RedirectStatus: Self::new,
    AnswerStatus: Self::new,
    NonZeroU16: port,
}

fn port(number: u32) -> Result<NonZeroU16, ValueError> {
    let port = u16::try_from(number).ok().and_then(NonZeroU16::new);
    port.ok_or(ValueError::OutOfRange { range: "from 1 to 65535" })
}

impl Read for Weight {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = whole(place, reader)?;
        // What no counter can hold is as illegal as zero.
        reader.take(place, Self::new(u32::try_from(number).unwrap_or(0)))
    }
}

impl Read for SplitWeight {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = whole(place, reader)?;
        // What no counter can hold is as illegal as the largest that it can.
        reader.take(place, Self::new(u32::try_from(number).unwrap_or(u32::MAX)))
    }
}

impl Read for CheckCount {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = whole(place, reader)?;
        // What no counter can hold is as illegal as zero.
        reader.take(place, Self::new(u32::try_from(number).unwrap_or(0)))
    }
}

impl Read for MaxKeys {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = whole(place, reader)?;
        // What no counter can hold is as illegal as zero.
        reader.take(place, Self::new(u32::try_from(number).unwrap_or(0)))
    }
}

impl Read for RetryCount {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = whole(place, reader)?;
        // What no counter can hold is as illegal as zero.
        reader.take(place, Self::new(u32::try_from(number).unwrap_or(0)))
    }
}

impl Read for Percent {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = number(place, reader)?;
        reader.take(place, Self::new(number))
    }
}

impl Read for f64 {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        number(place, reader)
    }
}

impl Read for ByteCount {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let number = whole(place, reader)?;
        // What no counter can hold is as illegal as zero.
        reader.take(place, Self::new(u64::try_from(number).unwrap_or(0)))
    }
}

impl Read for Period {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let seconds = number(place, reader)?;
        reader.take(place, Self::from_seconds(seconds))
    }
}

impl Read for Span {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let seconds = number(place, reader)?;
        reader.take(place, Self::from_seconds(seconds))
    }
}

impl Read for String {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        text(place, reader).map(Into::into)
    }
}

/// Types that are made from a text by one constructor.
macro_rules! read_from_text {
    ($($type:ty: $constructor:expr),+ $(,)?) => {
        $(impl Read for $type {
            fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
                let text = text(place, reader)?;
                reader.take(place, $constructor(text))
            }
        })+
    };
}

read_from_text! {
    RouteName: Self::new,
    PathPrefix: Self::new,
    PathTemplate: Self::from_str,
    HostName: Self::from_str,
    HostRewrite: Self::from_str,
    MediaType: Self::from_str,
    MediaRange: Self::from_str,
    ContentCoding: Self::from_str,
    Scheme: Self::from_str,
    ExactPath: Self::new,
    ProbePath: Self::new,
    Pattern: Self::from_str,
    HostPattern: Self::from_str,
    QueryName: Self::new,
    UpstreamUrl: Self::new,
    ServerAddress: Self::new,
    ListenAddress: Self::from_str,
    TrafficAddress: Self::from_str,
    AddressRange: Self::from_str,
    Algorithm: Self::from_str,
    RateLimitScope: Self::from_str,
    PolicyMode: Self::from_str,
    AnswerPreset: Self::from_str,
    AuthMethod: Self::from_str,
    Realm: Self::from_str,
    CallerName: Self::new,
    Expiry: Self::from_str,
    ProviderName: Self::new,
    BackendName: Self::new,
    UpstreamHost: Self::new,
    CookieName: Self::new,
    BalancePolicy: Self::from_str,
    TokenScope: Self::from_str,
    HeaderName: Self::new,
    ForwardedHeader: Self::new,
    WritableHeader: Self::new,
    ValueTemplate: Self::from_str,
    OriginPattern: Self::from_str,
    MethodName: Self::from_str,
    KeyPrefix: Self::new,
    FilePath: Self::from_str,
    TlsVersion: Self::from_str,
    ClientAuthMode: Self::from_str,
    CertificateForwarding: Self::from_str,
    RedisFailure: Self::from_str,
    EncodedSlash: Self::from_str,
    Required: Self::from_str,
    IpAddr: client_address,
    Mode: Self::from_str,
    ServiceFailure: Self::from_str,
    QuestionPart: Self::from_str,
    CommonName: Self::new,
    DnsPattern: Self::from_str,
    EmailPattern: Self::from_str,
    UriPattern: Self::from_str,
    Kind: Self::from_str,
}

/// A text that is not shown, whatever it is: not through `expected`, as what was found may be the secret.
pub(super) fn hidden_text<'n>(place: Place<'n>, reader: &mut Reader) -> Option<&'n str> {
    match meaning(place) {
        Some(Meaning::Text(text)) => Some(text),
        _ if is_probe(place) => None,
        _ => {
            let message = "expected a text; a number needs quotes";
            reader.problems.report(Some(place.node.position), &place.path, message);
            None
        }
    }
}

impl Read for Secret {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let text = hidden_text(place, reader)?;
        reader.take(place, Self::new(text.into()))
    }
}

impl Read for KeyHash {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let text = hidden_text(place, reader)?;
        reader.take(place, Self::from_str(text))
    }
}

/// Types that take any value that can be told as one text: numbers and truth values become what JSON has for them.
macro_rules! read_as_text {
    ($($type:ty),+ $(,)?) => {
        $(impl Read for $type {
            fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
                let value = match meaning(place) {
                    Some(Meaning::Text(text)) => Self::new(text),
                    Some(Meaning::Whole(number)) => Self::new(&number.to_string()),
                    Some(Meaning::Bool(value)) => Self::new(if value { "true" } else { "false" }),
                    _ if is_probe(place) => return None,
                    _ => {
                        reader.expected("a text, a whole number, true or false", place);
                        return None;
                    }
                };
                reader.take(place, value)
            }
        })+
    };
}

read_as_text!(AnswerText, ClaimValue, MatchText, RetryCondition);

impl<T: Read> Read for Option<T> {
    /// For values that may be absent. What is there must be readable.
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        T::read(place, reader).map(Some)
    }
}

impl<T: Read> Read for Box<T> {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        T::read(place, reader).map(Self::new)
    }
}

/// A text that may be empty, which is as good as absent.
pub(super) struct IfFilled<T>(pub(super) Option<T>);

impl<T: Read> Read for IfFilled<T> {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        match meaning(place) {
            Some(Meaning::Text("")) => Some(Self(None)),
            _ => T::read(place, reader).map(|value| Self(Some(value))),
        }
    }
}

/// A value and where it stands.
pub(super) struct Located<T> {
    pub(super) position: Position,
    pub(super) value: T,
}

impl<T: Read> Read for Located<T> {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        T::read(place, reader).map(|value| Self { position: place.node.position, value })
    }
}

/// One value, or a list of them.
pub(super) struct OneOrMore<T>(pub(super) Vec<T>);

impl<T: Read> Read for OneOrMore<T> {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        match place.node.value {
            Value::List(_) => Vec::read(place, reader).map(Self),
            _ => T::read(place, reader).map(|value| Self(vec![value])),
        }
    }
}

/// The most entries of a list. Data planes take a million resources, one of which is not a route; more would only take
/// memory, hundreds of bytes for each that is wrong.
const MAX_ENTRIES: usize = 999_999;

impl<T: Read> Read for Vec<T> {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let items = match &place.node.value {
            Value::List(items) => items.as_slice(),
            Value::Probe => std::slice::from_ref(place.node),
            _ => {
                reader.expected("a list", place);
                return None;
            }
        };
        if items.len() > MAX_ENTRIES {
            let message = format_args!("{} entries, more than {MAX_ENTRIES}", items.len());
            reader.problems.report(Some(place.node.position), &place.path, message);
            return None;
        }
        let mut values = Self::with_capacity(items.len());
        for (index, node) in items.iter().enumerate() {
            let path = place.path;
            values.extend(T::read(Place { node, path: path.index(index) }, reader));
        }
        (values.len() == items.len()).then_some(values)
    }
}

impl Read for Algorithms {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let algorithms = Vec::read(place, reader)?;
        reader.take(place, Self::new(algorithms))
    }
}

impl Read for AllowedOrigins {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let patterns = Vec::read(place, reader)?;
        reader.take(place, Self::new(patterns))
    }
}

impl Read for ForwardedClaims {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let headers = BTreeMap::read(place, reader)?;
        reader.take(place, Self::new(headers))
    }
}
