//! The report: tables of medians with the lowest and the highest, which are Markdown and readable as they are; and JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    figure::{Figure, OF_COST, OF_COST_AND_LATENCY, OF_IDLE, OF_RELOAD},
    machine::Circumstances,
    run::{Answered, Row},
    scenario::{Measure, Reference, Scenario},
    statistics::Spread,
};

/// Of these only the medians are shown; they are parts of another figure.
const MEDIAN_ONLY: [Figure; 2] = [Figure::User, Figure::System];

/// A table with its notes.
#[must_use]
pub fn table(answered: &Answered) -> String {
    let Answered { scenario, rows, left_out } = answered;
    let figures: Vec<_> = figures(scenario.measure)
        .iter()
        .filter(|figure| rows.iter().any(|row| row.values(**figure).next().is_some()))
        .collect();
    let mut lines = vec![vec!["gateway".to_owned()]];
    lines[0].extend(scenario.varied.map(|(axis, _)| axis.title().to_owned()));
    lines[0].extend(figures.iter().map(|figure| figure.heading().to_owned()));
    for row in rows {
        let mut cells = vec![row.label.clone()];
        cells.extend(scenario.varied.map(|(axis, _)| grouped(&axis.of(&row.shape).to_string())));
        if row.problem.is_some() {
            cells.push("INVALID".into());
        } else {
            cells.extend(figures.iter().map(|figure| cell(row, **figure)));
        }
        cells.resize(lines[0].len().max(cells.len()), "-".into());
        lines.push(cells);
    }
    let mut text = aligned(&lines);
    let notes = notes(scenario, rows, left_out);
    if !notes.is_empty() {
        text.push('\n');
    }
    for note in notes {
        let _ = writeln!(text, "- {note}");
    }
    text
}

/// All tables, with what they were measured on.
#[must_use]
pub fn markdown(circumstances: &Circumstances, all: &[Answered]) -> String {
    let mut text = format!("{}\n", circumstances.caption());
    for answered in all {
        let _ = write!(
            text,
            "\n## {}: {}\n\n{}",
            answered.scenario.name,
            answered.scenario.about,
            table(answered)
        );
    }
    text
}

/// Every sample.
#[must_use]
pub fn json(circumstances: &Circumstances, all: &[Answered]) -> Value {
    let row = |row: &Row| {
        let shape = &row.shape;
        let samples = row.samples.iter().map(|(round, sample)| {
            let values = sample.iter().map(|(figure, value)| (figure.key().to_owned(), json!(value)));
            let mut values: serde_json::Map<_, _> = values.collect();
            values.insert("round".into(), json!(round));
            Value::Object(values)
        });
        json!({
            "gateway": row.label,
            "routes": shape.routes, "workers": shape.workers, "connections": shape.connections,
            "request_bytes": shape.request_bytes, "answer_bytes": shape.answer_bytes, "tokens": shape.tokens,
            "samples": samples.collect::<Vec<_>>(),
            "invalid": row.problem.as_ref().map(ToString::to_string),
        })
    };
    let scenario = |answered: &Answered| {
        json!({
            "name": answered.scenario.name, "about": answered.scenario.about,
            "rows": answered.rows.iter().map(row).collect::<Vec<_>>(),
            "left_out": answered.left_out,
        })
    };
    json!({
        "date": circumstances.date, "machine": circumstances.machine, "load_average_before": circumstances.busy,
        "versions": circumstances.versions, "command": circumstances.command,
        "scenarios": all.iter().map(scenario).collect::<Vec<_>>(),
    })
}

fn figures(measure: Measure) -> &'static [Figure] {
    match measure {
        Measure::Cost => OF_COST,
        Measure::CostAndLatency => OF_COST_AND_LATENCY,
        Measure::Idle => OF_IDLE,
        Measure::Reload => OF_RELOAD,
    }
}

/// The median, and how far the values reach.
fn cell(row: &Row, figure: Figure) -> String {
    let Some(spread) = Spread::of(row.values(figure)) else { return "-".into() };
    let shown = |value: f64| grouped(&format!("{value:.*}", figure.decimals()));
    let [low, middle, high] = [spread.lowest, spread.median, spread.highest].map(shown);
    if low == high || MEDIAN_ONLY.contains(&figure) { middle } else { format!("{middle} ({low}..{high})") }
}

