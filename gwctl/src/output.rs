//! An answer as a table for a person, or as JSON or YAML for a script: three forms of one view.
//!
//! Nothing is asked or decided here. JSON and YAML are what the view's `Serialize` says; only the table has a layout.

mod table;

use std::{env, io, io::IsTerminal};

use clap::ValueEnum;
use serde::Serialize;

pub(crate) use self::table::{Cell, Colour, Grid};
use crate::failure::Failure;

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

/// Whether a table may use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Coloured,
}

impl Style {
    /// Colours on a terminal, unless `NO_COLOR` (<https://no-color.org>) or a terminal without colours says otherwise.
    pub(crate) fn of_stdout() -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        if io::stdout().is_terminal() && !unwanted { Self::Coloured } else { Self::Plain }
    }
}

/// What has a form for people.
pub(crate) trait Table {
    /// The whole text, with a line break at its end.
    fn table(&self, style: Style) -> String;
}

/// An answer in one of its forms, with a line break at its end.
pub(crate) fn render<V: Serialize + Table>(
    view: &V,
    format: Format,
    style: Style,
) -> Result<String, Failure> {
    match format {
        Format::Table => Ok(view.table(style)),
        Format::Json => Ok(serde_json::to_string_pretty(view)? + "\n"),
        Format::Yaml => Ok(serde_saphyr::to_string(view)?),
    }
}
