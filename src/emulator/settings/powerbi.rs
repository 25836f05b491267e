//! Power BI: workspaces and what is in them.

/// Power BI as one service principal sees it: a workspace, a classic workspace, and at least one item of every kind
/// that the rules about identities tell apart (powerbi-boldbi.md section A9).
///
/// Rules about master users are left out: the emulator knows only service principals.
#[derive(Clone, Debug)]
pub struct PowerBiSettings {
    /// The workspace.
    pub workspace_id: String,
    /// Further workspaces of the new kind, empty ones unless items name them.
    pub other_workspaces: Vec<String>,
    /// A workspace of the old kind, which refuses service principals.
    pub classic_workspace_id: String,
    /// The datasets.
    pub datasets: Vec<PowerBiDataset>,
    /// The reports.
    pub reports: Vec<PowerBiReport>,
    /// The dashboards.
    pub dashboards: Vec<PowerBiDashboard>,
    /// Object ids of the profiles of the service principal.
    pub profiles: Vec<String>,
    /// Whether the service principal may set effective identities on an on-premises gateway.
    pub gateway_admin: bool,
    /// Whether the workspaces are on a capacity, which makes embed tokens unlimited.
    pub on_capacity: bool,
    /// How many embed tokens there are without a capacity. The vendor keeps the number to itself.
    pub trial_allowance: u32,
    /// Scheme and host of the pages that are embedded, for `embedUrl`, e.g. `https://app.powerbi.com`; none is the
    /// emulator itself.
    pub app_url: Option<String>,
}

/// A dataset, now called a semantic model.
#[derive(Clone, Debug)]
pub struct PowerBiDataset {
    /// Its id.
    pub id: String,
    /// The workspace that it is in.
    pub workspace_id: String,
    /// Its name.
    pub name: String,
    /// Where its rows come from and who may see which.
    pub kind: DatasetKind,
}

/// What decides about the identity that an embed token needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetKind {
    /// Import or DirectQuery without row-level security.
    Plain,
    /// Row-level security in the cloud. Without `roles` in the model a user name is enough.
    Secured {
        /// The roles of the model.
        roles: Vec<String>,
    },
    /// Live connection to an Analysis Services on premises.
    OnPremises,
    /// Live connection to Azure Analysis Services.
    AzureAnalysis,
    /// DirectQuery with single sign-on to the source.
    SingleSignOn {
        /// The roles of the model; none where there is no row-level security.
        roles: Vec<String>,
    },
}

/// A report.
#[derive(Clone, Debug)]
pub struct PowerBiReport {
    /// Its id.
    pub id: String,
    /// The workspace that it is in.
    pub workspace_id: String,
    /// Its name.
    pub name: String,
    /// What it shows.
    pub kind: ReportKind,
}

/// What a report shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportKind {
    /// An interactive report on this dataset.
    Interactive(String),
    /// A paginated report (RDL), on this dataset of Power BI if there is one.
    Paginated(Option<String>),
}

/// A dashboard.
#[derive(Clone, Debug)]
pub struct PowerBiDashboard {
    /// Its id.
    pub id: String,
    /// The workspace that it is in.
    pub workspace_id: String,
    /// Its name.
    pub name: String,
    /// What it shows.
    pub tiles: Vec<PowerBiTile>,
}

/// A tile of a dashboard.
#[derive(Clone, Debug)]
pub struct PowerBiTile {
    /// Its id.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// The report that it was pinned from.
    pub report_id: String,
    /// The dataset that it shows.
    pub dataset_id: String,
}

const WORKSPACE: &str = "f6d5c4b3-a291-4807-b6e5-d4c3b2a19087";
const CLASSIC: &str = "0a1b2c3d-4e5f-4607-9819-2a3b4c5d6e7f";

