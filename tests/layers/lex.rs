//! Letters to tokens: what is neither comment, string, character nor lifetime.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    pub text: String,
}

/// Identifiers, `::` and `=>` as one token each, other punctuation as single characters. Comments, strings, characters,
/// numbers and lifetimes leave nothing behind but a placeholder `"` where an expression needs one.
pub fn lex(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        let c = chars[at];
        let mut text = None;
        if c == '/' && chars.get(at + 1) == Some(&'/') {
            at = position(&chars, at, '\n');
        } else if c == '/' && chars.get(at + 1) == Some(&'*') {
            at = after_block_comment(&chars, at);
        } else if let Some(end) = after_string(&chars, at).or_else(|| after_char(&chars, at)) {
            at = end;
            text = Some("\"".to_owned());
        } else if c == '\'' {
            at = after_word(&chars, at + 1);
        } else if c == '_' || c.is_alphanumeric() {
            let raw = c == 'r' && chars.get(at + 1) == Some(&'#');
            let begin = if raw { at + 2 } else { at };
            at = after_word(&chars, begin);
            text = Some(chars[begin..at].iter().collect());
        } else if chars[at..].starts_with(&[':', ':']) || chars[at..].starts_with(&['=', '>']) {
            at += 2;
            text = Some(chars[start..at].iter().collect());
        } else {
            at += 1;
            text = (!c.is_whitespace()).then(|| c.to_string());
        }
        tokens.extend(text.map(|text| Token { line, text }));
        line += chars[start..at].iter().filter(|&&c| c == '\n').count();
    }
    tokens
}

fn position(chars: &[char], from: usize, wanted: char) -> usize {
    let found = chars[from..].iter().position(|&c| c == wanted);
    found.map_or(chars.len(), |offset| from + offset)
}

fn after_word(chars: &[char], from: usize) -> usize {
    let rest = chars[from..].iter();
    from + rest.take_while(|c| **c == '_' || c.is_alphanumeric()).count()
}

/// Block comments nest.
fn after_block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The end of a string literal of any kind that begins at `from`: `""`, `b""`, `c""`, `r""`, `br#""#`.
fn after_string(chars: &[char], from: usize) -> Option<usize> {
    let mut at = from;
    if matches!(chars[at], 'b' | 'c') {
        at += 1;
    }
    let raw = chars.get(at) == Some(&'r');
    at += usize::from(raw);
    let hashes = chars.get(at..)?.iter().take_while(|&&c| raw && c == '#').count();
    at += hashes;
    if chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while at < chars.len() {
        match chars[at] {
            '\\' if !raw => at += 2,
            '"' => {
                let end = chars[at + 1..].iter().take(hashes);
                if end.clone().count() == hashes && end.clone().all(|&c| c == '#') {
                    return Some(at + 1 + hashes);
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    Some(chars.len())
}

/// The end of a character literal that begins at `from`, and `None` for a lifetime.
fn after_char(chars: &[char], from: usize) -> Option<usize> {
    let quote = if chars[from] == 'b' { from + 1 } else { from };
    if chars.get(quote) != Some(&'\'') {
        return None;
    }
    match chars.get(quote + 1)? {
        // The character after the backslash may be a quote.
        '\\' => Some(position(chars, (quote + 3).min(chars.len()), '\'') + 1),
        _ => (chars.get(quote + 2) == Some(&'\'')).then_some(quote + 3),
    }
}
