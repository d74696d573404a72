//! Whether the files of API keys and users are of use that a configuration names. They are read as a data plane would read them,
//! if this is its machine.

use std::{io::ErrorKind, path::Path};

use apigw_config::{
    model::{ApiKeyFile, CredentialFiles, Settings, UserFile},
    names::FilePath,
    problem::Problem,
    watch::{Content, ContentError},
};
use apigw_transport::tls::configured::FileBase;

/// What there is to say of the files, without places in the configuration.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// What keeps a data plane from running it.
    pub(super) problems: Vec<Problem>,
    /// Of files that another machine may have.
    pub(super) warnings: Vec<Problem>,
}

/// Checks the files, in the order of the keys that name them.
pub(super) fn check(settings: &Settings, base: &FileBase) -> Checked {
    let mut checked = Checked::default();
    let Some(auth) = &settings.auth else { return checked };
    let CredentialFiles { api_keys, basic } = auth.files();
    if let Some(ApiKeyFile { file, header: _ }) = api_keys {
        let read = |content: &[u8]| apigw_config::read_api_keys(file.as_str(), content).map(drop);
        checked.file("auth.api_keys.file", file, base, read);
    }
    if let Some(UserFile { file, realm: _ }) = basic {
        let read = |content: &[u8]| apigw_config::read_users(file.as_str(), content).map(drop);
        checked.file("auth.basic.file", file, base, read);
    }
    checked
}

impl Checked {
    fn file(
        &mut self,
        key: &'static str,
        file: &FilePath,
        base: &FileBase,
        read: impl FnOnce(&[u8]) -> Result<(), Vec<Problem>>,
    ) {
        let path = match base.resolve(file) {
            Ok(path) => path,
            Err(elsewhere) => return self.warnings.push(of_key(key, elsewhere.to_string())),
        };
        match Content::of(&path).into_text() {
            Ok(content) => {
                let problems = read(&content).err().into_iter().flatten();
                self.problems.extend(problems.map(|problem| of_key(key, problem.to_string())));
            }
            Err(error) => {
                let problem = of_key(key, format!("{}: {error}", file.as_str()));
                let list = if is_of_another_machine(&error, &path) {
                    &mut self.warnings
                } else {
                    &mut self.problems
                };
                list.push(problem);
            }
        }
    }
}

/// As with certificates: not even the directory of the file is here.
fn is_of_another_machine(error: &ContentError, path: &Path) -> bool {
    let is_missing = matches!(error, ContentError::Unreadable(error) if error.kind() == ErrorKind::NotFound);
    is_missing && path.parent().is_some_and(|directory| !directory.is_dir())
}

fn of_key(key: &str, message: String) -> Problem {
    Problem { file: String::new(), position: None, path: key.into(), message }
}
