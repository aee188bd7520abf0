//! The sealed reason of a refusal: `encoded_authorization_message` of a 403, and its opening by
//! DecodeAuthorizationMessage (contract, `errors.md`, section 1).
//!
//! A caller who is refused learns only that; whoever may decode, and belongs to the same account, learns which
//! statement decided.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use secrecy::ExposeSecret as _;

use crate::auth::{Caller, PolicyRefusal, rights_in_domain, rights_of};
use crate::http::ApiError;
use crate::secrets::Sealer;
use crate::services::Services;
use outfitter_ids::ProjectId;

/// Purpose under which reasons are sealed; they belong to no row.
const PURPOSE: &str = "encoded_authorization_message";

/// Longest sealed text. Source: the contract.
const MAX_CHARACTERS: usize = 10_240;

/// Seals a reason.
pub fn seal(sealer: &Sealer, refusal: &PolicyRefusal) -> String {
    let sealed = |refusal: &PolicyRefusal| {
        let text = serde_json::to_vec(refusal).expect("a refusal is JSON");
        URL_SAFE_NO_PAD.encode(sealer.seal(PURPOSE, "", &text))
    };
    let whole = sealed(refusal);
    if whole.len() <= MAX_CHARACTERS {
        return whole;
    }
    // A statement with many long patterns: its policy is named, and can be looked up.
    sealed(&PolicyRefusal {
        statement: None,
        ..refusal.clone()
    })
}

/// Opens a reason for a caller who may decode in the project that the refusal was about.
///
/// # Errors
/// 400 when the text is not ours or was changed; 403 for another account, or without the right to decode there.
pub async fn open(
    services: &Services,
    caller: &Caller,
    text: &str,
    action: &str,
) -> Result<PolicyRefusal, ApiError> {
    let not_ours = || ApiError::invalid("encoded_message", "is no sealed reason of this server");
    let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| not_ours())?;
    let opened = services
        .auth
        .sealer()
        .open(PURPOSE, "", &sealed)
        .map_err(|_| not_ours())?;
    let refusal: PolicyRefusal =
        serde_json::from_slice(opened.expose_secret()).map_err(|_| not_ours())?;
    if refusal.domain_id != caller.domain_id.to_string() {
        return Err(ApiError::coded(
            StatusCode::FORBIDDEN,
            "IAM.0003",
            "The message was sealed for another account.",
        ));
    }
    let project = match refusal.project_id.as_deref().and_then(ProjectId::lookup) {
        Some(id) => services.store.db().project_by_id(caller.domain, id).await?,
        None => None,
    };
    let rights = match project {
        Some(project) if caller.reaches(project.key) => {
            rights_of(services, caller, Some((project.key, project.id))).await?
        }
        _ => rights_in_domain(services, caller).await?,
    };
    rights.check_action(action)?;
    Ok(refusal)
}
