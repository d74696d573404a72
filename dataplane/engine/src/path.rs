//! The one form of a request's path: what is matched, judged, logged and forwarded.
//!
//! A path that two programs could read differently is either brought to the form both agree on or refused; it is never
//! forwarded as it came.

use std::{borrow::Cow, fmt};

use apigw_config::model::{EncodedSlash, PathRules};

/// A normalised path: starts with `/`; only `pchar` (RFC 3986 section 3.3) and `/`; escapes in upper case and only where
/// needed; no dot segments; unless the rules keep them, no empty segment but perhaps the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a>(Cow<'a, str>);

/// Why a path has no single meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `*`, an authority, or nothing at all: only a path can be routed.
    #[error("the target is not a path")]
    NotAPath,
    /// A `%` without two hexadecimal digits.
    #[error("invalid percent escape")]
    InvalidEscape,
    /// An escaped `\`, or a `/` that the rules do not let pass: some upstreams decode it, some do not.
    #[error("escaped path separator")]
    EscapedSeparator,
    /// A backslash: some upstreams take it for `/`.
    #[error("backslash in the path")]
    Backslash,
    /// A control character or space, escaped or not (an escaped space is legal).
    #[error("control character in the path")]
    ControlCharacter,
    /// ASCII in more bytes of UTF-8 than it needs: some decoders take `%c0%ae` for a dot.
    #[error("overlong UTF-8 in the path")]
    Overlong,
    /// `..;` or `.;`: some upstreams strip the parameter and see a dot segment.
    #[error("dot segment with a parameter")]
    DotSegmentParameter,
}

impl PathError {
    /// The stable reason code for logs and metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAPath => "path_not_absolute",
            Self::InvalidEscape => "path_invalid_escape",
            Self::EscapedSeparator => "path_escaped_separator",
            Self::Backslash => "path_backslash",
            Self::ControlCharacter => "path_control_character",
            Self::Overlong => "path_overlong",
            Self::DotSegmentParameter => "path_dot_segment_parameter",
        }
    }
}

impl<'a> NormalPath<'a> {
    /// Normalises a path as received: RFC 3986 section 6.2.2 (case of escapes, escaped unreserved characters, dot
    /// segments), and empty segments merged unless the rules keep them. A path that is normal already is borrowed.
    ///
    /// # Errors
    /// When the path could mean different things to different programs.
    pub fn new(path: &'a str, rules: PathRules) -> Result<Self, PathError> {
        if !path.starts_with('/') {
            return Err(PathError::NotAPath);
        }
        if is_normal(path.as_bytes()) {
            return Ok(Self(Cow::Borrowed(path)));
        }
        let unescaped = normalize_escapes(path.as_bytes(), rules.encoded_slash)?;
        resolve_segments(&unescaped, rules).map(|path| Self(Cow::Owned(path)))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether normalising changed nothing.
    #[must_use]
    pub fn is_as_received(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }
}

impl fmt::Display for NormalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a byte of a path is to the quick check.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself anywhere.
    Plain,
    Slash,
    Dot,
    /// Needs the thorough way.
    Other,
}

/// `pchar` without `%`: unreserved, sub-delims, `:` and `@`.
const fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    // Only ASCII can be anything else.
    let mut byte = 0u8;
    while byte.is_ascii() {
        classes[byte as usize] = match byte {
            b'/' => Class::Slash,
            b'.' => Class::Dot,
            pchar if is_pchar(pchar) => Class::Plain,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

/// Whether the path needs no work. May say no to a normal path (one with a segment that starts with a dot).
fn is_normal(path: &[u8]) -> bool {
    let mut previous = Class::Plain;
    path.iter().all(|&byte| {
        let class = CLASSES[usize::from(byte)];
        let after_slash = previous == Class::Slash && matches!(class, Class::Slash | Class::Dot);
        previous = class;
        class != Class::Other && !after_slash
    })
}

/// Escapes what must be escaped, unescapes what need not be, refuses what has no single meaning.
fn normalize_escapes(path: &[u8], encoded_slash: EncodedSlash) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    let mut previous = None;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let (escaped, after) = read_escape(rest).ok_or(PathError::InvalidEscape)?;
                rest = after;
                if previous.replace(escaped).is_some_and(|previous| is_overlong(previous, escaped)) {
                    return Err(PathError::Overlong);
                }
                match escaped {
                    b'/' if encoded_slash == EncodedSlash::Keep => push_escape(&mut out, escaped),
                    b'/' if encoded_slash == EncodedSlash::Decode => out.push('/'),
                    b'/' | b'\\' => return Err(PathError::EscapedSeparator),
                    0..=0x1f | 0x7f => return Err(PathError::ControlCharacter),
                    _ if is_unreserved(escaped) => out.push(char::from(escaped)),
                    _ => push_escape(&mut out, escaped),
                }
            }
            b'\\' => return Err(PathError::Backslash),
            0..=0x20 | 0x7f => return Err(PathError::ControlCharacter),
            b'/' => out.push('/'),
            _ if is_pchar(byte) => out.push(char::from(byte)),
            _ => push_escape(&mut out, byte),
        }
        if byte != b'%' {
            previous = None;
        }
    }
    Ok(out)
}

