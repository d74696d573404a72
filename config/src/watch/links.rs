//! Which directories, and which names in them, can change what a path leads to. Reads links, never contents.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// The most links followed; as many as Linux follows.
const MAX_LINKS: u32 = 40;

/// The way to a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Those that hold the file and every symbolic link on the way to it. Where the way ends early, because something is
    /// missing, the last that is there: what is missing appears in it.
    pub(super) directories: BTreeSet<PathBuf>,
    /// Of everything that was met: directories, links, and at the end the file, or what is missing.
    pub(super) names: BTreeSet<OsString>,
}

/// The way that `path` is by now.
pub(super) fn way(path: &Path) -> Way {
    let (mut directories, mut names) = (BTreeSet::new(), BTreeSet::new());
    let mut here = PathBuf::new();
    // What is left of the way, next part last.
    let mut ahead = Vec::new();
    let mut links = 0;
    push_parts(path, &mut ahead);
    while let Some(part) = ahead.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        names.insert(part);
        match fs::symlink_metadata(&next) {
            Ok(metadata) if metadata.is_symlink() && links < MAX_LINKS => {
                links += 1;
                directories.insert(here.clone());
                match fs::read_link(&next) {
                    Ok(target) => push_parts(&target, &mut ahead),
                    // It vanished in this moment; the event of that is already on its way.
                    Err(_) => break,
                }
            }
            Ok(metadata) if metadata.is_dir() => here = next,
            _ => {
                directories.insert(here);
                break;
            }
        }
    }
    Way { directories, names }
}

/// Puts the parts of a path before what is still ahead. The root is a part: joined to a path, it replaces it.
fn push_parts(path: &Path, ahead: &mut Vec<OsString>) {
    let parts = path.components().rev().filter(|part| !matches!(part, Component::CurDir));
    ahead.extend(parts.map(|part| part.as_os_str().to_owned()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Builds a tree, asks for the directories of `file` in it and compares their names.
    fn check(build: impl FnOnce(&Path), file: &str, expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        build(&top);
        let expected: BTreeSet<_> =
            expected.iter().map(|name| top.join(name).components().collect()).collect();
        assert_eq!(way(&top.join(file)).directories, expected, "{file}");
    }

    #[test]
    fn a_plain_file_is_watched_in_its_directory() {
        check(|top| fs::write(top.join("g.yaml"), "").unwrap(), "g.yaml", &[""]);
    }

    #[test]
    fn a_missing_directory_is_awaited_in_the_one_above() {
        check(|top| fs::create_dir(top.join("a")).unwrap(), "a/b/c/g.yaml", &["a"]);
    }

    #[test]
    fn every_link_of_a_mounted_config_map_is_watched() {
        let build = |top: &Path| {
            fs::create_dir_all(top.join("etc/..1")).unwrap();
            fs::write(top.join("etc/..1/g.yaml"), "").unwrap();
            symlink("..1", top.join("etc/..data")).unwrap();
            symlink("..data/g.yaml", top.join("etc/g.yaml")).unwrap();
        };
        check(build, "etc/g.yaml", &["etc", "etc/..1"]);
    }

    #[test]
    fn names_are_those_of_all_that_is_on_the_way() {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        fs::create_dir_all(top.join("etc/..1/deep")).unwrap();
        symlink("..1/deep", top.join("etc/..data")).unwrap();
        symlink("..data/missing/g.yaml", top.join("etc/link")).unwrap();
        let names = way(&top.join("etc/link")).names;
        let of_top: BTreeSet<_> = top.iter().map(ToOwned::to_owned).collect();
        let beneath: Vec<_> = names.difference(&of_top).collect();
        assert_eq!(beneath, ["..1", "..data", "deep", "etc", "link", "missing"]);
    }

    #[test]
    fn links_lead_up_and_to_other_places() {
        let build = |top: &Path| {
            fs::create_dir_all(top.join("a/b")).unwrap();
            fs::create_dir_all(top.join("c")).unwrap();
            symlink("../../c/link", top.join("a/b/g.yaml")).unwrap();
            symlink(top.join("real.yaml"), top.join("c/link")).unwrap();
        };
        check(build, "a/b/g.yaml", &["a/b", "c", ""]);
    }

    #[test]
    fn a_circle_of_links_ends() {
        let build = |top: &Path| {
            symlink("b", top.join("a")).unwrap();
            symlink("a", top.join("b")).unwrap();
        };
        check(build, "a", &[""]);
    }
}
