//! Flags of the development servers, in both spellings: `--addr` and, as the Go model has it, `-addr`.

use clap::Parser;

/// Reads the program's flags, or says what is wrong with them and ends the program.
#[must_use]
pub fn parse<Flags: Parser>() -> Flags {
    Flags::parse_from(std::env::args().map(with_two_dashes))
}

/// `-addr` is `--addr`; one letter stays a short flag, and what does not look like a flag stays as it is.
fn with_two_dashes(argument: String) -> String {
    let bytes = argument.as_bytes();
    let is_long_flag = bytes.len() > 2 && bytes[0] == b'-' && bytes[1].is_ascii_alphabetic();
    if is_long_flag { format!("-{argument}") } else { argument }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_mean_the_same() {
        let check = |written: &str, meant: &str| assert_eq!(with_two_dashes(written.into()), meant);
        check("-addr", "--addr");
        check("-addr=:9001", "--addr=:9001");
        check("--addr", "--addr");
        check("-h", "-h");
        check("-1", "-1");
        check("--", "--");
        check(":9001", ":9001");
    }
}
