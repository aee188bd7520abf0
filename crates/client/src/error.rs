/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused or failed.
    #[error("{message} ({code}, request {request_id})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The server's code.
        code: String,
        /// The server's words.
        message: String,
        /// `X-Request-Id` of the answer.
        request_id: String,
    },
    /// The server cannot be reached.
    #[error("cannot reach {address}")]
    Unreachable {
        /// Scheme, host and port.
        address: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer is not what the contract says.
    #[error("{address} does not answer like an Outfitter server: {what}")]
    Answer {
        /// Scheme, host and port.
        address: String,
        /// What was wrong.
        what: String,
    },
    /// The call cannot be made: address, file or key material unusable.
    #[error("{what}")]
    Call {
        /// What was wrong.
        what: String,
    },
}

impl ClientError {
    /// Whether the server's certificate is not one that is trusted, or not one of that name.
    pub fn is_about_certificate(&self) -> bool {
        let Self::Unreachable { source, .. } = self else {
            return false;
        };
        let mut cause: Option<&dyn std::error::Error> = Some(source);
        while let Some(error) = cause {
            if error.to_string().contains("invalid peer certificate") {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}
