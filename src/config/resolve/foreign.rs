//! Keys that some kinds have and others have not, with their places where they are given.

use super::super::file::{At, Embed, Upstream};

/// A key, and where it stands if it is there.
pub(super) type Key = (&'static str, Option<(u64, u64)>);

fn place<T>(at: Option<&At<T>>) -> Option<(u64, u64)> {
    at.map(At::place)
}

/// Of an upstream.
pub(super) fn upstream_keys(given: &Upstream) -> Vec<Key> {
    vec![
        ("host", place(given.host.as_ref())),
        ("workspace_id", place(given.workspace_id.as_ref())),
        ("metadata_service", place(given.metadata_service.as_ref().filter(|at| at.value))),
        ("tenant_id", place(given.tenant_id.as_ref())),
        ("cloud", place(given.cloud.as_ref())),
        ("authority", place(given.authority.as_ref())),
        ("api_url", place(given.api_url.as_ref())),
        ("app_url", place(given.app_url.as_ref())),
        ("scope", place(given.scope.as_ref())),
        ("service_token_min_life", place(given.service_token_min_life.as_ref())),
        ("url", place(given.url.as_ref())),
        ("site", place(given.site.as_ref())),
        ("flow", place(given.flow.as_ref())),
        ("signed_text", place(given.signed_text.as_ref())),
    ]
}

/// Of an embed.
pub(super) fn embed_keys(given: &Embed) -> Vec<Key> {
    vec![
        ("dashboard_id", place(given.dashboard_id.as_ref())),
        ("workspace_id", place(given.workspace_id.as_ref())),
        ("report_id", place(given.report_id.as_ref())),
        ("report_ids", place(given.report_ids.as_ref())),
        ("tile_id", place(given.tile_id.as_ref())),
        ("dataset_id", place(given.dataset_id.as_ref())),
        ("dataset_ids", place(given.dataset_ids.as_ref())),
        ("xmla_read_only", place(given.xmla_read_only.as_ref())),
        ("create", place(given.create.as_ref())),
        ("access_level", place(given.access_level.as_ref())),
        ("allow_save_as", place(given.allow_save_as.as_ref())),
        ("lifetime", place(given.lifetime.as_ref())),
        ("profile_id", place(given.profile_id.as_ref())),
        ("rls", place(given.rls.as_ref())),
        ("email", place(given.email.as_ref())),
        ("anonymous_group", place(given.anonymous_group.as_ref())),
        ("group_access", place(given.group_access.as_ref())),
        ("custom_attributes", place(given.custom_attributes.as_ref())),
        ("datasource_filters", place(given.datasource_filters.as_ref())),
        ("dashboard_parameters", place(given.dashboard_parameters.as_ref())),
    ]
}
