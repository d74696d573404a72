//! Every way of saving a file, done to real files.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::symlink,
    path::PathBuf,
};

use tempfile::TempDir;

use super::*;

/// A directory with a followed file in it.
struct Scene {
    directory: TempDir,
    path: PathBuf,
    watch: FileWatch,
}

impl Scene {
    /// Follows `g.yaml` in a new directory that `build` has filled, after its first content was yielded.
    async fn after(build: impl FnOnce(&Path), first: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        build(directory.path());
        let path = directory.path().join("g.yaml");
        let watch = FileWatch::start(&path).unwrap();
        let mut scene = Self { directory, path, watch };
        scene.expect(first).await;
        scene
    }

    async fn with_file() -> Self {
        Self::after(|directory| fs::write(directory.join("g.yaml"), "one").unwrap(), "one").await
    }

    fn sibling(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn expect(&mut self, expected: &str) {
        match self.watch.next().await {
            Content::Text(bytes) => assert_eq!(String::from_utf8_lossy(&bytes), expected),
            other => panic!("{other:?} instead of {expected:?}"),
        }
    }

    async fn expect_absence(&mut self) {
        match self.watch.next().await {
            Content::Unreadable(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
            other => panic!("{other:?} instead of absence"),
        }
    }
}

#[tokio::test]
async fn a_rename_over_the_file_is_seen() {
    let mut scene = Scene::with_file().await;
    for content in ["two", "three"] {
        fs::write(scene.sibling("new"), content).unwrap();
        fs::rename(scene.sibling("new"), &scene.path).unwrap();
        scene.expect(content).await;
    }
}

#[tokio::test]
async fn writing_in_place_is_seen() {
    let mut scene = Scene::with_file().await;
    for content in ["two", "2", "three"] {
        fs::write(&scene.path, content).unwrap();
        scene.expect(content).await;
    }
}

#[tokio::test]
async fn a_save_of_the_same_length_is_seen() {
    let mut scene = Scene::with_file().await;
    OpenOptions::new().write(true).open(&scene.path).unwrap().write_all(b"ONE").unwrap();
    scene.expect("ONE").await;
}

#[tokio::test]
async fn an_editor_that_moves_the_file_to_a_backup_is_seen() {
    let mut scene = Scene::with_file().await;
    fs::rename(&scene.path, scene.sibling("g.yaml~")).unwrap();
    fs::write(&scene.path, "two").unwrap();
    fs::remove_file(scene.sibling("g.yaml~")).unwrap();
    scene.expect("two").await;
}

#[tokio::test]
async fn the_moment_between_truncating_and_writing_is_not_shown() {
    let mut scene = Scene::with_file().await;
    for content in ["two", "three", "four", "five"] {
        let mut file = File::create(&scene.path).unwrap();
        // Wakes the follower while the file is empty.
        file.set_len(0).unwrap();
        file.write_all(content.as_bytes()).unwrap();
        scene.expect(content).await;
    }
}

#[tokio::test]
async fn a_file_that_stays_empty_is_shown_empty() {
    let mut scene = Scene::with_file().await;
    File::create(&scene.path).unwrap();
    scene.expect("").await;
}

#[tokio::test]
async fn deletion_is_shown_once_and_return_is_seen() {
    let mut scene = Scene::with_file().await;
    fs::remove_file(&scene.path).unwrap();
    scene.expect_absence().await;
    fs::write(scene.sibling("other"), "x").unwrap();
    fs::write(&scene.path, "one").unwrap();
    scene.expect("one").await;
}

#[tokio::test]
async fn a_file_that_does_not_exist_yet_is_awaited_with_its_directories() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b/g.yaml");
    let watch = FileWatch::start(&path).unwrap();
    let mut scene = Scene { directory, path, watch };
    scene.expect_absence().await;
    fs::create_dir_all(scene.sibling("a/b")).unwrap();
    fs::write(&scene.path, "one").unwrap();
    scene.expect("one").await;
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_followed() {
    let build = |directory: &Path| {
        fs::create_dir(directory.join("a")).unwrap();
        fs::write(directory.join("a/g.yaml"), "one").unwrap();
        symlink("a/g.yaml", directory.join("g.yaml")).unwrap();
    };
    let mut scene = Scene::after(build, "one").await;
    fs::remove_dir_all(scene.sibling("a")).unwrap();
    scene.expect_absence().await;
    fs::create_dir(scene.sibling("a")).unwrap();
    fs::write(scene.sibling("a/g.yaml"), "two").unwrap();
    scene.expect("two").await;
    fs::write(scene.sibling("a/g.yaml"), "three").unwrap();
    scene.expect("three").await;
}

#[tokio::test]
async fn a_config_map_swap_is_seen() {
    let version = |directory: &Path, name: &str, content: &str| {
        fs::create_dir(directory.join(name)).unwrap();
        fs::write(directory.join(name).join("g.yaml"), content).unwrap();
    };
    let build = |directory: &Path| {
        version(directory, "..1", "one");
        symlink("..1", directory.join("..data")).unwrap();
        symlink("..data/g.yaml", directory.join("g.yaml")).unwrap();
    };
    let mut scene = Scene::after(build, "one").await;
    for (old, new, content) in [("..1", "..2", "two"), ("..2", "..3", "three")] {
        version(scene.directory.path(), new, content);
        symlink(new, scene.sibling("..data_tmp")).unwrap();
        fs::rename(scene.sibling("..data_tmp"), scene.sibling("..data")).unwrap();
        fs::remove_dir_all(scene.sibling(old)).unwrap();
        scene.expect(content).await;
    }
}

#[tokio::test]
async fn a_reload_shows_the_same_content_again() {
    let mut scene = Scene::with_file().await;
    scene.watch.reload();
    scene.expect("one").await;
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let mut scene = Scene::with_file().await;
    fs::write(&scene.path, "two").unwrap();
    for _ in 0..3 {
        let waiting = tokio::time::timeout(std::time::Duration::ZERO, scene.watch.next());
        if let Ok(Content::Text(bytes)) = waiting.await {
            assert_eq!(*bytes, b"two");
            return;
        }
    }
    scene.expect("two").await;
}

async fn check_burst(save: impl Fn(&Path, &str)) {
    let mut scene = Scene::with_file().await;
    for number in 0..200 {
        save(&scene.path, &number.to_string());
    }
    let mut yielded = 0;
    loop {
        yielded += 1;
        match scene.watch.next().await {
            Content::Text(bytes) if *bytes == b"199" => break,
            Content::Text(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(yielded < 20, "{yielded} contents were yielded for one burst");
}

#[tokio::test]
async fn a_burst_of_saves_ends_with_the_last() {
    check_burst(|path, text| fs::write(path, text).unwrap()).await;
    check_burst(|path, text| {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    })
    .await;
}

#[test]
fn a_path_without_a_file_name_is_refused() {
    for path in ["/", ".."] {
        let error = FileWatch::start(Path::new(path)).expect_err("it names no file");
        assert!(matches!(error, WatchError::NoFileName { .. }), "{error}");
    }
}
