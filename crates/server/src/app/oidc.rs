//! Logging in through the login provider: there, back, and what comes of it here.
//!
//! **Guarantees.** A login that comes back counts once, for the browser that it began in, within ten minutes, on
//! whichever server. Who it is, is said by issuer and subject alone: a name that is taken by anybody else is never
//! taken over. At each login exactly what the provider's groups bring is held; who holds nothing then gets no session,
//! and a newcomer for whom nothing would be held is not even made. A disabled user stays disabled. **On a crash**
//! between the two halves the browser begins anew. **Does not** keep anything of the provider's tokens.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use outfitter_domain::Millis;
use outfitter_ids::IamUserId;
use outfitter_store::{
    AuditActor, AuditFacts, AuditKind, AuditScope, AuditTarget, IamUser, NewAuditScope,
    NewIdentity, StoreError, Tx,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;

use super::bootstrap::DOMAIN_NAME;
use crate::audit::{self, refusals};
use crate::auth::{
    Caller, Credential, LETTERS_AND_DIGITS, LoginSecrets, OidcError, ProviderIdentity,
};
use crate::secrets::random_text;
use crate::services::Services;

/// Longest time at the provider. Ours: long enough to look for a second factor.
pub const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// Where a login ends when nothing else was asked for.
const CONSOLE: &str = "/console/";

/// Longest place to end at, in bytes.
const MAX_NEXT_BYTES: usize = 1024;

/// Purpose under which a login's cookie is sealed; it belongs to no row.
const PURPOSE: &str = "oidc.login";

/// What the audit log calls what was shown.
const PROVIDER: &str = "login_provider";

/// Names that are tried for a newcomer whose own is taken: `ana-2` to `ana-99`.
const MAX_NAMESAKES: u32 = 99;

/// Why a login did not come to a session.
#[derive(Debug, Error)]
pub enum ProviderLoginError {
    /// None is configured.
    #[error("no login provider is configured")]
    None,
    /// The cookie is not there, is another login's, or its time is over.
    #[error("this login did not begin in this browser, or took too long")]
    Foreign,
    /// It came back before.
    #[error("this login has been used already")]
    Used,
    /// The provider says no.
    #[error("the login provider refused: {0}")]
    Refused(String),
    /// Another provider answered.
    #[error("another login provider answered than was asked")]
    OtherIssuer,
    /// The provider vouches for nobody.
    #[error(transparent)]
    Provider(#[from] OidcError),
    /// Nothing is held.
    #[error("no group of {name} has rights here")]
    NoRights {
        /// As the provider names them.
        name: String,
    },
    /// The user is disabled here.
    #[error("the user {name} is disabled here")]
    Disabled {
        /// The user.
        name: String,
    },
    /// Every name that could be given is taken.
    #[error("there are too many users named {name}")]
    Namesakes {
        /// The name.
        name: String,
    },
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A login that began.
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What it keeps meanwhile: the text of the cookie.
    pub cookie: String,
}

/// What the provider sent the browser back with.
pub struct Returned {
    /// `state`.
    pub state: String,
    /// `code`, or the words of a refusal.
    pub answer: Result<String, String>,
    /// `iss` (RFC 9207), where the provider sends it.
    pub issuer: Option<String>,
}

/// A login that ended well.
pub struct Ended {
    /// Who, with the session.
    pub caller: Caller,
    /// Where the browser goes now: a path of ours.
    pub next: String,
}

/// From where a login comes back.
#[derive(Debug, Clone)]
pub struct LoginFrom {
    /// The browser's address.
    pub source: IpAddr,
    /// `X-Request-Id` of the answer.
    pub request_id: String,
}

impl LoginFrom {
    /// What the audit log says of it before it is known whose login it is.
    fn facts(&self, services: &Services) -> AuditFacts {
        AuditFacts {
            domain: None,
            project: None,
            at: services.clock.now(),
            action: "outfitter:operations:CreateProviderSession".to_owned(),
            operation: "CreateProviderSession".to_owned(),
            actor: AuditActor {
                credential: PROVIDER.to_owned(),
                ..AuditActor::nobody()
            },
            on_behalf_of: None,
            address: Some(self.source.to_string()),
            request_id: Some(self.request_id.clone()),
        }
    }

    /// Counts a login that came to no session, and was not the server's or the database's fault.
    pub fn refused(&self, services: &Services, error: &ProviderLoginError, status: u16) {
        let name = match error {
            ProviderLoginError::NoRights { name }
            | ProviderLoginError::Disabled { name }
            | ProviderLoginError::Namesakes { name } => Some(name.clone()),
            ProviderLoginError::Foreign
            | ProviderLoginError::Used
            | ProviderLoginError::Refused(_)
            | ProviderLoginError::OtherIssuer
            | ProviderLoginError::Provider(OidcError::Code(_) | OidcError::Unbelievable(_)) => None,
            ProviderLoginError::None
            | ProviderLoginError::Provider(OidcError::Unavailable(_))
            | ProviderLoginError::Store(_) => return,
        };
        let mut facts = self.facts(services);
        facts.actor.name = name;
        services.audit.refused(refusals::Refusal {
            facts,
            resources: vec!["server:".to_owned()],
            status,
            reason: error.to_string(),
        });
    }
}

/// What the cookie holds, sealed.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    next: String,
    expires_at: Millis,
}

/// Begins a login that is to end at `next`.
///
/// # Errors
/// None is configured, or the provider does not answer.
pub async fn begin(services: &Services, next: Option<&str>) -> Result<Begun, ProviderLoginError> {
    let provider = services.oidc.as_ref().ok_or(ProviderLoginError::None)?;
    // 43 letters and digits are 256 bits; a verifier has 43 to 128 characters. Source: RFC 7636, section 4.1.
    let random = || random_text(services.auth.randomness(), LETTERS_AND_DIGITS, 43);
    let pending = Pending {
        state: random(),
        nonce: random(),
        verifier: random(),
        next: safe_next(next).to_owned(),
        expires_at: services.clock.now().plus(LOGIN_LIFETIME),
    };
    let url = provider.authorize_url(&pending.secrets()).await?;
    let text = serde_json::to_vec(&pending).expect("a struct of texts is JSON");
    let sealed = services.auth.sealer().seal(PURPOSE, "", &text);
    Ok(Begun {
        url,
        cookie: URL_SAFE_NO_PAD.encode(sealed),
    })
}

/// Ends a login that came back, with the text of the cookie that the browser has.
///
/// # Errors
/// [`ProviderLoginError`]; there is no session then. What the provider's groups bring has changed all the same where
/// the user is known: who lost the last one holds nothing from now on.
pub async fn end(
    services: &Services,
    cookie: Option<&str>,
    returned: Returned,
    from: &LoginFrom,
) -> Result<Ended, ProviderLoginError> {
    let provider = services.oidc.as_ref().ok_or(ProviderLoginError::None)?;
    let now = services.clock.now();
    let pending = cookie
        .and_then(|text| Pending::open(services, text))
        .filter(|pending| now < pending.expires_at)
        .filter(|pending| bool::from(pending.state.as_bytes().ct_eq(returned.state.as_bytes())))
        .ok_or(ProviderLoginError::Foreign)?;
    let tx = services.store.write().await?;
    let digest = Sha256::digest(pending.state.as_bytes()).into();
    let first = tx.oidc_login_use(digest, pending.expires_at, now).await?;
    tx.commit().await?;
    if !first {
        return Err(ProviderLoginError::Used);
    }
    if returned
        .issuer
        .is_some_and(|issuer| issuer != provider.issuer())
    {
        return Err(ProviderLoginError::OtherIssuer);
    }
    let code = returned.answer.map_err(ProviderLoginError::Refused)?;
    let identity = provider.identify(&pending.secrets(), &code).await?;
    let user = admit(services, &identity, from).await?;
    tracing::info!(
        iam_user.id = %user.id,
        "a user of the login provider logged in"
    );
    let claims = services.auth.begin_session(&user, services.clock.now());
    Ok(Ended {
        caller: Caller::in_domain(user, Credential::Session(claims), from.source),
        next: pending.next,
    })
}

/// Takes over what the provider says of somebody, with an entry in the audit log.
async fn admit(
    services: &Services,
    identity: &ProviderIdentity,
    from: &LoginFrom,
) -> Result<IamUser, ProviderLoginError> {
    let known = services
        .store
        .db()
        .iam_user_by_identity(&identity.issuer, &identity.subject)
        .await?;
    let mut facts = from.facts(services);
    facts.actor.name = Some(identity.name.clone());
    if let Some(user) = &known {
        facts.domain = Some(user.domain.key);
    }
    let target = match &known {
        Some(user) => format!("iamUser:{}", user.id),
        None => "server:".to_owned(),
    };
    let scope = AuditScope::new(NewAuditScope {
        key: Arc::clone(services.audit.key()),
        ids: Arc::clone(&services.ids),
        facts,
        kind: AuditKind::Change,
        targets: vec![AuditTarget::parse(&target)],
        request: json!({
            "issuer": identity.issuer,
            "subject": identity.subject,
            "name": identity.name,
            "groups": identity.groups,
        }),
    });
    scope.run(let_in(services, identity)).await
}

async fn let_in(
    services: &Services,
    identity: &ProviderIdentity,
) -> Result<IamUser, ProviderLoginError> {
    let no_rights = || ProviderLoginError::NoRights {
        name: identity.name.clone(),
    };
    let now = services.clock.now();
    let tx = services.store.write().await?;
    let known = tx
        .db()
        .iam_user_by_identity(&identity.issuer, &identity.subject)
        .await?;
    let user = match known {
        Some(user) => user,
        None => newcomer(services, &tx, identity)
            .await?
            .ok_or_else(no_rights)?,
    };
    if !user.enabled {
        return Err(ProviderLoginError::Disabled { name: user.name });
    }
    tx.iam_identity_logged_in(user.key, user.domain.key, &identity.groups, now)
        .await?;
    let held = tx.db().iam_held(user.key).await?;
    audit::identify(&user, PROVIDER);
    tx.commit().await?;
    if held.is_empty() {
        return Err(no_rights());
    }
    Ok(user)
}

/// Makes a user for whom something would be held; `None` makes nobody.
async fn newcomer(
    services: &Services,
    tx: &Tx,
    identity: &ProviderIdentity,
) -> Result<Option<IamUser>, ProviderLoginError> {
    let domain = tx.db().domain_by_name(DOMAIN_NAME).await?;
    let Some(domain) = domain else {
        return Ok(None);
    };
    if !tx
        .db()
        .iam_provider_groups_count(domain, &identity.groups)
        .await?
    {
        return Ok(None);
    }
    let now = services.clock.now();
    let id = IamUserId::new(services.ids.uuid(now.get()));
    let name = free_name(tx, &identity.name).await?;
    tx.iam_identity_insert(NewIdentity {
        id,
        domain,
        name: &name,
        issuer: &identity.issuer,
        subject: &identity.subject,
        created_at: now,
    })
    .await?;
    Ok(tx.db().iam_user_by_id(id).await?)
}

/// A name that nobody in the domain has.
async fn free_name(tx: &Tx, wanted: &str) -> Result<String, ProviderLoginError> {
    let plain = plain_name(wanted);
    let is_free = async |name: &str| -> Result<bool, StoreError> {
        Ok(tx.db().iam_user_by_name(DOMAIN_NAME, name).await?.is_none())
    };
    if is_free(&plain).await? {
        return Ok(plain);
    }
    for number in 2..=MAX_NAMESAKES {
        let name = format!("{plain}-{number}");
        if is_free(&name).await? {
            tracing::warn!(
                name,
                "a user of the login provider has a name that is taken"
            );
            return Ok(name);
        }
    }
    Err(ProviderLoginError::Namesakes { name: plain })
}

/// A name as IAM users have it: letters, digits and `._@-`, beginning with a letter or digit, with room for a number.
fn plain_name(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '@' | '-' => character,
            _ => '-',
        })
        .skip_while(|character| !character.is_ascii_alphanumeric())
        .take(60)
        .collect();
    if plain.is_empty() {
        "user".to_owned()
    } else {
        plain
    }
}

