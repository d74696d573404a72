//! From the bytes of a file to a text that a YAML parser can be given.

use crate::problem::Position;

/// Why bytes are no text, and where.
pub(super) struct NotText {
    pub(super) position: Position,
    pub(super) message: &'static str,
}

/// The text without its byte order mark.
pub(super) fn decode(content: &[u8]) -> Result<&str, NotText> {
    let start = Position { line: 1, column: 1 };
    if content.starts_with(&[0xFE, 0xFF]) || content.starts_with(&[0xFF, 0xFE]) {
        return Err(NotText { position: start, message: "encoded as UTF-16; save it as UTF-8" });
    }
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let text = std::str::from_utf8(content).map_err(|error| {
        let before = String::from_utf8_lossy(&content[..error.valid_up_to()]);
        NotText { position: end_of(&before), message: "not UTF-8 from here on" }
    })?;
    // YAML allows no others (section 5.1), and the parser takes a NUL for the end of the text: what follows it would be
    // ignored in silence.
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    match text.find(is_control) {
        None => Ok(text),
        Some(place) => {
            Err(NotText { position: end_of(&text[..place]), message: "a control character is not allowed" })
        }
    }
}

/// The position behind the last character of a text.
fn end_of(text: &str) -> Position {
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
    Position {
        line: number(text.bytes().filter(|&b| b == b'\n').count()),
        column: number(last_line.chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(content: &[u8], line: u32, column: u32, message: &str) {
        let error = decode(content).expect_err("this is no text");
        assert_eq!((error.position, error.message), (Position { line, column }, message));
    }

    #[test]
    fn a_byte_order_mark_is_removed() {
        assert_eq!(decode(b"\xEF\xBB\xBFa: 1").ok(), Some("a: 1"));
    }

    #[test]
    fn what_is_no_text_is_refused_where_it_begins() {
        check_refused(b"\xFF\xFEa\0", 1, 1, "encoded as UTF-16; save it as UTF-8");
        check_refused(b"a: 1\n\xC3\xA4\xC3", 2, 2, "not UTF-8 from here on");
        check_refused(b"a: 1\nb: \0", 2, 4, "a control character is not allowed");
        check_refused("ä\u{7f}".as_bytes(), 1, 2, "a control character is not allowed");
    }

    #[test]
    fn tabs_and_line_ends_are_text() {
        assert!(decode("a:\t1\r\nb: \u{85}2\n".as_bytes()).is_ok());
    }
}