/// A number with commas between thousands.
fn grouped(number: &str) -> String {
    let (whole, fraction) =
        number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    fraction.map_or(text.clone(), |fraction| format!("{text}.{fraction}"))
}

/// What must be known to read a table.
fn notes(scenario: &Scenario, rows: &[Row], left_out: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    if rows.iter().any(|row| row.values(Figure::Ratio).next().is_some()) {
        notes.push(match (scenario.reference, scenario.varied) {
            (Reference::OwnFirst, Some((axis, values))) => {
                let first = values.list().first().copied().unwrap_or_default();
                format!("ratio: to the same gateway at {} {first}, in the same round", axis.title())
            }
            (Reference::BareNginx | Reference::OwnFirst, _) => {
                "ratio: to nginx that only forwards the same, in the same round".into()
            }
        });
    }
    let mut known = Vec::new();
    for row in rows {
        if let Some(note) = row.gateway.kind.note(&row.shape)
            && !known.contains(&&row.label)
        {
            known.push(&row.label);
            notes.push(format!("{}: {note}", row.label));
        }
    }
    for row in rows {
        notes.extend(row.problem.as_ref().map(|problem| format!("{}: INVALID: {problem}", row.label)));
    }
    notes.extend(left_out.iter().map(|reason| format!("left out: {reason}")));
    notes
}

/// Lines of cells as a table whose columns stand beneath each other.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width =
        |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, cells) in lines.iter().enumerate() {
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            widths.iter().for_each(|width| {
                let _ = write!(text, "| {} ", "-".repeat(*width));
            });
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bench::{
        Invalid,
        figure::Sample,
        gateway::{Gateway, Kind},
        scenario::SCENARIOS,
    };

    fn row(kind: Kind, label: &str, cpu: &[f64]) -> Row {
        let gateway = Gateway { label: label.into(), kind, program: "unused".into() };
        let sample = |cpu: &f64| Sample::from([(Figure::Cpu, *cpu), (Figure::Rate, 12_345.6)]);
        let samples: BTreeMap<_, _> = (1..).zip(cpu.iter().map(sample)).collect();
        Row { label: label.into(), gateway, shape: SCENARIOS[0].shape, samples, problem: None }
    }

    fn answered() -> Answered {
        let broken = Row { problem: Some(Invalid::NoKey), ..row(Kind::Apigw, "apigw", &[1.0]) };
        let rows = vec![row(Kind::Nginx, "nginx", &[10.0, 12.0, 11.0]), broken];
        Answered { scenario: SCENARIOS[0], rows, left_out: vec!["envoy: nothing".into()] }
    }

    #[test]
    fn a_table_shows_medians_ranges_and_what_is_invalid() {
        let expected = "\
| gateway | CPU µs/request    | requests/s |
| ------- | ----------------- | ---------- |
| nginx   | 11.0 (10.0..12.0) | 12,346     |
| apigw   | INVALID           | -          |

- apigw: INVALID: there is no key to sign tokens with
- left out: envoy: nothing
";
        assert_eq!(table(&answered()), expected);
    }

    #[test]
    fn json_has_every_sample() {
        let circumstances = Circumstances {
            date: "2026-01-02".into(),
            machine: "2 x CPU".into(),
            busy: "0.1".into(),
            versions: "nginx 1".into(),
            command: "tests/bench".into(),
        };
        let json = json(&circumstances, &[answered()]);
        let rows = &json["scenarios"][0]["rows"];
        assert_eq!(
            rows[0]["samples"][2],
            serde_json::json!({
                "round": 3, "cpu_us_per_request": 11.0, "requests_per_second": 12_345.6,
            })
        );
        assert_eq!(rows[0]["invalid"], Value::Null);
        assert_eq!(rows[1]["invalid"], "there is no key to sign tokens with");
        assert_eq!(json["machine"], "2 x CPU");
    }

    #[test]
    fn thousands_are_told_apart() {
        let check = |number, expected| assert_eq!(grouped(number), expected);
        check("0", "0");
        check("999", "999");
        check("1000", "1,000");
        check("-1234567.25", "-1,234,567.25");
    }
}
