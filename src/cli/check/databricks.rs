//! The live check of a Databricks embed.

use super::{mint, nobody, step};
use crate::config::Embed;
use crate::lease::Grant;
use crate::model::{Fault, Token, Urgency};
use crate::vendor::Vendor;
use crate::vendor::databricks::Databricks;

pub(super) async fn walk(vendor: &Vendor, databricks: &Databricks, service: &Grant<Token>, embed: &Embed) -> bool {
    let info = databricks.token_info(&service.item, &nobody(embed, None), Urgency::Waited).await;
    if !step(&format!("token info of embed {}", embed.name), info.map(|_| ()).map_err(Fault::from)) {
        return false;
    }
    mint(vendor, service, embed, None).await
}
