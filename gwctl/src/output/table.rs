//! Aligned columns without borders, as terminals and `awk` like them.

use super::Style;
use crate::failure::printable;

/// What a colour says; which one it is, is the terminal's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Good,
    Waiting,
    Bad,
}

impl Colour {
    /// The SGR parameter (ECMA-48 section 8.3.117).
    fn code(self) -> u8 {
        match self {
            Self::Good => 32,
            Self::Waiting => 33,
            Self::Bad => 31,
        }
    }
}

/// One value. What is not printable in it is escaped, so that no peer can move the cursor.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    colour: Option<Colour>,
}

impl Cell {
    pub(crate) fn coloured(text: &str, colour: Colour) -> Self {
        Self { text: printable(text), colour: Some(colour) }
    }

    /// A value that may be absent.
    pub(crate) fn optional(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(|| Self::from("-"), |text| Self::from(text.as_ref()))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        // An empty cell would shift the columns for whoever splits lines at spaces.
        Self { text: if text.is_empty() { "-".into() } else { printable(text) }, colour: None }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// Rows beneath upper-case heads.
pub(crate) struct Grid<const N: usize> {
    heads: [&'static str; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Grid<N> {
    pub(crate) fn new(heads: [&'static str; N]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: [Cell; N]) {
        self.rows.push(row);
    }

    /// The lines, each column as wide as its widest cell; no spaces at line ends.
    pub(crate) fn render(&self, style: Style) -> String {
        let mut widths = self.heads.map(width);
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                widths[column] = widths[column].max(width(&cell.text));
            }
        }
        let mut lines = String::new();
        let heads = self.heads.map(Cell::from);
        for row in std::iter::once(&heads).chain(&self.rows) {
            for (column, cell) in row.iter().enumerate() {
                push_cell(&mut lines, cell, style);
                if column + 1 < N {
                    let padding = widths[column] - width(&cell.text) + 2;
                    lines.extend(std::iter::repeat_n(' ', padding));
                }
            }
            lines.push('\n');
        }
        lines
    }
}

fn push_cell(line: &mut String, cell: &Cell, style: Style) {
    match cell.colour {
        Some(colour) => line.push_str(&painted(&cell.text, colour, style)),
        None => line.push_str(&cell.text),
    }
}

/// A text in a colour, where there are any.
pub(crate) fn painted(text: &str, colour: Colour, style: Style) -> String {
    match style {
        Style::Coloured => format!("\u{1b}[{}m{text}\u{1b}[0m", colour.code()),
        Style::Plain => text.into(),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid<3> {
        let mut grid = Grid::new(["NAME", "STATE", "FILE"]);
        grid.push(["a".into(), Cell::coloured("in_sync", Colour::Good), "x".into()]);
        grid.push(["longer".into(), Cell::coloured("bad", Colour::Bad), "".into()]);
        grid
    }

    #[test]
    fn columns_are_aligned_and_empty_cells_are_visible() {
        let expected = "\
NAME    STATE    FILE
a       in_sync  x
longer  bad      -
";
        assert_eq!(grid().render(Style::Plain), expected);
    }

    #[test]
    fn colours_do_not_move_columns() {
        let coloured = grid().render(Style::Coloured);
        assert_ne!(coloured, grid().render(Style::Plain));
        let bare = coloured.replace("\u{1b}[32m", "").replace("\u{1b}[31m", "").replace("\u{1b}[0m", "");
        assert_eq!(bare, grid().render(Style::Plain));
    }

    #[test]
    fn a_peers_text_cannot_break_a_line() {
        let mut grid = Grid::new(["NAME"]);
        grid.push(["a\nb\u{1b}[31m".into()]);
        assert_eq!(grid.render(Style::Plain), "NAME\na\\nb\\u{1b}[31m\n");
    }
}
