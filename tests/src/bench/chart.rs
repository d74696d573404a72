//! Charts, as SVG that stands for itself: it has its own background, and colours for light and for dark surroundings.
//!
//! Here is what a chart shows; `svg` writes elements, `scale` places values, `bars` and `lines` draw.

/// Values beside each other, in groups.
mod bars;
/// Values along an axis.
mod lines;
/// Where on an axis a value is, and what stands at it.
mod scale;
/// Elements and text.
mod svg;

pub use self::{
    bars::{Bar, Bars, Group},
    lines::{Line, Lines, Point},
    scale::{Growth, Unit},
};

use self::svg::{Anchor, Svg};
use super::statistics::real;

/// What stands around a chart.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Above it.
    pub title: String,
    /// Beneath it, line by line.
    pub caption: Vec<String>,
}

/// How wide every chart is.
const WIDTH: f64 = 820.0;

/// From one line beneath a chart to the next.
const CAPTION_LINE: f64 = 15.0;

impl Frame {
    /// A picture with this frame, whose caption begins so far from the upper end.
    fn begin(&self, caption_at: f64) -> Svg {
        let mut svg = Svg::new(WIDTH, caption_at + real(self.caption.len() as u64) * CAPTION_LINE);
        svg.text("text title", Anchor::Start, (16.0, 28.0), &self.title);
        svg
    }

    /// The document, with the lines of the caption, the first of them at this height.
    fn finish(&self, mut svg: Svg, first_line: f64) -> String {
        for (line, number) in self.caption.iter().zip(0_u32..) {
            let y = first_line + f64::from(number) * CAPTION_LINE;
            svg.text("faint small", Anchor::Start, (16.0, y), line);
        }
        svg.finish(&self.title)
    }
}

/// Lines of no more than so many characters, cut between words.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Whether every element ends, in the right order, and no text has what only markup may have.
    pub(crate) fn is_well_formed(document: &str) -> bool {
        let mut open = Vec::new();
        let mut rest = document;
        while let Some((text, after)) = rest.split_once('<') {
            let Some((tag, after)) = after.split_once('>') else { return false };
            let is_escaped = text
                .split('&')
                .skip(1)
                .all(|entity| ["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)));
            if !is_escaped || text.contains('>') || !tag.matches('"').count().is_multiple_of(2) {
                return false;
            }
            let name = |tag: &str| tag.split([' ', '/']).next().unwrap_or_default().to_owned();
            if let Some(ended) = tag.strip_prefix('/') {
                if open.pop() != Some(name(ended)) {
                    return false;
                }
            } else if !tag.ends_with('/') {
                open.push(name(tag));
            }
            rest = after;
        }
        open.is_empty() && rest.trim().is_empty()
    }

    #[test]
    fn well_formed_is_told_from_what_is_not() {
        let check = |document, expected| assert_eq!(is_well_formed(document), expected, "{document}");
        check("<svg a=\"1\"><g/><text>a &lt; b</text></svg>\n", true);
        check("<svg><g></svg>", false);
        check("<svg></svg></svg>", false);
        check("<svg><text>a & b</text></svg>", false);
        check("<svg a=\"1></svg>", false);
        check("<svg>", false);
    }

    #[test]
    fn text_is_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("much-too-long a", 4), ["much-too-long", "a"]);
        assert!(wrapped("", 4).is_empty());
    }
}
