//! Values beside each other, in groups, each with the range it was found in.

use super::{
    Frame, WIDTH,
    scale::{Growth, Scale, Unit, label},
    svg::{Anchor, Svg, series},
};
use crate::bench::statistics::{Spread, real};

/// A chart of groups of bars that grow to the right.
#[derive(Debug)]
pub struct Bars {
    /// What stands around it.
    pub frame: Frame,
    /// What the values are, with their unit.
    pub axis: String,
    /// Digits behind the point of the numbers behind the bars.
    pub decimals: usize,
    /// A value that others are compared with.
    pub mark: Option<f64>,
    /// From above.
    pub groups: Vec<Group>,
}

/// Bars that belong together.
#[derive(Debug)]
pub struct Group {
    /// What they have in common.
    pub title: String,
    /// From above.
    pub bars: Vec<Bar>,
}

/// A value.
#[derive(Debug)]
pub struct Bar {
    /// Whose.
    pub name: String,
    /// Its colour's number, which is the same in every group.
    pub series: usize,
    /// What it is.
    pub value: Spread,
}

const LEFT: f64 = 190.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 52.0;
const BAR: f64 = 15.0;
const STEP: f64 = 20.0;
const BETWEEN: f64 = 34.0;

impl Bars {
    /// The document.
    #[must_use]
    pub fn draw(&self) -> String {
        let bars = self.groups.iter().map(|group| group.bars.len()).sum::<usize>();
        let bottom = TOP + real(bars as u64) * STEP + real(self.groups.len() as u64) * BETWEEN;
        let mut svg = self.frame.begin(bottom + 60.0);
        let all = self.groups.iter().flat_map(|group| &group.bars).map(|bar| bar.value.highest);
        let values: Vec<_> = all.chain(self.mark).collect();
        let scale = Scale::new(Growth::Even, &values, (LEFT, WIDTH - RIGHT));
        for tick in scale.ticks() {
            let x = scale.place(tick);
            svg.text("faint small", Anchor::Middle, (x, bottom + 16.0), &label(tick, Unit::Number));
        }
        let mut y = TOP;
        for group in &self.groups {
            svg.text("text", Anchor::Start, (16.0, y + 18.0), &group.title);
            y += BETWEEN - 8.0;
            let end = y + real(group.bars.len() as u64) * STEP;
            let upright = |x: f64| ((x, y - 4.0), (x, end));
            for tick in scale.ticks() {
                let (from, to) = upright(scale.place(tick));
                svg.line("grid", from, to);
            }
            if let Some(mark) = self.mark {
                let (from, to) = upright(scale.place(mark));
                svg.line("over", from, to);
            }
            let (from, to) = upright(LEFT);
            svg.line("axis", from, to);
            for bar in &group.bars {
                self.draw_bar(&mut svg, &scale, bar, y);
                y += STEP;
            }
            y += 8.0;
        }
        svg.text("faint", Anchor::Middle, (LEFT.midpoint(WIDTH - RIGHT), bottom + 36.0), &self.axis);
        self.frame.finish(svg, bottom + 58.0)
    }

    /// A bar from the axis to the median, with a line from the lowest to the highest, and the number behind it.
    fn draw_bar(&self, svg: &mut Svg, scale: &Scale, bar: &Bar, y: f64) {
        let Spread { lowest, median, highest } = bar.value;
        let (class, middle) = (series(bar.series), y + BAR / 2.0);
        svg.text("text small", Anchor::End, (LEFT - 8.0, middle + 4.0), &bar.name);
        svg.bar(&class, (LEFT, y), ((scale.place(median) - LEFT).max(0.0), BAR));
        if lowest < highest {
            svg.line("over whisker", (scale.place(lowest), middle), (scale.place(highest), middle));
        }
        let number = format!("{median:.*}", self.decimals);
        svg.text("text small", Anchor::Start, (scale.place(highest) + 6.0, middle + 4.0), &number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::chart::tests::is_well_formed;

    fn bars(groups: Vec<Group>) -> Bars {
        let frame = Frame { title: "Costs & <more>".into(), caption: vec!["a day, a machine".into()] };
        Bars { frame, axis: "µs".into(), decimals: 2, mark: Some(1.0), groups }
    }

    #[test]
    fn every_bar_has_its_name_and_its_number() {
        let bar = |name: &str, series, median| {
            let value = Spread { lowest: median * 0.9, median, highest: median * 1.1 };
            Bar { name: name.into(), series, value }
        };
        let group = Group { title: "plain".into(), bars: vec![bar("apigw", 0, 0.95), bar("nginx", 1, 1.0)] };
        let document = bars(vec![group]).draw();
        assert!(is_well_formed(&document), "{document}");
        for text in [
            "Costs &amp; &lt;more&gt;",
            ">apigw<",
            ">nginx<",
            ">0.95<",
            ">plain<",
            ">µs<",
            "a day, a machine",
        ] {
            assert!(document.contains(text), "{text} is missing: {document}");
        }
        assert!(document.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn nothing_is_a_chart_too() {
        assert!(is_well_formed(&bars(Vec::new()).draw()));
    }
}
