//! Imports go down only, each big dependency stays behind one door, and rooms stay small.
//!
//! The tables below are the rule and its documentation; `src/lib.rs` draws the same picture. To change the shape of the
//! program, change a row here in the same commit and say why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod lex;
mod scan;
mod threats;
mod tree;

use tree::{File, entries, folders, sources, src, test_files};

// ---- the rules -----------------------------------------------------------------------------------------------------

/// Each module at the top of the crate with the modules that it may name, from the top layer to the bottom one.
/// Modules of one layer do not see each other, unless their row says so.
const LAYERS: &str = "
    # Commands and composition. The demo is the host app and its page: it meets the sidecar over HTTP, as any app
    # does, and only cli starts both.
    cli        app demo emulator api tokens vendor identity limit secrets lease upstream edge config telemetry lifecycle model
    app        api tokens vendor identity limit secrets lease upstream edge config telemetry lifecycle model
    demo       emulator

    # Endpoints: the table of contents of the product.
    api        tokens vendor identity limit secrets lease upstream edge config telemetry lifecycle model

    # The one place that knows which token answers which ask.
    tokens     vendor identity limit secrets lease upstream edge config telemetry lifecycle model

    # Wire formats and credentials; who is asking; how fast loads may start.
    vendor     secrets lease upstream edge config telemetry lifecycle model
    identity   secrets lease upstream edge config telemetry lifecycle model
    limit      secrets lease upstream edge config telemetry lifecycle model

    # Secrets from files and the environment, read late and again when they change: leases too.
    secrets    lease config telemetry lifecycle model

    # The mechanism, HTTP out, HTTP in: they know nothing of vendors.
    lease      config telemetry lifecycle model
    upstream   config telemetry lifecycle model
    edge       config telemetry lifecycle model

    # Observation, start and stop, settings. How to log is a setting: the one sight of a sibling here.
    telemetry  config model
    lifecycle  model
    config     model

    # Words and pure rules.
    model

    # The vendors written a second time: what it shared with the code that it is there to test, it could not test.
    emulator
";

/// Crates | the only rooms (a module, or one file) that may name them | why.
const DOORS: &str = "
    moka               | tokens                     | it bounds memory; the lease owns time and flights
    governor           | limit                      | one place decides how fast loads start
    redis              | limit                      | only the fleet limit is shared between replicas
    jsonwebtoken       | identity vendor emulator   | JWTs are verified in one place, signed by credentials
    prometheus         | telemetry                  | the rest of the program counts in its own words
    serde_saphyr       | config/file.rs             | YAML is one function
    clap               | cli main.rs                | the rest takes values, not arguments
    anyhow             | cli main.rs demo           | everything else says its failures as a Fault
    x509_parser        | secrets                    | the one thing we ask of a certificate is when it ends
    hyper hyper_util   | edge upstream api emulator demo cli app  | decisions are made on our own words

    rustls tokio_rustls hyper_rustls rustls_native_certs rcgen
                       | upstream/connect.rs edge/tls.rs vendor/entra/assertion.rs emulator | TLS is one file for each direction; PEM is read with its types
";

/// A module | the crates that it may not name | why.
const WALLS: &str = "
    model | tokio tokio_util hyper hyper_util http http_body_util | its rules are pure: time, chance and I/O are arguments
";

/// Lines of a file without its tests. A file that needs a table of contents is two files.
const MAX_LINES: usize = 350;
/// Files of one folder, without those that are only tests.
const MAX_FILES: usize = 12;

// ---- holding them --------------------------------------------------------------------------------------------------

#[test]
fn imports_go_down_only() {
    hold(&imports(&sources()));
}

#[test]
fn crates_stay_behind_their_doors() {
    hold(&doors(&sources()));
}

