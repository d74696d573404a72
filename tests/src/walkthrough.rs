//! A document whose commands are run as a reader would run them, one after the other in one shell, and whose answers must
//! be what the shell shows.
//!
//! A block of `sh` is what to type; a block of `text` right behind it is what comes of it. There, `...` stands for anything,
//! and how much blank space there is says nothing. Ports are replaced by free ones, so that a demo may run meanwhile.

use std::{
    fs,
    io::{self, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    lines::Lines,
    programs::{Programs, gather},
    waiting::within,
};

/// How long the same commands may take to show what is promised: an edit takes a moment to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to type, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where it stands in the document, from 1.
    pub line: usize,
    /// What to type.
    pub commands: String,
    /// What comes of it, where the document says so.
    pub answer: Option<String>,
}

/// The steps of a document, in order.
///
/// # Panics
/// When an answer stands behind nothing, or a block does not end.
#[must_use]
pub fn steps(markdown: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = (1..).zip(markdown.lines());
    while let Some((line, text)) = lines.next() {
        let Some(language) = text.strip_prefix("```") else { continue };
        let mut block = String::new();
        loop {
            let (_, text) = lines.next().unwrap_or_else(|| panic!("the block of line {line} does not end"));
            if text == "```" {
                break;
            }
            block.push_str(text);
            block.push('\n');
        }
        match language {
            "sh" => steps.push(Step { line, commands: block, answer: None }),
            "text" => {
                let step = steps.last_mut().filter(|step| step.answer.is_none());
                step.unwrap_or_else(|| panic!("line {line} answers nothing")).answer = Some(block);
            }
            _ => {}
        }
    }
    steps
}

/// Whether what was seen is as promised.
#[must_use]
pub fn is_as_promised(promised: &str, seen: &str) -> bool {
    let plain = |text: &str| {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    let (promised, seen) = (plain(promised), plain(seen));
    let pieces: Vec<_> = promised.split("...").collect();
    let [first, middle @ .., last] = pieces.as_slice() else { return promised == seen };
    let Some(mut rest) = seen.strip_prefix(first) else { return false };
    for piece in middle {
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

/// Free ports in place of those that a document and its files name on loopback.
#[derive(Debug)]
pub struct Ports(Vec<(String, String)>);

impl Ports {
    /// A free one for each of these.
    ///
    /// # Panics
    /// When the system has none.
    #[must_use]
    pub fn instead_of(usual: &[u16]) -> Self {
        let bind = |_: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        // All are held until all are known, so that they differ.
        let listeners: Vec<_> = usual.iter().map(bind).collect();
        let address = |listener: &TcpListener| listener.local_addr().expect("a listener has an address");
        let free = listeners.iter().map(|listener| address(listener).to_string());
        Self(usual.iter().map(|port| format!("127.0.0.1:{port}")).zip(free).collect())
    }

    /// A text with these ports.
    #[must_use]
    pub fn put_into(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (usual, free)| text.replace(usual, free))
    }
}

/// A shell that keeps its variables and background programs from step to step. They all end when it is dropped.
#[derive(Debug)]
pub struct Shell {
    child: Child,
    stdin: ChildStdin,
    shown: Arc<Lines>,
    blocks: usize,
}

impl Shell {
    /// Starts one in a directory, with this variable beside those of the test.
    ///
    /// # Errors
    /// When there is no bash.
    pub fn start(programs: &Programs, directory: &Path, variable: (&str, &str)) -> io::Result<Self> {
        let mut command = programs.command("/usr/bin/env");
        command.arg("bash").current_dir(directory).env(variable.0, variable.1);
        command.env("APIGW_STATE_DIR", directory.join("state"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let shown = gather(child.stdout.take());
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut shell = Self { child, stdin, shown, blocks: 0 };
        // Of no interest: a reader's terminal shows it in between, and curl speaks of its progress there.
        shell.run("exec 2>errors\n", directory)?;
        Ok(shell)
    }

    /// Runs commands and gives what they show.
    ///
    /// # Errors
    /// When the shell has ended, or does not come to an end.
    pub fn run(&mut self, commands: &str, directory: &Path) -> io::Result<String> {
        self.blocks += 1;
        let end = format!("--- end of block {}", self.blocks);
        let begin = format!("--- begin of block {}", self.blocks);
        // Read from a file, so that no command reads the next one as its input.
        fs::write(directory.join("block.sh"), commands)?;
        writeln!(self.stdin, "echo '{begin}'; . ./block.sh </dev/null; echo; echo '{end}'")?;
        self.shown.first(|line| (line == end).then_some(())).ok_or(io::ErrorKind::TimedOut)?;
        let lines = self.shown.all();
        let shown = lines.iter().skip_while(|line| **line != begin).skip(1);
        Ok(shown.take_while(|line| **line != end).map(String::as_str).collect::<Vec<_>>().join("\n"))
    }

    /// Takes a step, and sees that it shows what is promised.
    ///
    /// # Errors
    /// What was shown instead.
    pub fn take(&mut self, step: &Step, directory: &Path) -> Result<(), String> {
        let mut run = || self.run(&step.commands, directory).map_err(|error| error.to_string());
        let Some(answer) = &step.answer else { return run().map(drop) };
        let mut seen = String::new();
        let kept = within(PATIENCE, || {
            seen = run().unwrap_or_else(|error| error);
            is_as_promised(answer, &seen).then_some(())
        });
        kept.ok_or(seen)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_text_answer_the_block_before() {
        let markdown = "Type:\n```sh\na\nb\n```\nand see\n```text\nc\n```\n```yaml\nd\n```\n```sh\ne\n```\n";
        let step = |line, commands: &str, answer: Option<&str>| Step {
            line,
            commands: commands.into(),
            answer: answer.map(str::to_owned),
        };
        assert_eq!(steps(markdown), [step(2, "a\nb\n", Some("c\n")), step(13, "e\n", None)]);
    }

    #[test]
    fn only_dots_and_blanks_leave_room() {
        let check =
            |promised, seen, expected| assert_eq!(is_as_promised(promised, seen), expected, "{promised}");
        check("a b\nc", "a   b\n\n c \n", true);
        check("a", "a\nb", false);
        check("a\n...", "a\nb", true);
        check("...b", "a\nb", true);
        check("a...c...e", "abcde", true);
        check("a...c...e", "abcdef", false);
        check("a...e...c", "abcde", false);
        check("", "", true);
        check("", "a", false);
    }
}
