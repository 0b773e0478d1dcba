//! Is there a homeserver, which, and how quickly does it answer.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

/// The software behind an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Synapse.
    Synapse,
    /// Conduit (not its forks, which name themselves).
    Conduit,
    /// Something else, by the name it gives itself; `unknown` if it gives none.
    Other(String),
}

impl Kind {
    fn from_name(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "synapse" => Self::Synapse,
            "conduit" => Self::Conduit,
            "" => Self::Other("unknown".to_owned()),
            _ => Self::Other(name.to_owned()),
        }
    }
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The software.
    pub kind: Kind,
    /// The software's version, where it tells.
    pub version: Option<String>,
    /// Versions of the client-server API it supports.
    pub spec_versions: Vec<String>,
    /// Time to the answer of `/_matrix/client/versions` on a warm connection.
    pub latency: Duration,
}

/// Why an address is not a usable homeserver.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// No connection, or no answer in time.
    #[error("the homeserver at {url} does not answer: {source}")]
    Unreachable {
        /// The address.
        url: Url,
        /// The reason.
        source: reqwest::Error,
    },
    /// It answers, but not as a homeserver.
    #[error("{url} answers, but not like a Matrix homeserver: {detail}")]
    NotAHomeserver {
        /// The address.
        url: Url,
        /// What is different.
        detail: String,
    },
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<String>,
}

#[derive(Deserialize)]
struct ServerVersion {
    server: Software,
}

#[derive(Deserialize)]
struct Software {
    #[serde(default)]
    name: String,
    version: Option<String>,
}

/// Asks a homeserver what it is.
///
/// # Errors
/// [`HealthError`]. A closed federation API is no error: then the `Server` header tells.
pub async fn probe(base_url: &Url) -> Result<Health, HealthError> {
    let unreachable = |source: reqwest::Error| HealthError::Unreachable {
        url: base_url.clone(),
        source: source.without_url(),
    };
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(unreachable)?;
    let address = |path: &str| {
        base_url
            .join(path)
            .map_err(|e| HealthError::NotAHomeserver {
                url: base_url.clone(),
                detail: e.to_string(),
            })
    };
    let versions = address("/_matrix/client/versions")?;
    http.get(versions.clone())
        .send()
        .await
        .map_err(unreachable)?;
    let asked = Instant::now();
    let answer = http.get(versions).send().await.map_err(unreachable)?;
    let latency = asked.elapsed();

    let header = answer
        .headers()
        .get("server")
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let status = answer.status();
    let supported = answer
        .json::<Versions>()
        .await
        .map_err(|_| HealthError::NotAHomeserver {
            url: base_url.clone(),
            detail: format!(
                "GET /_matrix/client/versions gave {status} without a list of versions"
            ),
        })?;
    let software = software(&http, address("/_matrix/federation/v1/version")?).await;
    let software = software.unwrap_or_else(|| from_header(&header));
    Ok(Health {
        kind: Kind::from_name(&software.name),
        version: software.version,
        spec_versions: supported.versions,
        latency,
    })
}

async fn software(http: &reqwest::Client, url: Url) -> Option<Software> {
    let answer = http.get(url).send().await.ok()?;
    let version: ServerVersion = answer.json().await.ok()?;
    Some(version.server).filter(|software| !software.name.is_empty())
}

/// `Synapse/1.163.2` as `Synapse` and `1.163.2`.
fn from_header(header: &str) -> Software {
    let product = header.split_whitespace().next().unwrap_or_default();
    match product.split_once('/') {
        Some((name, version)) => Software {
            name: name.to_owned(),
            version: Some(version.to_owned()),
        },
        None => Software {
            name: product.to_owned(),
            version: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wiremock::matchers::path;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    async fn server(header: &str, federation: ResponseTemplate) -> (MockServer, Url) {
        let server = MockServer::start().await;
        let versions = ResponseTemplate::new(200)
            .insert_header("server", header)
            .set_body_json(json!({"versions": ["v1.11"], "unstable_features": {}}));
        Mock::given(path("/_matrix/client/versions"))
            .respond_with(versions)
            .mount(&server)
            .await;
        Mock::given(path("/_matrix/federation/v1/version"))
            .respond_with(federation)
            .mount(&server)
            .await;
        let url = server.uri().parse().unwrap();
        (server, url)
    }

    #[tokio::test]
    async fn the_federation_api_names_the_software() {
        let body = json!({"server": {"name": "Conduit", "version": "0.11.0"}});
        let (_server, url) = server("nginx", ResponseTemplate::new(200).set_body_json(body)).await;
        let health = probe(&url).await.unwrap();
        assert_eq!(
            (health.kind, health.version.as_deref()),
            (Kind::Conduit, Some("0.11.0"))
        );
        assert_eq!(health.spec_versions, ["v1.11"]);
    }

    #[tokio::test]
    async fn without_federation_the_header_does() {
        let (_server, url) = server("Synapse/1.163.2", ResponseTemplate::new(404)).await;
        let health = probe(&url).await.unwrap();
        assert_eq!(
            (health.kind, health.version.as_deref()),
            (Kind::Synapse, Some("1.163.2"))
        );
    }

    #[tokio::test]
    async fn what_is_not_a_homeserver_is_told() {
        let server = MockServer::start().await;
        let error = probe(&server.uri().parse().unwrap()).await.unwrap_err();
        assert!(
            error.to_string().contains("not like a Matrix homeserver"),
            "{error}"
        );
        let gone: Url = "http://127.0.0.1:9/".parse().unwrap();
        let error = probe(&gone).await.unwrap_err();
        assert!(matches!(error, HealthError::Unreachable { .. }), "{error}");
    }
}
