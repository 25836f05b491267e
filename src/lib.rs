//! Sidemint: a token-caching sidecar for embedded analytics. This page is its architecture.
//!
//! An app asks `POST /v1/embeds/{embed}/token` on localhost and gets the tightly scoped token that
//! one viewer's browser may have. Sidemint keeps the broad service token to itself, mints one token
//! per viewer, renews ahead of time, survives the vendor's outages on what it holds, and lets no
//! more dashboards start at once than the vendor takes.
//!
//! # The idea
//!
//! Everything that is kept is a thing that expires: a service token, a viewer token, the content of
//! a secret file. So there is one mechanism for it, the [`lease`]. It holds the current value with
//! its [lifetime](model::Lifetime); says *fresh, ripe, stale or expired* as a [pure
//! function](lease::judge::judge) of lifetime, policy and now; renews ahead of time; lets all who
//! wait share one flight that belongs to no request; keeps the old value while renewing fails; and
//! remembers failures, so that a loop at a caller is none at the vendor. What is leased is a
//! [`lease::Source`]; vendors only know how to fetch.
//!
//! # The picture
//!
//! Imports go down only; `tests/layers` holds the rule, and which big dependency is behind which door.
//!
//! ```text
//!   main  cli                   commands                                    demo      emulator
//!         app                   composition: wires once, reloads, stops     the host  the vendors,
//!   ─────────────────────────────────────────────────────────────────────   app that  written a
//!         api                   endpoints, admin port, status page          somebody  second time;
//!   ─────────────────────────────────────────────────────────────────────   has       shares
//!         tokens                which token answers which ask                         nothing with
//!   ─────────────────────────────────────────────────────────────────────             the rest
//!         vendor identity limit wire formats and credentials; who is asking; quotas
//!         secrets               files and variables, polled
//!   ─────────────────────────────────────────────────────────────────────
//!         lease  upstream  edge the mechanism; HTTP out; HTTP in
//!   ─────────────────────────────────────────────────────────────────────
//!         telemetry  lifecycle  what one sees; start and stop
//!         config                a `Config` value is the proof that it can run
//!   ─────────────────────────────────────────────────────────────────────
//!         model                 words and pure rules: no tokio, no HTTP
//! ```
//!
//! # The life of a request
//!
//! 1. [`edge::serve`] takes the connection from an [`edge::Listener`], of TCP, TLS or a path, and knows a [`model::Peer`];
//!    one lazily armed timer watches its heads.
//! 2. [`api::handle`] takes the [`api::Snapshot`] of the config, and
//!    [`edge::guard`] refuses what a browser, a forged request or a proxy gives away.
//! 3. The path names an embed; the body or query becomes a [`model::Viewer`], or is refused. Where an
//!    [`identity::Issuer`] vouches for viewers, its signature says who it is, and the request nobody else.
//! 4. [`tokens::ViewerTokens::token`] builds the structural key in a buffer of the thread and looks
//!    it up in moka. A hit takes one short lock and copies; a ripe hit also starts a renewal. What
//!    needs no waiting is an [`edge::Answer::Ready`]: no future is made for it.
//! 5. A miss joins or starts a flight: a service token of [`tokens::ServiceTokens`], where the vendor
//!    has such a thing, then what it wants for a viewer token ([`vendor::Vendor::mint`]), each by
//!    [`upstream::Client::call`] with its deadline, repetition and metrics. Where a viewer token ends with the service token, the flight
//!    carries the life that is wanted ([`lease::Want`]), and an old service token is renewed first.
//! 6. A load then begins in [`limit::Limiter::begin`], or waits in [`limit::Limiter::wait`], as late
//!    as possible; a renewal does not. With a fleet, a [`limit::Replica`] asks Redis when it may start ([`limit::fleet`]
//!    tells how).
//! 7. The reply is put together from pieces that were rendered when the token came; the seconds
//!    that are left are written between them. Counters, histogram and audit line: done.
//! 8. Any [`model::Fault`] on the way becomes a reply in [`edge::respond::problem`] and nowhere else.
//!
//! A request through a route ([`api::Passage`]) takes another way from step 3 on. All of it is judged before any work: a
//! path with one meaning ([`model::path`]), a rule, a method, the framing. It gets a token in hand ([`tokens::Bearer`]), goes
//! out over a kept connection ([`upstream::pool`]) with headers from a list, and both bodies are passed on frame by frame. A
//! refusal of the token is judged by which token it was: many refusals of one cause one renewal, by the lease.
//!
//! # Time
//!
//! [`model::Clock`] is the only one who asks what time it is. A [`model::Moment`] is read on two
//! clocks, since the wall clock is stepped and the monotonic one sleeps with the machine; a life is
//! over as soon as either says so. In tests the clock follows tokio's paused time.
//!
//! # Threads
//!
//! One current-thread event loop serves everything; `server.workers` adds loops that share the
//! listening places. A thread of its own writes the audit trail. Nothing on a hit blocks, and no
//! lock is held across an await.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "emulator")]
pub mod demo;
pub mod edge;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod identity;
pub mod lease;
pub mod lifecycle;
pub mod limit;
pub mod model;
pub mod secrets;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
pub mod vendor;
