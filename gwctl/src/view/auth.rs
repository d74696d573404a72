//! `gwctl auth`: one row for each provider of tokens on each data plane.

use std::fmt::Write;

use apigw_config::json::live::{JwksJson, ProviderJson};
use apigw_proto::v1;
use serde::Serialize;

use crate::{
    failure::printable,
    output::{Cell, Colour, Grid, Style, Table},
};

/// In the order of the data planes, then of the providers.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct AuthView(Vec<RowView>);

#[derive(Debug, Serialize)]
struct RowView {
    data_plane: String,
    #[serde(flatten)]
    provider: ProviderJson,
}

impl From<Vec<v1::ProviderState>> for AuthView {
    fn from(rows: Vec<v1::ProviderState>) -> Self {
        let row = |mut state: v1::ProviderState| RowView {
            data_plane: std::mem::take(&mut state.data_plane),
            provider: state.into(),
        };
        Self(rows.into_iter().map(row).collect())
    }
}

impl Table for AuthView {
    fn table(&self, style: Style) -> String {
        let mut grid = Grid::new([
            "DATA PLANE",
            "PROVIDER",
            "MODE",
            "KEYS",
            "FETCHED",
            "FRESH UNTIL",
            "FETCHES",
            "FAILED",
            "URL",
        ]);
        for RowView { data_plane, provider: ProviderJson { provider, mode, jwks } } in &self.0 {
            let jwks = jwks.as_ref();
            let failures = jwks.map(|jwks| jwks.failures.to_string());
            grid.push([
                data_plane.as_str().into(),
                provider.as_str().into(),
                mode.as_str().into(),
                jwks.map_or_else(|| "-".into(), key_count),
                Cell::optional(jwks.and_then(|jwks| jwks.fetched_at.as_deref())),
                Cell::optional(jwks.and_then(|jwks| jwks.fresh_until.as_deref())),
                Cell::optional(jwks.map(|jwks| (jwks.successes.saturating_add(jwks.failures)).to_string())),
                match failures {
                    Some(count) if jwks.is_some_and(|jwks| jwks.last_error.is_some()) => {
                        Cell::coloured(&count, Colour::Bad)
                    }
                    failures => Cell::optional(failures),
                },
                Cell::optional(jwks.map(|jwks| jwks.url.as_str())),
            ]);
        }
        let mut text = grid.render(style);
        self.0.iter().for_each(|row| row.push_problems(&mut text));
        text
    }
}

/// Without a key, every token is refused.
fn key_count(jwks: &JwksJson) -> Cell {
    match jwks.key_count {
        0 => Cell::coloured("0", Colour::Bad),
        count => count.to_string().into(),
    }
}

impl RowView {
    fn push_problems(&self, text: &mut String) {
        let Some(jwks) = &self.provider.jwks else { return };
        let error = jwks.last_error.iter().map(|error| ("the last fetch failed", error));
        let problems: Vec<_> =
            error.chain(jwks.skipped_keys.iter().map(|key| ("a key is not used", key))).collect();
        if problems.is_empty() {
            return;
        }
        let (provider, data_plane) = (printable(&self.provider.provider), printable(&self.data_plane));
        writeln!(text, "\nPROBLEMS OF {provider} ON {data_plane}:").expect("a string takes any text");
        for (what, why) in problems {
            writeln!(text, "  {what}: {}", printable(why)).expect("a string takes any text");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn staff() -> v1::ProviderState {
        v1::ProviderState {
            data_plane: "dp-1".into(),
            provider: "staff".into(),
            mode: "jwks".into(),
            url: "https://idp/keys".into(),
            key_count: 2,
            fetched_at_ms: 1_700_000_000_123,
            fresh_until_ms: 1_700_000_300_123,
            last_error: "timed out".into(),
            successes: 3,
            failures: 1,
            skipped_keys: vec!["key 2 (\"b\"): RSA of 1024 bits".into()],
        }
    }

    fn view() -> AuthView {
        let provider = |name: &str, mode: &str| v1::ProviderState {
            data_plane: "dp-1".into(),
            provider: name.into(),
            mode: mode.into(),
            ..v1::ProviderState::default()
        };
        AuthView::from(vec![staff(), provider("new", "jwks"), provider("machines", "hmac")])
    }

    #[test]
    fn json_has_the_documented_members() {
        let expected = json!([
            {
                "data_plane": "dp-1", "provider": "staff", "mode": "jwks",
                "jwks": {
                    "url": "https://idp/keys", "key_count": 2, "fetched_at": "2023-11-14T22:13:20.123Z",
                    "fresh_until": "2023-11-14T22:18:20.123Z", "last_error": "timed out", "successes": 3,
                    "failures": 1, "skipped_keys": ["key 2 (\"b\"): RSA of 1024 bits"],
                },
            },
            {
                "data_plane": "dp-1", "provider": "new", "mode": "jwks",
                "jwks": {
                    "url": "", "key_count": 0, "fetched_at": null, "fresh_until": null, "last_error": null,
                    "successes": 0, "failures": 0, "skipped_keys": [],
                },
            },
            { "data_plane": "dp-1", "provider": "machines", "mode": "hmac", "jwks": null },
        ]);
        assert_eq!(serde_json::to_value(view()).unwrap(), expected);
    }

    #[test]
    fn table_shows_each_provider_and_what_is_wrong_with_it() {
        let expected = "\
DATA PLANE  PROVIDER  MODE  KEYS  FETCHED                   FRESH UNTIL               FETCHES  FAILED  URL
dp-1        staff     jwks  2     2023-11-14T22:13:20.123Z  2023-11-14T22:18:20.123Z  4        1       https://idp/keys
dp-1        new       jwks  0     -                         -                         0        0       -
dp-1        machines  hmac  -     -                         -                         -        -       -

PROBLEMS OF staff ON dp-1:
  the last fetch failed: timed out
  a key is not used: key 2 (\"b\"): RSA of 1024 bits
";
        assert_eq!(view().table(Style::Plain), expected);
    }

    #[test]
    fn an_issuers_text_cannot_break_a_line() {
        let lying = v1::ProviderState { last_error: "a\n\u{1b}[2Jb".into(), ..staff() };
        let table = AuthView::from(vec![lying]).table(Style::Plain);
        assert!(table.contains("  the last fetch failed: a\\n\\u{1b}[2Jb\n"), "{table}");
    }
}
