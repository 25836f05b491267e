//! Reads Rust source as far as the rules need it: which paths a file names, and how long it is without its tests.
//!
//! A lexer and a walk over its tokens, not a parser: `syn` would know more, and would be one more dependency that
//! has to keep up with the language. What it leaves out: names inside of strings (`#[serde(with = "…")]`) and paths
//! that a macro of another crate puts together.

use std::collections::BTreeSet;

use crate::lex::{Token, lex};

/// A path as the source names it, `use` trees taken apart: `use a::{b, c::d}` is `a::b` and `a::c::d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub line: usize,
    pub segments: Vec<String>,
}

/// What is left of a file when its tests, comments and strings are taken away.
#[derive(Debug, Default)]
pub struct Source {
    /// Paths that leave the crate or the module: other crates by name, and everything of this one as `crate::…`.
    pub paths: Vec<Path>,
    /// Lines, comments included, without the items under `#[cfg(test)]`.
    pub lines: usize,
    /// Names of modules declared as `#[cfg(test)] mod name;`: their files are tests as a whole.
    pub test_modules: Vec<String>,
}

/// Scans `text`, the file of the module `module` (its segments under the crate root, empty for the root itself).
pub fn scan(text: &str, module: &[&str]) -> Source {
    let tokens = lex(text);
    let lines = text.lines().count();
    if starts_as_test(&tokens) {
        return Source::default();
    }
    let mut source = Source::default();
    let (kept, test_lines) = without_tests(&tokens, &mut source.test_modules);
    source.lines = lines - test_lines.len();
    source.paths = paths(&kept, module);
    source
}

// ---- tests out -----------------------------------------------------------------------------------------------------

/// `#![cfg(test)]` at the top of the file.
fn starts_as_test(tokens: &[Token]) -> bool {
    let mut at = 0;
    while is(tokens, at, "#") && is(tokens, at + 1, "!") && is(tokens, at + 2, "[") {
        let end = after_group(tokens, at + 2);
        if means_test(&tokens[at + 3..end - 1]) {
            return true;
        }
        at = end;
    }
    false
}

/// `cfg(test)` and `cfg(all(test, …))`; with `any(…)` or `not(…)` the code may be in a real build, and counts.
fn means_test(attribute: &[Token]) -> bool {
    let words: Vec<&str> = attribute.iter().map(|token| token.text.as_str()).collect();
    match words.as_slice() {
        ["cfg", "(", "test", ")"] => true,
        ["cfg", "(", "all", "(", rest @ ..] => {
            rest.split(|word| matches!(*word, "," | ")")).any(|part| part == ["test"])
        }
        _ => false,
    }
}

