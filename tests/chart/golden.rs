//! What is rendered, to the letter, and the same by both Helms.

use super::renders::{cases, render, renders};
use super::tools::{HELMS, Helm, each, good};

#[test]
fn helm_3_and_helm_4_render_the_same() {
    for pair in renders().chunks(2) {
        let [three, four] = pair else { panic!("each is rendered by both") };
        assert_eq!((three.helm, four.helm, &three.case.name), (Helm::Three, Helm::Four, &four.case.name));
        assert_eq!(three.documents, four.documents, "{}", three.about());
    }
}

/// `cargo insta review`, or `INSTA_UPDATE=always cargo test --test chart golden` and a look at the difference.
#[test]
fn what_is_rendered_is_what_was_reviewed() {
    for case in cases() {
        let mut text = render(&case.name, "1.31").text.clone();
        // A change of the config changes this too, and says nothing then.
        while let Some(at) =
            text.find("checksum/sidemint-config: ").map(|at| at + 26).filter(|at| !text[*at..].starts_with('('))
        {
            text.replace_range(at..at + 64, "(a digest)");
        }
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(case.name.clone(), text);
        });
    }
}

#[test]
fn lint_finds_nothing_to_say() {
    let mut wanted = Vec::new();
    for case in cases() {
        wanted.extend(HELMS.map(|helm| (case.clone(), helm)));
    }
    each(&wanted, |(case, helm)| good(&helm.lint(&case.chart, &case.values), &format!("{} {helm:?}", case.name)));
}

/// A chart that lint refuses as it comes cannot be published.
#[test]
fn the_chart_alone_passes_lint() {
    let none = super::tools::write("values.yaml", "{}\n");
    for helm in HELMS {
        good(&helm.lint(&super::renders::chart(), &none), &format!("{helm:?}"));
        let rendered = good(&helm.template(&super::renders::chart(), &none, "1.31"), "helm template");
        assert_eq!(rendered.trim(), "", "alerts and the like are off, and there is no config");
    }
}
