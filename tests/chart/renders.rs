//! Everything that is rendered, once for all tests.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::documents::split;
use super::tools::{HELMS, Helm, copy, each, good, output, path, said, scratch, write, yaml};

/// The last version without native sidecars; one in between; the newest that has schemas.
pub const KUBERNETES: [&str; 3] = ["1.28", "1.31", "1.37"];

/// Values and a chart.
#[derive(Clone, Debug)]
pub struct Case {
    /// That of the file, and `app-` before it where it goes through somebody else's chart.
    pub name: String,
    pub chart: PathBuf,
    pub values: PathBuf,
}

pub struct Render {
    pub case: Case,
    pub kubernetes: &'static str,
    pub helm: Helm,
    pub text: String,
    pub documents: Vec<Value>,
}

impl Render {
    /// For messages.
    pub fn about(&self) -> String {
        format!("{} with Helm {:?} for Kubernetes {}", self.case.name, self.helm, self.kubernetes)
    }
}

pub fn chart() -> PathBuf {
    path("helm/sidemint")
}

/// The chart of somebody else's, with the library as its dependency.
pub fn app() -> PathBuf {
    static APP: OnceLock<PathBuf> = OnceLock::new();
    APP.get_or_init(|| app_with("app", |chart| chart)).clone()
}

/// The same with another Chart.yaml.
pub fn app_with(folder: &str, change: impl Fn(String) -> String) -> PathBuf {
    let folder = scratch(folder);
    copy(&path("tests/chart/app"), &folder.join("app"));
    copy(&path("helm/sidemint/charts/sidemint-sidecar"), &folder.join("sidemint-sidecar"));
    let file = folder.join("app/Chart.yaml");
    let text = std::fs::read_to_string(&file).expect("the fixture's Chart.yaml");
    std::fs::write(&file, change(text)).expect("a file");
    let app = folder.join("app");
    good(&output(Helm::Four.command().args(["dependency", "build"]).arg(&app)), "helm dependency build");
    app
}

/// Values of our chart as a chart has them that depends on the library.
pub fn below(key: &str, values: &Value) -> Value {
    json!({key: values})
}

pub fn cases() -> Vec<Case> {
    let folder = path("helm/sidemint/ci");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("the folder of values")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for values in files {
        let file = values.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let name = file.strip_suffix("-values.yaml").unwrap_or_else(|| panic!("{file} does not end in -values.yaml"));
        cases.push(Case { name: name.to_owned(), chart: chart(), values: values.clone() });
        let given = yaml(&std::fs::read_to_string(&values).expect("values"));
        if given.get("mode").is_none() {
            let values = write("values.json", &below("sidemint", &given).to_string());
            cases.push(Case { name: format!("app-{name}"), chart: app(), values });
        }
    }
    cases
}

/// All cases by all versions of everything.
pub fn renders() -> &'static [Render] {
    // A failure is kept, too: each test would render everything again.
    static RENDERS: OnceLock<Result<Vec<Render>, String>> = OnceLock::new();
    let all = RENDERS.get_or_init(|| {
        let mut wanted = Vec::new();
        for case in cases() {
            wanted.extend(KUBERNETES.iter().flat_map(|k| HELMS.map(|helm| (case.clone(), *k, helm))));
        }
        each(&wanted, |(case, kubernetes, helm)| {
            let output = helm.template(&case.chart, &case.values, kubernetes);
            if !output.status.success() {
                return Err(format!("{} with Helm {helm:?} for Kubernetes {kubernetes}: {}", case.name, said(&output)));
            }
            let text = String::from_utf8_lossy(&output.stdout);
            // The two differ in empty lines between documents.
            let text = text.replace("\n\n---\n", "\n---\n").replace("\n\n---\n", "\n---\n");
            let documents = split(&text);
            Ok(Render { case: case.clone(), kubernetes, helm: *helm, text, documents })
        })
        .into_iter()
        .collect()
    });
    all.as_ref().unwrap_or_else(|failure| panic!("{failure}"))
}

/// Those of one Helm: what both render is the same, and a test of its own.
pub fn of_helm_4() -> impl Iterator<Item = &'static Render> {
    renders().iter().filter(|render| render.helm == Helm::Four)
}

/// One of them.
pub fn render(case: &str, kubernetes: &str) -> &'static Render {
    let found = of_helm_4().find(|render| render.case.name == case && render.kubernetes == kubernetes);
    found.unwrap_or_else(|| panic!("no case {case} for {kubernetes}"))
}

/// Our chart with these values, for Kubernetes 1.31.
pub fn with(values: &Value) -> Vec<Value> {
    let values = write("values.json", &values.to_string());
    split(&good(&Helm::Four.template(&chart(), &values, "1.31"), "helm template"))
}

/// A file of `ci/` with changes over it.
pub fn changed(case: &str, change: impl Fn(&mut Value)) -> Value {
    let mut values = yaml(&super::tools::read(&format!("helm/sidemint/ci/{case}-values.yaml")));
    change(&mut values);
    values
}
