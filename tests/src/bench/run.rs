//! The rounds: each starts every gateway in turn, so that what drifts on the machine drifts for all alike, and gives one
//! paired ratio to the reference.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    Invalid,
    figure::{Figure, Sample},
    gateway::{Gateway, Kind},
    measure::{Bench, Subject},
    scenario::{Measure, Reference, Scenario},
    shape::{Protection, Shape},
};

/// Whether somebody wants it to end; looked at between two samples.
pub static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// A gateway in one configuration, and what was measured of it.
#[derive(Debug)]
pub struct Row {
    /// What it is called.
    pub label: String,
    /// Which gateway.
    pub gateway: Gateway,
    /// What it is like and what is asked of it.
    pub shape: Shape,
    /// By round.
    pub samples: BTreeMap<u32, Sample>,
    /// Why it has no figures.
    pub problem: Option<Invalid>,
}

/// A question with its answer.
#[derive(Debug)]
pub struct Answered {
    /// The question.
    pub scenario: Scenario,
    /// Its rows.
    pub rows: Vec<Row>,
    /// What was not asked, and why.
    pub left_out: Vec<String>,
}

impl Row {
    /// The values of a figure, by round.
    pub fn values(&self, figure: Figure) -> impl Iterator<Item = f64> {
        self.samples.values().filter_map(move |sample| sample.get(&figure).copied())
    }
}

impl Answered {
    /// Whether a row has no figures although it should.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.rows.iter().any(|row| row.problem.is_some())
    }
}

/// Asks a question of those who are there.
#[must_use]
pub fn answer(bench: &Bench, scenario: &Scenario, gateways: &[Gateway]) -> Answered {
    let (mut rows, left_out) = rows(bench, scenario, gateways);
    // An edit is one sample of many; rounds of them would only take longer.
    let rounds = if scenario.measure == Measure::Reload { 1 } else { bench.effort.rounds };
    for round in 1..=rounds {
        for index in 0..rows.len() {
            if IS_INTERRUPTED.load(Ordering::Relaxed) {
                break;
            }
            if rows[index].problem.is_some() {
                continue;
            }
            let peak = reference(scenario, &rows, index)
                .and_then(|reference| rows[reference].samples.get(&round)?.get(&Figure::Rate).copied());
            let row = &rows[index];
            let subject = Subject { gateway: &row.gateway, shape: &row.shape, peak };
            let outcome = bench.sample(scenario.measure, subject);
            eprintln!("{} {round}/{rounds} {}: {}", scenario.name, row_name(scenario, row), told(&outcome));
            match outcome {
                Ok(sample) => {
                    rows[index].samples.insert(round, sample);
                }
                Err(invalid) => rows[index].problem = Some(invalid),
            }
        }
    }
    add_ratios(scenario, &mut rows);
    Answered { scenario: *scenario, rows, left_out }
}

/// What a row is called where rows of several values stand beside each other.
#[must_use]
pub fn row_name(scenario: &Scenario, row: &Row) -> String {
    match scenario.varied {
        Some((axis, _)) => format!("{}, {} {}", row.label, axis.of(&row.shape), axis.unit()),
        None => row.label.clone(),
    }
}

