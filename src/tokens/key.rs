//! What a viewer token is remembered under: every field that is minted into it, structurally.
//!
//! Each field is written with its length before it, so no delimiter can make two asks one; nothing
//! is folded or trimmed. Only roles are a set: sorted, without repetitions. Keys are compared as a
//! whole, never by a hash alone.

use crate::model::Viewer;

/// What all keys of one embed begin with. The generation of an embed stands for all that the config
/// says of it: upstream, host, principal, dashboard, lives, rules for viewer ids. A change of any of
/// these makes a new one.
pub(super) fn embed(key: &mut Vec<u8>, generation: u64) {
    key.extend(generation.to_be_bytes());
}

/// Appends the viewer.
pub(super) fn viewer(key: &mut Vec<u8>, viewer: &Viewer) {
    text(key, &viewer.id);
    match &viewer.value {
        None => key.push(0),
        Some(value) => {
            key.push(1);
            text(key, value);
        }
    }
    // Most viewers have neither; their key costs nothing more.
    if viewer.roles.is_empty() && viewer.attributes.is_empty() {
        return;
    }
    let mut roles: Vec<&str> = viewer.roles.iter().map(String::as_str).collect();
    roles.sort_unstable();
    roles.dedup();
    length(key, roles.len());
    roles.into_iter().for_each(|role| text(key, role));
    for (name, value) in &viewer.attributes {
        text(key, name);
        text(key, value);
    }
}

fn text(key: &mut Vec<u8>, text: &str) {
    length(key, text.len());
    key.extend_from_slice(text.as_bytes());
}

fn length(key: &mut Vec<u8>, length: usize) {
    // Far below 4 GiB: the config and the body limit see to it.
    key.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key_of(v: &Viewer) -> Vec<u8> {
        let mut key = Vec::new();
        viewer(&mut key, v);
        key
    }

    fn viewers() -> impl Strategy<Value = Viewer> {
        // A tiny alphabet with all that could be taken for a delimiter, so that collisions would show.
        let text = || "[ab:|,\u{0}\u{1}é]{0,4}";
        let roles = proptest::collection::vec(text(), 0..3);
        let attributes = proptest::collection::btree_map(text(), text(), 0..3);
        (text(), proptest::option::of(text()), roles, attributes).prop_map(|(id, value, roles, attributes)| Viewer {
            id,
            value,
            roles,
            attributes,
        })
    }

    /// The same viewer with roles as the set that they are.
    fn normal(v: &Viewer) -> Viewer {
        let roles: std::collections::BTreeSet<String> = v.roles.iter().cloned().collect();
        Viewer { roles: roles.into_iter().collect(), ..v.clone() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn t11_two_viewers_share_a_key_if_and_only_if_they_are_the_same(a in viewers(), b in viewers()) {
            prop_assert_eq!(key_of(&a) == key_of(&b), normal(&a) == normal(&b));
        }
    }

    #[test]
    fn t12_texts_that_look_alike_are_two_viewers() {
        let key = |id: &str| key_of(&Viewer { id: id.into(), ..Viewer::default() });
        for (one, other) in [
            ("\u{e9}", "e\u{301}"),
            ("K", "\u{212a}"),
            ("a", "\u{ff41}"),
            ("a", "\u{430}"),
            ("ann", "Ann"),
            ("ann", "ann "),
            ("\u{130}", "i\u{307}"),
            ("ss", "\u{df}"),
            ("ab", "a\u{200d}b"),
        ] {
            assert_ne!(key(one), key(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn no_value_and_an_empty_value_differ() {
        let none = Viewer { id: "v".into(), ..Viewer::default() };
        let empty = Viewer { value: Some(String::new()), ..none.clone() };
        assert_ne!(key_of(&none), key_of(&empty));
    }

    #[test]
    fn roles_are_a_set() {
        let with = |roles: &[&str]| Viewer {
            id: "v".into(),
            roles: roles.iter().map(ToString::to_string).collect(),
            ..Viewer::default()
        };
        assert_eq!(key_of(&with(&["a", "b", "a"])), key_of(&with(&["b", "a"])));
    }
}
