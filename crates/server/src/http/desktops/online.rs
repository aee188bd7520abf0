use std::sync::Arc;
use std::time::Duration;

use outfitter_api_types::native::agents_online::{
    AgentsOnline, AgentsOnlineSample, ShowAgentsOnlineQuery,
};
use outfitter_api_types::time::WireTime;
use outfitter_store::{DesktopFilter, DesktopOrder, OnlineSample, Page};

use crate::Services;
use crate::app::agents_online::step_millis;
use crate::app::desktops::presence_grace;
use crate::http::{ApiError, Call, Reply};

pub(super) async fn show(
    services: Arc<Services>,
    call: Call<(), ShowAgentsOnlineQuery>,
) -> Result<Reply<AgentsOnline>, ApiError> {
    let project = call.project().project;
    let hours = call.query.hours;
    let now = services.clock.now();
    let step = step_millis(hours);
    let since = now.minus(Duration::from_secs(
        u64::try_from(hours).unwrap_or(1) * 3600,
    ));
    let db = services.store.db();
    let samples = db.agents_online(project, since, step).await?;
    let count = async |filter: DesktopFilter| {
        let none = Page {
            offset: 0,
            limit: 0,
        };
        db.desktop_list(project, &filter, DesktopOrder::default(), none)
            .await
            .map(|listed| listed.total)
    };
    let agents = count(DesktopFilter {
        agent_installed: Some(true),
        ..DesktopFilter::default()
    })
    .await?;
    let online = count(DesktopFilter {
        seen: Some((now.minus(presence_grace(&services)), true)),
        ..DesktopFilter::default()
    })
    .await?;
    let wire = |sample: OnlineSample| AgentsOnlineSample {
        at: WireTime::from_unix_millis(sample.at.get()),
        online: sample.online,
        agents: sample.agents,
    };
    Ok(Reply::new(AgentsOnline {
        step_seconds: step / 1000,
        samples: samples.into_iter().map(wire).collect(),
        now: wire(OnlineSample {
            at: now,
            online,
            agents,
        }),
    }))
}
