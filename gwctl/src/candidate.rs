//! A file that may become a configuration: read as the control plane reads it, compiled as a data plane does.
//!
//! No server is asked, and nothing is resolved or dialled: a file that compiles here is refused nowhere else for what it
//! says, only for where it runs (a port that is taken).

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use apigw_config::{
    model::Checks,
    problem::Problem,
    watch::{ContentError, MAX_FILE_BYTES},
    wire::{self, Revision},
};
use apigw_engine::Snapshot;
use apigw_transport::tls::configured::FileBase;

use crate::failure::Failure;

/// What is read of a file at most; one byte more than any legal file, so that reading it says that it is too large.
const MAX_READ_BYTES: u64 = MAX_FILE_BYTES + 1;

/// A file's content.
pub(crate) struct Candidate {
    /// As named on the command line.
    pub(crate) file: String,
    pub(crate) content: Vec<u8>,
    /// Where paths in it begin.
    pub(crate) base: FileBase,
}

impl Candidate {
    /// Reads a file; `-` is standard input.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let unreadable = |error| Failure::Unreadable { file: path.to_owned(), error };
        if path.as_os_str() == "-" {
            let content = read_bounded(io::stdin().lock()).map_err(unreadable)?;
            return Ok(Self { file: "<stdin>".to_owned(), content, base: FileBase::Nowhere });
        }
        let content = File::open(path).and_then(read_bounded).map_err(unreadable)?;
        Ok(Self { file: path.display().to_string(), content, base: FileBase::of_file(path) })
    }

    /// Makes it ready to judge requests by.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn compile(&self) -> Result<Snapshot, Vec<Problem>> {
        self.compile_with_checks().map(|(snapshot, _)| snapshot)
    }

    /// Makes it ready to judge requests by, and reads what it demands of itself.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn compile_with_checks(&self) -> Result<(Snapshot, Checks), Vec<Problem>> {
        let of_the_file = |message: String| Problem {
            file: self.file.clone(),
            position: None,
            path: String::new(),
            message,
        };
        if self.content.len() as u64 > MAX_FILE_BYTES {
            return Err(vec![of_the_file(ContentError::TooLarge.to_string())]);
        }
        let (config, checks) = apigw_config::read_with_checks(&self.file, &self.content)?;
        let resources = wire::encode(&config).map_err(|error| vec![of_the_file(error.to_string())])?;
        let root_hash = wire::root_hash(resources.iter().map(wire::Resource::entry));
        let snapshot = Snapshot::compile(config, Revision { epoch: 0, seq: 0, root_hash }, None)?;
        Ok((snapshot, checks))
    }
}

fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    reader.take(MAX_READ_BYTES).read_to_end(&mut content)?;
    Ok(content)
}
