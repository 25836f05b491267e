//! A handler as hyper wants it: notes the progress of its connection, and turns a panic into one
//! 500 instead of a lost connection with others' requests on it.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::watch::Progress;
use super::{Answer, Request, Response, respond};
use crate::model::{Code, Fault};

/// A handler and the progress of its connection.
pub(super) struct Service<H> {
    handler: H,
    progress: Progress,
}

impl<H> Service<H> {
    pub(super) fn new(handler: H, progress: Progress) -> Self {
        Service { handler, progress }
    }
}

impl<H: Fn(Request) -> Answer> hyper::service::Service<Request> for Service<H> {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request) -> Answering {
        self.progress.request_begins();
        if self.progress.is_parting() {
            return self.at_once(respond::draining());
        }
        match catch_unwind(AssertUnwindSafe(|| (self.handler)(request))) {
            Ok(Answer::Ready(response)) => self.at_once(response),
            Ok(Answer::Later(future)) => Answering::Later(future, self.progress.clone()),
            Err(_) => self.at_once(bug()),
        }
    }
}

impl<H> Service<H> {
    fn at_once(&self, mut response: Response) -> Answering {
        response.body_mut().ends(&self.progress);
        Answering::Ready(Some(response))
    }
}

fn bug() -> Response {
    respond::problem(&Fault::new(Code::Internal, "the request met a bug; see the log"))
}

/// An answer on its way.
pub(super) enum Answering {
    Ready(Option<Response>),
    Later(Pin<Box<dyn Future<Output = Response> + Send>>, Progress),
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // hyper polls no future again that was ready.
            Answering::Ready(response) => Poll::Ready(Ok(response.take().unwrap_or_else(bug))),
            Answering::Later(future, progress) => {
                let mut response = match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
                    Ok(Poll::Pending) if progress.is_given_up() => respond::draining(),
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(response)) => response,
                    Err(_) => bug(),
                };
                response.body_mut().ends(progress);
                Poll::Ready(Ok(response))
            }
        }
    }
}
