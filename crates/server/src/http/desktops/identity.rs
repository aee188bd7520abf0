//! Which of two machines with the same key a desktop is.

use std::sync::Arc;

use http::StatusCode;
use outfitter_api_types::native::desktops::{
    AgentCopy, AgentCopySign, DesktopIdentity, RealMachine, SettleDesktopIdentityReq,
};
use outfitter_api_types::time::WireTime;
use outfitter_domain::fleet::{CopySign, SeenCopy};
use outfitter_store::Desktop;

use crate::Services;
use crate::app::desktops;
use crate::http::{ApiError, Call, Reply};

const UNKNOWN: ApiError = ApiError::NotFound { noun: "desktop" };

pub(super) async fn show(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<DesktopIdentity>, ApiError> {
    let id = call.path("desktop_id");
    let desktop = desktops::find(&services, call.project().project, id).await?;
    Ok(Reply::new(shown(desktop.ok_or(UNKNOWN)?)))
}

pub(super) async fn settle(
    services: Arc<Services>,
    call: Call<SettleDesktopIdentityReq>,
) -> Result<Reply<DesktopIdentity>, ApiError> {
    let project = call.project().project;
    let id = call.path("desktop_id");
    let desktop = desktops::find(&services, project, id)
        .await?
        .ok_or(UNKNOWN)?;
    let tx = services.store.write().await?;
    let identity = tx.agent_identity_hold(desktop.key).await?;
    let seen = identity.and_then(|identity| {
        let copy = identity.copy.filter(|copy| !copy.settled)?;
        Some((identity.agent, identity.noted?, copy))
    });
    let Some((agent, noted, copy)) = seen else {
        return Err(ApiError::coded(
            StatusCode::CONFLICT,
            "WKS.0409",
            "No other machine has connected as this desktop",
        ));
    };
    match call.body.real {
        RealMachine::Present => {
            let settled = SeenCopy {
                settled: true,
                ..copy
            };
            tx.agent_copy_note(agent, Some(&settled)).await?;
        }
        RealMachine::Refused => {
            tx.agent_identity_note(agent, &copy.instead_of(&noted))
                .await?;
            tx.agent_copy_note(agent, None).await?;
        }
    }
    tx.commit().await?;
    if call.body.real == RealMachine::Refused {
        // The other one asks again, and is told.
        desktops::close_channels(&services, &[desktop.key]);
    }
    let desktop = desktops::find(&services, project, id)
        .await?
        .ok_or(UNKNOWN)?;
    Ok(Reply::new(shown(desktop)))
}

fn shown(desktop: Desktop) -> DesktopIdentity {
    DesktopIdentity {
        desktop_id: desktop.id.to_string(),
        desktop_name: desktop.name,
        copy: desktop.agent.and_then(|agent| agent.copy).and_then(wire),
    }
}

/// A copy as it is shown; one that an administrator has settled is not.
pub(super) fn wire(copy: SeenCopy) -> Option<AgentCopy> {
    (!copy.settled).then(|| AgentCopy {
        seen_at: WireTime::from_unix_millis(copy.at_millis),
        address: copy.address,
        sign: match copy.sign {
            CopySign::OtherMachine => AgentCopySign::OtherMachine,
            CopySign::BothAlive => AgentCopySign::BothAlive,
            CopySign::TookOver => AgentCopySign::TookOver,
        },
    })
}
