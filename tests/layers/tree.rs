//! The files under `src/`, read once: names as the tables write them, and what the scanner found in each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::scan;

/// A file under `src/`, with its path as the tables write it: `tokens/viewer.rs`.
pub struct File {
    pub name: String,
    pub source: scan::Source,
}

impl File {
    /// The module at the top of the crate that this file belongs to; `None` for `lib.rs` and `main.rs`.
    pub fn module(&self) -> Option<&str> {
        let first = self.name.split('/').next()?;
        (!matches!(self.name.as_str(), "lib.rs" | "main.rs")).then(|| first.trim_end_matches(".rs"))
    }

    pub fn is_in(&self, room: &str) -> bool {
        let rest = self.name.strip_prefix(room);
        rest.is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
    }
}

pub fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file under `src/` that is not tests as a whole.
pub fn sources() -> Vec<File> {
    let root = src();
    let all: Vec<File> = folders(&root)
        .iter()
        .flat_map(|folder| entries(folder))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| read(&root, &path))
        .collect();
    assert!(all.iter().any(|file| file.name == "lib.rs"), "src/lib.rs was not found: nothing was checked");
    let tests = test_files(&root, &all);
    all.into_iter().filter(|file| !tests.contains(&root.join(&file.name))).collect()
}

fn read(root: &Path, path: &Path) -> File {
    let name = path.strip_prefix(root).expect("under src").to_str().expect("UTF-8").to_owned();
    let text = fs::read_to_string(path).expect("a readable source file");
    let source = scan::scan(&text, &module_of(&name));
    File { name, source }
}

/// The module that a file holds: `a/b.rs` and `a/b/mod.rs` are `a::b`.
pub fn module_of(name: &str) -> Vec<&str> {
    let stem = name.trim_end_matches(".rs");
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if matches!(stem, "lib" | "main") { Vec::new() } else { stem.split('/').collect() }
}

/// The files of modules that are declared as `#[cfg(test)] mod name;`, with all that is under them.
pub fn test_files(root: &Path, files: &[File]) -> BTreeSet<PathBuf> {
    let mut tests = BTreeSet::new();
    for file in files {
        let folder = module_of(&file.name).iter().fold(root.to_owned(), |path, name| path.join(name));
        for module in &file.source.test_modules {
            tests.insert(folder.join(format!("{module}.rs")));
            for inner in folders(&folder.join(module)) {
                tests.extend(entries(&inner));
            }
        }
    }
    tests
}

/// `root` and every folder under it.
pub fn folders(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut at = 0;
    while at < found.len() {
        let inner = entries(&found[at]).into_iter().filter(|path| path.is_dir());
        found.extend(inner);
        at += 1;
    }
    found
}

/// What a folder holds, sorted; nothing where there is no folder.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths
}
