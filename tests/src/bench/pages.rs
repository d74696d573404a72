//! Parts of documents that a program writes, between markers that a reader does not see.
//!
//! `<!-- bench NAME -->` begins a part, `<!-- end of bench NAME -->` ends it; the rest of the page is left as it is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Why a page is not written.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The page has no such part.
    #[error("{} has no part between <!-- bench {name} --> and <!-- end of bench {name} -->", page.display())]
    NoPart {
        /// The page.
        page: PathBuf,
        /// What the part is called.
        name: String,
    },
    /// It cannot be read or written.
    #[error("{}: {source}", page.display())]
    File {
        /// The page.
        page: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Puts text in the place of a part of a page.
///
/// # Errors
/// When the page has no such part, or cannot be read or written.
pub fn replace_part(page: &Path, name: &str, text: &str) -> Result<(), PageError> {
    let failed = |source| PageError::File { page: page.into(), source };
    let old = fs::read_to_string(page).map_err(failed)?;
    let no_part = || PageError::NoPart { page: page.into(), name: name.into() };
    let new = replaced(&old, name, text).ok_or_else(no_part)?;
    fs::write(page, new).map_err(failed)
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- bench {name} -->\n"), format!("<!-- end of bench {name} -->"));
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}{}\n{end}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_is_replaced() {
        let page = "a\n<!-- bench x -->\nold\n<!-- end of bench x -->\nb\n<!-- bench y -->\n<!-- end of bench y -->\n";
        let check = |name, text, expected: Option<&str>| {
            assert_eq!(replaced(page, name, text).as_deref(), expected);
        };
        check("x", "new\n\n", Some(&page.replace("old", "new")));
        check("y", "1", Some(&page.replace("bench y -->\n<!--", "bench y -->\n1\n<!--")));
        check("z", "new", None);
        let twice = replaced(&replaced(page, "x", "new").unwrap(), "x", "old").unwrap();
        assert_eq!(twice, page);
    }
}
