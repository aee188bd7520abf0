//! `/api/v1/{project_id}/enrollment-tokens`: tokens that let agents enroll, and the script that does.

mod create;
mod installer;
mod list;
mod revoke;

use outfitter_api_types::native::enrollment_tokens::EnrollmentToken;
use outfitter_api_types::time::WireTime;
use outfitter_domain::Millis;
use outfitter_store::EnrollmentTokenRecord;

use super::desktops::tags_wire;
use super::{Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add(
            Operation::post(
                "/api/v1/{project_id}/enrollment-tokens",
                "CreateEnrollmentToken",
            )
            .action("outfitter:enrollmentTokens:create")
            .status(201)
            .summary("Make a token that lets agents enroll; its text is shown this once."),
            create::create,
        )
        .add(
            Operation::get(
                "/api/v1/{project_id}/enrollment-tokens",
                "ListEnrollmentTokens",
            )
            .action("outfitter:enrollmentTokens:list")
            .summary("List the tokens of the project, without their texts."),
            list::list,
        )
        .add(
            Operation::delete(
                "/api/v1/{project_id}/enrollment-tokens/{token_id}",
                "RevokeEnrollmentToken",
            )
            .action("outfitter:enrollmentTokens:revoke")
            .status(204)
            .codes(&[404])
            .summary("Revoke a token; agents that it let in stay."),
            revoke::revoke,
        )
        .add(
            Operation::get("/api/v1/{project_id}/agent-installer", "ShowAgentInstaller")
                .action("outfitter:agents:showInstaller")
                .summary("Show the digest of the script that installs the agent on a desktop."),
            installer::show,
        );
}

fn wire(record: EnrollmentTokenRecord) -> EnrollmentToken {
    let time = |at: Millis| WireTime::from_unix_millis(at.get());
    EnrollmentToken {
        id: record.id.to_string(),
        name: record.name,
        max_uses: record.facts.max_uses,
        uses: record.facts.uses,
        may_attach: record.may_attach,
        may_reenroll: record.may_reenroll,
        networks: record
            .facts
            .networks
            .iter()
            .map(ToString::to_string)
            .collect(),
        tags: tags_wire(record.tags),
        needs_approval: record.needs_approval,
        created_at: time(record.created_at),
        expires_at: record.facts.expires_at.map(time),
        revoked_at: record.facts.revoked_at.map(time),
    }
}
