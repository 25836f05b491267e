//! The front page: what this is, and what to put into a client's config.

use super::State;
use super::settings::{BoldBiSettings, DatasetKind, PowerBiSettings, ReportKind};

/// The page, with the host under which it was asked for.
pub(super) fn page(state: &State, base_url: &str) -> String {
    let (databricks, entra, powerbi) = (state.databricks.settings(), state.entra.settings(), state.powerbi.settings());
    let boldbi = state.boldbi.settings();
    let dashboards: String = databricks.dashboards.iter().map(|one| row(&one.id, &one.title)).collect();
    let profiles: Vec<_> = powerbi.profiles.iter().map(|id| format!("<code>{id}</code>")).collect();
    [
        ("{url}", base_url),
        ("{app_url}", &state.app.url),
        ("{app_client_id}", &state.app.settings.client_id),
        ("{workspace_id}", &databricks.workspace_id),
        ("{client_id}", &databricks.client_id),
        ("{client_secret}", &databricks.client_secret),
        ("{dashboards}", &dashboards),
        ("{tenant_id}", &entra.tenant_id),
        ("{entra_client_id}", &entra.client_id),
        ("{entra_client_secret}", &entra.client_secret),
        ("{object_id}", &entra.object_id),
        ("{identity_header}", &entra.identity_header),
        ("{powerbi_workspace_id}", &powerbi.workspace_id),
        ("{classic_workspace_id}", &powerbi.classic_workspace_id),
        ("{profiles}", &profiles.join("<br>")),
        ("{items}", &items(powerbi)),
        ("{boldbi_sites}", &sites(boldbi, base_url)),
        ("{boldbi_secret}", &boldbi.embed_secret),
        ("{boldbi_people}", &people(boldbi)),
    ]
    .into_iter()
    .fold(include_str!("index.html").to_owned(), |page, (name, value)| page.replace(name, value))
}

fn row(id: &str, what: &str) -> String {
    format!("<tr><td><code>{id}</code></td><td>{what}</td></tr>")
}

/// Bold BI: what a client calls `serverurl` and `siteidentifier`.
fn sites(settings: &BoldBiSettings, base_url: &str) -> String {
    let shown = settings.sites.iter().map(|site| match site.identifier.as_str() {
        "" => format!("<tr><td>site without an identifier</td><td><code>{base_url}{}</code></td></tr>", site.root),
        identifier => row(identifier, &format!("<code>{base_url}{}</code>", site.root)),
    });
    shown.collect()
}

fn people(settings: &BoldBiSettings) -> String {
    let users = settings.users.iter().map(|one| row(&one.email, "user"));
    let groups = settings.groups.iter().map(|one| row(one, "group of anonymous viewers"));
    let providers = settings.auth_providers.iter().map(|one| row(one, "provider of third-party groups"));
    let dashboards = settings.dashboards.iter().map(|one| row(&one.id, &format!("dashboard “{}”", one.name)));
    dashboards.chain(users).chain(groups).chain(providers).collect()
}

fn items(settings: &PowerBiSettings) -> String {
    let datasets = settings.datasets.iter().map(|one| {
        let kind = match &one.kind {
            DatasetKind::Plain => "no row-level security",
            DatasetKind::Secured { roles } if roles.is_empty() => "row-level security without roles",
            DatasetKind::Secured { .. } => "row-level security",
            DatasetKind::OnPremises => "live, Analysis Services on premises",
            DatasetKind::AzureAnalysis => "live, Azure Analysis Services",
            DatasetKind::SingleSignOn { roles } if roles.is_empty() => "single sign-on",
            DatasetKind::SingleSignOn { .. } => "single sign-on and row-level security",
        };
        row(&one.id, &format!("dataset “{}”: {kind}", one.name))
    });
    let reports = settings.reports.iter().map(|one| {
        let kind = match &one.kind {
            ReportKind::Interactive(dataset) => format!("on <code>{dataset}</code>"),
            ReportKind::Paginated(Some(dataset)) => format!("paginated, on <code>{dataset}</code>"),
            ReportKind::Paginated(None) => "paginated".to_owned(),
        };
        row(&one.id, &format!("report “{}”, {kind}", one.name))
    });
    let dashboards = settings.dashboards.iter().flat_map(|one| {
        let tiles = one.tiles.iter().map(|tile| row(&tile.id, &format!("tile “{}” of it", tile.title)));
        [row(&one.id, &format!("dashboard “{}”", one.name))].into_iter().chain(tiles).collect::<Vec<_>>()
    });
    datasets.chain(reports).chain(dashboards).collect()
}
