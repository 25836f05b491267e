//! As much of the language as it takes to look into an expression and to change it mechanically.

use std::collections::BTreeSet;

/// A piece of an expression. All of them together are the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Space,
    /// A name of a series, a function, a label, or a keyword.
    Word,
    /// Also a duration.
    Number,
    Text,
    /// `{…}` with all that is in it.
    Matchers,
    Sign,
}

/// Series that an expression asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub name: String,
    /// With its matchers.
    pub text: String,
}

const LABEL_LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const KEYWORDS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
const COMPARISONS: [&str; 6] = ["==", "!=", ">=", "<=", ">", "<"];

fn pieces(expression: &str) -> Vec<(Kind, &str)> {
    let mut pieces = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let (kind, length) = match first {
            _ if first.is_whitespace() => (Kind::Space, run(rest, char::is_whitespace)),
            '{' => (Kind::Matchers, braces(rest)),
            '"' => (Kind::Text, text(rest)),
            '0'..='9' => (Kind::Number, run(rest, |c| c.is_ascii_alphanumeric() || c == '.')),
            _ if is_of_word(first) => (Kind::Word, run(rest, is_of_word)),
            _ => (
                Kind::Sign,
                if COMPARISONS.iter().any(|sign| sign.len() == 2 && rest.starts_with(sign)) { 2 } else { 1 },
            ),
        };
        let (piece, after) = rest.split_at(length);
        pieces.push((kind, piece));
        rest = after;
    }
    pieces
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

/// A string, from its quotation mark to the next.
fn text(rest: &str) -> usize {
    rest[1..].find('"').map(|end| end + 2).expect("a string ends")
}

fn braces(rest: &str) -> usize {
    let mut quoted = false;
    let end = rest.find(|c| {
        quoted ^= c == '"';
        c == '}' && !quoted
    });
    end.expect("braces are closed") + 1
}

/// All that an expression selects, once each.
pub fn selectors(expression: &str) -> BTreeSet<Selector> {
    let all: Vec<_> = pieces(expression).into_iter().filter(|(kind, _)| *kind != Kind::Space).collect();
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some((kind, piece)) = all.get(at) {
        at += 1;
        // A function has its arguments next, or the labels that it keeps.
        let next = all.get(at).copied().unwrap_or((Kind::Space, ""));
        if *kind != Kind::Word || KEYWORDS.contains(piece) {
            continue;
        }
        if LABEL_LISTS.contains(piece) {
            at += all.iter().skip(at).position(|piece| piece.1 == ")").expect("a list ends");
        } else if next.1 != "(" && !LABEL_LISTS.contains(&next.1) {
            let matchers = if next.0 == Kind::Matchers { next.1 } else { "" };
            found.insert(Selector { name: (*piece).to_owned(), text: format!("{piece}{matchers}") });
        }
    }
    found
}

/// All labels that an expression groups or joins by.
pub fn labels(expression: &str) -> BTreeSet<String> {
    let all: Vec<_> = pieces(expression).into_iter().filter(|(kind, _)| *kind != Kind::Space).collect();
    let lists = all.iter().enumerate().filter(|(_, piece)| LABEL_LISTS.contains(&piece.1));
    let inside = |(at, _)| all.iter().skip(at + 1).take_while(|piece| piece.1 != ")");
    lists.flat_map(inside).filter(|piece| piece.0 == Kind::Word).map(|piece| piece.1.to_owned()).collect()
}

/// The lists of labels that an expression groups and joins by, as they are written.
pub fn lists(expression: &str) -> Vec<String> {
    let all = pieces(expression);
    let starts = all.iter().enumerate().filter(|(_, piece)| LABEL_LISTS.contains(&piece.1));
    let text = |(at, _)| -> String {
        all.iter().skip(at).take_while(|piece| piece.1 != ")").map(|(_, piece)| *piece).collect()
    };
    starts.map(text).collect()
}

/// The same expression without its judgement: comparisons say how they went and keep what they compare, and what one part
/// takes away from another is asked for instead. It has an answer if all its parts have, and belong together.
pub fn answering(expression: &str) -> String {
    let change = |(kind, piece): (Kind, &str)| match kind {
        Kind::Sign if COMPARISONS.contains(&piece) => format!("{piece} bool"),
        Kind::Word if ["unless", "or"].contains(&piece) => "and".to_owned(),
        _ => piece.to_owned(),
    };
    pieces(expression).into_iter().map(change).collect()
}

/// The same expression with all its durations divided.
pub fn hurried(expression: &str, times: u64) -> String {
    let change = |(kind, piece): (Kind, &str)| match kind {
        Kind::Number if piece.ends_with(|c: char| c.is_ascii_alphabetic()) => shorter(piece, times),
        _ => piece.to_owned(),
    };
    pieces(expression).into_iter().map(change).collect()
}

/// A duration divided.
pub fn shorter(duration: &str, times: u64) -> String {
    let (number, unit) = duration.split_at(run(duration, |c| c.is_ascii_digit()));
    let unit = match unit {
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => panic!("{duration} is no duration of one unit"),
    };
    let number: u64 = number.parse().expect("a duration has a number");
    format!("{}ms", number * unit / times)
}

#[test]
fn expressions_are_understood() {
    let expression = r#"count by (job, upstream) (a:b > 0 unless on (job) rate(c{x!~"}|{", y="1h > 2"}[10m] offset 1d)) / 14.4 == d"#;
    let found: Vec<_> = selectors(expression).into_iter().map(|selector| selector.text).collect();
    assert_eq!(found, ["a:b", r#"c{x!~"}|{", y="1h > 2"}"#, "d"]);
    assert_eq!(labels(expression).into_iter().collect::<Vec<_>>(), ["job", "upstream"]);
    assert_eq!(lists(expression), ["by (job, upstream", "on (job"]);
    assert_eq!(
        answering(expression),
        r#"count by (job, upstream) (a:b > bool 0 and on (job) rate(c{x!~"}|{", y="1h > 2"}[10m] offset 1d)) / 14.4 == bool d"#
    );
    assert_eq!(
        hurried(expression, 100),
        r#"count by (job, upstream) (a:b > 0 unless on (job) rate(c{x!~"}|{", y="1h > 2"}[6000ms] offset 864000ms)) / 14.4 == d"#
    );
}