/// Whether a character begins like this that needs fewer bytes (RFC 3629 section 3), in the forms of five and six bytes of
/// old, too (RFC 2279), or with a dot that careless decoders take for the second byte.
fn is_overlong(first: u8, second: u8) -> bool {
    matches!(
        (first, second),
        (0xc0 | 0xc1, b'.' | 0x80..=0xbf)
            | (0xe0, 0x80..=0x9f)
            | (0xf0, 0x80..=0x8f)
            | (0xf8, 0x80..=0x87)
            | (0xfc, 0x80..=0x83)
    )
}

fn read_escape(after_percent: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, rest) = after_percent.split_at_checked(2)?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(digits[0])? << 4 | digit(digits[1])?, rest))
}

fn push_escape(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Removes dot segments (RFC 3986 section 5.2.4) and, if the rules say so, empty ones; a final slash stays.
fn resolve_segments(path: &str, rules: PathRules) -> Result<String, PathError> {
    let mut out = String::with_capacity(path.len());
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." if is_last => out.push('/'),
            "" if is_last && (rules.merge_slashes || !out.ends_with('/')) => out.push('/'),
            "" if rules.merge_slashes => {}
            "." => {}
            ".." => {
                out.truncate(out.rfind('/').unwrap_or(0));
                if is_last {
                    out.push('/');
                }
            }
            _ if has_parameter_of_dots(segment) => return Err(PathError::DotSegmentParameter),
            // Whoever decodes it would see a dot segment that was not resolved here.
            _ if segment.contains(KEPT_SLASH) && segment.split(KEPT_SLASH).any(is_dots) => {
                return Err(PathError::EscapedSeparator);
            }
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    Ok(out)
}

/// As [`push_escape`] writes a slash.
const KEPT_SLASH: &str = "%2F";

fn is_dots(segment: &str) -> bool {
    matches!(segment, "." | "..") || has_parameter_of_dots(segment)
}

/// Whether a dot segment is left where parameters are cut off, escaped ones too.
fn has_parameter_of_dots(segment: &str) -> bool {
    let behind = segment.strip_prefix("..").or_else(|| segment.strip_prefix('.')).unwrap_or("");
    behind.starts_with(';') || behind.starts_with("%3B")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(received: &str, expected: Result<&str, PathError>) {
        check_by(PathRules::default(), received, expected);
    }

    fn check_by(rules: PathRules, received: &str, expected: Result<&str, PathError>) {
        let normal = NormalPath::new(received, rules);
        assert_eq!(normal.as_ref().map(NormalPath::as_str).map_err(|error| *error), expected, "{received:?}");
    }

    #[test]
    fn paths_come_to_one_form() {
        for (received, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a//b", "/a/b"),
            ("//a", "/a"),
            ("/a//", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/b/../c", "/a/c"),
            ("/public/../admin", "/admin"),
            ("/public/%2e%2E/admin", "/admin"),
            ("/public//../admin", "/admin"),
            ("/..", "/"),
            ("/../../x", "/x"),
            ("/.hidden", "/.hidden"),
            ("/a/...", "/a/..."),
            ("/%7Euser", "/~user"),
            ("/%7euser/%c3%bc", "/~user/%C3%BC"),
            ("/a%20b", "/a%20b"),
            ("/a|b^{c}", "/a%7Cb%5E%7Bc%7D"),
            ("/ü", "/%C3%BC"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/a%3Fb", "/a%3Fb"),
            ("/a%23b", "/a%23b"),
            ("/a%25b", "/a%25b"),
            ("/a%252e", "/a%252e"),
            // Encoded twice is a text like any other: whoever decodes twice breaks RFC 3986 section 2.4.
            ("/a/%252e%252e%252fb", "/a/%252e%252e%252fb"),
            ("/%2e%2e%2e/x", "/.../x"),
            ("/%2E%2e/%2e./x", "/x"),
            ("/a/;/../b", "/a/b"),
            ("/;/..", "/"),
            ("/a;x/../b", "/b"),
            ("/admin./", "/admin./"),
            ("/a/..b/.c", "/a/..b/.c"),
            // Latin-1, which is no UTF-8, means nothing else to anybody.
            ("/%e4%c0x", "/%E4%C0x"),
            ("/%ef%bc%8f", "/%EF%BC%8F"),
        ] {
            check(received, Ok(expected));
        }
    }

    #[test]
    fn paths_without_a_single_meaning_are_refused() {
        for (received, error) in [
            ("", PathError::NotAPath),
            ("*", PathError::NotAPath),
            ("a/b", PathError::NotAPath),
            ("/a%", PathError::InvalidEscape),
            ("/a%2", PathError::InvalidEscape),
            ("/a%zz", PathError::InvalidEscape),
            ("/a%+1", PathError::InvalidEscape),
            ("/a%2fb", PathError::EscapedSeparator),
            ("/a%5Cb", PathError::EscapedSeparator),
            ("/a\\b", PathError::Backslash),
            ("/a%00", PathError::ControlCharacter),
            ("/a%0d%0a", PathError::ControlCharacter),
            ("/a\u{1}", PathError::ControlCharacter),
            ("/a b", PathError::ControlCharacter),
            ("/a/..;/b", PathError::DotSegmentParameter),
            ("/a/%2e%2e;x/b", PathError::DotSegmentParameter),
            ("/a/.;/b", PathError::DotSegmentParameter),
            ("/a/..%3b/b", PathError::DotSegmentParameter),
            ("/a/%2E%2e%3Bx/b", PathError::DotSegmentParameter),
            ("/a/..%2fb", PathError::EscapedSeparator),
            ("/a/..%5cb", PathError::EscapedSeparator),
            ("/%u002e%u002e/b", PathError::InvalidEscape),
            ("/%%32%65", PathError::InvalidEscape),
            ("/%c0%ae%c0%ae/b", PathError::Overlong),
            ("/a%c0%afb", PathError::Overlong),
            ("/a%C1%9c", PathError::Overlong),
            ("/%e0%80%ae", PathError::Overlong),
            ("/%f0%80%80%ae", PathError::Overlong),
            ("/%f8%80%80%80%ae", PathError::Overlong),
            ("/%FC%80%80%80%80%AF", PathError::Overlong),
            ("/%c0%2e%c0%2e/b", PathError::Overlong),
        ] {
            check(received, Err(error));
        }
    }

    #[test]
    fn escaped_slashes_are_kept_or_decoded_where_the_rules_say_so() {
        let by = |encoded_slash| PathRules { encoded_slash, ..PathRules::default() };
        let (keep, decode) = (by(EncodedSlash::Keep), by(EncodedSlash::Decode));
        for (received, kept, decoded) in [
            ("/a%2fb", Ok("/a%2Fb"), Ok("/a/b")),
            ("/a%2F%2fb", Ok("/a%2F%2Fb"), Ok("/a/b")),
            ("/a%2f", Ok("/a%2F"), Ok("/a/")),
            ("/a/%2f../b", Err(PathError::EscapedSeparator), Ok("/b")),
            ("/a/..%2fb", Err(PathError::EscapedSeparator), Ok("/b")),
            ("/a/%2e%2e%2fb", Err(PathError::EscapedSeparator), Ok("/b")),
            ("/a/x%2f..", Err(PathError::EscapedSeparator), Ok("/a/")),
            ("/a/x%2f.%2fb", Err(PathError::EscapedSeparator), Ok("/a/x/b")),
            ("/a/x%2f..;y", Err(PathError::EscapedSeparator), Err(PathError::DotSegmentParameter)),
            ("/a%252fb", Ok("/a%252fb"), Ok("/a%252fb")),
            ("/a%5cb", Err(PathError::EscapedSeparator), Err(PathError::EscapedSeparator)),
        ] {
            check_by(keep, received, kept);
            check_by(decode, received, decoded);
        }
    }

    #[test]
    fn empty_segments_are_segments_where_they_are_not_merged() {
        let rules = PathRules { merge_slashes: false, ..PathRules::default() };
        for (received, expected) in [
            ("//a", "//a"),
            ("/a//b", "/a//b"),
            ("/a//", "/a//"),
            ("/a//../b", "/a/b"),
            ("/a/./b/.", "/a/b/"),
            ("/..//b", "//b"),
            ("/", "/"),
        ] {
            check_by(rules, received, Ok(expected));
        }
    }

    fn any_rules() -> impl Strategy<Value = PathRules> {
        let slash =
            prop_oneof![Just(EncodedSlash::Reject), Just(EncodedSlash::Keep), Just(EncodedSlash::Decode)];
        (slash, any::<bool>())
            .prop_map(|(encoded_slash, merge_slashes)| PathRules { encoded_slash, merge_slashes })
    }

    #[test]
    fn normal_paths_are_borrowed() {
        assert!(NormalPath::new("/api/users/7", PathRules::default()).unwrap().is_as_received());
        assert!(!NormalPath::new("/api//users/7", PathRules::default()).unwrap().is_as_received());
    }

    proptest! {
        #[test]
        fn normalising_twice_is_normalising_once(rules in any_rules(), path in "/(\\.|\\.\\.|[a-z%;/\\\\]|%2[eEfF]|%[0-9a-f]{2}|\\PC){0,12}") {
            if let Ok(once) = NormalPath::new(&path, rules) {
                let twice = NormalPath::new(once.as_str(), rules);
                prop_assert_eq!(twice.as_ref().map(NormalPath::as_str), Ok(once.as_str()));
            }
        }

        #[test]
        fn no_normal_path_has_dot_or_inner_empty_segments(path in "/(\\.|/|%2e|a|;){0,12}") {
            if let Ok(normal) = NormalPath::new(&path, PathRules::default()) {
                let segments: Vec<_> = normal.as_str()[1..].split('/').collect();
                prop_assert!(normal.as_str().starts_with('/'));
                prop_assert!(!segments.iter().any(|segment| matches!(*segment, "." | "..")));
                prop_assert!(!segments[..segments.len() - 1].contains(&""));
            }
        }
    }
}
