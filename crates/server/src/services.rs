//! What every operation and background task works with.

use std::sync::Arc;

use outfitter_agent_protocol::LinkAllowList;
use outfitter_artifacts::PackageStore;
use outfitter_bucket::{Keys as BucketKeys, Objects};
use outfitter_domain::Clock;
use outfitter_ids::IdSource;
use outfitter_push::AgentBinaries;
use outfitter_store::Store;
use tokio_util::sync::CancellationToken;

use crate::agents::authority::CurrentAuthority;
use crate::agents::pace::Downloads;
use crate::agents::presence::Presence;
use crate::agents::registry::Registry;
use crate::app::agent_releases::AgentUpdates;
use crate::app::bootstrap::Endpoints;
use crate::app::inventory::Intake;
use crate::audit::Audit;
use crate::auth::{Auth, OidcProvider};
use crate::background::Background;
use crate::edge::Edge;
use crate::http::answers::AnswerCounters;
use crate::secrets::KeyKeeper;

/// The server's parts. One per process, shared by every request.
pub struct Services {
    /// The database.
    pub store: Store,
    /// Package bytes.
    pub packages: PackageStore,
    /// Objects of the project buckets.
    pub objects: Arc<Objects>,
    /// What upload credentials follow from.
    pub bucket_keys: Arc<BucketKeys>,
    /// The present. A seam.
    pub clock: Arc<dyn Clock>,
    /// New ids. A seam.
    pub ids: Arc<dyn IdSource>,
    /// The certificate authority of agents.
    pub authority: CurrentAuthority,
    /// The channels of this process.
    pub registry: Registry,
    /// Signs of life that are not yet written.
    pub presence: Presence,
    /// Places for what agents tell of their desktops.
    pub inventories: Intake,
    /// Who may download now, and how fast.
    pub downloads: Downloads,
    /// What requests and channels share with the background tasks.
    pub background: Background,
    /// The agent's programs that pushes hand out.
    pub agent_binaries: Arc<AgentBinaries>,
    /// Signs and hands out newer programs of the agent.
    pub updates: AgentUpdates,
    /// Where desktops may fetch packages from.
    pub link_allow: LinkAllowList,
    /// How others reach this server.
    pub endpoints: Endpoints,
    /// Name of the region and of the first project.
    pub region: String,
    /// Seconds between heartbeats of an agent.
    pub heartbeat_secs: u32,
    /// Cancelled when the process is to end: channels close first.
    pub shutdown: CancellationToken,
    /// Keys, passwords and lock-outs that credentials are judged by.
    pub auth: Auth,
    /// What one address and one credential may do.
    pub edge: Arc<Edge>,
    /// Writes and seals the audit log.
    pub audit: Audit,
    /// Keeps the server keys in step with their file and the database.
    pub key_keeper: KeyKeeper,
    /// The login provider, where one is configured.
    pub oidc: Option<Arc<OidcProvider>>,
    /// Answers by operation and status, for `/metrics`.
    pub answers: AnswerCounters,
}
