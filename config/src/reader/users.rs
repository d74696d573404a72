//! Reads the file that `auth.basic` names: lines of `NAME:HASH`, as `htpasswd -B` writes them. Empty lines and lines that begin
//! with `#` say nothing.

use crate::{
    model::{CredentialsError, User, Users},
    names::ValueError,
    problem::{KeyPath, Position, Problem, Problems},
};

/// Reads a file of users that was found under the name `file`.
///
/// # Errors
/// Everything wrong with it, in the order of the file; at least one problem. None shows a hash.
pub fn read(file: &str, content: &[u8]) -> Result<Users, Vec<Problem>> {
    let mut problems = Problems::of(file);
    let at = |line: usize, column: usize| {
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Some(Position { line: number(line + 1), column: number(column + 1) })
    };
    let Ok(text) = std::str::from_utf8(content) else {
        problems.report(None, &KeyPath::Top, "not UTF-8");
        return Err(problems.into_sorted());
    };
    // Some editors begin with it; it is no part of a name.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut users, mut lines, mut is_whole) = (Vec::new(), Vec::new(), true);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match user(line) {
            Ok(user) => {
                users.push(user);
                lines.push(number);
            }
            Err(Fault { column, error }) => {
                is_whole = false;
                problems.report(at(number, column), &KeyPath::Top, error);
            }
        }
    }
    let read = Users::new(users);
    for error in read.as_ref().err().into_iter().flatten() {
        match error {
            // The others are told.
            CredentialsError::None if !is_whole => {}
            CredentialsError::None | CredentialsError::TooMany { .. } => {
                problems.report(None, &KeyPath::Top, error);
            }
            CredentialsError::Twice { first, second } => {
                let message = format_args!("the same name as in line {}", lines[*first] + 1);
                problems.report(at(lines[*second], 0), &KeyPath::Top, message);
            }
        }
    }
    problems.or(read.ok())
}

/// What is wrong with a line, and behind how many characters.
struct Fault {
    column: usize,
    error: LineError,
}

/// Why a line is none.
#[derive(Debug, thiserror::Error)]
enum LineError {
    #[error("expected NAME:HASH")]
    NoColon,
    #[error("the name is not one: {0}")]
    Name(#[source] ValueError),
    #[error("{0}")]
    Password(#[source] ValueError),
}

fn user(line: &str) -> Result<User, Fault> {
    // Without a colon it may be a password alone, so nothing of it is shown.
    let (name, hash) = line.split_once(':').ok_or(Fault { column: 0, error: LineError::NoColon })?;
    let parsed = name.parse().map_err(|error| Fault { column: 0, error: LineError::Name(error) })?;
    let column = name.chars().count() + 1;
    let password = hash.parse().map_err(|error| Fault { column, error: LineError::Password(error) })?;
    Ok(User { name: parsed, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";
    const ARGON2: &str =
        "$argon2id$v=19$m=65536,t=2,p=1$gZiV/M1gPc22ElAH/Jh1Hw$CWOrkoo7oJBQ/iyh7uJ0LO2aLEfrHwTWllSAxT0zRno";

    fn problems(content: &str) -> Vec<String> {
        read("users", content.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lines_are_names_and_hashes() {
        let text = format!("\u{feff}# staff\n\nalice:{BCRYPT}\r\nbob b\u{f6}b:{ARGON2}\n");
        let users = read("users", text.as_bytes()).unwrap();
        let names: Vec<_> = users.as_slice().iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["alice", "bob b\u{f6}b"]);
        assert_eq!(users.as_slice()[1].password.as_str(), ARGON2);
        assert!(!format!("{users:?}").contains("$2y$"));
    }

    #[test]
    fn every_problem_is_told_with_its_line_and_no_hash_is_shown() {
        let text = format!(
            "alice\nb\u{f6}b:$apr1$ElYgX1$x\n:{BCRYPT}\ncarol:{BCRYPT}\ndave:secret\ncarol:{BCRYPT}\n\
             erin:{}\nfrank:{}\ngrace:{}\n",
            BCRYPT.replace("$05$", "$16$"),
            ARGON2.replace("m=65536", "m=131073"),
            ARGON2.replace("v=19", "v=99"),
        );
        let kind = "not a bcrypt hash (\"$2y$10$...\") and not an Argon2 hash (\"$argon2id$v=19$...\")";
        assert_eq!(
            problems(&text),
            [
                "users:1:1: expected NAME:HASH".to_owned(),
                format!("users:2:5: {kind}"),
                "users:3:1: the name is not one: must not be empty".into(),
                format!("users:5:6: {kind}"),
                "users:6:1: the same name as in line 4".into(),
                "users:7:6: must be bcrypt with a cost from 4 to 15".into(),
                "users:8:7: must be Argon2 with at most 131072 KiB (m), 16 passes (t) and 16 lanes (p)"
                    .into(),
                "users:9:7: must be Argon2 of version 16 or 19 (v)".into(),
            ]
        );
    }

    #[test]
    fn a_file_without_users_is_none() {
        assert_eq!(problems("# nobody\n"), ["users: there is no entry"]);
        assert_eq!(read("users", b"\xff:x").unwrap_err()[0].to_string(), "users: not UTF-8");
    }
}
