//! The live check of a Databricks embed.

use super::live::Walk;
use super::step;
use crate::config::Embed;
use crate::lease::Grant;
use crate::model::{Fault, Token, Urgency};
use crate::vendor::Mint;
use crate::vendor::databricks::Databricks;

pub(super) async fn walk(walk: &Walk<'_>, databricks: &Databricks, service: &Grant<Token>, embed: &Embed) -> bool {
    let mint = Mint { embed: &embed.name, item: &embed.item, details: None, viewer: &walk.viewer(embed) };
    let info = databricks.token_info(&service.item, &mint, Urgency::Waited).await;
    if !step(&format!("token info of embed {}", embed.name), info.map(|_| ()).map_err(Fault::from)) {
        return false;
    }
    walk.mint(embed, None).await
}