/// Group of digits of the id | name | whose rows: an id says what it is of.
const KINDS: [(&str, &str); 9] = [
    ("0001", "Sales by region"),
    ("0002", "Sales of a customer"),
    ("0003", "Sales of a user"),
    ("0004", "Sales on premises"),
    ("0005", "Sales in Azure Analysis Services"),
    ("0006", "Sales with single sign-on"),
    ("0007", "Sales of a customer with single sign-on"),
    ("0008", "Sales in a classic workspace"),
    ("0009", "Order pipeline"),
];

impl Default for PowerBiSettings {
    fn default() -> Self {
        let mut reports: Vec<_> = KINDS.iter().map(|(number, name)| interactive(number, name)).collect();
        reports.push(paginated("0011", "Invoice", None));
        reports.push(paginated("0012", "Statement", Some("0001")));
        reports.push(paginated("0013", "Statement of a customer", Some("0002")));
        Self {
            workspace_id: WORKSPACE.to_owned(),
            other_workspaces: vec!["17263544-5362-4718-8a9b-acbdcedfe0f1".to_owned()],
            classic_workspace_id: CLASSIC.to_owned(),
            datasets: KINDS.iter().map(|(number, name)| dataset(number, name)).collect(),
            reports,
            dashboards: vec![dashboard("0001", "Sales at a glance"), dashboard("0002", "A customer at a glance")],
            profiles: vec![
                "a1b2c3d4-0001-4000-8000-00000000a0f1".to_owned(),
                "a1b2c3d4-0002-4000-8000-00000000a0f1".to_owned(),
            ],
            gateway_admin: true,
            on_capacity: true,
            trial_allowance: 100,
            app_url: None,
        }
    }
}

fn dataset_id(number: &str) -> String {
    format!("d5e4f3a2-{number}-4000-8000-0000000da7a5")
}

fn report_id(number: &str) -> String {
    format!("b0a19283-{number}-4000-8000-00000004e901")
}

fn workspace_of(number: &str) -> String {
    if number == "0008" { CLASSIC.to_owned() } else { WORKSPACE.to_owned() }
}

fn dataset(number: &str, name: &str) -> PowerBiDataset {
    let roles = || vec!["Customer".to_owned(), "Manager".to_owned()];
    let kind = match number {
        "0002" => DatasetKind::Secured { roles: roles() },
        "0003" => DatasetKind::Secured { roles: Vec::new() },
        "0004" => DatasetKind::OnPremises,
        "0005" => DatasetKind::AzureAnalysis,
        "0006" => DatasetKind::SingleSignOn { roles: Vec::new() },
        "0007" => DatasetKind::SingleSignOn { roles: roles() },
        _ => DatasetKind::Plain,
    };
    PowerBiDataset { id: dataset_id(number), workspace_id: workspace_of(number), name: name.to_owned(), kind }
}

fn interactive(number: &str, name: &str) -> PowerBiReport {
    let kind = ReportKind::Interactive(dataset_id(number));
    PowerBiReport { id: report_id(number), workspace_id: workspace_of(number), name: name.to_owned(), kind }
}

fn paginated(number: &str, name: &str, dataset: Option<&str>) -> PowerBiReport {
    let kind = ReportKind::Paginated(dataset.map(dataset_id));
    PowerBiReport { id: report_id(number), workspace_id: WORKSPACE.to_owned(), name: name.to_owned(), kind }
}

/// With one tile, of the report and dataset of the same number.
fn dashboard(number: &str, name: &str) -> PowerBiDashboard {
    let tile = PowerBiTile {
        id: format!("c9b8a796-{number}-4000-8000-00000000711e"),
        title: "Revenue by month".to_owned(),
        report_id: report_id(number),
        dataset_id: dataset_id(number),
    };
    let id = format!("9f8e7d6c-{number}-4000-8000-0000000da5b0");
    PowerBiDashboard { id, workspace_id: WORKSPACE.to_owned(), name: name.to_owned(), tiles: vec![tile] }
}
