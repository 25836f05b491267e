//! The way to a host.

use std::time::Duration;

use super::say;
use crate::config::BaseUrl;

/// DNS and TCP, told apart because they are mended by different people.
pub(super) async fn way(host: &BaseUrl, patience: Duration) -> bool {
    let proxied =
        ["HTTPS_PROXY", "https_proxy"].iter().any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    if proxied && host.https {
        say("skip  resolve, connect: HTTPS_PROXY is set");
        return true;
    }
    let authority = &host.authority;
    let port = if host.https { 443 } else { 80 };
    let target = match authority.rsplit_once(':') {
        Some((_, digits)) if digits.bytes().all(|b| b.is_ascii_digit()) => authority.clone(),
        _ => format!("{authority}:{port}"),
    };
    way_to(&target, patience).await
}

/// The same, straight to a host and port.
pub(super) async fn way_to(authority: &str, patience: Duration) -> bool {
    let addresses: Vec<_> = match tokio::net::lookup_host(authority).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            say(&format!("FAIL  resolve: {authority}: {error}; check the config and the DNS of this machine or pod"));
            return false;
        }
    };
    say(&format!("ok    resolve: {} address(es)", addresses.len()));
    for address in &addresses {
        let connect = tokio::net::TcpStream::connect(address);
        if let Ok(Ok(_)) = tokio::time::timeout(patience, connect).await {
            say(&format!("ok    connect: {address}"));
            return true;
        }
    }
    say(&format!("FAIL  connect: no address of {authority} answers; check firewalls, NetworkPolicy and egress rules"));
    false
}
