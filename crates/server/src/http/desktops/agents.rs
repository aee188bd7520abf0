use std::collections::HashMap;
use std::sync::Arc;

use outfitter_api_types::agents::{
    AgentInfo, AgentsCondition, BatchInstallAgentReq, BatchInstallAgentResponse,
    ListAgentsInstallConditionQuery, ListAgentsInstallConditionResponse,
};
use outfitter_store::{Desktop, DesktopFilter, DesktopOrder};

use super::list::{desktop_ids, page};
use super::wire::ACTIVE;
use crate::Services;
use crate::app::reach::ReachError;
use crate::app::workspace_jobs::{self, JobError};
use crate::http::{ApiError, Call, Reply};

/// The one agent we report (contract, section 9).
const AGENT_NAME: &str = "outfitter-agent";

pub(super) async fn list(
    services: Arc<Services>,
    call: Call<(), ListAgentsInstallConditionQuery>,
) -> Result<Reply<ListAgentsInstallConditionResponse>, ApiError> {
    let project = call.project().project;
    let query = call.query;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let elsewhere = given(query.desktop_pool_id).is_some()
        || given(query.enterprise_project_id).is_some_and(|id| id != "0")
        || given(query.status).is_some_and(|status| status != ACTIVE);
    if elsewhere {
        return Ok(Reply::new(ListAgentsInstallConditionResponse {
            agents_condition: Some(Vec::new()),
            total_count: Some(0),
        }));
    }
    let filter = DesktopFilter {
        ids: desktop_ids(given(query.desktop_id).map(|id| vec![id])),
        name_part: query.desktop_name,
        ip_part: query.ip_address,
        agent_installed: query.is_installed,
        ..DesktopFilter::default()
    };
    let page = page(Some(query.offset), query.limit, 1000);
    let listed = services
        .store
        .db()
        .desktop_list(project, &filter, DesktopOrder::NewestFirst, page)
        .await?;
    let keys: Vec<_> = listed.items.iter().map(|desktop| desktop.key).collect();
    let percents: HashMap<_, _> = services
        .store
        .db()
        .push_percents(&keys)
        .await?
        .into_iter()
        .collect();
    let wire = |desktop: Desktop| {
        let percent = percents.get(&desktop.key).copied();
        wire(desktop, percent)
    };
    Ok(Reply::new(ListAgentsInstallConditionResponse {
        agents_condition: Some(listed.items.into_iter().map(wire).collect()),
        total_count: Some(listed.total),
    }))
}

/// `percent`: how far a push onto the desktop is, where there is one.
fn wire(desktop: Desktop, percent: Option<i64>) -> AgentsCondition {
    AgentsCondition {
        desktop_id: Some(desktop.id.to_string()),
        desktop_name: Some(desktop.name),
        status: Some(ACTIVE.to_owned()),
        task_status: Some(percent.map_or_else(String::new, |_| "updating".to_owned())),
        ip_address: desktop.ip_address,
        process: percent,
        agent_info: Some(vec![AgentInfo {
            agent_name: Some(AGENT_NAME.to_owned()),
            is_installed: Some(desktop.agent.is_some()),
            agent_version: desktop.agent.map(|agent| agent.version),
        }]),
        ..AgentsCondition::default()
    }
}

pub(super) async fn install(
    services: Arc<Services>,
    call: Call<BatchInstallAgentReq>,
) -> Result<Reply<BatchInstallAgentResponse>, ApiError> {
    let project = call.project().project;
    let job = workspace_jobs::install_agents(&services, project, &call.body.desktop_ids)
        .await
        .map_err(refused)?;
    Ok(Reply::new(BatchInstallAgentResponse {
        job_id: Some(job.to_string()),
    }))
}

/// The answer to a refusal of agent pushes and their jobs.
pub(in crate::http) fn refused(error: JobError) -> ApiError {
    let text = error.to_string();
    match error {
        // The operation documents no 404 (contract, section 9).
        JobError::DesktopUnknown { index } => {
            ApiError::invalid(format!("desktop_ids[{index}]"), text)
        }
        JobError::JobUnknown => ApiError::NotFound { noun: "job" },
        JobError::NotRetried => ApiError::invalid("op_type", text),
        JobError::Reach(ReachError::Store(source)) | JobError::Store(source) => source.into(),
        JobError::Reach(source) => ApiError::internal("read how a desktop is reached", source),
    }
}
