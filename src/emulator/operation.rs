//! What a request is for, as the journal and the faults call it.

use serde::{Serialize, Serializer};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Databricks: discovery documents.
    Discovery,
    /// Databricks: the published keys.
    Jwks,
    /// Databricks: the broad token (`all-apis`), by secret or by federation.
    ServiceToken,
    /// Databricks: a token for one app, exchanged for a broad one.
    AppToken,
    /// Databricks: the scoped token of one viewer.
    Mint,
    /// Databricks: `tokeninfo` of a published dashboard.
    TokenInfo,
    /// Databricks: who the caller is (`scim/v2/Me`).
    Me,
    /// Databricks: the HTML and script of the embedded dashboard.
    EmbedPage,
    /// Databricks: the start of a dashboard, which is the first data request of a page.
    Load,
    /// Databricks: a later refresh of an open dashboard.
    Data,
    /// A request to the Databricks App.
    App,
    /// Entra: instance discovery, the OpenID configuration and the published keys.
    EntraDiscovery,
    /// Entra: the token endpoint.
    EntraToken,
    /// The token endpoints of managed identities, of a virtual machine and of App Service.
    ManagedIdentity,
    /// Power BI: an embed token, in any of the six forms.
    GenerateToken,
    /// Power BI: what a report is.
    PowerBiReport,
    /// Power BI: what a dataset is.
    PowerBiDataset,
    /// Power BI: what a dashboard or one of its tiles is.
    PowerBiDashboard,
    /// Power BI: `availableFeatures`.
    PowerBiFeatures,
    /// The HTML and script of an embedded report, dashboard or tile of Power BI.
    ReportFrame,
    /// What that page asks for: rows, with the embed token.
    ReportData,
    /// Bold BI: an embed token, by either flow.
    BoldBiAuthorize,
    /// The HTML and script of an embedded dashboard of Bold BI.
    BoldBiFrame,
    /// What that page asks for: rows, with the embed token.
    BoldBiData,
    /// The emulator's own front page.
    Index,
    /// No such endpoint.
    Unknown,
}

impl Operation {
    /// Every operation there is.
    pub(super) const ALL: [Self; 26] = [
        Self::Discovery,
        Self::Jwks,
        Self::ServiceToken,
        Self::AppToken,
        Self::Mint,
        Self::TokenInfo,
        Self::Me,
        Self::EmbedPage,
        Self::Load,
        Self::Data,
        Self::App,
        Self::EntraDiscovery,
        Self::EntraToken,
        Self::ManagedIdentity,
        Self::GenerateToken,
        Self::PowerBiReport,
        Self::PowerBiDataset,
        Self::PowerBiDashboard,
        Self::PowerBiFeatures,
        Self::ReportFrame,
        Self::ReportData,
        Self::BoldBiAuthorize,
        Self::BoldBiFrame,
        Self::BoldBiData,
        Self::Index,
        Self::Unknown,
    ];

    /// The name in the journal and in faults.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Jwks => "jwks",
            Self::ServiceToken => "service_token",
            Self::AppToken => "app_token",
            Self::Mint => "mint",
            Self::TokenInfo => "token_info",
            Self::Me => "me",
            Self::EmbedPage => "embed_page",
            Self::Load => "load",
            Self::Data => "data",
            Self::App => "app",
            Self::EntraDiscovery => "entra_discovery",
            Self::EntraToken => "entra_token",
            Self::ManagedIdentity => "managed_identity",
            Self::GenerateToken => "generate_token",
            Self::PowerBiReport => "powerbi_report",
            Self::PowerBiDataset => "powerbi_dataset",
            Self::PowerBiDashboard => "powerbi_dashboard",
            Self::PowerBiFeatures => "powerbi_features",
            Self::ReportFrame => "report_frame",
            Self::ReportData => "report_data",
            Self::BoldBiAuthorize => "boldbi_authorize",
            Self::BoldBiFrame => "boldbi_frame",
            Self::BoldBiData => "boldbi_data",
            Self::Index => "index",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the REST API of Power BI answers it.
    pub(super) fn is_power_bi(self) -> bool {
        use Operation::{GenerateToken, PowerBiDashboard, PowerBiDataset, PowerBiFeatures, PowerBiReport};
        matches!(self, GenerateToken | PowerBiReport | PowerBiDataset | PowerBiDashboard | PowerBiFeatures)
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
