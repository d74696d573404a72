//! Values along an axis, a line for each series, each point with the range it was found in.

use super::{
    Frame, WIDTH,
    scale::{Growth, Scale, Unit, label},
    svg::{Anchor, Svg, series},
};
use crate::bench::statistics::Spread;

/// A chart of lines.
#[derive(Debug)]
pub struct Lines {
    /// What stands around it.
    pub frame: Frame,
    /// What is varied, with its unit.
    pub across: (String, Growth, Unit),
    /// What is found, with its unit.
    pub upwards: (String, Growth, Unit),
    /// The series.
    pub lines: Vec<Line>,
}

/// A series.
#[derive(Debug)]
pub struct Line {
    /// Whose.
    pub name: String,
    /// Its colour's number, which is the same in every chart.
    pub series: usize,
    /// From the least to the greatest.
    pub points: Vec<Point>,
}

/// A value at a place.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    /// The place.
    pub at: f64,
    /// The value.
    pub value: Spread,
}

const LEFT: f64 = 78.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 370.0;
/// Names of lines are at least so far apart.
const NAME_LINE: f64 = 15.0;

impl Lines {
    /// The document.
    #[must_use]
    pub fn draw(&self) -> String {
        let mut svg = self.frame.begin(BOTTOM + 60.0);
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let mut places: Vec<_> = points().map(|point| point.at).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let values: Vec<_> = points().flat_map(|point| [point.value.lowest, point.value.highest]).collect();
        let across = Scale::new(self.across.1, &places, (LEFT, WIDTH - RIGHT));
        let upwards = Scale::new(self.upwards.1, &values, (BOTTOM, TOP));
        for tick in upwards.ticks() {
            let y = upwards.place(tick);
            svg.line("grid", (LEFT, y), (WIDTH - RIGHT, y));
            svg.text("faint small", Anchor::End, (LEFT - 8.0, y + 4.0), &label(tick, self.upwards.2));
        }
        // Where it was measured, and nowhere else.
        for place in &places {
            let x = across.place(*place);
            svg.line("axis", (x, BOTTOM), (x, BOTTOM + 5.0));
            svg.text("faint small", Anchor::Middle, (x, BOTTOM + 18.0), &label(*place, self.across.2));
        }
        svg.line("axis", (LEFT, TOP), (LEFT, BOTTOM));
        svg.line("axis", (LEFT, BOTTOM), (WIDTH - RIGHT, BOTTOM));
        svg.text(
            "faint",
            Anchor::Middle,
            (LEFT.midpoint(WIDTH - RIGHT), BOTTOM + 38.0),
            &titled(&self.across),
        );
        svg.upright_text("faint", (20.0, TOP.midpoint(BOTTOM)), &titled(&self.upwards));
        for line in &self.lines {
            draw_line(&mut svg, &across, &upwards, line);
        }
        self.draw_names(&mut svg, &upwards);
        self.frame.finish(svg, BOTTOM + 60.0)
    }

    /// Each name at the end of its line, none over another.
    fn draw_names(&self, svg: &mut Svg, upwards: &Scale) {
        let ends = self
            .lines
            .iter()
            .filter_map(|line| Some((upwards.place(line.points.last()?.value.median), line)));
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        let mut lowest = f64::NEG_INFINITY;
        for (y, line) in ends {
            lowest = y.max(lowest + NAME_LINE);
            let place = (WIDTH - RIGHT + 12.0, lowest + 4.0);
            svg.text(&series(line.series), Anchor::Start, place, &line.name);
        }
    }
}

/// What stands beside an axis.
fn titled((title, growth, _): &(String, Growth, Unit)) -> String {
    match growth {
        Growth::Even => title.clone(),
        Growth::Factors => format!("{title} (logarithmic)"),
    }
}

fn draw_line(svg: &mut Svg, across: &Scale, upwards: &Scale, line: &Line) {
    let class = series(line.series);
    let place = |point: &Point| (across.place(point.at), upwards.place(point.value.median));
    let places: Vec<_> = line.points.iter().map(place).collect();
    svg.path(&class, &places);
    for (point, (x, y)) in line.points.iter().zip(places) {
        let Spread { lowest, highest, .. } = point.value;
        if lowest < highest {
            svg.line(&format!("{class} whisker"), (x, upwards.place(lowest)), (x, upwards.place(highest)));
        }
        svg.dot(&class, (x, y));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::chart::tests::is_well_formed;

    fn lines(growth: Growth, points: &[(f64, f64)]) -> Lines {
        let point = |(at, median): &(f64, f64)| {
            let value = Spread { lowest: median * 0.9, median: *median, highest: median * 1.1 };
            Point { at: *at, value }
        };
        let points: Vec<_> = points.iter().map(point).collect();
        let line = |name: &str, series| Line { name: name.into(), series, points: points.clone() };
        Lines {
            frame: Frame {
                title: "Longer answers".into(),
                caption: vec!["a day".into(), "a machine".into()],
            },
            across: ("size of an answer".into(), growth, Unit::Bytes),
            upwards: ("µs".into(), Growth::Even, Unit::Number),
            lines: vec![line("apigw", 0), line("nginx", 1)],
        }
    }

    #[test]
    fn axes_are_labelled_where_it_was_measured() {
        let document = lines(Growth::Factors, &[(0.0, 10.0), (1_024.0, 11.0), (1_048_576.0, 300.0)]).draw();
        assert!(is_well_formed(&document), "{document}");
        for text in
            [">0<", ">1 KiB<", ">1 MiB<", ">size of an answer (logarithmic)<", ">µs<", ">apigw<", ">nginx<"]
        {
            assert!(document.contains(text), "{text} is missing: {document}");
        }
        assert_eq!(document.matches("<polyline").count(), 2);
        assert!(!document.contains("NaN") && !document.contains("inf"), "{document}");
    }

    #[test]
    fn nothing_or_one_point_is_a_chart_too() {
        for growth in [Growth::Even, Growth::Factors] {
            for points in [&[][..], &[(0.0, 0.0)], &[(5.0, 1.0)]] {
                let document = lines(growth, points).draw();
                assert!(is_well_formed(&document) && !document.contains("NaN"), "{document}");
            }
        }
    }
}
