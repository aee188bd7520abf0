use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use outfitter_domain::{Clock as _, SystemClock};
use outfitter_signing::{Payload, RequestToSign, Signer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Method, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::ClientError;

/// Time to connect.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What stays as it is in a path segment or a query value (RFC 3986, unreserved).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Where a server is and which project is meant.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Address of the API, without a path.
    pub url: Url,
    /// Replaces `{project_id}` in paths.
    pub project_id: String,
}

/// What is shown.
#[derive(Clone)]
pub enum Credential {
    /// An access key, which signs.
    AccessKey(Signer),
    /// A token.
    Token(SecretString),
}

/// Whose word is taken for the server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust<'a> {
    /// The authorities this machine trusts.
    Machine,
    /// These certificates alone, PEM: an authority of one's own, or the server's self-signed one.
    Only(&'a [u8]),
}

/// A client of one server, as one caller. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Endpoint,
    credential: Credential,
}

/// An answer with what stands around its body.
#[derive(Debug)]
pub struct Answer<T> {
    /// The body.
    pub body: T,
    /// Every header.
    pub headers: HeaderMap,
}

impl Client {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// When the certificates cannot be read or TLS cannot be set up.
    pub fn new(
        endpoint: Endpoint,
        credential: Credential,
        trust: Trust<'_>,
    ) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .user_agent(concat!("outfitter/", env!("CARGO_PKG_VERSION")));
        if let Trust::Only(pem) = trust {
            let roots = reqwest::Certificate::from_pem_bundle(pem)
                .ok()
                .filter(|roots| !roots.is_empty())
                .ok_or_else(|| ClientError::Call {
                    what: "what is to be trusted holds no certificate in PEM".to_owned(),
                })?;
            builder = builder.tls_certs_only(roots);
        }
        let http = builder.build().map_err(|error| ClientError::Call {
            what: format!("cannot set up HTTP: {error}"),
        })?;
        Ok(Self {
            http,
            endpoint,
            credential,
        })
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The same client for another project.
    #[must_use]
    pub fn in_project(&self, project_id: &str) -> Self {
        let mut other = self.clone();
        project_id.clone_into(&mut other.endpoint.project_id);
        other
    }

