//! Finds any of thousands of texts in one pass, and takes new ones at any time.
//!
//! A text is known by its last bytes: the pass keeps those that it has just seen in a number, and asks a filter whether
//! any text ends so. Nothing has to be built, so what one request says is looked for in its own reply.

use std::collections::HashMap;

/// How a text is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Wherever it stands.
    Inside,
    /// With no letter or digit on either side.
    Word,
    /// Followed by a run of what tokens are made of.
    Start,
}

/// What was found, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Hit {
    pub name: String,
    pub form: &'static str,
    pub start: usize,
    pub end: usize,
}

struct Text {
    name: String,
    form: &'static str,
    how: How,
}

pub struct Index {
    /// One bit for each key's hash.
    filter: Vec<u64>,
    /// Lengths of the texts that end so.
    ends: HashMap<u64, Vec<usize>>,
    texts: HashMap<Vec<u8>, Text>,
}

/// Bytes of a key.
const LONG: usize = 6;
const SHORT: usize = 3;
const LONG_MASK: u64 = (1 << (8 * LONG)) - 1;
const SHORT_MASK: u64 = (1 << (8 * SHORT)) - 1;
/// Bits of a hash. With 100,000 texts one place of a hundred is looked at twice.
const BITS: u32 = 23;
/// So much more of a token behind its beginning.
const RUN: usize = 12;

impl Index {
    pub fn new() -> Index {
        Index { filter: vec![0; 1 << (BITS - 6)], ends: HashMap::new(), texts: HashMap::new() }
    }

    /// Adds a text. The first name stays.
    pub fn add(&mut self, name: &str, form: &'static str, bytes: &[u8], how: How) {
        assert!(bytes.len() >= SHORT, "too short to be looked for");
        let key = key(bytes);
        let (word, bit) = slot(key);
        self.filter[word] |= bit;
        let lengths = self.ends.entry(key).or_default();
        if !lengths.contains(&bytes.len()) {
            lengths.push(bytes.len());
        }
        self.texts.entry(bytes.to_vec()).or_insert_with(|| Text { name: name.to_owned(), form, how });
    }

    /// All that is found, in the order of its ends.
    pub fn find(&self, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut last = 0_u64;
        for (at, byte) in bytes.iter().enumerate() {
            last = last << 8 | u64::from(*byte);
            // The tests are not optimised, and this is for every byte: no helper, no iterator.
            let (long, short) = (last & LONG_MASK, last & SHORT_MASK | 1 << 63);
            let hash = long.wrapping_mul(FACTOR) >> (64 - BITS);
            if self.filter[(hash >> 6) as usize] >> (hash & 63) & 1 == 1 {
                self.check(long, bytes, at + 1, &mut hits);
            }
            let hash = short.wrapping_mul(FACTOR) >> (64 - BITS);
            if self.filter[(hash >> 6) as usize] >> (hash & 63) & 1 == 1 {
                self.check(short, bytes, at + 1, &mut hits);
            }
        }
        hits
    }

    fn check(&self, key: u64, bytes: &[u8], end: usize, hits: &mut Vec<Hit>) {
        for length in self.ends.get(&key).into_iter().flatten().filter(|length| **length <= end) {
            let (before, found) = bytes[..end].split_at(end - length);
            let Some(text) = self.texts.get(found) else { continue };
            let after = &bytes[end..];
            let holds = match text.how {
                How::Inside => true,
                How::Word => !before.last().is_some_and(is_of_word) && !after.first().is_some_and(is_of_word),
                How::Start => after.len() >= RUN && after[..RUN].iter().all(is_of_token),
            };
            if holds {
                hits.push(Hit { name: text.name.clone(), form: text.form, start: end - length, end });
            }
        }
    }
}

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// The last bytes; those of a short text are marked, so that they are never those of a long one.
fn key(bytes: &[u8]) -> u64 {
    let last = |count: usize| bytes[bytes.len() - count..].iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
    if bytes.len() >= LONG { last(LONG) } else { last(SHORT) | 1 << 63 }
}

fn slot(key: u64) -> (usize, u64) {
    let hash = key.wrapping_mul(FACTOR) >> (64 - BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}

fn is_of_word(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(byte) || !byte.is_ascii()
}

fn is_of_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_+/".contains(byte)
}
