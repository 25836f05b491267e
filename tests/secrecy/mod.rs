//! What must not be seen, and the search for it: threat 33, rank 4.
//!
//! Both suites have this room, and their support code feeds it without a test having to think of it: secrets of the
//! vendors that a test starts, secret files and variables of a config, and whatever a request says of its caller and its
//! viewer. Everything that the sidecar says then goes through [`look`]: output of processes, lines of the log, replies.
//!
//! The list is one for the whole process, so that what one test hides is looked for in the others' output, too.

mod forms;
mod index;
pub mod reply;
pub mod said;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use forms::forms;
use index::{How, Index};

/// Texts that are searched for nowhere, each with its reason. Keep it short: a test that needs a row here could as well
/// use another text.
const EXCEPTIONS: [(&str, &str); 0] = [];

/// Beginnings of tokens, which need no list. The first two in plain form; the others are the first member of a header,
/// long enough to be known in any form.
const STARTS: [(&str, &str); 2] = [("a token that begins with eyJ", "eyJ"), ("a token that begins with H4sI", "H4sI")];
const HEADERS: [&str; 3] = ["eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi"];

/// Ordinary words that no output has a reason to say: what filters the rows in most tests.
const REGIONS: [&str; 6] = ["amer", "anz", "apac", "emea", "latam", "nordics"];

/// From so many bytes on a text is looked for inside of others and in all forms. A shorter one is looked for as a word.
const PECULIAR: usize = 6;
/// From so many on a text of nothing but letters, or digits, is no ordinary word or number.
const LONG: usize = 12;
/// Less is found in everything.
const SHORTEST: usize = 3;

struct Room {
    index: Index,
    known: HashSet<String>,
    ours: HashSet<SocketAddr>,
    /// Words of the configs, which may be labels of metrics.
    words: HashSet<String>,
}

static ROOM: LazyLock<RwLock<Room>> = LazyLock::new(|| {
    let mut index = Index::new();
    for (name, start) in STARTS {
        index.add(name, "plain", start.as_bytes(), How::Start);
    }
    for header in HEADERS {
        forms(header).into_iter().for_each(|(form, bytes)| index.add("a token's header", form, &bytes, How::Inside));
    }
    let (known, ours, words) = (HashSet::new(), HashSet::new(), HashSet::new());
    RwLock::new(Room { index, known, ours, words })
});

/// A test that failed with this in its hands has done no harm to a list that only grows.
fn read() -> RwLockReadGuard<'static, Room> {
    ROOM.read().unwrap_or_else(PoisonError::into_inner)
}

fn write() -> RwLockWriteGuard<'static, Room> {
    ROOM.write().unwrap_or_else(PoisonError::into_inner)
}

/// A name, a value, a role or an attribute of a viewer.
pub fn hide(name: &str, text: &str) {
    if text.len() < SHORTEST || read().known.contains(text) || EXCEPTIONS.iter().any(|(free, _)| *free == text) {
        return;
    }
    // `idle` is a viewer here and a word of half of all sentences there; `200` is a status.
    let is_ordinary = |is: fn(&u8) -> bool| text.len() < LONG && text.as_bytes().iter().all(is);
    if (is_ordinary(u8::is_ascii_alphabetic) && !REGIONS.contains(&text)) || is_ordinary(u8::is_ascii_digit) {
        return;
    }
    let room = &mut *write();
    if !room.known.insert(text.to_owned()) {
        return;
    }
    if is_peculiar(text) {
        forms(text).into_iter().for_each(|(form, bytes)| room.index.add(name, form, &bytes, How::Inside));
    } else {
        room.index.add(name, "plain", text.as_bytes(), How::Word);
    }
}

/// Whether a text can be found by chance.
fn is_peculiar(text: &str) -> bool {
    let is_plain = |is: fn(&u8) -> bool| text.as_bytes().iter().all(is);
    text.len() >= LONG
        || (text.len() >= PECULIAR && !is_plain(u8::is_ascii_alphabetic) && !is_plain(u8::is_ascii_digit))
}

