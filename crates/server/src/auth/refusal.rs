use http::StatusCode;
use outfitter_api_types::time::IamTime;
use outfitter_domain::Millis;
use outfitter_store::StoreError;
use thiserror::Error;

use crate::http::{ApiError, GatewayError};
use crate::secrets::SealError;

/// Why a credential does not count. `Display` is the message on the wire; codes and texts are those of the
/// contract (`errors.md`, section 4).
#[derive(Debug, Error)]
pub enum AuthRefusal {
    /// Neither token nor signature.
    #[error("Incorrect IAM authentication information: x-auth-token not found")]
    NoCredential,
    /// The token is not ours, was changed, or its user or project is gone.
    #[error("Incorrect IAM authentication information: decrypt token fail")]
    DamagedToken,
    /// The token's time is over.
    #[error(
        "Incorrect IAM authentication information: token expires, expires_at: {}",
        IamTime::from_unix_millis(expires_at.get())
    )]
    ExpiredToken {
        /// When that was.
        expires_at: Millis,
    },
    /// The token was issued before the user's password was changed or the user disabled.
    #[error("The token must be updated.")]
    RevokedToken,
    /// Wrong or malformed signature, a date that is missing or off, an algorithm we do not take.
    #[error("Incorrect IAM authentication information: verify aksk signature fail")]
    WrongSignature,
    /// Nobody has this access key, or it is disabled.
    #[error(
        "Incorrect IAM authentication information: Get secretKey failed,ak:{masked},err:ak not exist"
    )]
    UnknownAccessKey {
        /// Its first characters.
        masked: String,
    },
    /// Too many wrong signatures in a row from this address.
    #[error(
        "Incorrect IAM authentication information: AK access failed to reach the limit,forbidden."
    )]
    LockedAccessKey,
    /// A session's cookie came with a call that a page of another origin may have made.
    #[error("The call was not made by the console.")]
    ForeignPage,
    /// The user is disabled.
    #[error("The IAM user is not authorized to access the API.")]
    DisabledUser,
    /// The database failed: no fault of the credential.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored secret of an access key does not open: no fault of the credential.
    #[error("open the secret of an access key")]
    Sealed(#[source] SealError),
}

impl AuthRefusal {
    /// Whether somebody showed a credential that is none: a guess, or something damaged. One that merely does not
    /// count any more, or here, was good.
    pub(crate) fn is_wrong_credential(&self) -> bool {
        match self {
            Self::DamagedToken
            | Self::WrongSignature
            | Self::UnknownAccessKey { .. }
            | Self::LockedAccessKey => true,
            Self::NoCredential
            | Self::ExpiredToken { .. }
            | Self::RevokedToken
            | Self::ForeignPage
            | Self::DisabledUser
            | Self::Store(_)
            | Self::Sealed(_) => false,
        }
    }

    /// An access key that does not exist, masked for the message.
    pub(super) fn unknown_access_key(access: &str) -> Self {
        let head: String = access
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .take(4)
            .collect();
        Self::UnknownAccessKey {
            masked: format!("{head}****"),
        }
    }
}

impl From<AuthRefusal> for ApiError {
    fn from(refusal: AuthRefusal) -> Self {
        let (status, code) = match refusal {
            AuthRefusal::NoCredential
            | AuthRefusal::DamagedToken
            | AuthRefusal::ExpiredToken { .. }
            | AuthRefusal::WrongSignature
            | AuthRefusal::UnknownAccessKey { .. }
            | AuthRefusal::LockedAccessKey => (StatusCode::UNAUTHORIZED, "APIGW.0301"),
            AuthRefusal::RevokedToken => (StatusCode::UNAUTHORIZED, "APIGW.0307"),
            AuthRefusal::DisabledUser | AuthRefusal::ForeignPage => {
                (StatusCode::FORBIDDEN, "APIGW.0302")
            }
            AuthRefusal::Store(error) => return error.into(),
            AuthRefusal::Sealed(source) => {
                return Self::internal("open the secret of an access key", source);
            }
        };
        GatewayError::new(status, code, refusal.to_string()).into()
    }
}
