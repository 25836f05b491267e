//! As much of the protocol of Redis as the tests say themselves.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use crate::support::PATIENCE;

/// One connection.
pub struct Resp(BufReader<TcpStream>);

impl Resp {
    /// Connects to a port of this machine.
    pub fn to(port: u16) -> io::Result<Resp> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Resp(BufReader::new(stream)))
    }

    /// Says a command of words without spaces, and gives the answer as text: members of a list one a line. A refusal is
    /// an error.
    pub fn command(&mut self, line: &str) -> io::Result<String> {
        let words: Vec<&str> = line.split(' ').collect();
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes += &format!("${}\r\n{word}\r\n", word.len());
        }
        self.0.get_mut().write_all(bytes.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or(io::ErrorKind::InvalidData)?;
        let count = || rest.parse::<i64>().map_err(|_| io::Error::from(io::ErrorKind::InvalidData));
        match kind {
            "+" | ":" => Ok(rest.to_owned()),
            "-" => Err(io::Error::other(rest.to_owned())),
            "$" => {
                let Ok(length) = usize::try_from(count()?) else { return Ok(String::new()) };
                let mut bytes = vec![0; length + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            "*" => {
                let members = (0..count()?).map(|_| self.answer()).collect::<io::Result<Vec<String>>>()?;
                Ok(members.join("\n"))
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}