/// A secret, of one line or of many: in PEM, each line of a private key is one. A secret that is an ordinary word would
/// be found in every sentence, and proves nothing anyway.
pub fn hide_secret(name: &str, text: &str) {
    let mut public = false;
    for line in text.lines().map(str::trim) {
        if let Some(title) = line.strip_prefix("-----BEGIN ") {
            public = !title.contains("PRIVATE");
        }
        let is_secret = !line.starts_with("-----") && !public;
        public &= !line.starts_with("-----END");
        if !is_secret || !is_peculiar(line) {
            continue;
        }
        hide(name, line);
        // What is cut off is no less of a secret.
        pieces(line, 16).for_each(|piece| hide(name, piece));
    }
}

/// A token, by its end, which is its own, and by pieces if it has no beginning by which to be known.
pub fn hide_token(name: &str, text: &str) {
    const PIECE: usize = 24;
    let last = text.rsplit('.').next().unwrap_or_default();
    let end = last.get(last.len().saturating_sub(PIECE)..).unwrap_or(last);
    // A vendor out of its mind may have given a word for one.
    if is_peculiar(end) {
        hide(name, end);
    }
    if !STARTS.iter().any(|(_, start)| text.starts_with(start)) {
        pieces(text, PIECE).take(8).for_each(|piece| hide(name, piece));
    }
}

/// Whole pieces of a text, if there is more than one.
fn pieces(text: &str, length: usize) -> impl Iterator<Item = &str> {
    let count = if text.len() >= 2 * length { text.len() / length } else { 0 };
    (0..count).filter_map(move |number| text.get(number * length..(number + 1) * length))
}

/// Where a sidecar of these tests listens. Who else is asked is none of our business.
pub fn ours(address: SocketAddr) {
    write().ours.insert(address);
}

/// It is about to end: others may have its port next.
pub fn no_longer_ours(address: SocketAddr) {
    write().ours.remove(&address);
}

pub fn is_ours(address: SocketAddr) -> bool {
    read().ours.contains(&address)
}

/// What of it is found in these bytes, one sentence for each. It names what was found and does not repeat it: these
/// sentences are read by more people than the output.
pub fn look(place: &str, bytes: &[u8]) -> Vec<String> {
    let hits = read().index.find(bytes);
    let told = hits.iter().take(20).map(|hit| {
        let line = line_around(bytes, hit.start);
        let mut shown = bytes.get(line.clone()).unwrap_or_default().to_vec();
        for other in hits.iter().filter(|other| line.contains(&other.start)) {
            let found = other.start - line.start..other.end.min(line.end) - line.start;
            // With all that hangs on to it: of a token only the beginning may have been known.
            let start = shown[..found.start].iter().rposition(is_end_of_text).map_or(0, |end| end + 1);
            let rest = shown[found.end..].iter().position(is_end_of_text).unwrap_or(shown.len() - found.end);
            shown[start..found.end + rest].fill(b'#');
        }
        let shown: String = String::from_utf8_lossy(&shown).chars().take(800).collect();
        format!("{place} says {} ({}): {shown}", hit.name, hit.form)
    });
    told.collect()
}

fn is_end_of_text(byte: &u8) -> bool {
    !byte.is_ascii_alphanumeric() && !b"-_+/.%=#".contains(byte)
}

fn line_around(bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    let is_end = |byte: &u8| *byte == b'\n';
    let (before, after) = bytes.split_at(at);
    let start = before.iter().rposition(is_end).map_or(0, |end| end + 1);
    start..after.iter().position(is_end).map_or(bytes.len(), |end| at + end)
}

/// Fails the test if something is found. A test that has failed already says why it did, and what was found besides.
pub fn nothing_in(place: &str, bytes: &[u8]) {
    let found = look(place, bytes);
    if found.is_empty() {
        return;
    }
    let told = format!("what must not be seen is seen:\n{}", found.join("\n"));
    if std::thread::panicking() { eprintln!("{told}") } else { panic!("{told}") }
}
