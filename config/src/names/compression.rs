//! How answers are compressed, and which: codings and media types. Nothing here compresses one.

use std::{fmt, str::FromStr, sync::Arc};

use super::{ValueError, check_distinct};

/// A content coding (RFC 9110 section 8.4.1) that the gateway can give an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentCoding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstandard,
    /// RFC 1952.
    Gzip,
}

impl ContentCoding {
    /// All of them, the one that makes least of an answer for the least work first.
    pub const ALL: [Self; 3] = [Self::Zstandard, Self::Brotli, Self::Gzip];

    /// The word in the file, in messages and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

impl fmt::Display for ContentCoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContentCoding {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let known = Self::ALL.into_iter().find(|coding| coding.as_str() == text);
        known.ok_or_else(|| ValueError::UnknownChoice { choices: "zstd, br, gzip", text: text.into() })
    }
}

/// One or more codings, the most wanted first, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentCodings(Vec<ContentCoding>);

impl ContentCodings {
    /// Takes a list.
    ///
    /// # Errors
    /// When it is empty or names one twice.
    pub fn new(codings: Vec<ContentCoding>) -> Result<Self, ValueError> {
        if codings.is_empty() {
            return Err(ValueError::Empty);
        }
        check_distinct(&codings)?;
        Ok(Self(codings))
    }

    /// In the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[ContentCoding] {
        &self.0
    }
}

impl Default for ContentCodings {
    fn default() -> Self {
        Self(ContentCoding::ALL.to_vec())
    }
}

/// Media types: one (`application/json`), all of a kind (`text/*`), or those of a kind with a structured syntax
/// (`application/*+json`, RFC 6838 section 4.2.8). Upper and lower case are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRange {
    text: Arc<str>,
    /// Where the slash is.
    slash: usize,
}

impl MediaRange {
    /// The most bytes of one.
    pub const MAX_BYTES: usize = 255;

    /// As written, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a media type, without parameters, is one of them.
    #[must_use]
    pub fn contains(&self, media_type: &str) -> bool {
        let (kind, subtype) = (&self.text[..self.slash], &self.text[self.slash + 1..]);
        let Some((other_kind, other_subtype)) = media_type.split_once('/') else { return false };
        let is_of_subtype = match subtype.strip_prefix('*') {
            None => other_subtype.eq_ignore_ascii_case(subtype),
            Some("") => !other_subtype.is_empty(),
            // Bytes, since what an upstream says may be cut anywhere.
            Some(suffix) => other_subtype.len().checked_sub(suffix.len()).is_some_and(|rest| {
                rest > 0 && other_subtype.as_bytes()[rest..].eq_ignore_ascii_case(suffix.as_bytes())
            }),
        };
        is_of_subtype && other_kind.eq_ignore_ascii_case(kind)
    }
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for MediaRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ValueError::TooLong { limit: Self::MAX_BYTES });
        }
        let is_token = |part: &str| {
            let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
            !part.is_empty() && part.bytes().all(is_legal)
        };
        let is_subtype = |subtype: &str| match subtype.strip_prefix('*') {
            None => is_token(subtype),
            Some("") => true,
            Some(suffix) => suffix.strip_prefix('+').is_some_and(is_token),
        };
        match text.split_once('/') {
            Some((kind, subtype)) if is_token(kind) && is_subtype(subtype) => {
                Ok(Self { text: text.to_ascii_lowercase().into(), slash: kind.len() })
            }
            _ => Err(ValueError::NotAMediaRange { text: text.into() }),
        }
    }
}

/// One or more media ranges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRanges(Vec<MediaRange>);

impl MediaRanges {
    const MAX: usize = 64;
    /// Texts of all kinds. Pictures, sounds, films and archives are compressed by what they are.
    const TEXTS: [&'static str; 8] = [
        "text/*",
        "application/json",
        "application/*+json",
        "application/javascript",
        "application/xml",
        "application/*+xml",
        "image/svg+xml",
        "application/wasm",
    ];

    /// Takes a list; its order decides nothing.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn new(ranges: Vec<MediaRange>) -> Result<Self, ValueError> {
        match ranges.len() {
            0 => Err(ValueError::Empty),
            count if count > Self::MAX => Err(ValueError::TooMany { count, limit: Self::MAX }),
            _ => Ok(Self(ranges)),
        }
    }

    /// In the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[MediaRange] {
        &self.0
    }

    /// Whether a media type, without parameters, is one of any of them.
    #[must_use]
    pub fn contains(&self, media_type: &str) -> bool {
        self.0.iter().any(|range| range.contains(media_type))
    }
}

impl Default for MediaRanges {
    fn default() -> Self {
        let range = |text: &str| text.parse().expect("each of the texts is a media range");
        Self(Self::TEXTS.into_iter().map(range).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_media_types_that_it_says() {
        let contains =
            |range: &str, media_type: &str| range.parse::<MediaRange>().unwrap().contains(media_type);
        for (range, media_type) in [
            ("application/json", "Application/JSON"),
            ("TEXT/*", "text/html"),
            ("application/*+json", "application/problem+JSON"),
        ] {
            assert!(contains(range, media_type), "{range} {media_type}");
        }
        for (range, media_type) in [
            ("application/json", "application/json5"),
            ("text/*", "text"),
            ("text/*", "text/"),
            ("text/*", "context/html"),
            ("application/*+json", "application/json"),
            ("application/*+json", "application/+json"),
            ("application/*+json", "text/x+json"),
            ("application/*+json", "application/\u{e9}\u{e9}on"),
        ] {
            assert!(!contains(range, media_type), "{range} {media_type}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in
            ["", "text", "/html", "text/", "*/*", "text/*x", "text/*+", "text/html; charset=x", "a b/c"]
        {
            assert!(text.parse::<MediaRange>().is_err(), "{text:?}");
        }
        assert!(format!("a/{}", "b".repeat(253)).parse::<MediaRange>().is_ok());
        assert!(format!("a/{}", "b".repeat(254)).parse::<MediaRange>().is_err());
        let range: MediaRange = "text/*".parse().unwrap();
        assert!(MediaRanges::new(vec![range.clone(); 64]).is_ok());
        assert!(MediaRanges::new(vec![range; 65]).is_err());
        assert!(MediaRanges::new(Vec::new()).is_err());
        assert!(MediaRanges::default().contains("application/atom+xml"));
    }

    #[test]
    fn codings_are_each_named_once() {
        for coding in ContentCoding::ALL {
            assert_eq!(coding.as_str().parse(), Ok(coding));
        }
        assert!("deflate".parse::<ContentCoding>().is_err());
        assert!(ContentCodings::new(Vec::new()).is_err());
        assert!(ContentCodings::new(vec![ContentCoding::Gzip, ContentCoding::Gzip]).is_err());
    }
}
