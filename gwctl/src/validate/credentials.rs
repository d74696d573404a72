//! Whether the files of API keys and users are of use that a configuration names. They are read as a data plane would read them,
//! if this is its machine.

use std::{io::ErrorKind, path::Path};

use apigw_config::{
    model::{ApiKeyFile, CredentialFiles, Settings, UserFile},
    names::FilePath,
    problem::Problem,
    watch::{Content, ContentError},
};
use apigw_engine::{
    callers::{api_key::ApiKeyTable, basic::UserTable},
    explain::ReadFiles,
};
use apigw_transport::tls::configured::FileBase;

/// What there is to say of the files, without places in the configuration.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// What keeps a data plane from running it.
    pub(super) problems: Vec<Problem>,
    /// Of files that another machine may have.
    pub(super) warnings: Vec<Problem>,
    /// What those say that are here and of use.
    pub(super) read: ReadFiles,
}

/// Checks the files, in the order of the keys that name them.
pub(super) fn check(settings: &Settings, base: &FileBase) -> Checked {
    let mut checked = Checked::default();
    let Some(auth) = &settings.auth else { return checked };
    let CredentialFiles { api_keys, basic } = auth.files();
    if let Some(ApiKeyFile { file, header: _ }) = api_keys {
        let read = |content: &[u8]| apigw_config::read_api_keys(file.as_str(), content);
        let keys = checked.file("auth.api_keys.file", file, base, read);
        checked.read.api_keys = keys.as_ref().map(ApiKeyTable::from);
    }
    if let Some(UserFile { file, realm: _ }) = basic {
        let read = |content: &[u8]| apigw_config::read_users(file.as_str(), content);
        let users = checked.file("auth.basic.file", file, base, read);
        checked.read.users = users.as_ref().map(UserTable::from);
    }
    checked
}

impl Checked {
    /// What a file says; none: nothing of use.
    fn file<T>(
        &mut self,
        key: &'static str,
        file: &FilePath,
        base: &FileBase,
        read: impl FnOnce(&[u8]) -> Result<T, Vec<Problem>>,
    ) -> Option<T> {
        let path = match base.resolve(file) {
            Ok(path) => path,
            Err(elsewhere) => {
                self.warnings.push(of_key(key, elsewhere.to_string()));
                return None;
            }
        };
        match Content::of(&path).into_text() {
            Ok(content) => match read(&content) {
                Ok(read) => Some(read),
                Err(problems) => {
                    self.problems
                        .extend(problems.into_iter().map(|problem| of_key(key, problem.to_string())));
                    None
                }
            },
            Err(error) => {
                let problem = of_key(key, format!("{}: {error}", file.as_str()));
                let list = if is_of_another_machine(&error, &path) {
                    &mut self.warnings
                } else {
                    &mut self.problems
                };
                list.push(problem);
                None
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
