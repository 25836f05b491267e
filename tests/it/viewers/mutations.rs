//! One byte of a right token changed, at every place: never accepted.

use proptest::prelude::*;

use super::scene::{Gate, Scene, seen};
use crate::issuer::{Token, p256, rsa};
use crate::support::joined;

/// Each of them gets nothing; what was tried is said by number alone.
async fn refused(scene: &Scene, tokens: Vec<String>) {
    let mut tried = 0;
    for piece in tokens.chunks(64) {
        for (reply, token) in joined(piece.iter().map(|token| scene.get(token))).await.iter().zip(piece) {
            assert!(reply.status.is_client_error(), "{} for {token}", reply.status);
            assert_ne!(reply.status, 422, "accepted: {token}");
            tried += 1;
        }
    }
    assert_eq!(tried, tokens.len());
    assert_eq!(scene.operations(), Vec::<&str>::new());
}

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// At each place: the neighbours in the alphabet, which differ in the last bits and so in what padding hides, the other
/// case, and what does not belong there.
fn mutations(token: &str) -> Vec<String> {
    let bytes = token.as_bytes();
    let mut all = Vec::new();
    for at in 0..bytes.len() {
        let mut others = vec![b'.', b'=', b'+', b'/', b'!', bytes[at] ^ 0x20];
        if let Some(place) = ALPHABET.iter().position(|letter| *letter == bytes[at]) {
            others.extend([1, 2, 4, 8, 16, 32].map(|bit| ALPHABET[place ^ bit]));
        }
        for other in others {
            let mut changed = bytes.to_vec();
            changed[at] = other;
            if changed != bytes && changed.iter().all(|byte| (0x21..0x7f).contains(byte)) {
                all.push(String::from_utf8(changed).expect("ASCII"));
            }
        }
        let mut shorter = bytes.to_vec();
        shorter.remove(at);
        let mut longer = bytes.to_vec();
        longer.insert(at, b'A');
        all.extend([shorter, longer].map(|changed| String::from_utf8(changed).expect("ASCII")));
    }
    all.extend([1, 2, 3, 4, 8].map(|count| token[..token.len() - count].to_owned()));
    all.extend(["A", "AA", "AAA", "AAAA", "=", "."].map(|end| format!("{token}{end}")));
    all.sort();
    all.dedup();
    // Two equal neighbours give the token itself when one of them goes or comes again.
    all.retain(|changed| changed != token);
    all
}

#[tokio::test]
async fn no_change_of_one_byte_is_accepted() {
    let scene = Gate::default().start().await;
    for token in [Token::by(p256(), &scene.issuer).text(), scene.token().text()] {
        refused(&scene, mutations(&token)).await;
    }
    for key in [rsa(), p256()] {
        assert_eq!(seen(&scene.get(&Token::by(key, &scene.issuer).text()).await.token()), "emea:alice");
    }
}

/// Parts of two right tokens make no third one.
#[tokio::test]
async fn no_mixture_of_right_tokens_is_accepted() {
    let scene = Scene::new().await;
    let of = |key, viewer: &str| Token::by(key, &scene.issuer).viewer(viewer, "emea").text();
    let tokens = [of(rsa(), "alice"), of(rsa(), "bob"), of(p256(), "alice"), of(p256(), "bob")];
    let part = |from: usize, part: usize| tokens[from].split('.').nth(part).expect("three parts").to_owned();
    let mut mixtures = Vec::new();
    for (header, payload, signature) in (0..4).flat_map(|a| (0..4).flat_map(move |b| (0..4).map(move |c| (a, b, c)))) {
        let mixture = format!("{}.{}.{}", part(header, 0), part(payload, 1), part(signature, 2));
        if !tokens.contains(&mixture) {
            mixtures.push(mixture);
        }
    }
    assert!(mixtures.len() > 40, "{}", mixtures.len());
    refused(&scene, mixtures).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    /// Whatever else is written over a part of a right token. Each case is a few hundred asks of one sidecar.
    #[test]
    fn no_change_of_several_bytes_is_accepted(
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(0x21_u8..0x7f, 1..40)), 200)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let scene = Scene::new().await;
            let token = scene.token().text();
            let changed = changes.iter().map(|(at, bytes)| {
                let (mut text, at) = (token.clone().into_bytes(), at.index(token.len()));
                text.splice(at..(at + bytes.len()).min(token.len()), bytes.iter().copied());
                String::from_utf8(text).expect("ASCII")
            });
            let changed = changed.filter(|changed| *changed != token).collect();
            refused(&scene, changed).await;
        });
    }
}