#[test]
fn rooms_stay_small() {
    let root = src();
    let files = sources();
    let mut broken: Vec<String> = files.iter().filter_map(too_long).collect();
    let tests = test_files(&root, &files);
    broken.extend(folders(&root).iter().filter_map(|folder| too_full(&root, folder, &tests)));
    hold(&broken);
}

#[test]
fn the_table_is_a_table_of_layers() {
    let layers = layers();
    assert_eq!(layers.last().map(|row| row.0), Some("emulator"), "the whole table is read");
    for (at, (module, allowed)) in layers.iter().enumerate() {
        for name in allowed {
            let row = layers.iter().position(|(other, _)| other == name);
            assert!(row.is_some_and(|row| row > at), "{module} may import {name}: not below it");
        }
    }
}

#[test]
fn every_door_and_wall_is_read() {
    assert_eq!(columns(DOORS).len(), 11);
    assert!(columns(DOORS).iter().all(|[crates, rooms, _]| !crates.is_empty() && !rooms.is_empty()));
    assert_eq!(columns(WALLS).len(), 1);
}

/// The rows of [`LAYERS`].
fn layers() -> Vec<(&'static str, Vec<&'static str>)> {
    let rows = LAYERS.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#'));
    rows.map(|row| {
        let mut words = row.split_whitespace();
        (words.next().unwrap_or_default(), words.collect())
    })
    .collect()
}

/// The rows of [`DOORS`] and [`WALLS`]: three columns, and a row whose first line has none goes on in the next one.
fn columns(table: &'static str) -> Vec<[Vec<&'static str>; 3]> {
    let mut rows = Vec::new();
    let mut before = "";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split('|').collect();
        match cells.as_slice() {
            [first, second, third] => {
                let first = if first.trim().is_empty() { before } else { first };
                rows.push([first, second, third].map(|cell| cell.split_whitespace().collect()));
            }
            _ => before = line,
        }
    }
    rows
}

fn imports(files: &[File]) -> Vec<String> {
    let table: BTreeMap<&str, Vec<&str>> = layers().into_iter().collect();
    let mut broken = Vec::new();
    for file in files {
        let Some(module) = file.module() else {
            continue;
        };
        let Some(allowed) = table.get(module) else {
            broken.push(format!("src/{}: module `{module}` has no row in LAYERS: give it a layer", file.name));
            continue;
        };
        for path in &file.source.paths {
            let Some(target) = path.segments.get(1).filter(|_| path.segments[0] == "crate") else {
                continue;
            };
            let place = place(file, path);
            if target == "*" {
                broken.push(format!("{place}: a glob of the crate root hides what is imported"));
            } else if !table.contains_key(target.as_str()) {
                broken.push(format!("{place}: `{target}` has no row in LAYERS"));
            } else if target != module && !allowed.contains(&target.as_str()) {
                let may = if allowed.is_empty() { "nothing of the crate".to_owned() } else { allowed.join(", ") };
                broken.push(format!("{place}: `{module}` may not import `{target}`; it may import {may}"));
            }
        }
    }
    broken
}

fn doors(files: &[File]) -> Vec<String> {
    let (doors, walls) = (columns(DOORS), columns(WALLS));
    let mut broken = Vec::new();
    for file in files {
        for path in &file.source.paths {
            let name = path.segments[0].as_str();
            let place = place(file, path);
            for [_, rooms, why] in doors.iter().filter(|[crates, ..]| crates.contains(&name)) {
                if !rooms.iter().any(|room| file.is_in(room)) {
                    let (rooms, why) = (rooms.join(", "), why.join(" "));
                    broken.push(format!("{place}: `{name}` belongs in {rooms} ({why})"));
                }
            }
            for [rooms, crates, why] in &walls {
                if crates.contains(&name) && rooms.iter().any(|room| file.is_in(room)) {
                    let (rooms, why) = (rooms.join(", "), why.join(" "));
                    broken.push(format!("{place}: `{name}` does not belong in {rooms} ({why})"));
                }
            }
        }
    }
    broken
}

