use outfitter_api_types::agents::{
    AgentInfo, AgentsCondition, BatchInstallAgentReq, BatchInstallAgentResponse,
};
use outfitter_api_types::native::receipts::AgentRoots;
use serde_json::json;

use super::{
    Session, agent_approval, agent_release, install_command, note_cut, table, text, workspace_job,
};
use crate::args::agent::{AgentCommand, AgentInstallArgs, AgentStatusArgs};
use crate::listing::{self, Listing};
use crate::outcome::{CommandError, Outcome};
use crate::paths;
use crate::printer::{Shade, View};

pub(super) async fn run(command: AgentCommand, session: &Session) -> Result<Outcome, CommandError> {
    match command {
        AgentCommand::Status(args) => status(args, session).await,
        AgentCommand::Install(args) => install(args, session).await,
        AgentCommand::InstallCommand(args) => install_command::run(args, session).await,
        AgentCommand::Waiting(args) => agent_approval::waiting(args, session).await,
        AgentCommand::Approve(args) => {
            agent_approval::decide(args, agent_approval::Decision::Approve, session).await
        }
        AgentCommand::Refuse(args) => {
            agent_approval::decide(args, agent_approval::Decision::Refuse, session).await
        }
        AgentCommand::Release(command) => agent_release::run(command, session).await,
        AgentCommand::Roots => {
            let roots: AgentRoots = session.client.get(paths::AGENT_ROOTS, &[]).await?;
            session
                .printer
                .show(&roots, || View::Block(roots.roots_pem.clone()));
            Ok(Outcome::Done)
        }
    }
}

async fn status(args: AgentStatusArgs, session: &Session) -> Result<Outcome, CommandError> {
    let client = &session.client;
    let mut filters = Vec::new();
    if let Some(desktop) = &args.desktop {
        filters.push(("desktop_id", listing::desktop_id(client, desktop).await?));
    }
    if let Some(name) = args.name {
        filters.push(("desktop_name", name));
    }
    if let Some(address) = args.ip_address {
        filters.push(("ip_address", address));
    }
    if let Some(installed) = args.installed {
        filters.push(("is_installed", installed.to_string()));
    }
    let listing: Listing<AgentsCondition> = listing::AGENTS
        .fetch(client, &filters, args.list.limit)
        .await?;
    session.printer.show(&listing, || {
        table(
            &["desktop id", "desktop", "address", "status", "agent"],
            listing.items.iter().map(row).collect(),
            "there are no such desktops",
        )
    });
    note_cut(session.printer, &listing);
    Ok(Outcome::Done)
}

fn row(condition: &AgentsCondition) -> Vec<Shade> {
    let installed = condition
        .agent_info
        .iter()
        .flatten()
        .find(|agent: &&AgentInfo| agent.is_installed == Some(true));
    vec![
        text(&condition.desktop_id).into(),
        text(&condition.desktop_name).into(),
        text(&condition.ip_address).into(),
        text(&condition.status).into(),
        match installed {
            Some(agent) => Shade::Good(text(&agent.agent_version)),
            None => Shade::Doubtful("none".to_owned()),
        },
    ]
}

async fn install(args: AgentInstallArgs, session: &Session) -> Result<Outcome, CommandError> {
    let body = BatchInstallAgentReq {
        desktop_ids: listing::desktop_ids(&session.client, &args.desktops).await?,
    };
    let answer: BatchInstallAgentResponse = session.client.post(paths::AGENTS, &body).await?;
    let job_id = text(&answer.job_id);
    if args.wait {
        return workspace_job::wait(&job_id, session, args.limit.limit()).await;
    }
    session.printer.show(&json!({"job_id": job_id}), || {
        View::Line(format!(
            "job {job_id} installs the agent; `outfitter workspace-job wait {job_id}` follows it"
        ))
    });
    Ok(Outcome::Done)
}
