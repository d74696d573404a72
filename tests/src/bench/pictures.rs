//! Which charts there are, and from which answers each is drawn.

use super::{
    chart::{Bar, Bars, Frame, Group, Growth, Line, Lines, Point, Unit, wrapped},
    figure::Figure,
    machine::Circumstances,
    report::table,
    run::{Answered, Row},
    shape::Axis,
    statistics::{Spread, real},
};

/// A chart and the name of its file.
#[derive(Debug)]
pub struct Picture {
    /// `NAME.svg`.
    pub file: String,
    /// What it shows, for those who do not see it.
    pub title: String,
    /// The document.
    pub svg: String,
    /// The scenario that it is about; nothing: it compares several.
    pub scenario: Option<&'static str>,
}

/// The scenarios whose costs stand beside each other in one chart.
pub const COMPARED: [&str; 7] = ["plain", "policies", "jwt", "jwt-many", "tls", "h2", "large"];

/// What that chart is called.
pub const COMPARISON: &str = "comparison";

/// What is shown of scenarios that vary something: a figure, and how it grows.
const GROWING: [(&str, Figure, Growth); 9] = [
    ("routes", Figure::Cpu, Growth::Even),
    ("routes", Figure::Ready, Growth::Factors),
    ("routes", Figure::Proportional, Growth::Factors),
    ("workers", Figure::Cpu, Growth::Even),
    ("workers", Figure::Rate, Growth::Even),
    ("connections", Figure::Cpu, Growth::Even),
    ("connections", Figure::Proportional, Growth::Factors),
    ("bodies", Figure::Cpu, Growth::Factors),
    ("uploads", Figure::Cpu, Growth::Factors),
];

/// Characters on a line of a caption.
const CAPTION: usize = 130;

/// All charts that can be drawn from these answers.
#[must_use]
pub fn pictures(circumstances: &Circumstances, all: &[Answered]) -> Vec<Picture> {
    let names = Names::of(all);
    let caption = wrapped(&circumstances.caption().replace('`', ""), CAPTION);
    let mut pictures = Vec::new();
    let compared: Vec<_> = COMPARED.iter().filter_map(|name| find(all, name)).collect();
    if compared.len() == COMPARED.len() {
        pictures.push(comparison(&names, &caption, &compared));
    }
    for (name, figure, growth) in GROWING {
        pictures
            .extend(find(all, name).and_then(|answered| growing(&names, &caption, answered, figure, growth)));
    }
    pictures.extend(find(all, "idle").map(|answered| idle(&names, &caption, answered)));
    pictures
}

fn find<'a>(all: &'a [Answered], name: &str) -> Option<&'a Answered> {
    all.iter().find(|answered| answered.scenario.name == name)
}

/// Names of gateways; the place of one is its colour's number.
struct Names(Vec<String>);

impl Names {
    fn of(all: &[Answered]) -> Self {
        let mut names: Vec<_> =
            all.iter().flat_map(|answered| &answered.rows).map(|row| row.gateway.label.clone()).collect();
        names.sort();
        names.dedup();
        Self(names)
    }

    fn series(&self, row: &Row) -> usize {
        self.0.iter().position(|name| *name == row.gateway.label).unwrap_or_default()
    }
}

fn bars(names: &Names, answered: &Answered, figure: Figure) -> Vec<Bar> {
    let bar = |row: &Row| {
        let value = Spread::of(row.values(figure))?;
        Some(Bar { name: row.label.clone(), series: names.series(row), value })
    };
    answered.rows.iter().filter(|row| row.problem.is_none()).filter_map(bar).collect()
}

fn comparison(names: &Names, caption: &[String], compared: &[&Answered]) -> Picture {
    let title = "What a request costs: less is better".to_owned();
    let group = |answered: &&Answered| {
        let title = format!("{}: {}", answered.scenario.name, answered.scenario.about);
        Group { title, bars: bars(names, answered, Figure::Ratio) }
    };
    let groups = compared.iter().map(group).collect();
    let frame = Frame { title: title.clone(), caption: caption.to_vec() };
    let chart = Bars {
        frame,
        axis: Figure::Ratio.axis().into(),
        decimals: Figure::Ratio.decimals(),
        mark: Some(1.0),
        groups,
    };
    Picture { file: format!("{COMPARISON}.svg"), title, svg: chart.draw(), scenario: None }
}

fn idle(names: &Names, caption: &[String], answered: &Answered) -> Picture {
    let title = answered.scenario.about.to_owned();
    let groups = vec![Group { title: String::new(), bars: bars(names, answered, Figure::ProportionalEach) }];
    let frame = Frame { title: title.clone(), caption: caption.to_vec() };
    let chart = Bars {
        frame,
        axis: Figure::ProportionalEach.axis().into(),
        decimals: Figure::ProportionalEach.decimals(),
        mark: None,
        groups,
    };
    Picture { file: "idle.svg".into(), title, svg: chart.draw(), scenario: Some(answered.scenario.name) }
}

fn growing(
    names: &Names,
    caption: &[String],
    answered: &Answered,
    figure: Figure,
    growth: Growth,
) -> Option<Picture> {
    let (axis, _) = answered.scenario.varied?;
    let mut lines: Vec<Line> = Vec::new();
    for row in answered.rows.iter().filter(|row| row.problem.is_none()) {
        let Some(value) = Spread::of(row.values(figure)) else { continue };
        let point = Point { at: real(axis.of(&row.shape) as u64), value };
        match lines.iter_mut().find(|line| line.name == row.label) {
            Some(line) => line.points.push(point),
            None => {
                lines.push(Line { name: row.label.clone(), series: names.series(row), points: vec![point] });
            }
        }
    }
    let (growth_across, unit) = match axis {
        Axis::Workers => (Growth::Even, Unit::Number),
        Axis::Routes | Axis::Connections => (Growth::Factors, Unit::Number),
        Axis::RequestBytes | Axis::AnswerBytes => (Growth::Factors, Unit::Bytes),
    };
    let title = format!("{}: {}", answered.scenario.about, figure.axis());
    let chart = Lines {
        frame: Frame { title: title.clone(), caption: caption.to_vec() },
        across: (axis.title().into(), growth_across, unit),
        upwards: (figure.axis().into(), growth, Unit::Number),
        lines,
    };
    let file = format!("{}-{}.svg", answered.scenario.name, figure.slug());
    Some(Picture { file, title, svg: chart.draw(), scenario: Some(answered.scenario.name) })
}

/// Parts of documents: which page, what the part is called, and what stands there.
#[must_use]
pub fn parts(
    circumstances: &Circumstances,
    all: &[Answered],
    pictures: &[Picture],
) -> Vec<(&'static str, String, String)> {
    let image =
        |picture: &Picture, directory: &str| format!("![{}]({directory}/{})\n", picture.title, picture.file);
    let mut parts = Vec::new();
    for answered in all {
        let name = answered.scenario.name;
        let mut text = format!("{}\n\n{}\n", table(answered).trim_end(), circumstances.caption());
        for picture in pictures.iter().filter(|picture| picture.scenario == Some(name)) {
            text += "\n";
            text += &image(picture, "performance");
        }
        parts.push(("docs/performance.md", name.to_owned(), text));
    }
    for picture in pictures.iter().filter(|picture| picture.scenario.is_none()) {
        parts.push(("docs/performance.md", COMPARISON.into(), image(picture, "performance")));
        parts.push(("README.md", COMPARISON.into(), image(picture, "docs/performance")));
    }
    parts
}
