//! What a program counts, as it tells it in the text form of Prometheus.

use std::{collections::BTreeSet, net::SocketAddr};

use crate::client;

/// The answer of `/metrics` at one moment.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// Asks an admin address.
    ///
    /// # Panics
    /// When it does not answer with 200.
    #[must_use]
    pub fn of(admin: SocketAddr) -> Self {
        let answer = client::get(admin, "/metrics");
        assert_eq!(answer.status(), 200, "{answer:?}");
        Self(answer.text())
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The names of all metrics.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|rest| Some(rest.split_once(' ')?.0.to_owned())).collect()
    }

    /// The sum of the series of this name that have all these labels; none, if there is no such series.
    ///
    /// # Panics
    /// When one of them is no number.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let is_meant = |line: &&str| {
            let Some(rest) = line.strip_prefix(name) else { return false };
            // What follows the name is its labels or its value; another letter makes it another name.
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label.as_str()))
        };
        let number = |line: &str| {
            let (_, number) = line.rsplit_once(' ').unwrap_or_default();
            number.parse::<f64>().unwrap_or_else(|error| panic!("{line}: {error}"))
        };
        self.0.lines().filter(is_meant).map(number).reduce(|sum, number| sum + number)
    }

    /// The same, of what is counted in whole numbers; 0, if there is no such series.
    ///
    /// # Panics
    /// When it is no whole number.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let text = self.value(name, labels).unwrap_or_default().to_string();
        text.parse().unwrap_or_else(|error| panic!("{name} {labels:?} is {text}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels_and_added_up() {
        let text = concat!(
            "# HELP a_total Of a.\n# TYPE a_total counter\n",
            "a_total{route=\"x\",code=\"200\"} 2\na_total{route=\"x\",code=\"404\"} 3\n",
            "a_total{route=\"y\",code=\"200\"} 4\na_total_other 50\n# TYPE b gauge\nb 0.5\n",
        );
        let metrics = Metrics(text.into());
        let check = |name, labels: &[_], count| assert_eq!(metrics.count(name, labels), count, "{labels:?}");
        check("a_total", &[], 9);
        check("a_total", &[("route", "x")], 5);
        check("a_total", &[("code", "200"), ("route", "x")], 2);
        check("a_total", &[("route", "z")], 0);
        assert_eq!(metrics.value("a_total", &[("route", "z")]), None);
        assert_eq!(metrics.value("b", &[]), Some(0.5));
        assert_eq!(metrics.names().into_iter().collect::<Vec<_>>(), ["a_total", "b"]);
    }
}
