//! What a handler gets and gives.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use super::error::ApiError;
use crate::auth::{Caller, ProjectAccess, Visitor, WideningCheck};

/// One call that passed every check before the field rules of the object itself: limits, route, credential,
/// project, action, body.
pub struct Call<B = (), Q = ()> {
    /// The body.
    pub body: B,
    /// The query.
    pub query: Q,
    /// What is known of the request.
    pub context: CallContext,
}

/// What is known of a request.
pub struct CallContext {
    /// `X-Request-Id` of the answer.
    pub request_id: String,
    /// Address of the caller.
    pub source: IpAddr,
    /// Every header.
    pub headers: HeaderMap,
    pub(super) caller: Option<Caller>,
    pub(super) visitor: Option<Visitor>,
    pub(super) project: Option<ProjectAccess>,
    pub(super) widening: Option<WideningCheck>,
    pub(super) path: BTreeMap<String, String>,
}

impl<B, Q> Call<B, Q> {
    /// Who calls.
    ///
    /// # Panics
    /// In an operation that is registered as open: it has no caller.
    pub fn caller(&self) -> &Caller {
        self.context
            .caller
            .as_ref()
            .expect("an operation that is not open has a caller")
    }

    /// The end user who calls.
    ///
    /// # Panics
    /// In an operation that is not for end users.
    pub fn visitor(&self) -> &Visitor {
        self.context
            .visitor
            .as_ref()
            .expect("an operation for end users has one")
    }

    /// The project the path names, with the caller's rights there.
    ///
    /// # Panics
    /// In an operation whose path names no project.
    pub fn project(&self) -> &ProjectAccess {
        self.context
            .project
            .as_ref()
            .expect("an operation whose path names a project has one")
    }

    /// The check that waits until it is known whether the call widens authorizations.
    ///
    /// # Panics
    /// In an operation that is not registered with `may_widen`.
    pub fn widening(&self) -> &WideningCheck {
        self.context
            .widening
            .as_ref()
            .expect("an operation that may widen authorizations has the check")
    }

    /// A path parameter, percent-decoded.
    ///
    /// # Panics
    /// For a name that the operation's path does not hold.
    pub fn path(&self, name: &str) -> &str {
        self.context
            .path
            .get(name)
            .unwrap_or_else(|| panic!("the path of this operation has no {{{name}}}"))
    }
}

/// A successful answer.
pub struct Reply<T = ()> {
    pub(super) body: T,
    pub(super) status: Option<StatusCode>,
    pub(super) headers: HeaderMap,
}

impl<T> Reply<T> {
    /// An answer with a body (`()` gives an empty one).
    pub fn new(body: T) -> Self {
        Self {
            body,
            status: None,
            headers: HeaderMap::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Answers another status than the operation's own.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }
}

impl Reply<()> {
    /// An answer without a body.
    pub fn empty() -> Self {
        Self::new(())
    }
}

impl<T: Serialize> Reply<T> {
    pub(super) fn into_response(self, status: StatusCode) -> Result<Response, ApiError> {
        let bytes = serde_json::to_vec(&self.body)
            .map_err(|error| ApiError::internal("write the answer", error))?;
        let status = self.status.unwrap_or(status);
        // The unit type is how "no body" is said; JSON has no other way to `null` at the top.
        let mut response = if bytes == b"null" {
            status.into_response()
        } else {
            (status, [(CONTENT_TYPE, "application/json")], bytes).into_response()
        };
        response.headers_mut().extend(self.headers);
        Ok(response)
    }
}
