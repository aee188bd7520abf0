//! What the vendor's SDKs, Terraform and OpenStack's clients ask before anything else: tokens, projects,
//! accounts, the service catalogue, discovery, and who is calling. Source: the contract, `auth.md` section 3 and
//! `clients.md` sections 1 to 5.

mod change_password;
mod create_temporary_key;
mod create_token;
mod decode_refusal;
mod discovery;
mod list_domains;
mod list_projects;
mod show_caller;
mod show_catalog;
mod show_project;
#[cfg(test)]
mod tests;

use outfitter_api_types::iam::KeystoneVersionsResponse;

use super::{Family, Operation, Routes};

/// Adds the operations.
pub(super) fn register(routes: &mut Routes) {
    routes
        .add_raw::<(), (), _, _>(
            Operation::get("/", "KeystoneListVersions")
                .family(Family::Discovery)
                .open()
                .codes(&[303])
                .summary("List Keystone versions; browsers are led to the console"),
            discovery::list_versions,
        )
        .answering::<KeystoneVersionsResponse>()
        .add::<(), (), _, _, _>(
            Operation::get("/v3", "KeystoneShowVersion")
                .open()
                .summary("Show the Keystone version"),
            discovery::show_version,
        )
        .add::<(), (), _, _, _>(
            Operation::get("/v3/", "KeystoneShowVersionWithSlash")
                .open()
                .summary("Show the Keystone version"),
            discovery::show_version,
        )
        .add(
            Operation::post("/v3/auth/tokens", "KeystoneCreateUserTokenByPassword")
                .open()
                .status(201)
                .headers(&["X-Subject-Token"])
                .summary("Get a token with a password"),
            create_token::create_token,
        )
        .add::<_, (), _, _, _>(
            Operation::post("/v3/users/{user_id}/password", "KeystoneChangePassword")
                .status(204)
                .codes(&[409])
                .summary("Change the caller's own password; tokens and sessions so far end"),
            change_password::change_password,
        )
        .add(
            Operation::get("/v3/projects", "KeystoneListProjects").summary("List projects"),
            list_projects::list_projects,
        )
        .add::<(), (), _, _, _>(
            Operation::get("/v3/projects/{project_id}", "KeystoneShowProject")
                .summary("Show a project"),
            show_project::show_project,
        )
        .add::<(), (), _, _, _>(
            Operation::get("/v3/auth/domains", "KeystoneListAuthDomains")
                .summary("List the account of the caller"),
            list_domains::list_domains,
        )
        .add::<(), (), _, _, _>(
            Operation::get("/v3/auth/catalog", "KeystoneShowCatalog")
                .summary("Show the service catalog"),
            show_catalog::show_catalog,
        )
        .add::<(), (), _, _, _>(
            Operation::get("/v5/caller-identity", "GetCallerIdentity").summary("Who is calling"),
            show_caller::show_caller,
        )
        .add::<_, (), _, _, _>(
            Operation::post(
                "/v3.0/OS-CREDENTIAL/securitytokens",
                "CreateTemporaryAccessKeyByToken",
            )
            .token_in_body()
            .status(201)
            .codes(&[403])
            .summary("Get a temporary key pair for a token"),
            create_temporary_key::create_temporary_key,
        )
        .add::<_, (), _, _, _>(
            Operation::post(
                "/v5/decode-authorization-message",
                "DecodeAuthorizationMessage",
            )
            .action_somewhere(decode_refusal::DECODE)
            .reads()
            .summary("Open the sealed reason of a refusal"),
            decode_refusal::decode_refusal,
        );
}
