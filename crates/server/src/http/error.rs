//! The one place where refusals and faults become answers.
//!
//! A handler says *what* is wrong ([`ApiError`]); which code and body that is depends on the [`Family`] of the
//! operation called (contract, `errors.md`). A fault of ours is logged once, here, with its whole chain and
//! the request id; the caller reads a plain sentence.

use std::borrow::Cow;
use std::error::Error as StdError;

use axum::response::{IntoResponse as _, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use outfitter_store::StoreError;
use serde_json::json;

use super::operation::Family;
use crate::app::refusals;
use crate::auth::PolicyRefusal;
use crate::secrets::Sealer;

/// What every 403 says on the wire; the reason is for the log and for those who may open it.
const FORBIDDEN: &str = "User does not have permission to access this resource.";

/// Why an operation was refused or failed.
#[derive(Debug)]
pub enum ApiError {
    /// A field breaks a rule: 400. The first failing field is reported.
    Invalid {
        /// Path of the member: `app_file_store.file_link`, `users[3].account`, a query parameter, a header.
        field: String,
        /// Why, in words.
        reason: String,
    },
    /// A body is required and none came: 400.
    EmptyBody,
    /// The caller may not: 403.
    Forbidden {
        /// Why, in words.
        reason: String,
    },
    /// A policy says no: 403, with the reason sealed for those who may read it where the family has a place for it.
    Refused(Box<PolicyRefusal>),
    /// The object does not exist: 404.
    NotFound {
        /// The noun: `application`, `rule`, `job`, `desktop`.
        noun: &'static str,
    },
    /// An answer with a code of its own.
    Coded(Coded),
    /// Refused before the operation was reached.
    Gateway(GatewayError),
    /// We cannot serve now: 503. Worth repeating.
    Unavailable {
        /// What was attempted.
        doing: &'static str,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Our fault: 500.
    Internal {
        /// What was attempted.
        doing: &'static str,
        /// The cause.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// An answer with a code of its own (contract, `errors.md`, sections 2 and 3).
#[derive(Debug)]
pub struct Coded {
    /// HTTP status.
    pub status: StatusCode,
    /// Code on the wire.
    pub code: &'static str,
    /// Message on the wire.
    pub message: String,
    /// `encoded_authorization_message`, where the refusal has one.
    pub authorization_message: Option<String>,
}

/// A refusal before the operation was reached (contract, `errors.md`, section 4).
#[derive(Debug)]
pub struct GatewayError {
    /// HTTP status.
    pub status: StatusCode,
    /// Code on the wire, `APIGW.` and four digits.
    pub code: &'static str,
    /// Message on the wire.
    pub message: Cow<'static, str>,
    /// Seconds after which it is worth trying again.
    pub retry_after_secs: Option<u32>,
}

impl GatewayError {
    /// A refusal without `Retry-After`.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after_secs: None,
        }
    }

    /// Too many requests, connections or wrong passwords.
    pub fn throttled(retry_after_secs: u32) -> Self {
        Self {
            retry_after_secs: Some(retry_after_secs),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "APIGW.0308",
                "The throttling threshold has been reached",
            )
        }
    }
}

impl ApiError {
    /// A field breaks a rule.
    pub fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// The application does not exist.
    pub const APP_NOT_FOUND: Self = Self::NotFound {
        noun: "application",
    };

    /// A conflict with a code of its own: 409.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::coded(StatusCode::CONFLICT, code, message)
    }

    /// An answer with a code of its own.
    pub fn coded(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::Coded(Coded {
            status,
            code,
            message: message.into(),
            authorization_message: None,
        })
    }

    /// Our fault.
    pub fn internal(
        doing: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Internal {
            doing,
            source: source.into(),
        }
    }

    /// Status and reason of a refusal for the credential or the rights of the caller; `None` for anything else.
    pub(super) fn refusal(&self) -> Option<(StatusCode, String)> {
        let refuses = |status| matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        match self {
            Self::Forbidden { reason } => Some((StatusCode::FORBIDDEN, reason.clone())),
            Self::Refused(refusal) => Some((StatusCode::FORBIDDEN, refusal.reason.clone())),
            Self::Coded(coded) => {
                refuses(coded.status).then(|| (coded.status, coded.message.clone()))
            }
            Self::Gateway(error) => {
                refuses(error.status).then(|| (error.status, error.message.to_string()))
            }
            Self::Invalid { .. }
            | Self::EmptyBody
            | Self::NotFound { .. }
            | Self::Unavailable { .. }
            | Self::Internal { .. } => None,
        }
    }

    /// Seals the reason of a policy's refusal into the answer, where the family has a place for it (contract,
    /// `errors.md`, section 1: v2 only).
    pub(super) fn seal_refusal(self, family: Family, sealer: &Sealer, request_id: &str) -> Self {
        match self {
            Self::Refused(refusal) if family == Family::Workspace => {
                tracing::info!(request.id = request_id, reason = refusal.reason, "refused");
                Self::Coded(Coded {
                    status: StatusCode::FORBIDDEN,
                    code: family.forbidden_code(),
                    message: FORBIDDEN.to_owned(),
                    authorization_message: Some(refusals::seal(sealer, &refusal)),
                })
            }
            other => other,
        }
    }

    /// The answer for an operation of a family.
    pub fn into_response(self, family: Family, request_id: &str) -> Response {
        let (status, code, message) = match self {
            Self::Invalid { field, reason } => (
                StatusCode::BAD_REQUEST,
                family.invalid_code(),
                format!("{}: {field}: {reason}", family.invalid_message()),
            ),
            Self::EmptyBody => (
                StatusCode::BAD_REQUEST,
                "WKS.0001",
                "The request message input by the interface is empty.".to_owned(),
            ),
            Self::Forbidden { reason } => {
                tracing::info!(request.id = request_id, reason, "refused");
                (
                    StatusCode::FORBIDDEN,
                    family.forbidden_code(),
                    FORBIDDEN.to_owned(),
                )
            }
            Self::Refused(refusal) => {
                tracing::info!(request.id = request_id, reason = refusal.reason, "refused");
                (
                    StatusCode::FORBIDDEN,
                    family.forbidden_code(),
                    FORBIDDEN.to_owned(),
                )
            }
            Self::NotFound { noun } => (
                StatusCode::NOT_FOUND,
                family.not_found_code(),
                format!("The {noun} does not exist"),
            ),
            Self::Coded(coded) => {
                let mut body = family.body(coded.status, coded.code, &coded.message, request_id);
                if let Some(text) = coded.authorization_message {
                    body["encoded_authorization_message"] = text.into();
                }
                return render(coded.status, &body);
            }
            Self::Gateway(error) => return gateway_response(family, error, request_id),
            Self::Unavailable { doing, source } => {
                tracing::warn!(
                    request.id = request_id,
                    error = chain(source.as_ref()),
                    "unavailable: {doing}"
                );
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    family.unavailable_code(),
                    "The service is now unavailable to process the request.".to_owned(),
                )
            }
            Self::Internal { doing, source } => {
                tracing::error!(
                    request.id = request_id,
                    error = chain(source.as_ref()),
                    "failed: {doing}"
                );
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    family.internal_code(),
                    "The requested operation failed. Please try again later.".to_owned(),
                )
            }
        };
        render(status, &family.body(status, code, &message, request_id))
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy { doing, .. } => Self::Unavailable {
                doing,
                source: Box::new(error),
            },
            StoreError::Conflict { doing, .. } | StoreError::Driver { doing, .. } => {
                Self::Internal {
                    doing,
                    source: Box::new(error),
                }
            }
            StoreError::Inconsistent { .. } => Self::internal("read a row", error),
            StoreError::Open { .. } | StoreError::Newer { .. } => Self::Unavailable {
                doing: "open the database",
                source: Box::new(error),
            },
        }
    }
}