/// The tokens that are not under `#[cfg(test)]`, and the lines that the others take.
fn without_tests(tokens: &[Token], test_modules: &mut Vec<String>) -> (Vec<Token>, BTreeSet<usize>) {
    let (mut kept, mut test_lines, mut at) = (Vec::new(), BTreeSet::new(), 0);
    while at < tokens.len() {
        let attribute = is(tokens, at, "#") && is(tokens, at + 1, "[");
        if !attribute {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = after_group(tokens, at + 1);
        if means_test(&tokens[at + 2..end - 1]) {
            let item = after_attributes(tokens, end);
            let after = after_item(tokens, item);
            test_modules.extend(declared_module(&tokens[item..after]));
            let last = &tokens[after.max(1) - 1];
            test_lines.extend(tokens[at].line..=last.line);
            at = after;
        } else {
            kept.extend_from_slice(&tokens[at..end]);
            at = end;
        }
    }
    (kept, test_lines)
}

fn after_attributes(tokens: &[Token], mut at: usize) -> usize {
    while is(tokens, at, "#") && is(tokens, at + 1, "[") {
        at = after_group(tokens, at + 1);
    }
    at
}

/// `mod name;`, with or without a visibility before it.
fn declared_module(item: &[Token]) -> Option<String> {
    let words: Vec<&str> = item.iter().map(|token| token.text.as_str()).collect();
    match words.as_slice() {
        [.., "mod", name, ";"] => Some((*name).to_owned()),
        _ => None,
    }
}

/// The words that begin an item which ends with its braces.
const ITEMS: &str = "async const enum extern fn impl macro_rules mod struct trait union unsafe";

/// Where the item, statement, field or arm that begins at `at` has ended.
fn after_item(tokens: &[Token], mut at: usize) -> usize {
    if is(tokens, at, "{") {
        return after_group(tokens, at);
    }
    if is(tokens, at, "pub") {
        at += 1;
        if is(tokens, at, "(") {
            at = after_group(tokens, at);
        }
    }
    let word = tokens.get(at).map_or("", |token| token.text.as_str());
    let constant = word == "const" && !["fn", "unsafe", "async", "extern"].iter().any(|next| is(tokens, at + 1, next));
    let to_semicolon = constant || matches!(word, "use" | "static" | "type" | "let");
    let item = ITEMS.split(' ').any(|keyword| keyword == word);
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" => return at + 1,
            "," if !item && !to_semicolon => return at + 1,
            "}" | ")" | "]" => return at,
            "{" if item => return after_group(tokens, at),
            "=>" if !item && is(tokens, at + 1, "{") => return after_group(tokens, at + 1),
            "{" | "(" | "[" => at = after_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// Where the group that opens at `open` has closed.
fn after_group(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

// ---- tokens to paths -----------------------------------------------------------------------------------------------

/// Walks the tokens and collects the paths; inline modules are followed, because `super` means something else in them.
fn paths(tokens: &[Token], module: &[&str]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut here: Vec<String> = module.iter().map(|&name| name.to_owned()).collect();
    // For each open brace, whether it is that of an inline module.
    let mut braces = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "mod" if is(tokens, at + 2, "{") => {
                here.push(tokens[at + 1].text.clone());
                braces.push(true);
                at += 3;
            }
            "{" => {
                braces.push(false);
                at += 1;
            }
            "}" => {
                if braces.pop() == Some(true) {
                    here.pop();
                }
                at += 1;
            }
            // `use<'a>` is a bound, not an import.
            "use" if !is(tokens, at + 1, "<") => at = use_tree(tokens, at + 1, &[], &here, &mut found),
            "extern" if is(tokens, at + 1, "crate") => {
                at += 2;
                record(tokens, at, vec![tokens[at].text.clone()], &here, &mut found);
            }
            _ => at = plain_path(tokens, at, &here, &mut found),
        }
    }
    found
}

/// One branch of a `use` tree, with the segments before it.
fn use_tree(tokens: &[Token], mut at: usize, before: &[String], here: &[String], found: &mut Vec<Path>) -> usize {
    let start = at;
    let mut segments = before.to_vec();
    loop {
        if is(tokens, at, "::") {
            at += 1;
        } else if is(tokens, at, "{") {
            at += 1;
            while at < tokens.len() && !is(tokens, at, "}") {
                at = use_tree(tokens, at, &segments, here, found);
                at += usize::from(is(tokens, at, ","));
            }
            return at + 1;
        } else if tokens.get(at).is_some_and(is_word) || is(tokens, at, "*") {
            segments.push(tokens[at].text.clone());
            at += 1;
        } else {
            break;
        }
        if is(tokens, at, "as") {
            at += 2;
            break;
        }
    }
    // A tree's `self` is the path before it.
    if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
        segments.pop();
    }
    record(tokens, start, segments, here, found);
    at.max(start + 1)
}

/// `a::b::c` in code. A single word says nothing about where it comes from.
fn plain_path(tokens: &[Token], start: usize, here: &[String], found: &mut Vec<Path>) -> usize {
    let method = start > 0 && is(tokens, start - 1, ".");
    if !is_word(&tokens[start]) || method {
        return start + 1;
    }
    let mut segments = vec![tokens[start].text.clone()];
    let mut at = start + 1;
    while is(tokens, at, "::") && tokens.get(at + 1).is_some_and(is_word) {
        segments.push(tokens[at + 1].text.clone());
        at += 2;
    }
    if segments.len() > 1 {
        record(tokens, start, segments, here, found);
    }
    at
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|c: char| c == '_' || c.is_alphabetic())
}

/// Keeps `segments` with `super` and `self` resolved to `crate::…`.
fn record(tokens: &[Token], at: usize, segments: Vec<String>, here: &[String], found: &mut Vec<Path>) {
    let supers = segments.iter().skip_while(|s| *s == "self").take_while(|s| *s == "super").count();
    let selves = segments.iter().take_while(|s| *s == "self").count();
    let segments = if supers + selves > 0 {
        let kept = here.len().saturating_sub(supers);
        let base = std::iter::once("crate".to_owned()).chain(here[..kept].iter().cloned());
        base.chain(segments.into_iter().skip(selves + supers)).collect()
    } else {
        segments
    };
    if !segments.is_empty() {
        found.push(Path { line: tokens[at.min(tokens.len() - 1)].line, segments });
    }
}

#[cfg(test)]
mod tests {
    use super::scan;

