//! The least that a hyper server can do: a constant body, whatever is asked. What a hit costs above
//! this is Sidemint's own.

use std::convert::Infallible;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The argument with which a benchmark starts itself as this server.
pub const MODE: &str = "bare-hyper";

/// Serves if the arguments say so: `bare-hyper <port> <length of the body>`.
pub fn serve_if_asked() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, port, length] = arguments.as_slice() else { return Ok(false) };
    if mode != MODE {
        return Ok(false);
    }
    let body = Bytes::from(vec![b'x'; length.parse().context("the length of the body")?]);
    let port = port.parse().context("the port")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(port, body))?;
    Ok(true)
}

#[expect(clippy::disallowed_methods, reason = "here is no drain that would wait for a task")]
async fn serve(port: u16, body: Bytes) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = terminate.recv() => return Ok(()),
        };
        stream.set_nodelay(true)?;
        let body = body.clone();
        let answer = service_fn(move |request: hyper::Request<Incoming>| {
            let body = body.clone();
            async move {
                // A GET has none, and this costs it nothing.
                let _ = request.into_body().collect().await;
                Ok::<_, Infallible>(hyper::Response::new(Full::new(body)))
            }
        });
        tokio::spawn(async move {
            // How it ended is the client's business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
