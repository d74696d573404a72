//! A terminal that a program writes to, as a person would look at it.

use std::{
    fs::File,
    io::Read,
    os::fd::OwnedFd,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

/// The person's side of a pseudoterminal.
#[derive(Debug)]
pub struct Terminal {
    controller: OwnedFd,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// A terminal of so many characters. What is sent to it is gathered in a thread of its own.
    #[must_use]
    pub fn new(rows: u16, columns: u16) -> Self {
        // It must not become the terminal that controls the tests.
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
        grantpt(&controller).expect("it is ours");
        unlockpt(&controller).expect("it is ours");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).expect("it has a size");
        let sent = Arc::new(Mutex::new(Vec::new()));
        let gathered = Arc::clone(&sent);
        let mut reader = File::from(controller.try_clone().expect("there is room for it"));
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // Reading fails when the last program has left the terminal.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                gathered.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..count]);
            }
        });
        Self { controller, sent }
    }

    /// The program's side.
    #[must_use]
    pub fn output(&self) -> Stdio {
        let path = ptsname(&self.controller, Vec::new()).expect("it has a name");
        let side = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        side.expect("it is ours").into()
    }

    /// All that was sent to it so far.
    #[must_use]
    pub fn sent(&self) -> String {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&sent).into_owned()
    }
}
