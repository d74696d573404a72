//! `Accept-Encoding` (RFC 9110 section 12.5.3).

use apigw_config::names::ContentCoding;
use http::header::ACCEPT_ENCODING;

use crate::fields::Fields;

/// How much a client likes each coding. What cannot be read is not liked.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    brotli: Option<Weight>,
    zstandard: Option<Weight>,
    gzip: Option<Weight>,
    identity: Option<Weight>,
    /// `*`: everything that is not named.
    others: Option<Weight>,
}

/// In thousandths; 0: not at all.
type Weight = u16;

/// Of a coding that is named without one.
const ALL: Weight = 1_000;

impl Accepted {
    /// What a request says; where it says nothing, the client may know no coding at all.
    pub(super) fn of(request: &Fields) -> Self {
        let mut accepted = Self::default();
        let fields = request.get_all(ACCEPT_ENCODING);
        for item in fields.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
            let mut parts = item.splitn(2, |byte| *byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            if let Some(known) = accepted.named(name) {
                *known = Some(parts.next().map_or(ALL, weight));
            }
        }
        accepted
    }

    fn named(&mut self, name: &[u8]) -> Option<&mut Option<Weight>> {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        match name {
            b"*" => Some(&mut self.others),
            _ if is("br") => Some(&mut self.brotli),
            _ if is("zstd") => Some(&mut self.zstandard),
            // RFC 9110 section 8.4.1.3.
            _ if is("gzip") || is("x-gzip") => Some(&mut self.gzip),
            _ if is("identity") => Some(&mut self.identity),
            _ => None,
        }
    }

    /// The one that the client likes best; among equals the first. None: it likes none, or likes it better to have none.
    pub(super) fn best(&self, codings: &[ContentCoding]) -> Option<ContentCoding> {
        let weighed = codings.iter().map(|coding| (*coding, self.weight_of(*coding)));
        // The last of the greatest is what `max_by_key` gives.
        let (coding, weight) = weighed.rev().max_by_key(|(_, weight)| *weight)?;
        // Where nothing is said of it, it is what is left when nothing else is liked.
        (weight > 0 && weight >= self.identity.unwrap_or(0)).then_some(coding)
    }

    fn weight_of(&self, coding: ContentCoding) -> Weight {
        let named = match coding {
            ContentCoding::Brotli => self.brotli,
            ContentCoding::Zstandard => self.zstandard,
            ContentCoding::Gzip => self.gzip,
        };
        named.or(self.others).unwrap_or(0)
    }
}

/// `q=0.5` (RFC 9110 section 12.4.2).
fn weight(parameter: &[u8]) -> Weight {
    let parameter = parameter.trim_ascii();
    let number = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="));
    number.and_then(thousandths).unwrap_or(0)
}

/// `0`, `1`, or either with up to three digits behind a point, at most 1.
fn thousandths(number: &[u8]) -> Option<Weight> {
    let (whole, digits) = match number {
        [whole @ (b'0' | b'1')] => (*whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (*whole, digits),
        _ => return None,
    };
    let mut sum = Weight::from(whole - b'0') * ALL;
    for (digit, worth) in digits.iter().zip([100, 10, 1]) {
        sum += Weight::from(digit.is_ascii_digit().then(|| digit - b'0')?) * worth;
    }
    (sum <= ALL).then_some(sum)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const CODINGS: [ContentCoding; 3] = ContentCoding::ALL;

    /// What a client that sends these fields is given of these codings.
    fn best(fields: &[&str], codings: &[ContentCoding]) -> Option<&'static str> {
        let field = |text: &&str| (ACCEPT_ENCODING, HeaderValue::from_str(text).unwrap());
        Accepted::of(&fields.iter().map(field).collect()).best(codings).map(ContentCoding::as_str)
    }

    #[test]
    fn the_coding_is_what_the_client_likes_best_and_then_what_the_route_does() {
        for (fields, expected) in [
            (&["gzip, deflate, br, zstd"][..], Some("zstd")),
            (&["gzip;q=1.0, br;q=0.9"], Some("gzip")),
            (&["GZIP ; Q=0.001"], Some("gzip")),
            (&["x-gzip"], Some("gzip")),
            (&["br;q=0.5", "gzip;q=0.501"], Some("gzip")),
            (&["*"], Some("zstd")),
            (&["br;q=0, *;q=0.1"], Some("zstd")),
            (&["*;q=0, gzip"], Some("gzip")),
            (&["gzip, Zstd"], Some("zstd")),
            (&["*;q=0"], None),
            (&["identity;q=0, gzip;q=0.1"], Some("gzip")),
            (&["identity;q=0"], None),
            (&["identity, gzip"], Some("gzip")),
            (&["identity;q=0.8, gzip;q=0.5"], None),
            (&["identity;q=0.5, *;q=0.8"], Some("zstd")),
            (&["deflate, compress"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(best(fields, &CODINGS), expected, "{fields:?}");
        }
        assert_eq!(best(&["br, gzip"], &[ContentCoding::Gzip, ContentCoding::Brotli]), Some("gzip"));
        assert_eq!(best(&["br"], &[ContentCoding::Gzip]), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_accepted() {
        for weight in
            ["q=", "q=2", "q=1.001", "q=0.1234", "q=.5", "q=-1", "q=0x1", "q=1;a", "level=9", "q=0.a", ""]
        {
            assert_eq!(best(&[&format!("gzip;{weight}")], &CODINGS), None, "{weight:?}");
        }
        assert_eq!(best(&["gzip;q=nan, ,;,br ; q=1.000,"], &CODINGS), Some("br"));
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let fields = [(ACCEPT_ENCODING, value)].into_iter().collect();
                let _ = Accepted::of(&fields).best(&CODINGS);
            }
        }

        #[test]
        fn every_weight_is_what_a_number_is(thousandths in 0_u16..=1_000) {
            let text = format!("q={}.{:03}", thousandths / 1_000, thousandths % 1_000);
            prop_assert_eq!(weight(text.as_bytes()), thousandths);
        }
    }
}