    fn found(text: &str, module: &[&str]) -> Vec<String> {
        scan(text, module).paths.iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn use_trees_are_taken_apart() {
        let text = "use crate::{model::{Token, fault as f}, config::*};\npub(crate) use ::moka::sync::{self, Cache};\nuse hyper;";
        let expected = [
            "crate::model::Token",
            "crate::model::fault",
            "crate::config::*",
            "moka::sync",
            "moka::sync::Cache",
            "hyper",
        ];
        assert_eq!(found(text, &[]), expected);
    }

    #[test]
    fn paths_in_code_attributes_and_macros_are_seen() {
        let text = "#[derive(clap::Parser)] struct A(Vec<crate::model::Token>);\n\
                    fn f() -> anyhow::Result<()> { x.http::<u8>(); $crate::api::g::<moka::Cache>() }\n\
                    extern crate rustls as tls;";
        let expected =
            ["clap::Parser", "crate::model::Token", "anyhow::Result", "crate::api::g", "moka::Cache", "rustls"];
        assert_eq!(found(text, &[]), expected);
    }

    #[test]
    fn comments_strings_chars_and_lifetimes_are_not_code() {
        let text = "// use moka::A;\n/* crate::b /* ::c::d */ crate::e */ /// [`crate::f`]\n\
                    const S: &str = \"use moka::A; \\\" crate::g\"; const R: &str = r#\"crate::\"h\"::i\"#;\n\
                    const C: [char; 3] = ['\"', '\\'', '\\u{1F}']; const B: u8 = b'\\\\'; const L: &[u8] = b\"crate::x\";\n\
                    fn f<'a>(x: &'a str) -> real::Path<'a> { r#fn::g() }";
        assert_eq!(found(text, &[]), ["real::Path", "fn::g"]);
    }

    #[test]
    fn super_is_followed_up_to_the_root() {
        assert_eq!(found("use super::super::limit::Gate;", &["vendor", "databricks"]), ["crate::limit::Gate"]);
        assert_eq!(
            found("use super::{sibling, super::api};", &["vendor", "x"]),
            ["crate::vendor::sibling", "crate::api"]
        );
        assert_eq!(
            found("mod inner { use super::super::key; } use self::a::b;", &["tokens"]),
            ["crate::key", "crate::tokens::a::b"]
        );
        assert_eq!(found("fn f() { if x { y } } mod m { fn g() {} } use super::z;", &["a", "b"]), ["crate::a::z"]);
    }

    #[test]
    fn tests_are_left_out_and_their_lines_not_counted() {
        let text = "use a::b;\n#[cfg(test)]\nuse moka::C;\nstruct S {\n    #[cfg(test)]\n    seen: moka::D,\n    c: e::F,\n}\n\
                    #[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::api::X;\n}\nfn g() { h::i() }\n";
        let source = scan(text, &["m"]);
        assert_eq!(
            source.paths.iter().map(|path| path.segments.join("::")).collect::<Vec<_>>(),
            ["a::b", "e::F", "h::i"]
        );
        assert_eq!(source.lines, 14 - 2 - 2 - 5);
        assert_eq!(source.paths[2].line, 14);
    }

    #[test]
    fn every_kind_of_test_item_ends_where_it_ends() {
        let items = [
            "#[cfg(test)] mod tests;",
            "#[cfg(all(test, feature = \"emulator\"))] #[path = \"x.rs\"] pub(crate) mod t;",
            "#[cfg(test)] pub const fn f<A, B>(a: [u8; 3]) -> moka::X { moka::y(); }",
            "#[cfg(test)] const X: moka::T = moka::T { a: 1 };",
            "#[cfg(test)] impl<A> Foo for moka::T where A: B, { fn f() {} }",
            "#[cfg(test)] use moka::{a, b};",
        ];
        for item in items {
            assert_eq!(found(&format!("{item} fn g() {{ h::i() }}"), &[]), ["h::i"], "{item}");
        }
        let arms = "fn f() { match x { #[cfg(test)] A => { moka::a() } B => h::i(), #[cfg(test)] C => moka::c() } }";
        assert_eq!(found(arms, &[]), ["h::i"]);
        assert_eq!(found("#[cfg(any(test, feature = \"x\"))] fn f() { h::i() }", &[]), ["h::i"]);
        assert_eq!(found("#[cfg(not(test))] fn f() { h::i() }", &[]), ["h::i"]);
    }

    #[test]
    fn files_that_are_tests_as_a_whole_are_named_or_empty() {
        assert_eq!(
            scan("#[cfg(test)]\nmod tests;\n#[cfg(test)] pub(crate) mod fakes;", &[]).test_modules,
            ["tests", "fakes"]
        );
        let source = scan("//! Doc.\n#![allow(x)]\n#![cfg(test)]\nuse crate::api::X;", &["tokens"]);
        assert_eq!((source.lines, source.paths.len()), (0, 0));
    }
}