/// A sample in a few words.
fn told(outcome: &Result<Sample, Invalid>) -> String {
    match outcome {
        Err(invalid) => format!("INVALID: {invalid}"),
        Ok(sample) => {
            let shown = sample
                .iter()
                .take(5)
                .map(|(figure, value)| format!("{} {value:.*}", figure.heading(), figure.decimals()));
            shown.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The rows of a question, the reference's before those that are compared with it; and what is left out.
fn rows(bench: &Bench, scenario: &Scenario, gateways: &[Gateway]) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut left_out) = (Vec::new(), Vec::new());
    let shapes: Vec<_> = match scenario.varied {
        Some((axis, values)) => {
            values.list().into_iter().map(|value| axis.set(value, scenario.shape)).collect()
        }
        None => vec![scenario.shape],
    };
    if !bench.generators.can(scenario.shape.door) {
        return (rows, vec!["no installed generator of load asks this".into()]);
    }
    for shape in shapes {
        let fits = shape.connections < bench.site.most_clients();
        if !fits {
            left_out
                .push(format!("{} connections: more than the limit of open files lets", shape.connections));
            continue;
        }
        let asked = gateways.iter().filter(|gateway| scenario.kinds.contains(&gateway.kind));
        for gateway in asked {
            if !gateway.kind.can_have(shape.routes) {
                left_out.push(format!("{}, {} routes: takes too long to start", gateway.label, shape.routes));
                continue;
            }
            // The reference only forwards; nginx with what it has of the policies is a row of its own.
            let is_bare_too = gateway.kind == Kind::Nginx && shape.protection != Protection::Bare;
            for shape in is_bare_too.then(|| shape.bare()).into_iter().chain([shape]) {
                let label = gateway.row(&shape);
                rows.push(Row {
                    label,
                    gateway: gateway.clone(),
                    shape,
                    samples: BTreeMap::new(),
                    problem: None,
                });
            }
        }
    }
    (rows, left_out)
}

/// The row that a row is compared with; itself, where it is the reference.
fn reference(scenario: &Scenario, rows: &[Row], index: usize) -> Option<usize> {
    let row = &rows[index];
    let is_it = |other: &Row| match scenario.reference {
        Reference::BareNginx => other.gateway.kind == Kind::Nginx && other.shape == row.shape.bare(),
        Reference::OwnFirst => other.label == row.label,
    };
    rows.iter().position(is_it)
}

/// Compares processor times with the reference's of the same round.
fn add_ratios(scenario: &Scenario, rows: &mut [Row]) {
    for index in 0..rows.len() {
        let Some(reference) = reference(scenario, rows, index) else { continue };
        let of_reference: BTreeMap<_, _> = rows[reference]
            .samples
            .iter()
            .filter_map(|(round, sample)| Some((*round, *sample.get(&Figure::Cpu)?)))
            .collect();
        for (round, sample) in &mut rows[index].samples {
            if let (Some(own), Some(other)) = (sample.get(&Figure::Cpu), of_reference.get(round)) {
                sample.insert(Figure::Ratio, own / other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{scenario::SCENARIOS, shape::PLAIN};

    fn row(kind: Kind, shape: Shape, cpu: &[f64]) -> Row {
        let gateway = Gateway { label: format!("{kind:?}"), kind, program: "unused".into() };
        let samples = (1..).zip(cpu).map(|(round, cpu)| (round, Sample::from([(Figure::Cpu, *cpu)])));
        Row { label: gateway.row(&shape), gateway, shape, samples: samples.collect(), problem: None }
    }

    fn ratios(row: &Row) -> Vec<f64> {
        row.values(Figure::Ratio).collect()
    }

    #[test]
    fn ratios_are_to_the_bare_nginx_of_the_same_round() {
        let shape = Shape { protection: Protection::Limits, ..PLAIN };
        let mut rows = [
            row(Kind::Nginx, PLAIN, &[10.0, 20.0]),
            row(Kind::Nginx, shape, &[15.0, 25.0]),
            row(Kind::Apigw, shape, &[20.0, 10.0, 7.0]),
        ];
        add_ratios(&SCENARIOS[1], &mut rows);
        assert_eq!(ratios(&rows[0]), [1.0, 1.0]);
        assert_eq!(ratios(&rows[1]), [1.5, 1.25]);
        // The reference has no third round.
        assert_eq!(ratios(&rows[2]), [2.0, 0.5]);
    }

    #[test]
    fn ratios_of_routes_are_to_the_same_gateway_with_one() {
        let routes = SCENARIOS.iter().find(|scenario| scenario.name == "routes").unwrap();
        let many = Shape { routes: 1_000, ..PLAIN };
        let mut rows = [
            row(Kind::Nginx, PLAIN, &[10.0]),
            row(Kind::Apigw, PLAIN, &[20.0]),
            row(Kind::Nginx, many, &[30.0]),
            row(Kind::Apigw, many, &[21.0]),
        ];
        add_ratios(routes, &mut rows);
        assert_eq!(ratios(&rows[2]), [3.0]);
        assert_eq!(ratios(&rows[3]), [1.05]);
    }

    #[test]
    fn without_the_reference_there_is_no_ratio() {
        let mut rows = [row(Kind::Apigw, PLAIN, &[20.0])];
        add_ratios(&SCENARIOS[0], &mut rows);
        assert!(ratios(&rows[0]).is_empty());
    }
}
