//! What an operation is: the row of the route table that everything else reads (checks, errors, document, tests).

use http::{Method, StatusCode};

/// Which part of the wire an operation belongs to: decides codes and body shapes of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// `/v1/{project_id}/app-center/...`
    AppCenter,
    /// `/v2/{project_id}/...`
    Workspace,
    /// `/api/...`: ours.
    Native,
    /// `/v3/...`
    Iam,
    /// `/v5/...`
    Sts,
    /// Keystone discovery.
    Discovery,
}

impl Family {
    /// The family a path belongs to, for refusals before an operation is known.
    pub fn of_path(path: &str) -> Self {
        if path.starts_with("/v1/") {
            Self::AppCenter
        } else if path.starts_with("/v2/") {
            Self::Workspace
        } else if path.starts_with("/v3") {
            Self::Iam
        } else if path.starts_with("/v5/") {
            Self::Sts
        } else if path == "/" {
            Self::Discovery
        } else {
            Self::Native
        }
    }
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Open,
    /// Anyone with a token, which the handler finds in the body, else in the header.
    TokenInBody,
    /// An end user, with a session of theirs; nobody else.
    EndUser,
    /// Anyone with a valid credential.
    Credential,
    /// Who is allowed the action (in the project, where the path names one).
    Action(&'static str),
    /// Who is allowed the action in the domain or in any project: for what belongs to no project.
    ActionSomewhere(&'static str),
}

impl Access {
    /// The action that is checked.
    pub const fn action(self) -> Option<&'static str> {
        match self {
            Self::Open | Self::TokenInBody | Self::EndUser | Self::Credential => None,
            Self::Action(action) | Self::ActionSomewhere(action) => Some(action),
        }
    }
}

/// What a body names, on which permission is needed before anybody learns whether it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Ids: kind of resource, and where in the body. `a[].b` is member `b` of each element of `a`.
    Ids(&'static str, &'static str),
    /// Users and user groups by name.
    Accounts(&'static str),
}

/// Whether an operation may let somebody have an app who might not have had it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorizes {
    /// It never does.
    Nobody,
    /// It may: the use case has the last word with `WideningCheck`.
    MayWiden,
}

/// Whether calls that succeed leave an entry in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audited {
    /// They do: they change something, or hand out a right.
    Always,
    /// They only read.
    Never,
}

/// Whether a body is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyRule {
    /// None: what is sent is ignored.
    None,
    /// JSON; absent is 400.
    Required,
    /// JSON; absent equals an empty object.
    Optional,
    /// Bytes, handed on as they arrive.
    Stream,
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// HTTP method.
    pub method: Method,
    /// Path with `{name}` for its parameters.
    pub path: &'static str,
    /// `operationId`, unique.
    pub id: &'static str,
    /// Part of the wire.
    pub family: Family,
    /// Who may call.
    pub access: Access,
    /// Whether a body is wanted.
    pub body: BodyRule,
    /// Status of success.
    pub status: StatusCode,
    /// One sentence for the reference.
    pub summary: &'static str,
    /// Codes it answers beside [`Self::status`] and those every operation can answer (409, 206, ...).
    pub codes: &'static [u16],
    /// Headers of a success, beside those that every answer has.
    pub headers: &'static [&'static str],
    /// Media type of a success that is not JSON.
    pub media: Option<&'static str>,
    /// What the body names.
    pub named: &'static [Named],
    /// Whether authorizations may be widened.
    pub authorizes: Authorizes,
    /// Whether calls that succeed leave an entry in the audit log.
    pub audited: Audited,
}

impl Operation {
    /// An operation that needs a credential, answers 200 and takes a body when its type has one.
    pub fn new(method: Method, path: &'static str, id: &'static str) -> Self {
        Self {
            body: if method == Method::GET || method == Method::DELETE {
                BodyRule::None
            } else {
                BodyRule::Required
            },
            audited: if method == Method::GET {
                Audited::Never
            } else {
                Audited::Always
            },
            method,
            path,
            id,
            family: Family::of_path(path),
            access: Access::Credential,
            status: StatusCode::OK,
            summary: "",
            codes: &[],
            headers: &[],
            media: None,
            named: &[],
            authorizes: Authorizes::Nobody,
        }
    }

    /// `GET`.
    pub fn get(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::GET, path, id)
    }

    /// `POST`.
    pub fn post(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::POST, path, id)
    }

    /// `PUT`.
    pub fn put(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::PUT, path, id)
    }

    /// `PATCH`.
    pub fn patch(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::PATCH, path, id)
    }

    /// `DELETE`.
    pub fn delete(path: &'static str, id: &'static str) -> Self {
        Self::new(Method::DELETE, path, id)
    }

    /// The action that is checked (`x-iam-action` of the contract).
    #[must_use]
    pub fn action(mut self, action: &'static str) -> Self {
        self.access = Access::Action(action);
        self
    }

    /// The action that is checked in the domain and in every project the credential reaches.
    #[must_use]
    pub fn action_somewhere(mut self, action: &'static str) -> Self {
        self.access = Access::ActionSomewhere(action);
        self
    }

    /// What the body names.
    #[must_use]
    pub fn names(mut self, named: &'static [Named]) -> Self {
        self.named = named;
        self
    }

    /// Authorizations may be widened.
    #[must_use]
    pub fn may_widen(mut self) -> Self {
        self.authorizes = Authorizes::MayWiden;
        self
    }

    /// Only reads, though its method is not `GET`: calls that succeed are not audited.
    #[must_use]
    pub fn reads(mut self) -> Self {
        self.audited = Audited::Never;
        self
    }

    /// Needs no credential.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    /// Is for end users, with a session of theirs.
    #[must_use]
    pub fn end_user(mut self) -> Self {
        self.access = Access::EndUser;
        self
    }

    /// The handler checks a token of the body, else of the header.
    #[must_use]
    pub fn token_in_body(mut self) -> Self {
        self.access = Access::TokenInBody;
        self
    }

    /// Sets the family where the path does not tell it.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Status of success, where it is not 200.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = StatusCode::from_u16(status).expect("a literal status is valid");
        self
    }

    /// One sentence for the reference.
    #[must_use]
    pub fn summary(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// The body may be left out, which equals `{}`.
    #[must_use]
    pub fn optional_body(mut self) -> Self {
        self.body = BodyRule::Optional;
        self
    }

    /// A `DELETE` with a JSON body.
    #[must_use]
    pub fn with_body(mut self) -> Self {
        self.body = BodyRule::Required;
        self
    }

    /// Codes it answers beside its status and those every operation can answer (409, 206, ...).
    #[must_use]
    pub fn codes(mut self, codes: &'static [u16]) -> Self {
        self.codes = codes;
        self
    }

    /// Headers of a success, beside those that every answer has.
    #[must_use]
    pub fn headers(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }

    /// Media type of a success that is not JSON.
    #[must_use]
    pub fn media(mut self, media: &'static str) -> Self {
        self.media = Some(media);
        self
    }

    /// Names of the path's parameters, in its order.
    pub fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
    }

    /// Longest value of a path parameter, in characters. Source: contract, `openapi.json`.
    pub fn path_parameter_max(&self, name: &str) -> usize {
        match self.family {
            Family::Workspace if name != "key" => 255,
            _ => 128,
        }
    }

    /// Whether the path names a project.
    pub fn in_project(&self) -> bool {
        self.path.contains("{project_id}")
    }
}
