//! TLS in front of a plain server, with a certificate of an authority that nobody else knows.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::world::Fault;

/// The host that certificates are for: another name of this machine than its addresses.
const HOST: &str = "localhost";

/// A certificate authority of this run.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn new(name: &str) -> Result<Self, Fault> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self(issuer))
    }

    /// Its certificate, as clients trust it.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn acceptor(&self) -> Result<TlsAcceptor, Fault> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec![HOST.to_owned()])?;
        let certificate = params.signed_by(&key, &self.0)?;
        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A running terminator. Ends when dropped.
pub struct Terminator {
    address: SocketAddr,
    // Dropping it ends the server.
    _server: JoinSet<()>,
}

impl Terminator {
    /// Starts one in front of `upstream` on a free loopback port.
    ///
    /// # Errors
    /// When no port can be bound, or there is no certificate.
    pub async fn start(authority: &Authority, upstream: &Url) -> Result<Self, Fault> {
        let acceptor = authority.acceptor()?;
        let upstream = upstream
            .socket_addrs(|| None)?
            .pop()
            .ok_or("no address of a server")?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                connections.spawn(pass_on(acceptor, stream, upstream));
            }
        });
        Ok(Self {
            address,
            _server: server,
        })
    }

    /// Where clients connect.
    ///
    /// # Errors
    /// Never for a bound port; the type is that of [`Url::parse`].
    pub fn url(&self) -> Result<Url, url::ParseError> {
        Url::parse(&format!("https://{HOST}:{}/", self.address.port()))
    }
}

/// One connection; a client that goes away, or does not trust the certificate, ends it.
async fn pass_on(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    upstream: SocketAddr,
) -> std::io::Result<()> {
    let mut client = acceptor.accept(stream).await?;
    let mut server = TcpStream::connect(upstream).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server)
        .await
        .map(drop)
}