impl From<Box<PolicyRefusal>> for ApiError {
    fn from(refusal: Box<PolicyRefusal>) -> Self {
        Self::Refused(refusal)
    }
}

impl From<GatewayError> for ApiError {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

impl Family {
    fn invalid_code(self) -> &'static str {
        match self {
            Self::AppCenter | Self::Native => "WKS.00211102",
            Self::Workspace => "WKS.0001",
            Self::Iam | Self::Sts | Self::Discovery => "IAM.0011",
        }
    }

    fn invalid_message(self) -> &'static str {
        match self {
            Self::AppCenter | Self::Native => "The parameter is invalid.",
            Self::Workspace => "The request is invalid.",
            Self::Iam | Self::Sts | Self::Discovery => "Request parameters are invalid",
        }
    }

    fn forbidden_code(self) -> &'static str {
        match self {
            Self::AppCenter | Self::Native => "WKS.00081102",
            Self::Workspace => "WKS.0403",
            Self::Iam | Self::Sts | Self::Discovery => "IAM.0003",
        }
    }

    fn not_found_code(self) -> &'static str {
        match self {
            Self::AppCenter | Self::Native => "WKS.00211902",
            Self::Workspace => "WKS.0404",
            Self::Iam | Self::Sts | Self::Discovery => "IAM.0004",
        }
    }

    fn method_code(self) -> &'static str {
        match self {
            Self::AppCenter | Self::Native => "WKS.00000405",
            Self::Workspace => "WKS.0405",
            Self::Iam | Self::Sts | Self::Discovery => "APIGW.0101",
        }
    }

    fn unavailable_code(self) -> &'static str {
        match self {
            Self::AppCenter | Self::Native => "WKS.00050902",
            Self::Workspace => "WKS.0503",
            Self::Iam | Self::Sts | Self::Discovery => "IAM.0503",
        }
    }

    fn internal_code(self) -> &'static str {
        match self {
            Self::AppCenter | Self::Native => "WKS.00211401",
            Self::Workspace => "WKS.0500",
            Self::Iam | Self::Sts | Self::Discovery => "IAM.0006",
        }
    }

    /// An error body in the family's shape (contract, `errors.md`, section 1).
    fn body(
        self,
        status: StatusCode,
        code: &str,
        message: &str,
        request_id: &str,
    ) -> serde_json::Value {
        match self {
            Self::AppCenter | Self::Workspace | Self::Native => json!({
                "error_code": code,
                "error_msg": truncated(message, 1000),
            }),
            Self::Iam | Self::Discovery => json!({
                "error": {
                    "code": status.as_u16(),
                    "message": message,
                    "title": status.canonical_reason().unwrap_or("Error"),
                }
            }),
            Self::Sts => json!({
                "error_code": code,
                "error_msg": message,
                "request_id": request_id,
            }),
        }
    }
}

/// A gateway refusal has one shape everywhere but in the Keystone operations.
fn gateway_response(family: Family, error: GatewayError, request_id: &str) -> Response {
    let body = match family {
        Family::Iam if error.status == StatusCode::UNAUTHORIZED => {
            family.body(error.status, error.code, &error.message, request_id)
        }
        _ => json!({
            "error_code": error.code,
            "error_msg": error.message,
            "request_id": request_id,
        }),
    };
    let mut response = render(error.status, &body);
    if let Some(seconds) = error.retry_after_secs {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Known path, other method: 405 with `Allow`.
pub(super) fn method_not_allowed(family: Family, allow: &str, request_id: &str) -> Response {
    let mut response = render(
        StatusCode::METHOD_NOT_ALLOWED,
        &family.body(
            StatusCode::METHOD_NOT_ALLOWED,
            family.method_code(),
            "The method specified in the request is not allowed for this resource.",
            request_id,
        ),
    );
    if let Ok(value) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

fn render(status: StatusCode, body: &serde_json::Value) -> Response {
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

/// The whole chain of causes, outermost first.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn truncated(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(text[..end].to_owned()),
    }
}
