//! The channel as a WebSocket over the server's TLS listener.

use futures_util::{SinkExt as _, StreamExt as _};
use outfitter_agent_protocol::{
    AgentMessage, CHANNEL_PATH, DECOMMISSIONED, MAX_FRAME_BYTES, ServerMessage,
};
use reqwest::{Method, StatusCode, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::driver::{Channel, ChannelError, ConnectError, Dial, Opened, Transport};
use super::machine::LinkTrust;
use crate::server_client::{ServerClient, chain, read_refusal, retry_after_secs};

/// Opens channels with a client that can be replaced when the certificate is renewed.
pub struct WebSocketTransport<F> {
    client: F,
}

impl<F> WebSocketTransport<F>
where
    F: FnMut() -> Result<ServerClient, String> + Send,
{
    /// `client` gives the client for the next channel, under the newest certificate.
    pub const fn new(client: F) -> Self {
        Self { client }
    }
}

impl<F> Transport for WebSocketTransport<F>
where
    F: FnMut() -> Result<ServerClient, String> + Send,
{
    type Channel = WebSocketChannel;

    fn connect(&mut self) -> Dial<WebSocketChannel> {
        let client = (self.client)();
        Box::pin(async move {
            let client = client.map_err(ConnectError::Unreachable)?;
            open(&client).await
        })
    }
}

async fn open(client: &ServerClient) -> Result<Opened<WebSocketChannel>, ConnectError> {
    let key = generate_key();
    let response = client
        .request(Method::GET, CHANNEL_PATH)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, &key)
        .send()
        .await
        .map_err(|error| ConnectError::Unreachable(chain(&error)))?;
    let status = response.status();
    let retry_after = retry_after_secs(&response);
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let accepted = response
            .headers()
            .get(header::SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|answer| {
                answer.as_bytes() == derive_accept_key(key.as_bytes()).as_bytes()
            });
        if !accepted {
            return Err(ConnectError::Unreachable(
                "the far side does not speak WebSocket".to_owned(),
            ));
        }
        let trust = client.trust();
        let stream = response
            .upgrade()
            .await
            .map_err(|error| ConnectError::Unreachable(chain(&error)))?;
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * MAX_FRAME_BYTES)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let socket = WebSocketStream::from_raw_socket(stream, Role::Client, Some(config)).await;
        return Ok(Opened {
            channel: WebSocketChannel { socket },
            trust,
        });
    }
    if status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(ConnectError::Busy {
            status: status.as_u16(),
            retry_after_secs: retry_after,
        });
    }
    let trust = client.trust();
    let refusal = read_refusal(response).await;
    // A server that is judged without a clock is not obeyed in what cannot be undone.
    if refusal.code == DECOMMISSIONED && trust == LinkTrust::Full {
        return Err(ConnectError::Decommissioned {
            reason: refusal.reason,
        });
    }
    Err(ConnectError::Refused {
        code: refusal.code,
        reason: refusal.reason,
        retry_after_secs: retry_after,
    })
}

/// An open WebSocket that carries messages.
pub struct WebSocketChannel {
    socket: WebSocketStream<reqwest::Upgraded>,
}

impl Channel for WebSocketChannel {
    async fn send(&mut self, message: AgentMessage) -> Result<(), ChannelError> {
        let text = serde_json::to_string(&message)
            .map_err(|error| ChannelError::Broken(error.to_string()))?;
        self.socket
            .send(Message::text(text))
            .await
            .map_err(|error| broken(&error))
    }

    async fn receive(&mut self) -> Result<ServerMessage, ChannelError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text)
                        .map_err(|error| ChannelError::Unreadable(error.to_string()));
                }
                // Pings are answered by the library; the rest is not ours.
                Some(Ok(
                    Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
                )) => {}
                Some(Ok(Message::Close(_))) | None => return Err(ChannelError::Closed),
                Some(Err(error)) => return Err(broken(&error)),
            }
        }
    }

    async fn close(mut self) {
        let goodbye = self.socket.close(None);
        // A peer that does not listen any more is left alone.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), goodbye).await;
    }
}

fn broken(error: &WsError) -> ChannelError {
    match error {
        WsError::ConnectionClosed | WsError::AlreadyClosed => ChannelError::Closed,
        other => ChannelError::Broken(other.to_string()),
    }
}
