//! The stack's processes as the supervisor sees them.

use std::time::Duration;

use fleet_homeserver::child::{ChildSpec, listens_on};
use fleet_homeserver::process::PreparedHomeserver;
use url::Url;

use crate::postgres::PreparedCluster;
use crate::supervisor::{Program, Step};

/// How often a starting service is asked whether it is ready.
const LOOK: Duration = Duration::from_millis(50);

impl Program for PreparedCluster {
    fn spec(&self) -> ChildSpec {
        self.spec()
    }

    fn before(&self) -> Step<'_> {
        Box::pin(async { self.clear().await.map_err(|e| e.to_string()) })
    }

    fn ready(&self, pid: u32) -> Step<'_> {
        Box::pin(async move { self.ready(pid).await.map_err(|e| e.to_string()) })
    }
}

impl Program for PreparedHomeserver {
    fn spec(&self) -> ChildSpec {
        self.spec()
    }

    fn ready(&self, pid: u32) -> Step<'_> {
        Box::pin(async move {
            self.ready(pid).await;
            Ok(())
        })
    }
}

/// A process that tells by HTTP when it is ready.
pub(super) struct HttpService {
    pub(super) child: ChildSpec,
    pub(super) ready_url: Url,
    pub(super) http: reqwest::Client,
}

impl Program for HttpService {
    fn spec(&self) -> ChildSpec {
        self.child.clone()
    }

    fn ready(&self, pid: u32) -> Step<'_> {
        Box::pin(async move {
            let listens = || {
                self.ready_url
                    .port_or_known_default()
                    .is_some_and(|p| listens_on(pid, p))
            };
            let ask = async || self.http.get(self.ready_url.clone()).send().await;
            while !(listens() && ask().await.is_ok_and(|answer| answer.status().is_success())) {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        })
    }
}
