//! What a scalar means: the core schema of YAML 1.2 (section 10.3.2), in which `yes` and `12:30` are texts.

use std::borrow::Cow;

/// A text between punctuation, as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) style: Style,
}

/// How a scalar is written; only a plain one can be anything but a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
}

/// What a scalar is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Meaning<'a> {
    Null,
    Bool(bool),
    Whole(i128),
    Fraction(f64),
    Text(&'a str),
}

impl Scalar<'_> {
    pub(crate) fn meaning(&self) -> Meaning<'_> {
        let text = self.text.as_ref();
        match (self.style, text) {
            (Style::Quoted, _) => Meaning::Text(text),
            (Style::Plain, "" | "~" | "null" | "Null" | "NULL") => Meaning::Null,
            (Style::Plain, "true" | "True" | "TRUE") => Meaning::Bool(true),
            (Style::Plain, "false" | "False" | "FALSE") => Meaning::Bool(false),
            (Style::Plain, _) => number(text).unwrap_or(Meaning::Text(text)),
        }
    }
}

fn number(text: &str) -> Option<Meaning<'static>> {
    // Most plain scalars are texts; this turns nearly all of them away at their first letter.
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return None;
    }
    let radix = match text.get(..2) {
        Some("0x") => Some(16),
        Some("0o") => Some(8),
        _ => None,
    };
    if let Some(radix) = radix {
        let digits = &text[2..];
        // The standard library would take a sign here, the schema does not.
        let plain = !digits.starts_with(['+', '-']);
        return i128::from_str_radix(digits, radix).ok().filter(|_| plain).map(Meaning::Whole);
    }
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Some(Meaning::Fraction(f64::INFINITY));
        }
        "-.inf" | "-.Inf" | "-.INF" => return Some(Meaning::Fraction(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Meaning::Fraction(f64::NAN)),
        _ => {}
    }
    if let Ok(whole) = text.parse() {
        return Some(Meaning::Whole(whole));
    }
    // The standard library's other words for numbers ("inf", "nan") are texts here.
    let is_numeric = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse().ok().filter(|_| is_numeric).map(Meaning::Fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        let cases = [
            ("", Meaning::Null),
            ("~", Meaning::Null),
            ("null", Meaning::Null),
            ("nULL", Meaning::Text("nULL")),
            ("true", Meaning::Bool(true)),
            ("FALSE", Meaning::Bool(false)),
            ("yes", Meaning::Text("yes")),
            ("off", Meaning::Text("off")),
            ("0", Meaning::Whole(0)),
            ("-12", Meaning::Whole(-12)),
            ("+12", Meaning::Whole(12)),
            ("012", Meaning::Whole(12)),
            ("0x1F", Meaning::Whole(31)),
            ("0o17", Meaning::Whole(15)),
            ("0x+1", Meaning::Text("0x+1")),
            ("1_000", Meaning::Text("1_000")),
            ("12:30", Meaning::Text("12:30")),
            ("0.5", Meaning::Fraction(0.5)),
            (".5", Meaning::Fraction(0.5)),
            ("5.", Meaning::Fraction(5.0)),
            ("1e3", Meaning::Fraction(1000.0)),
            (".inf", Meaning::Fraction(f64::INFINITY)),
            ("-.inf", Meaning::Fraction(f64::NEG_INFINITY)),
            ("inf", Meaning::Text("inf")),
            ("-nan", Meaning::Text("-nan")),
            ("1.2.3", Meaning::Text("1.2.3")),
            ("-", Meaning::Text("-")),
            (".", Meaning::Text(".")),
        ];
        for (text, expected) in cases {
            let scalar = Scalar { text: text.into(), style: Style::Plain };
            assert_eq!(scalar.meaning(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_quoted_is_a_text() {
        for text in ["", "5", "true", "null"] {
            let scalar = Scalar { text: text.into(), style: Style::Quoted };
            assert_eq!(scalar.meaning(), Meaning::Text(text));
        }
    }
}
