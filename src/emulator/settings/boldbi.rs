//! Bold BI: one server with its sites.

use std::time::Duration;

/// A Bold BI server. All its sites have the same users, dashboards and embed secret, as with the common secret of a
/// server of several sites.
#[derive(Clone, Debug)]
pub struct BoldBiSettings {
    /// The sites, each at an address of its own.
    pub sites: Vec<BoldBiSite>,
    /// The embed secret.
    pub embed_secret: String,
    /// Further secrets that are accepted. The vendor has none: a new secret ends the old one at once.
    pub other_secrets: Vec<String>,
    /// The users that the server knows. Letter case does not tell them apart.
    pub users: Vec<BoldBiUser>,
    /// The groups that anonymous viewers may be in.
    pub groups: Vec<String>,
    /// The providers of third-party groups.
    pub auth_providers: Vec<String>,
    /// The dashboards.
    pub dashboards: Vec<BoldBiDashboard>,
    /// Whether a request must name a dashboard, as in version 14.1.11 alone.
    pub dashboard_required: bool,
    /// Whether requests with the secret in a JSON body are answered: version 14.1 and later.
    pub object_model: bool,
    /// Whether requests with a signed query are answered.
    pub signed_query: bool,
    /// What of a query is signed.
    pub signed_text: BoldBiSignedText,
    /// How far the time in a signed query may be from now.
    pub clock_tolerance: Duration,
    /// The life of tokens: `exp` of the JWT.
    pub token_life: Duration,
    /// The life that the answer tells, which is not that of the token: the vendor's own example has seven days beside
    /// a token of one (powerbi-boldbi.md section C1).
    pub announced_life: Duration,
    /// Whether the answer has `expires_in`, as the older page of the vendor has it.
    pub expires_in: bool,
    /// Whether the answer has `.expires`, as the current page has it.
    pub dot_expires: bool,
    /// Issue tokens that no client can read.
    pub opaque_tokens: bool,
}

/// A site of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoldBiSite {
    /// The path of the server, e.g. `/bi`; empty at the root of a host.
    pub root: String,
    /// The identifier, e.g. `site/site1`; empty at Bold BI Cloud.
    pub identifier: String,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoldBiUser {
    /// The address that requests name.
    pub email: String,
    /// The name for people.
    pub name: String,
}

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoldBiDashboard {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The category that it is filed under.
    pub category: String,
}

/// What of a query is signed. The vendor's samples sign a text that their HTTP clients then encode in part, so that the
/// real server may well do the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoldBiSignedText {
    /// The bytes as they are sent.
    #[default]
    AsSent,
    /// The text that is left when percent-encoding is undone.
    Decoded,
}

impl Default for BoldBiSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            sites: vec![site("/bi", "site/site1"), site("/bi", ""), site("", "")],
            embed_secret: "bold-embed-secret-of-the-emulator".to_owned(),
            other_secrets: Vec::new(),
            users: vec![user("viewer@example.com", "Viewer"), user("reader@example.com", "Reader")],
            groups: vec!["Embed viewers".to_owned()],
            auth_providers: vec!["portal".to_owned()],
            dashboards: vec![BoldBiDashboard {
                id: "c5bab292-0ee6-4ee7-9dfa-d6b3cffed7ff".to_owned(),
                name: "Supply chain".to_owned(),
                category: "Sales".to_owned(),
            }],
            dashboard_required: false,
            object_model: true,
            signed_query: true,
            signed_text: BoldBiSignedText::AsSent,
            clock_tolerance: Duration::from_secs(300),
            token_life: DAY,
            announced_life: 7 * DAY,
            expires_in: false,
            dot_expires: true,
            opaque_tokens: false,
        }
    }
}

fn site(root: &str, identifier: &str) -> BoldBiSite {
    BoldBiSite { root: root.to_owned(), identifier: identifier.to_owned() }
}

fn user(email: &str, name: &str) -> BoldBiUser {
    BoldBiUser { email: email.to_owned(), name: name.to_owned() }
}
