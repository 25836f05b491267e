//! `embeds` of Power BI. The limits are those of the vendor's API description, held here so that
//! what it would refuse never reaches it.

use crate::config::file::{self, AccessLevel, At};
use crate::config::resolve::url::is_id;
use crate::config::resolve::{Section, foreign};
use crate::config::{Item, PowerBiItem, Rls, Roles, Shown, ViewerField};

/// Reports, datasets and roles of one token.
const MOST: usize = 50;
/// Characters of a role's name.
const LONGEST_ROLE: usize = 50;

pub(in crate::config::resolve) fn item(given: &file::Embed, section: &mut Section<'_>) -> Option<Item> {
    const OTHERS: [&str; 6] =
        ["email", "anonymous_group", "group_access", "custom_attributes", "datasource_filters", "dashboard_parameters"];
    let keys = foreign::embed_keys(given);
    let theirs: Vec<_> = keys.into_iter().filter(|(key, _)| OTHERS.contains(key)).collect();
    section.refuse_foreign("powerbi", &theirs, &[]);
    let workspace_id = given.workspace_id.as_ref();
    if workspace_id.is_none() {
        section.add(None, "workspace_id", "is missing: the workspace that the item is in");
    }
    let (ids, lists) = ids_of(given);
    for (key, id) in ids {
        if id.is_some_and(|id| !is_id(&id.value)) {
            section.add(id.map(At::place), key, "must be an id: letters, digits, '-' and '_'");
        }
    }
    for (key, ids) in lists {
        let Some(ids) = ids else { continue };
        if ids.value.len() > MOST || !ids.value.iter().all(|id| is_id(id)) {
            let message = format!("must be at most {MOST} ids of letters, digits, '-' and '_'");
            section.add(Some(ids.place), key, message);
        }
    }
    let shown = shown(given, section)?;
    let of_reports = matches!(shown, Shown::Reports(_));
    let level = given.access_level.as_ref();
    let edit = level.is_some_and(|level| level.value == AccessLevel::Edit);
    let allow_save_as = given.allow_save_as.as_ref().filter(|allow| allow.value);
    if edit && !of_reports {
        section.add(level.map(At::place), "access_level", "is edit, which only reports know");
    }
    if let Some(allow) = allow_save_as.filter(|_| !of_reports) {
        section.add(Some(allow.place), "allow_save_as", "is for reports only");
    }
    check_datasets(given, &shown, section);
    Some(Item::PowerBi(Box::new(PowerBiItem {
        workspace_id: workspace_id?.value.clone(),
        shown,
        dataset_ids: given.dataset_ids.as_ref().map(|ids| ids.value.clone()).unwrap_or_default(),
        xmla_read_only: given.xmla_read_only.as_ref().is_some_and(|xmla| xmla.value),
        edit,
        allow_save_as: allow_save_as.is_some(),
        lifetime_minutes: lifetime(given, section),
        profile_id: given.profile_id.as_ref().map(|id| id.value.clone()),
        rls: given.rls.as_ref().and_then(|given| rls(given, section)),
    })))
}

/// Whether what is said of datasets goes together.
fn check_datasets(given: &file::Embed, shown: &Shown, section: &mut Section<'_>) {
    let of_reports = matches!(shown, Shown::Reports(_));
    if let (Shown::Questions(own) | Shown::NewReport(own), Some(ids)) = (shown, &given.dataset_ids)
        && ids.value.iter().any(|id| id != own)
    {
        section.add(Some(ids.place), "dataset_ids", "names another dataset than dataset_id");
    }
    if let Some(xmla) = given.xmla_read_only.as_ref().filter(|xmla| xmla.value && !of_reports) {
        section.add(Some(xmla.place), "xmla_read_only", "is for reports only");
    }
    if let (Some(rls), Some(of_token)) = (&given.rls, given.dataset_ids.as_ref().filter(|ids| !ids.value.is_empty())) {
        let foreign = rls.value.datasets.iter().flatten().any(|id| !of_token.value.contains(id));
        if foreign {
            section.add(Some(rls.place), "rls.datasets", "names a dataset that is not among dataset_ids");
        }
    }
    let shows_tiles = matches!(shown, Shown::Dashboard(_) | Shown::Tile { .. });
    let named = |ids: Option<&Vec<String>>| ids.is_some_and(|ids| !ids.is_empty());
    let names_datasets = |rls: &&At<file::Rls>| {
        named(rls.value.datasets.as_ref()) || named(given.dataset_ids.as_ref().map(|ids| &ids.value))
    };
    if let Some(rls) = given.rls.as_ref().filter(|rls| shows_tiles && !names_datasets(rls)) {
        let message =
            "is missing, and so is dataset_ids: an identity names its datasets, and a dashboard does not tell them";
        section.add(Some(rls.place), "rls.datasets", message);
    }
}

type Ids<'a> = [(&'static str, Option<&'a At<String>>); 6];
type Lists<'a> = [(&'static str, Option<&'a At<Vec<String>>>); 2];