    /// `GET` with query parameters.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        Ok(self.json(Method::GET, path, query, None).await?.body)
    }

    /// `GET` of an answer that is read piece by piece with [`Client::piece`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Response, ClientError> {
        let response = self.send(Method::GET, path, query, Vec::new()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let headers = response.headers().clone();
        let bytes = response
            .bytes()
            .await
            .map_err(|source| self.unreachable(source))?;
        Err(self.refusal(status.as_u16(), &headers, &bytes))
    }

    /// The next piece of an answer; `None` at its end.
    ///
    /// # Errors
    /// [`ClientError`] when the answer was cut.
    pub async fn piece(&self, answer: &mut Response) -> Result<Option<Bytes>, ClientError> {
        answer
            .chunk()
            .await
            .map_err(|source| self.unreachable(source))
    }

    /// `POST` with a JSON body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        Ok(self.post_answer(path, body).await?.body)
    }

    /// `POST` with a JSON body; headers of the answer included.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post_answer<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, ClientError> {
        let body = to_json(body)?;
        self.json(Method::POST, path, &[], Some(body)).await
    }

    /// Any method with an optional JSON body.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&serde_json::Value>,
    ) -> Result<T, ClientError> {
        let body = body.map(to_json).transpose()?;
        Ok(self.json(method, path, query, body).await?.body)
    }

    /// Sends bytes as they come; the signature covers everything but them.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload<T, S>(
        &self,
        path: &str,
        query: &[(&str, String)],
        size_bytes: u64,
        content: S,
    ) -> Result<T, ClientError>
    where
        T: DeserializeOwned,
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let url = self.url(path, query)?;
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        );
        self.authorize(&Method::POST, &url, &mut headers, None)?;
        headers.insert(CONTENT_LENGTH, size_bytes.into());
        let request = self
            .http
            .post(url)
            .headers(headers)
            .body(Body::wrap_stream(content));
        let response = request
            .send()
            .await
            .map_err(|source| self.unreachable(source))?;
        Ok(self.read(response).await?.body)
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<Vec<u8>>,
    ) -> Result<Answer<T>, ClientError> {
        let response = self
            .send(method, path, query, body.unwrap_or_default())
            .await?;
        self.read(response).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<Response, ClientError> {
        let url = self.url(path, query)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.authorize(&method, &url, &mut headers, Some(&body))?;
        self.http
            .request(method, url)
            .headers(headers)
            .body(body)
            .send()
            .await
            .map_err(|source| self.unreachable(source))
    }

    /// Fills `{project_id}` and joins the query. Other values must be escaped by [`segment`].
    fn url(&self, path: &str, query: &[(&str, String)]) -> Result<Url, ClientError> {
        let path = path.replace("{project_id}", &self.endpoint.project_id);
        let mut url = self.endpoint.url.clone();
        url.set_path(&path);
        let text = query
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, ESCAPED)))
            .collect::<Vec<_>>()
            .join("&");
        url.set_query((!text.is_empty()).then_some(text.as_str()));
        if url.cannot_be_a_base() {
            return Err(ClientError::Call {
                what: format!("{} is no address of a server", self.endpoint.url),
            });
        }
        Ok(url)
    }

    /// Adds the credential. `body` is `None` for a stream.
    fn authorize(
        &self,
        method: &Method,
        url: &Url,
        headers: &mut HeaderMap,
        body: Option<&[u8]>,
    ) -> Result<(), ClientError> {
        let unusable = |what: String| ClientError::Call { what };
        match &self.credential {
            Credential::Token(token) => {
                let mut value = HeaderValue::from_str(token.expose_secret())
                    .map_err(|_| unusable("the token is not one line of text".to_owned()))?;
                value.set_sensitive(true);
                headers.insert("x-auth-token", value);
            }
            Credential::AccessKey(signer) => {
                let host = match (url.host_str(), url.port()) {
                    (Some(host), Some(port)) => format!("{host}:{port}"),
                    (Some(host), None) => host.to_owned(),
                    (None, _) => return Err(unusable(format!("{url} names no host"))),
                };
                let target = match url.query() {
                    Some(query) => format!("{}?{query}", url.path()),
                    None => url.path().to_owned(),
                };
                let signed: Vec<(&str, &[u8])> = headers
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_bytes()))
                    .collect();
                let added = signer
                    .sign(
                        &RequestToSign {
                            method: method.as_str(),
                            target: &target,
                            host: &host,
                            headers: &signed,
                            payload: body.map_or(Payload::Streamed, Payload::Bytes),
                        },
                        SystemClock.now().get(),
                    )
                    .map_err(|error| unusable(format!("cannot sign the request: {error}")))?;
                for (name, value) in added {
                    let mut value = HeaderValue::from_str(&value)
                        .map_err(|_| unusable("the access key is not plain text".to_owned()))?;
                    value.set_sensitive(true);
                    headers.insert(name, value);
                }
            }
        }
        Ok(())
    }

    async fn read<T: DeserializeOwned>(
        &self,
        response: Response,
    ) -> Result<Answer<T>, ClientError> {
        let status = response.status();
        let headers = response.headers().clone();
        let bytes = response
            .bytes()
            .await
            .map_err(|source| self.unreachable(source))?;
        if !status.is_success() {
            return Err(self.refusal(status.as_u16(), &headers, &bytes));
        }
        // An empty answer reads as the unit type.
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        let body = serde_json::from_slice(text).map_err(|error| ClientError::Answer {
            address: self.address(),
            what: error.to_string(),
        })?;
        Ok(Answer { body, headers })
    }

    fn refusal(&self, status: u16, headers: &HeaderMap, bytes: &[u8]) -> ClientError {
        let body: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |pointers: &[&str]| {
            pointers
                .iter()
                .find_map(|pointer| body.pointer(pointer))
                .map(|value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned)
                })
        };
        ClientError::Refused {
            status,
            code: text(&["/error_code", "/error/code", "/code"])
                .unwrap_or_else(|| format!("HTTP {status}")),
            message: text(&["/error_msg", "/error/message", "/message"])
                .unwrap_or_else(|| "the server gave no reason".to_owned()),
            request_id: headers
                .get("x-request-id")
                .and_then(|value| value.to_str().ok())
                .unwrap_or("unknown")
                .to_owned(),
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            address: self.address(),
            source,
        }
    }

    fn address(&self) -> String {
        self.endpoint.url.origin().ascii_serialization()
    }
}

/// Escapes a value for one path segment.
pub fn segment(value: &str) -> String {
    utf8_percent_encode(value, ESCAPED).to_string()
}

fn to_json(body: &impl Serialize) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(body).map_err(|error| ClientError::Call {
        what: format!("the request is no JSON: {error}"),
    })
}
