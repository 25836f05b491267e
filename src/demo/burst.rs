//! The burst: many viewers open a dashboard at the same moment.
//!
//! It is the server that fires it, because a browser opens six connections to one host and would queue the rest
//! itself. Each viewer asks for a token and then starts the dashboard with it, as its browser would; the page is told
//! line by line who started when.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{App, Embed};

/// More than this is no demonstration.
pub(super) const MOST: u32 = 500;

/// Lines of JSON, one for each viewer as it starts. The burst ends with its body: a page that is closed stops it.
pub(super) struct Lines {
    received: mpsc::UnboundedReceiver<Bytes>,
    _viewers: JoinSet<()>,
}

/// Lets `count` viewers loose at once.
pub(super) fn fire(app: &Arc<App>, embed: &Embed, count: u32) -> Lines {
    let (sender, received) = mpsc::unbounded_channel();
    let began = Instant::now();
    let mut viewers = JoinSet::new();
    for place in 0..count {
        let (app, sender, embed) = (Arc::clone(app), sender.clone(), embed.clone());
        viewers.spawn(async move {
            let line = view(&app, &embed, place, began).await;
            // Fails only when the page is gone.
            let _ = sender.send(Bytes::from(format!("{line}\n")));
        });
    }
    Lines { received, _viewers: viewers }
}

async fn view(app: &App, embed: &Embed, place: u32, began: Instant) -> Value {
    // The same viewers each time: a second burst is all hits, and still no faster than the vendor allows.
    let id = app.session_id(&format!("v-burst-{place}"));
    let values = &app.settings.viewers;
    let value = values.get(place as usize % values.len().max(1)).map_or("emea", |viewer| viewer.value.as_str());
    let answer = match app.sidecar.token(&embed.name, &id, value, "load").await {
        Ok(answer) => answer,
        Err(error) => return json!({"place": place, "status": 0, "error": error.to_string()}),
    };
    let at_ms = began.elapsed().as_millis();
    if !answer.status.is_success() {
        return json!({"place": place, "at_ms": at_ms, "status": answer.status.as_u16()});
    }
    app.count_view(embed.kind);
    let token: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let load = app.sidecar.load(embed.kind.vendor(), &token).await.map_or(0, |status| status.as_u16());
    json!({
        "place": place, "at_ms": at_ms, "status": answer.status.as_u16(), "load": load,
        "server_timing": answer.server_timing,
    })
}

impl Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.received.poll_recv(cx).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
