//! A proxy between two parts of the product that can hold a request, or the answer to it.
//!
//! A test arms a [`Hold`] for a method and a path, lets the product run into it, kills what it
//! wants to kill at exactly that point, and lets go or drops the connection. Nothing in the
//! product knows of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use url::Url;

/// Largest body that is passed on; above every limit of the product.
const BODY_LIMIT: usize = 64 << 20;

/// Which side of a request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before the request is passed on: the server never sees it.
    Request,
    /// After the server has answered: the client never sees it.
    Answer,
}

/// What the proxy does with a held exchange once the test has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on as if nothing had been.
    Pass,
    /// The client gets a broken connection's answer (502 without a body).
    Break,
}

/// A held exchange, waiting for the test's verdict. Dropping it breaks the exchange.
#[derive(Debug)]
pub struct Held {
    /// The request's path and query.
    pub path: String,
    verdict: oneshot::Sender<Verdict>,
}

impl Held {
    /// Lets the exchange go on, or breaks it.
    pub fn decide(self, verdict: Verdict) {
        // The client may have been killed while its request was held: then nobody waits any more.
        let _ = self.verdict.send(verdict);
    }
}

/// An armed hold: resolves when the product runs into it.
#[derive(Debug)]
pub struct Hold(oneshot::Receiver<Held>);

impl Hold {
    /// Waits until an exchange is held; `None` when the proxy has ended.
    pub async fn reached(self) -> Option<Held> {
        self.0.await.ok()
    }
}

struct Armed {
    side: Side,
    method: Method,
    path: String,
    reached: oneshot::Sender<Held>,
}

struct Shared {
    upstream: Mutex<Url>,
    armed: Mutex<Vec<Armed>>,
    http: reqwest::Client,
}

/// A running proxy in front of one upstream. Ends when dropped.
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    // Dropping it ends the server.
    _server: JoinSet<std::io::Result<()>>,
}

impl FaultProxy {
    /// Starts a proxy on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(upstream: Url) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            armed: Mutex::new(Vec::new()),
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .map_err(std::io::Error::other)?,
        });
        let app = Router::new().fallback(pass_on).with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(axum::serve(listener, app).into_future());
        Ok(Self {
            shared,
            address,
            _server: server,
        })
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// Never for a bound address; the type is that of [`Url::parse`].
    pub fn url(&self) -> Result<Url, url::ParseError> {
        Url::parse(&format!("http://{}/", self.address))
    }

    /// Points at another upstream, for example a server that came back on another port.
    pub fn set_upstream(&self, upstream: Url) {
        *lock(&self.shared.upstream) = upstream;
    }

    /// Cuts the way: from now on every request is broken. [`FaultProxy::set_upstream`] mends it.
    ///
    /// # Errors
    /// Never for the address in this function; the type is that of [`Url::parse`].
    pub fn cut(&self) -> Result<(), url::ParseError> {
        // "Discard": nothing listens there.
        self.set_upstream(Url::parse("http://127.0.0.1:9/")?);
        Ok(())
    }

    /// Arms a hold for the next exchange with this method and a path that contains `path`.
    pub fn hold(&self, side: Side, method: Method, path: &str) -> Hold {
        let (reached, hold) = oneshot::channel();
        lock(&self.shared.armed).push(Armed {
            side,
            method,
            path: path.to_owned(),
            reached,
        });
        Hold(hold)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Takes the first hold that is armed for this exchange.
    fn take(&self, side: Side, method: &Method, path: &str) -> Option<Armed> {
        let mut armed = lock(&self.armed);
        let at = armed
            .iter()
            .position(|a| a.side == side && a.method == method && path.contains(&a.path))?;
        Some(armed.swap_remove(at))
    }

    /// Stops at a hold, if one is armed, and waits for the test.
    async fn stop_at(&self, side: Side, method: &Method, path: &str) -> Verdict {
        let Some(armed) = self.take(side, method, path) else {
            return Verdict::Pass;
        };
        let (verdict, decided) = oneshot::channel();
        match armed.reached.send(Held {
            path: path.to_owned(),
            verdict,
        }) {
            Ok(()) => decided.await.unwrap_or(Verdict::Break),
            // The test has given up this hold.
            Err(_) => Verdict::Pass,
        }
    }
}

