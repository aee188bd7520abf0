use std::sync::Arc;

use outfitter_api_types::app_install::BatchAutoInstallAppsReq;
use outfitter_api_types::native::deployments::DeploymentPreview;
use outfitter_store::Expansion;

use super::show::parts;
use crate::Services;
use crate::app::install::preview;
use crate::http::install::batch;
use crate::http::profiles::require_app_center;
use crate::http::{ApiError, Call, Reply};

/// Records of each list.
const SHOWN: i64 = 100;

pub(super) async fn preview_deployment(
    services: Arc<Services>,
    call: Call<BatchAutoInstallAppsReq>,
) -> Result<Reply<DeploymentPreview>, ApiError> {
    let install = batch(&call);
    require_app_center(services.store.db(), install.project).await?;
    let previewed = preview(&services, install).await?;
    let parts = parts(&previewed.tx.db(), &previewed.view, 0, SHOWN).await?;
    // Nothing of it is kept: the transaction ends without a commit.
    Ok(Reply::new(DeploymentPreview {
        complete: previewed.view.expansion == Expansion::Expanded,
        jobs: previewed.view.jobs.total(),
        desktops_reached: parts.desktops_reached,
        desktops_skipped: parts.desktops_skipped,
        accounts_unknown: parts.accounts_unknown,
        authorizations_widened: parts.authorizations_widened,
    }))
}
