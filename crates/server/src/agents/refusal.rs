//! Refusals that an agent's owner can read: HTTP answers of the route, since a TLS alert has no words.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use outfitter_agent_protocol::{DOWNLOAD_QUEUED, EnrollRefusal};
use outfitter_domain::fleet::EnrollmentRefusal;

use crate::http::error::chain;

/// Why an agent is turned away.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: &'static str,
    reason: String,
    retry_after_secs: Option<u32>,
}

impl Refusal {
    /// The agent itself has to change something.
    pub fn forbidden(code: &'static str, reason: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            code,
            reason: reason.into(),
            retry_after_secs: None,
        }
    }

    /// The rules of enrollment say no, or not yet.
    pub fn enrollment(refusal: EnrollmentRefusal) -> Self {
        let refused = Self::forbidden(refusal.code(), refusal.to_string());
        if refusal == EnrollmentRefusal::StillSeen {
            // Time alone settles it.
            return Self {
                status: StatusCode::CONFLICT,
                retry_after_secs: Some(60),
                ..refused
            };
        }
        refused
    }

    /// Who calls is no enrolled agent.
    pub fn certificate_required() -> Self {
        Self::forbidden(
            "certificate_required",
            "this needs the certificate of an enrolled agent: run `outfitter-agent enroll` first",
        )
    }

    /// The request makes no sense.
    pub fn bad_request(code: &'static str, reason: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            ..Self::forbidden(code, reason)
        }
    }

    /// There is no such thing.
    pub fn not_found(code: &'static str, reason: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            ..Self::forbidden(code, reason)
        }
    }

    /// The address tried too often in vain.
    pub fn throttled(retry_after_secs: u32) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after_secs: Some(retry_after_secs),
            ..Self::forbidden(
                "throttled",
                "too many enrollments from this address were refused; wait, then try with a good token",
            )
        }
    }

    /// The address asks too often without a certificate.
    pub fn throttled_stranger(retry_after_secs: u32) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after_secs: Some(retry_after_secs),
            ..Self::forbidden("throttled", "this address asks too often; wait a moment")
        }
    }

    /// Not as things are.
    pub fn conflict(reason: impl Into<String>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            ..Self::forbidden("state", reason)
        }
    }

    /// The desktop asks too often.
    pub fn throttled_desk(retry_after_secs: u32) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after_secs: Some(retry_after_secs),
            ..Self::forbidden("throttled", "this desktop asks too often; wait a moment")
        }
    }

    /// Not now: every place is taken, and the desktop's turn comes.
    pub fn queued(wait_secs: u32, ahead: usize) -> Self {
        let before = match ahead {
            1 => "1 desktop is".to_owned(),
            more => format!("{more} desktops are"),
        };
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after_secs: Some(wait_secs),
            ..Self::forbidden(
                DOWNLOAD_QUEUED,
                format!(
                    "every place is taken and {before} before this one; it comes back in {wait_secs} s"
                ),
            )
        }
    }

    /// Status of the answer.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Whether the caller is at fault, and not we.
    pub fn is_the_callers(&self) -> bool {
        self.status.is_client_error()
    }

    /// We cannot serve now; the cause goes to the log.
    pub fn busy(doing: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = chain(error), "failed: {doing}");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            retry_after_secs: Some(10),
            ..Self::forbidden(
                "busy",
                "the server cannot answer now; the agent tries again",
            )
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (
            self.status,
            Json(EnrollRefusal {
                code: self.code.to_owned(),
                reason: self.reason,
            }),
        )
            .into_response();
        if let Some(seconds) = self.retry_after_secs {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}
