use std::sync::Arc;

use outfitter_api_types::iam::{KeystoneDomain, KeystoneDomains, KeystoneLinks, KeystoneSelfLink};

use crate::http::{ApiError, Call, Reply};
use crate::services::Services;

/// SDKs take the first entry as the account.
pub(super) async fn list_domains(
    services: Arc<Services>,
    call: Call,
) -> Result<Reply<KeystoneDomains>, ApiError> {
    let caller = call.caller();
    let iam = &services.endpoints.iam_endpoint;
    Ok(Reply::new(KeystoneDomains {
        domains: vec![KeystoneDomain {
            id: Some(caller.domain_id.to_string()),
            name: Some(caller.domain_name.clone()),
            enabled: Some(true),
            description: Some(String::new()),
            links: Some(KeystoneSelfLink {
                this: Some(format!("{iam}/domains/{}", caller.domain_id)),
            }),
        }],
        links: KeystoneLinks {
            this: Some(format!("{iam}/auth/domains")),
            ..KeystoneLinks::default()
        },
    }))
}
