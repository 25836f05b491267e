//! People who ask. Without the other suites' search for secrets in each reply: it would be most of the load.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::stage::ms;
use super::support::PATIENCE;
use super::support::http::request;
use super::support::sidecar::{PROOF, VALUE};

/// Some who go on until this is dropped.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many, each of whom does this with a number that goes up, some forty times a second.
    pub fn of(count: usize, work: impl Fn(u64) + Send + Sync + 'static) -> Load {
        let (stop, work) = (Arc::new(AtomicBool::new(false)), Arc::new(work));
        let start = |_| {
            let (stop, work) = (Arc::clone(&stop), Arc::clone(&work));
            std::thread::spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    work(number);
                    std::thread::park_timeout(ms(25));
                }
            })
        };
        let threads = (0..count).map(start).collect();
        Load { stop, threads }
    }

    /// Five viewers who come again and again, and now and then a new one. A sidecar that ends has no answer.
    pub fn on_sales(address: SocketAddr) -> Load {
        Load::of(1, move |number| {
            let viewer = if number.is_multiple_of(5) { number } else { number % 5 };
            let _ = token(address, "sales", &format!("u-{viewer}"), "renew");
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "one of those who ask has failed");
        }
    }
}

/// Asks for a viewer's token. The status.
pub fn token(address: SocketAddr, embed: &str, viewer: &str, purpose: &str) -> std::io::Result<u16> {
    let target = format!("/v1/embeds/{embed}/token?viewer_id={viewer}&purpose={purpose}");
    ask(address, &target, &[PROOF, ("Sidemint-Viewer-Value", VALUE)])
}

/// GET. The status.
pub fn ask(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request(address, "GET", target, headers, "").as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let head = String::from_utf8_lossy(reply.get(..16).unwrap_or(&reply)).into_owned();
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}