/// A place to end at: a page of the console. Everything else, of this or another host, is the console itself.
fn safe_next(next: Option<&str>) -> &str {
    next.filter(|next| {
        next.starts_with(CONSOLE)
            && next.len() <= MAX_NEXT_BYTES
            // A backslash is a slash to browsers, and a second slash or a dot segment could lead elsewhere.
            && next
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && !next.contains("//")
            && !next.split(['/', '?', '#']).any(|part| {
                let part = part.to_ascii_lowercase().replace("%2e", ".");
                part == "." || part == ".."
            })
    })
    .unwrap_or(CONSOLE)
}

impl Pending {
    fn open(services: &Services, cookie: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let text = services.auth.sealer().open(PURPOSE, "", &sealed).ok()?;
        serde_json::from_slice(text.expose_secret()).ok()
    }

    fn secrets(&self) -> LoginSecrets {
        LoginSecrets {
            state: SecretString::from(self.state.as_str()),
            nonce: SecretString::from(self.nonce.as_str()),
            verifier: SecretString::from(self.verifier.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_ends_at_a_page_of_the_console_and_nowhere_else() {
        for good in ["/console/", "/console/local-1/apps?page=2", "/console/a#b"] {
            assert_eq!(safe_next(Some(good)), good);
        }
        for bad in [
            "https://evil.example/console/",
            "//evil.example/console/",
            "/console/..//evil.example",
            "/console/../api/v1/session",
            "/console/%2e%2E/x",
            "/console/\\evil.example",
            "/consolex",
            "/api/v1/session",
            "javascript:alert(1)",
            "/console/\r\nSet-Cookie: a=b",
            "/console/\u{a0}",
            "",
        ] {
            assert_eq!(safe_next(Some(bad)), CONSOLE, "{bad}");
        }
        assert_eq!(safe_next(None), CONSOLE);
        let long = format!("/console/{}", "a".repeat(MAX_NEXT_BYTES));
        assert_eq!(safe_next(Some(&long)), CONSOLE);
    }

    #[test]
    fn a_provider_names_users_as_iam_users_are_named() {
        for (given, named) in [
            ("ana@example.com", "ana@example.com"),
            ("Ana Müller", "Ana-M-ller"),
            ("..ana", "ana"),
            ("安娜", "user"),
            ("", "user"),
        ] {
            assert_eq!(plain_name(given), named);
        }
        assert_eq!(plain_name(&"a".repeat(100)).len(), 60);
    }
}