async fn pass_on(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", |p| p.as_str())
        .to_owned();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return broken();
    };
    if shared.stop_at(Side::Request, &parts.method, &path).await == Verdict::Break {
        return broken();
    }
    let Some((status, headers, answer)) =
        ask(&shared, &parts.method, &path, parts.headers, body).await
    else {
        return broken();
    };
    if shared.stop_at(Side::Answer, &parts.method, &path).await == Verdict::Break {
        return broken();
    }
    (status, headers, answer).into_response()
}

fn broken() -> Response {
    (StatusCode::BAD_GATEWAY, Body::empty()).into_response()
}

async fn ask(
    shared: &Shared,
    method: &Method,
    path: &str,
    mut headers: HeaderMap,
    body: Bytes,
) -> Option<(StatusCode, HeaderMap, Bytes)> {
    let url = lock(&shared.upstream).join(path).ok()?;
    // Lengths and the host are made anew for the second connection.
    for own in [
        header::HOST,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
    ] {
        headers.remove(own);
    }
    let answer = shared
        .http
        .request(method.clone(), url)
        .headers(headers)
        .body(body)
        .send()
        .await
        .ok()?;
    let status = answer.status();
    let mut headers = answer.headers().clone();
    for own in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
    ] {
        headers.remove(own);
    }
    Some((status, headers, answer.bytes().await.ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::routing::post;

    use super::*;

    async fn counting_upstream(
        tasks: &mut JoinSet<std::io::Result<()>>,
    ) -> (Url, Arc<AtomicUsize>) {
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = seen.clone();
        let app = Router::new().route(
            "/submit",
            post(move |body: String| async move {
                counter.fetch_add(1, Ordering::SeqCst);
                format!("seen {body}")
            }),
        );
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        tasks.spawn(axum::serve(listener, app).into_future());
        (url, seen)
    }

    async fn submit(url: Url) -> (StatusCode, String) {
        let answer = reqwest::Client::new()
            .post(url.join("submit").unwrap())
            .body("x")
            .send()
            .await
            .unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn passes_on_what_nobody_holds() {
        let mut tasks = JoinSet::new();
        let (upstream, seen) = counting_upstream(&mut tasks).await;
        let proxy = FaultProxy::start(upstream).await.unwrap();
        assert_eq!(
            submit(proxy.url().unwrap()).await,
            (StatusCode::OK, "seen x".into())
        );
        assert_eq!(seen.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_broken_request_never_reaches_the_server() {
        let mut tasks = JoinSet::new();
        let (upstream, seen) = counting_upstream(&mut tasks).await;
        let proxy = FaultProxy::start(upstream).await.unwrap();
        let hold = proxy.hold(Side::Request, Method::POST, "/submit");
        let mut client = JoinSet::new();
        client.spawn(submit(proxy.url().unwrap()));
        hold.reached().await.unwrap().decide(Verdict::Break);
        assert_eq!(
            client.join_next().await.unwrap().unwrap().0,
            StatusCode::BAD_GATEWAY
        );
        assert_eq!(seen.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_broken_answer_comes_after_the_effect() {
        let mut tasks = JoinSet::new();
        let (upstream, seen) = counting_upstream(&mut tasks).await;
        let proxy = FaultProxy::start(upstream).await.unwrap();
        let hold = proxy.hold(Side::Answer, Method::POST, "/submit");
        let mut client = JoinSet::new();
        client.spawn(submit(proxy.url().unwrap()));
        let held = hold.reached().await.unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        drop(held);
        assert_eq!(
            client.join_next().await.unwrap().unwrap().0,
            StatusCode::BAD_GATEWAY
        );
        assert_eq!(
            submit(proxy.url().unwrap()).await.0,
            StatusCode::OK,
            "a hold is used once"
        );
    }
}
