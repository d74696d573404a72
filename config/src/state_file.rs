//! Files of a state directory, which is one process's alone: whatever else has the name of one is in the way, not somebody's.
//!
//! A pipe would keep whoever opens it waiting for ever, and a directory cannot be written over; both are found out before.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// What is kept holds secrets of the configuration.
const OWN_FILE: u32 = 0o600;

/// Opens a file to be locked, and makes it where there is none.
///
/// # Errors
/// What the system says, and `InvalidInput` where something else has its name.
pub fn open_lock(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(not_a_file()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create(true).truncate(false).mode(OWN_FILE).open(path)
}

/// Makes a new file, so that its mode is certain, in place of whatever has its name.
///
/// # Errors
/// What the system says.
pub fn create(path: &Path) -> io::Result<File> {
    clear(path)?;
    OpenOptions::new().write(true).create_new(true).mode(OWN_FILE).open(path)
}

/// Gives a file that is whole its name, in place of whatever has it.
///
/// # Errors
/// What the system says.
pub fn put(unfinished: &Path, path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        clear(path)?;
    }
    fs::rename(unfinished, path)
}

/// Reads a file, at most so many bytes of it.
///
/// # Errors
/// What the system says, and `InvalidInput` where something else has its name.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(not_a_file());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes whatever has this name.
///
/// # Errors
/// What the system says.
pub fn clear(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn not_a_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no file")
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::net::UnixListener, process::Command};

    use super::*;

    fn put_pipe(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn put_directory(path: &Path) {
        fs::create_dir(path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
    }

    fn put_socket(path: &Path) {
        drop(UnixListener::bind(path).unwrap());
    }

    #[test]
    fn what_is_no_file_keeps_nobody_waiting_and_is_written_over() {
        let directory = tempfile::tempdir().unwrap();
        let (path, unfinished) = (directory.path().join("a"), directory.path().join(".new"));
        for put_there in [put_pipe, put_directory, put_socket] {
            put_there(&path);
            for refused in [open_lock(&path).map(drop), read(&path, 9).map(drop)] {
                assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput);
            }
            create(&unfinished).unwrap().write_all(b"whole").unwrap();
            put(&unfinished, &path).unwrap();
            assert_eq!(read(&path, 4).unwrap(), b"whol");
            clear(&path).unwrap();
            put_there(&path);
            drop(create(&path).unwrap());
            clear(&path).unwrap();
        }
        assert!(clear(&path).is_ok(), "there is nothing");
    }
}