fn place(file: &File, path: &scan::Path) -> String {
    format!("src/{}:{}: `{}`", file.name, path.line, path.segments.join("::"))
}

fn too_long(file: &File) -> Option<String> {
    let lines = file.source.lines;
    (lines > MAX_LINES)
        .then(|| format!("src/{}: {lines} lines without its tests, {MAX_LINES} are allowed: make it two", file.name))
}

fn too_full(root: &Path, folder: &Path, tests: &BTreeSet<PathBuf>) -> Option<String> {
    let count = entries(folder).iter().filter(|path| path.is_file() && !tests.contains(*path)).count();
    let name = folder.strip_prefix(root.parent()?).ok()?.display();
    (count > MAX_FILES).then(|| format!("{name}: {count} files, {MAX_FILES} are allowed: find the folder inside it"))
}

#[track_caller]
fn hold(broken: &[String]) {
    assert!(
        broken.is_empty(),
        "{} broken:\n  {}\n(the rules are in tests/layers/main.rs)",
        broken.len(),
        broken.join("\n  ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::module_of;

    fn file(name: &str, text: &str) -> File {
        File { name: name.to_owned(), source: scan::scan(text, &module_of(name)) }
    }

    #[test]
    fn an_import_upwards_is_named_with_its_place() {
        let broken = imports(&[file("lease/judge.rs", "use crate::model::Token;\nuse crate::tokens::Key;")]);
        assert_eq!(broken.len(), 1);
        assert!(
            broken[0].starts_with("src/lease/judge.rs:2: `crate::tokens::Key`: `lease` may not import `tokens`"),
            "{broken:?}"
        );
    }

    #[test]
    fn siblings_and_detours_over_super_are_seen() {
        assert_eq!(
            imports(&[file("vendor/databricks/mint.rs", "fn f() { super::super::super::limit::take() }")]).len(),
            1
        );
        assert_eq!(imports(&[file("vendor/databricks/mint.rs", "use super::super::credential::Key;")]), [""; 0]);
        assert_eq!(imports(&[file("emulator/entra.rs", "use crate::{model, emulator::faults};")]).len(), 1);
        assert_eq!(imports(&[file("app.rs", "use crate::cli::Run; use crate::*; use crate::nowhere::X;")]).len(), 3);
        assert_eq!(imports(&[file("helpers.rs", "")]).len(), 1);
        assert_eq!(imports(&[file("lib.rs", "pub use crate::app::App;"), file("main.rs", "use crate::cli;")]), [""; 0]);
    }

    #[test]
    fn a_crate_outside_its_door_is_seen_and_inside_is_not() {
        assert_eq!(doors(&[file("api/mod.rs", "use moka::sync::Cache; fn f(r: http::Request<()>) {}")]).len(), 1);
        assert_eq!(doors(&[file("tokens/viewer.rs", "use moka::sync::Cache;")]), [""; 0]);
        assert_eq!(doors(&[file("upstream/client.rs", "use hyper_rustls::HttpsConnector;")]).len(), 1);
        assert_eq!(doors(&[file("upstream/connect.rs", "use hyper_rustls::HttpsConnector;")]), [""; 0]);
        assert_eq!(doors(&[file("model/clock.rs", "async fn f() { tokio::time::sleep(d).await }")]).len(), 1);
        assert_eq!(doors(&[file("config/resolve.rs", "use serde_saphyr::Error;")]).len(), 1);
        assert_eq!(doors(&[file("tokens_of_old.rs", "use moka::sync::Cache;")]).len(), 1);
    }

    #[test]
    fn a_long_file_is_seen_and_a_long_test_is_not() {
        let long = "fn f() {}\n".repeat(MAX_LINES + 1);
        assert!(too_long(&file("api/mod.rs", &long)).is_some());
        assert!(too_long(&file("api/mod.rs", &format!("#[cfg(test)]\nmod tests {{\n{long}}}\n"))).is_none());
    }
}