fn ids_of(given: &file::Embed) -> (Ids<'_>, Lists<'_>) {
    let ids = [
        ("workspace_id", given.workspace_id.as_ref()),
        ("report_id", given.report_id.as_ref()),
        ("dashboard_id", given.dashboard_id.as_ref()),
        ("tile_id", given.tile_id.as_ref()),
        ("dataset_id", given.dataset_id.as_ref()),
        ("profile_id", given.profile_id.as_ref()),
    ];
    (ids, [("report_ids", given.report_ids.as_ref()), ("dataset_ids", given.dataset_ids.as_ref())])
}

/// What is shown: exactly one of the forms that the vendor has.
fn shown(given: &file::Embed, section: &mut Section<'_>) -> Option<Shown> {
    let text = |id: &Option<At<String>>| id.as_ref().map(|id| id.value.clone());
    let level = given.access_level.as_ref().map(|level| level.value);
    let create = given.create.as_ref().is_some_and(|create| create.value) || level == Some(AccessLevel::Create);
    let mut reports: Vec<String> = text(&given.report_id).into_iter().collect();
    let more = given.report_ids.iter().flat_map(|ids| &ids.value);
    for id in more {
        if !reports.contains(id) {
            reports.push(id.clone());
        }
    }
    if reports.len() > MOST {
        section.add(given.report_ids.as_ref().map(At::place), "report_ids", format!("are over {MOST} reports"));
    }
    if let Some(no) = given.create.as_ref().filter(|create| !create.value && level == Some(AccessLevel::Create)) {
        section.add(Some(no.place), "create", "is false, and access_level is create");
    }
    let form = (reports.is_empty(), text(&given.dashboard_id), text(&given.tile_id), text(&given.dataset_id), create);
    match form {
        (false, None, None, None, false) => Some(Shown::Reports(reports)),
        (true, Some(dashboard), None, None, false) => Some(Shown::Dashboard(dashboard)),
        (true, Some(dashboard), Some(tile), None, false) => Some(Shown::Tile { dashboard, tile }),
        (true, None, None, Some(dataset), false) => Some(Shown::Questions(dataset)),
        (true, None, None, Some(dataset), true) if level != Some(AccessLevel::Edit) => Some(Shown::NewReport(dataset)),
        _ => {
            let message = "must have exactly one of: report_id (and report_ids), dashboard_id, dashboard_id with \
                           tile_id, dataset_id, dataset_id with create: true";
            section.add(None, "report_id", message);
            None
        }
    }
}

/// Whole minutes: the vendor counts in them.
fn lifetime(given: &file::Embed, section: &mut Section<'_>) -> Option<u32> {
    let lifetime = given.lifetime.as_ref()?;
    let seconds = lifetime.value.0.as_secs();
    if seconds % 60 != 0 || lifetime.value.0.subsec_nanos() != 0 || seconds > 24 * 3600 {
        section.add(Some(lifetime.place), "lifetime", "must be whole minutes, at most 24h");
    }
    // To the vendor none is the same as its default.
    u32::try_from(seconds / 60).ok().filter(|minutes| *minutes > 0)
}

fn rls(given: &At<file::Rls>, section: &mut Section<'_>) -> Option<Rls> {
    let file = &given.value;
    let field = |field: file::ViewerField| match field {
        file::ViewerField::Id => ViewerField::Id,
        file::ViewerField::Value => ViewerField::Value,
    };
    let none = file::Roles::Fixed(Vec::new());
    let roles = match (file.roles.as_ref().unwrap_or(&none), &file.allowed_roles) {
        (file::Roles::Fixed(roles), None) => Some(Roles::Fixed(roles.clone())),
        (file::Roles::OfViewer(_), Some(allowed)) => Some(Roles::OfViewer { allowed: allowed.clone() }),
        (file::Roles::OfViewer(_), None) => {
            let message = "is viewer.roles, which needs allowed_roles beside it: an app must not be able to ask for \
                           any role there is";
            section.add(Some(given.place), "rls.roles", message);
            None
        }
        (file::Roles::Fixed(_), Some(_)) => {
            section.add(Some(given.place), "rls.allowed_roles", "is only for `roles: viewer.roles`");
            None
        }
    }?;
    if matches!(&roles, Roles::OfViewer { allowed } if allowed.is_empty()) {
        section.add(Some(given.place), "rls.allowed_roles", "is empty: no viewer could be shown anything");
    }
    let names = match &roles {
        Roles::Fixed(names) | Roles::OfViewer { allowed: names } => names,
    };
    if names.len() > MOST || names.iter().any(|name| !is_role(name)) {
        let message = format!("are at most {MOST} names of 1 to {LONGEST_ROLE} characters without a comma");
        section.add(Some(given.place), "rls.roles", message);
    }
    let dataset_ids = file.datasets.clone().unwrap_or_default();
    if dataset_ids.len() > MOST || !dataset_ids.iter().all(|id| is_id(id)) {
        let message = format!("must be at most {MOST} ids of letters, digits, '-' and '_'");
        section.add(Some(given.place), "rls.datasets", message);
    }
    Some(Rls { username: field(file.username), custom_data: file.custom_data.map(field), roles, dataset_ids })
}

fn is_role(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= LONGEST_ROLE && !name.contains(|c: char| c == ',' || c.is_control())
}
