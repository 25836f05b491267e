//! The live check of a Bold BI embed.

use super::live::{Walk, mint_of};
use super::{say, step};
use crate::config::{BoldBiItem, Embed};
use crate::model::Code;

/// Bold BI has nothing to look at before the mint, and mints for its own users only: that it does not know
/// ours says nothing against the config.
pub(super) async fn walk(walk: &Walk<'_>, embed: &Embed, item: &BoldBiItem) -> bool {
    let nobody = |field| walk.who.is_nobody(field);
    let imported = item.group_access.as_ref().filter(|access| access.import_users);
    if imported.is_some_and(|access| nobody(access.user) || nobody(item.email)) {
        say(&format!(
            "skip  {}: import_users would make a user of the made-up viewer; name one with --viewer-id or \
             --viewer-value",
            mint_of(embed)
        ));
        return true;
    }
    let unknown = nobody(item.email) && item.anonymous_group.is_none();
    match walk.try_mint(embed, None).await {
        Err(fault) if unknown && fault.code() == Code::Rejected => {
            say(&format!(
                "warn  {}: refused for a made-up viewer; name a user of Bold BI with --viewer-id or --viewer-value to be sure: {}",
                mint_of(embed),
                fault.detail()
            ));
            true
        }
        result => step(&mint_of(embed), result),
    }
}
