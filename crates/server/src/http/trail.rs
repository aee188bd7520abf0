//! What the audit log is told of a call, as far as the call has come.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::Request;
use outfitter_store::{AuditActor, AuditFacts, AuditKind, AuditScope, AuditTarget, NewAuditScope};
use serde_json::Value;

use super::error::ApiError;
use super::limits;
use super::operation::Operation;
use super::request_id::RequestId;
use crate::audit::refusals::Refusal;
use crate::auth::{Caller, ProjectAccess, Visitor};
use crate::services::Services;

/// One call.
pub(super) struct Trail {
    facts: AuditFacts,
    targets: Vec<AuditTarget>,
    /// Said within the call who it turned out to be.
    scope: Option<Arc<AuditScope>>,
}

impl Trail {
    pub(super) fn begin(services: &Services, operation: &Operation, request: &Request) -> Self {
        let address = limits::source(request);
        Self {
            facts: AuditFacts {
                domain: None,
                project: None,
                at: services.clock.now(),
                action: operation.access.action().map_or_else(
                    || format!("outfitter:operations:{}", operation.id),
                    str::to_owned,
                ),
                operation: operation.id.to_owned(),
                actor: AuditActor::nobody(),
                on_behalf_of: None,
                address: Some(address.to_string()),
                request_id: Some(RequestId::of(request)),
            },
            targets: Vec::new(),
            scope: None,
        }
    }

    pub(super) fn called_by(&mut self, caller: Option<&Caller>) {
        if let Some(caller) = caller {
            self.facts.domain = Some(caller.domain);
            self.facts.actor = crate::audit::actor(caller);
        }
    }

    pub(super) fn called_by_end_user(&mut self, visitor: &Visitor) {
        self.facts.domain = Some(visitor.user.domain);
        self.facts.actor = crate::audit::end_user(&visitor.user);
    }

    /// A call that names nothing else is about its project, else about the server.
    pub(super) fn in_project(
        &mut self,
        project: Option<&ProjectAccess>,
        visitor: Option<&Visitor>,
        path: &BTreeMap<String, String>,
    ) {
        let project = project
            .map(|project| (project.project, project.id))
            .or_else(|| visitor.map(|it| (it.user.project, it.user.project_id)));
        self.facts.project = project.map(|(key, _)| key);
        let target = |kind: &str, id: String| AuditTarget {
            kind: kind.to_owned(),
            id,
        };
        if let Some(access) = path.get("access_key") {
            self.targets.push(target("accessKey", access.clone()));
        }
        self.targets.push(match project {
            Some((_, id)) => target("project", id.to_string()),
            None => target("server", String::new()),
        });
    }

    pub(super) fn about(&mut self, resources: Vec<String>) {
        if resources.is_empty() {
            return;
        }
        let (keys, _whole) = self
            .targets
            .drain(..)
            .partition::<Vec<_>, _>(|target| target.kind == "accessKey");
        self.targets = keys;
        self.targets
            .extend(resources.iter().map(|it| AuditTarget::parse(it)));
    }

    /// The scope in which the handler runs. `request` is its body without secrets.
    pub(super) fn scope(&mut self, services: &Services, request: Value) -> Arc<AuditScope> {
        let scope = AuditScope::new(NewAuditScope {
            key: Arc::clone(services.audit.key()),
            ids: Arc::clone(&services.ids),
            facts: self.facts.clone(),
            kind: AuditKind::Change,
            targets: self.targets.clone(),
            request,
        });
        self.scope = Some(Arc::clone(&scope));
        scope
    }

    /// Counts the call if it was refused for its credential or its rights.
    pub(super) fn refused(&self, services: &Services, error: &ApiError) {
        let Some((status, reason)) = error.refusal() else {
            return;
        };
        services.audit.refused(Refusal {
            facts: self
                .scope
                .as_ref()
                .map_or_else(|| self.facts.clone(), |scope| scope.facts()),
            resources: self.targets.iter().map(ToString::to_string).collect(),
            status: status.as_u16(),
            reason,
        });
    }
}
