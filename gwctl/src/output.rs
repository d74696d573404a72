//! An answer as a table for a person, or as JSON or YAML for a script: three forms of one view.
//!
//! Nothing is asked or decided here. JSON and YAML are what the view's `Serialize` says; only the table has a layout.

mod table;

use std::{env, io, io::IsTerminal};

use clap::ValueEnum;
use serde::Serialize;

pub(crate) use self::table::{Cell, Colour, Grid, painted};
use crate::failure::Failure;

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

impl Format {
    /// What stands between two answers of a sequence.
    pub(crate) fn separator(self) -> &'static str {
        match self {
            Self::Table => "\n",
            // One document in each line.
            Self::Json => "",
            // Without it, two lists would be read as one (YAML 1.2.2 section 9.1.2).
            Self::Yaml => "---\n",
        }
    }
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
        let is_unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if is_on_screen() && !is_unwanted { Self::Coloured } else { Self::Plain }
    }
}

/// Whether standard output is a terminal that can do more than print line after line.
pub(crate) fn is_on_screen() -> bool {
    io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|value| value != "dumb")
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

/// The same, as one of a sequence: JSON in one line.
pub(crate) fn render_in_sequence<V: Serialize + Table>(
    view: &V,
    format: Format,
    style: Style,
) -> Result<String, Failure> {
    match format {
        Format::Json => Ok(serde_json::to_string(view)? + "\n"),
        Format::Table | Format::Yaml => render(view, format, style),
    }
}
