//! Reads the keys of `auth.api_keys`, and the file that they name: YAML as the configuration, with hashes of keys.

use super::{Contents, Mapping, Place, Read, Reader};
use crate::{
    model::{ApiKey, ApiKeyFile, ApiKeys, CredentialsError, UserFile},
    names::Realm,
    problem::{KeyPath, Position, Problem, Problems},
    yaml,
};

impl Read for ApiKeyFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let file = keys.required("file");
        let header = keys.or("header", Self::default_header());
        keys.finish();
        Some(Self { file: file?, header: header? })
    }
}

impl Read for UserFile {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let file = keys.required("file");
        let realm = keys.or("realm", Realm::default());
        keys.finish();
        Some(Self { file: file?, realm: realm? })
    }
}

/// Reads a file of API keys that was found under the name `file`.
///
/// # Errors
/// Everything wrong with it, in the order of the file; at least one problem. None shows a hash, nor a text or a key of a mapping where there should
/// be none.
pub fn read(file: &str, content: &[u8]) -> Result<ApiKeys, Vec<Problem>> {
    let mut problems = Problems::of(file);
    let Some(document) = yaml::parse(content, &mut problems) else { return Err(problems.into_sorted()) };
    let mut reader = Reader::new(problems, Contents::Secrets);
    let keys = keys_of(Place { node: &document.root, path: KeyPath::Top }, &mut reader);
    reader.problems.or(keys)
}

fn keys_of(place: Place<'_>, reader: &mut Reader) -> Option<ApiKeys> {
    let mut keys = Mapping::open(place, reader)?;
    let entries: Option<Vec<Entry>> = keys.required("keys");
    keys.finish();
    let entries = entries?;
    let (positions, entries): (Vec<_>, Vec<_>) =
        entries.into_iter().map(|Entry { position, key }| (position, key)).unzip();
    let list = KeyPath::Top.key("keys");
    let errors = match ApiKeys::new(entries) {
        Ok(keys) => return Some(keys),
        Err(errors) => errors,
    };
    for error in errors {
        match error {
            CredentialsError::None | CredentialsError::TooMany { .. } => {
                reader.problems.report(Some(place.node.position), &list, error);
            }
            CredentialsError::Twice { first, second } => {
                let Position { line, column } = positions[first];
                let message = format_args!("the same key as in line {line}, column {column}");
                reader.problems.report(Some(positions[second]), &list.index(second).key("sha256"), message);
            }
        }
    }
    None
}

/// A key and where it stands.
struct Entry {
    position: Position,
    key: ApiKey,
}

impl Read for Entry {
    fn read(place: Place<'_>, reader: &mut Reader) -> Option<Self> {
        let mut keys = Mapping::open(place, reader)?;
        let name = keys.required("name");
        let hash = keys.required("sha256");
        let scopes = keys.or("scopes", Vec::new());
        let expires = keys.or("expires", None);
        keys.finish();
        let key = ApiKey { name: name?, hash: hash?, scopes: scopes?, expires: expires? };
        Some(Self { position: place.node.position, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    /// The problems of a file, each in one line.
    fn problems(content: &str) -> Vec<String> {
        read("keys.yaml", content.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_have_names_scopes_and_an_end() {
        let hash = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08";
        let text = format!(
            "keys:\n- {{name: billing, sha256: {hash}, scopes: [a:read, b], expires: 2027-01-31T00:00:00Z}}\n\
             - {{name: billing, sha256: '{ZEROS}'}}\n"
        );
        let keys = read("keys.yaml", text.as_bytes()).unwrap();
        let [first, second] = keys.as_slice() else { panic!("{keys:?}") };
        assert_eq!((first.name.as_str(), first.hash.as_bytes()[..2].to_vec()), ("billing", vec![0x9f, 0x86]));
        assert_eq!(
            first.scopes.iter().map(crate::names::TokenScope::as_str).collect::<Vec<_>>(),
            ["a:read", "b"]
        );
        assert_eq!(first.expires.unwrap().unix_seconds(), 1_801_353_600);
        assert_eq!((second.scopes.len(), second.expires), (0, None));
    }

    #[test]
    fn every_problem_is_told_with_its_line_and_no_key_is_shown() {
        let text = "\
keys:
- {name: a, sha256: my-secret-key}
- {name: a b, sha256: 0123, scope: [x]}
- {sha256: 8d969eef6ecad3c29a3a629280e686cf0c3f5d5a86aff3ca12020c923adc6c92, expires: soon}
";
        assert_eq!(
            problems(text),
            [
                "keys.yaml:2:21 keys[0].sha256: not the SHA-256 of a key: 64 hexadecimal digits",
                "keys.yaml:3:10 keys[1].name: contains ' '; letters, digits and -_.:/@ are allowed",
                "keys.yaml:3:23 keys[1].sha256: expected a text; a number needs quotes",
                "keys.yaml:3:29 keys[1]: unknown key, did you mean \"scopes\"?",
                "keys.yaml:4:3 keys[2].name: missing",
                "keys.yaml:4:87 keys[2].expires: not a time such as \"2027-01-31T00:00:00Z\"",
            ]
        );
    }

    #[test]
    fn what_stands_where_it_does_not_belong_is_not_shown() {
        let texts = [
            "secret",
            "keys: secret",
            "keys: [secret]",
            "secret: 1",
            "keys:\n- secret: billing",
            "keys: {secret: a}",
        ];
        for text in texts {
            let problems = problems(text);
            let is_shown = problems.iter().any(|problem| problem.contains("secret"));
            assert!(!problems.is_empty() && !is_shown, "{problems:?}");
        }
        assert_eq!(problems("keys: x"), ["keys.yaml:1:7 keys: expected a list, found a text"]);
    }

    #[test]
    fn a_key_stands_there_once() {
        let text = format!("keys:\n- {{name: a, sha256: '{ZEROS}'}}\n- {{name: b, sha256: '{ZEROS}'}}\n");
        assert_eq!(problems(&text), ["keys.yaml:3:3 keys[1].sha256: the same key as in line 2, column 3"]);
    }

    #[test]
    fn a_file_without_keys_is_none() {
        assert_eq!(problems("keys: []"), ["keys.yaml:1:1 keys: there is no entry"]);
        assert_eq!(problems("key: []").len(), 2);
        assert_eq!(problems("").len(), 1);
        assert_eq!(problems("keys: [").len(), 1);
    }
}
