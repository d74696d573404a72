//! Elements of SVG. Numbers are pixels from the upper left corner.

use std::fmt::{self, Display, Write as _};

/// Colours and letters, for light surroundings and for dark ones. The series' colours are told apart by people who see few
/// colours, too; besides, each series has its name beside it.
const STYLE: &str = "\
.sheet{fill:#ffffff}.text{fill:#1f2328}.faint{fill:#59636e}.grid{stroke:#d8dee4}.axis{stroke:#59636e}\
text{font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.small{font-size:11px}\
.line{fill:none!important;stroke-width:2}.whisker{stroke-width:1.5}\
.s0{fill:#0b62c4;stroke:#0b62c4}.s1{fill:#c2570c;stroke:#c2570c}.s2{fill:#12795a;stroke:#12795a}\
.s3{fill:#a63d8f;stroke:#a63d8f}.s4{fill:#7a6a00;stroke:#7a6a00}.s5{fill:#5d6673;stroke:#5d6673}\
text.s0,text.s1,text.s2,text.s3,text.s4,text.s5{stroke:none}\
.over{stroke:#1f2328}\
@media(prefers-color-scheme:dark){.sheet{fill:#0d1117}.text{fill:#e6edf3}.faint{fill:#9198a1}.grid{stroke:#2a313c}\
.axis{stroke:#9198a1}.over{stroke:#e6edf3}\
.s0{fill:#4c9cff;stroke:#4c9cff}.s1{fill:#f0883e;stroke:#f0883e}.s2{fill:#3fb68b;stroke:#3fb68b}\
.s3{fill:#e07bc9;stroke:#e07bc9}.s4{fill:#d4b72c;stroke:#d4b72c}.s5{fill:#9aa4b2;stroke:#9aa4b2}}";

/// How many series have a colour of their own.
const COLOURS: usize = 6;

/// A picture that is being drawn.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    elements: String,
}

/// Where text begins, ends or has its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        })
    }
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, elements: String::new() }
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.element(format_args!(
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    pub(super) fn bar(&mut self, class: &str, corner: (f64, f64), size: (f64, f64)) {
        let ((x, y), (width, height)) = (corner, size);
        self.element(format_args!(
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="1.5"/>"#
        ));
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.element(format_args!(r#"<polyline class="line {class}" points="{}"/>"#, points.join(" ")));
    }

    pub(super) fn dot(&mut self, class: &str, (x, y): (f64, f64)) {
        self.element(format_args!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="3.5"/>"#));
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, (x, y): (f64, f64), text: &str) {
        let text = escaped(text);
        self.element(format_args!(
            r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#
        ));
    }

    /// Text that is read from below.
    pub(super) fn upright_text(&mut self, class: &str, (x, y): (f64, f64), text: &str) {
        let text = escaped(text);
        self.element(format_args!(
            r#"<text class="{class}" text-anchor="middle" transform="translate({x:.1},{y:.1}) rotate(-90)">{text}</text>"#
        ));
    }

    fn element(&mut self, element: fmt::Arguments<'_>) {
        let _ = writeln!(self.elements, "{element}");
    }

    /// The document; the title is read aloud to those who do not see it.
    pub(super) fn finish(self, title: &str) -> String {
        let Self { width, height, elements } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"sheet\" width=\"100%\" height=\"100%\"/>\n{elements}</svg>\n"
        )
    }
}

/// The class of a series, by its number.
pub(super) fn series(number: usize) -> String {
    format!("s{}", number % COLOURS)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::chart::tests::is_well_formed;

    #[test]
    fn whatever_a_text_says_it_stays_text() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text("text", Anchor::Start, (0.0, 0.0), "a < b && \"c\" > </text>");
        let document = svg.finish("<title> & more");
        assert!(is_well_formed(&document), "{document}");
        assert!(document.contains("a &lt; b &amp;&amp; &quot;c&quot; &gt; &lt;/text&gt;"));
    }
}
