//! Each threat of SECURITY.md has a test that names it: `t16_…`, `threat_26_…`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::tree::{entries, folders};

/// Held by something else than a test with a name.
const ELSEWHERE: &[(u32, &str, &str)] = &[(46, ".ci/run", "cargo deny")];

#[test]
fn every_threat_of_the_security_page_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("SECURITY.md")).expect("there is a security page");
    let rows: BTreeSet<u32> = page.lines().filter_map(row).collect();
    assert_eq!(rows, (1..=46).collect(), "the page has each threat of the model, in a row of its own");
    for (number, file, text) in ELSEWHERE {
        let held = fs::read_to_string(root.join(file)).is_ok_and(|said| said.contains(text));
        assert!(held, "T{number}: {file} says nothing of {text}");
    }
    let tests = named(root);
    let held = |number: &u32| tests.contains_key(number) || ELSEWHERE.iter().any(|(elsewhere, ..)| elsewhere == number);
    let missing: Vec<String> = rows.iter().filter(|number| !held(number)).map(|number| format!("T{number}")).collect();
    assert!(missing.is_empty(), "no test has the name of {}", missing.join(", "));
}

/// The number of a row of the page's table.
fn row(line: &str) -> Option<u32> {
    line.strip_prefix("| T")?.split_once(' ')?.0.parse().ok()
}

/// The tests of each threat.
fn named(root: &Path) -> BTreeMap<u32, Vec<String>> {
    let mut tests = BTreeMap::<u32, Vec<String>>::new();
    let all = ["src", "tests"].iter().flat_map(|folder| folders(&root.join(folder)));
    let files = all.flat_map(|folder| entries(&folder)).filter(|path| path.extension().is_some_and(|end| end == "rs"));
    for path in files {
        let text = fs::read_to_string(&path).expect("a readable source file");
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            let name = line.trim_start_matches("async ").strip_prefix("fn ").and_then(|rest| rest.split('(').next());
            match name {
                Some(name) if is_test || text.contains("proptest!") => {
                    threats(name).for_each(|threat| tests.entry(threat).or_default().push(name.to_owned()));
                    is_test = false;
                }
                Some(_) => is_test = false,
                None => is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test"),
            }
        }
    }
    tests
}

/// The threats in a test's name.
fn threats(name: &str) -> impl Iterator<Item = u32> + '_ {
    let words: Vec<&str> = name.split('_').collect();
    let after = |at: usize| at.checked_sub(1).and_then(|before| words.get(before).copied());
    let numbers: Vec<u32> = words
        .iter()
        .enumerate()
        .filter_map(|(at, word)| match word.strip_prefix('t') {
            Some(number) if !number.is_empty() => number.parse().ok(),
            _ if after(at) == Some("threat") => word.parse().ok(),
            _ => None,
        })
        .collect();
    numbers.into_iter()
}

#[test]
fn numbers_are_read_from_names() {
    let of = |name: &str| threats(name).collect::<Vec<_>>();
    assert_eq!(of("t4_rank_22_only_our_own_hosts"), [4]);
    assert_eq!(of("t4_t6_on_a_unix_socket"), [4, 6]);
    assert_eq!(of("threat_26_no_underscore_spelling_arrives"), [26]);
    assert_eq!(of("the_text_of_t_and_rank_16"), [0; 0]);
    assert_eq!(row("| T7 | the secret leaks by time | …"), Some(7));
}
