//! What is answered, and how it arrives.

use std::time::Duration;

/// An answer of the issuer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub manner: Manner,
}

/// How an answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Whole,
    /// After so long.
    Late(Duration),
    /// Never; the connection stays open.
    Never,
    /// The head, then a byte of the body each so often.
    Drip(Duration),
    /// The head and half of the body, then the end.
    Half,
    /// The end at once.
    Gone,
}

impl Answer {
    /// 200 with this JSON.
    pub fn json(body: impl Into<Vec<u8>>) -> Answer {
        Answer::typed("application/json", body)
    }

    /// 200 with this body of this type.
    pub fn typed(content: &str, body: impl Into<Vec<u8>>) -> Answer {
        let headers = vec![("Content-Type".to_owned(), content.to_owned())];
        Answer { status: 200, headers, body: body.into(), manner: Manner::Whole }
    }

    /// This status, with a body of no meaning.
    pub fn status(status: u16) -> Answer {
        Answer { status, ..Answer::typed("text/plain", "no meaning") }
    }

    /// A redirect to another place.
    pub fn redirect(status: u16, place: &str) -> Answer {
        Answer::status(status).header("Location", place)
    }

    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn manner(self, manner: Manner) -> Answer {
        Answer { manner, ..self }
    }

    /// Its bytes up to the body.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", self.status);
        head += &format!("Content-Length: {}\r\n", self.body.len());
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}
