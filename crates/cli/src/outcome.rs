//! How a command ends: its exit code, and its error with the advice apart.

use std::borrow::Cow;
use std::path::Path;
use std::process::ExitCode;

use outfitter_client::ClientError;

use crate::env;

/// How a command that ran to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything that was asked for.
    Done,
    /// Nothing of it.
    Failed,
    /// Some of it.
    PartlyFailed,
}

impl Outcome {
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::PartlyFailed => 3,
        })
    }

    /// What `succeeded` of `all` comes to; nothing of nothing is done.
    pub(crate) fn of_counts(succeeded: usize, all: usize) -> Self {
        if succeeded == all {
            Self::Done
        } else if succeeded == 0 {
            Self::Failed
        } else {
            Self::PartlyFailed
        }
    }
}

/// Why a command did not run to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// The server was called.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The command cannot be understood as given.
    #[error("{what}")]
    Usage {
        what: String,
        hint: Option<Cow<'static, str>>,
    },
    /// Something on this machine or in the answer stands in the way.
    #[error("{what}")]
    Failed {
        what: String,
        hint: Option<Cow<'static, str>>,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl CommandError {
    /// The command line makes no sense.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage {
            what: what.into(),
            hint: None,
        }
    }

    /// It did not work.
    pub(crate) fn failed(what: impl Into<String>) -> Self {
        Self::Failed {
            what: what.into(),
            hint: None,
            source: None,
        }
    }

    /// A file could not be used.
    pub(crate) fn file(
        attempt: &str,
        path: &Path,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::because(format!("cannot {attempt} {}", path.display()), source)
    }

    /// It did not work because something else did not.
    pub(crate) fn because(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Failed {
            what: what.into(),
            hint: None,
            source: Some(Box::new(source)),
        }
    }

    /// The same with advice.
    #[must_use]
    pub(crate) fn hint(mut self, advice: impl Into<Cow<'static, str>>) -> Self {
        match &mut self {
            Self::Usage { hint, .. } | Self::Failed { hint, .. } => *hint = Some(advice.into()),
            Self::Client(_) => {}
        }
        self
    }

    /// 1 failed, 2 usage, 4 refused, 5 unreachable.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage { .. } => 2,
            Self::Failed { .. } => 1,
            Self::Client(error) => match error {
                ClientError::Refused { status, .. } if *status < 500 => 4,
                ClientError::Refused { .. } => 1,
                ClientError::Unreachable { .. } => 5,
                ClientError::Answer { .. } | ClientError::Call { .. } => 1,
            },
        })
    }

    /// What to do about it.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. } | Self::Failed { hint, .. } => hint.as_deref().map(str::to_owned),
            Self::Client(error) => match error {
                error if error.is_about_certificate() => Some(
                    "a self-signed certificate or an authority of your own is trusted with --ca FILE; \
                     `serve --tls-self-signed` keeps its certificate as tls.crt in the data folder"
                        .to_owned(),
                ),
                ClientError::Unreachable { .. } => Some(
                    "is `outfitter serve` running there? `outfitter doctor` looks at it".to_owned(),
                ),
                ClientError::Refused { status: 401, .. } => Some(format!(
                    "check the access key ({} or the profile) and this machine's clock",
                    env::ACCESS_KEY
                )),
                ClientError::Refused { status: 403, .. } => Some(
                    "this key's user may not do that in this project; an administrator can make one \
                     that may with `outfitter iam user add`"
                        .to_owned(),
                ),
                ClientError::Refused { status: 429, .. } => {
                    Some("the server asks for a pause; try again in a while".to_owned())
                }
                ClientError::Refused { status, .. } if *status >= 500 => Some(
                    "the server's log has more under this request's number".to_owned(),
                ),
                ClientError::Refused { .. } | ClientError::Call { .. } => None,
                ClientError::Answer { .. } => {
                    Some("does the address name the API listener?".to_owned())
                }
            },
        }
    }
}
