//! Which TCP ports the stack listens on.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortWish {
    /// This one and no other: somebody configured it.
    Exactly(u16),
    /// This one if it is free, else any: a default, or the port of the last start.
    Rather(u16),
}

/// Why there is no port.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The configured port is in use.
    #[error(
        "port {port} on {ip} is taken by another program (see `ss -ltnp 'sport = :{port}'`); \
         stop it or configure another port for {service}"
    )]
    Taken {
        /// Who wanted it.
        service: String,
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
    },
    /// The address cannot be listened on at all.
    #[error("{service} cannot listen on {address}: {source}")]
    Unusable {
        /// Who wanted it.
        service: String,
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// Chooses a port that is free now. Somebody else may take it before the service listens: then
/// the service's own start says so.
///
/// # Errors
/// [`PortError`].
pub fn choose(service: &str, ip: IpAddr, wish: PortWish) -> Result<u16, PortError> {
    let (PortWish::Exactly(port) | PortWish::Rather(port)) = wish;
    match (listen(service, ip, port), wish) {
        (Err(PortError::Taken { .. }), PortWish::Rather(_)) => listen(service, ip, 0),
        (result, _) => result,
    }
}

fn listen(service: &str, ip: IpAddr, port: u16) -> Result<u16, PortError> {
    let address = SocketAddr::new(ip, port);
    let service = || service.to_owned();
    match TcpListener::bind(address).and_then(|listener| listener.local_addr()) {
        Ok(bound) => Ok(bound.port()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(PortError::Taken {
            service: service(),
            ip,
            port,
        }),
        Err(source) => Err(PortError::Unusable {
            service: service(),
            address,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_taken_port_is_named_or_avoided() {
        let holder = TcpListener::bind((HERE, 0)).unwrap();
        let taken = holder.local_addr().unwrap().port();
        let error = choose("gateway", HERE, PortWish::Exactly(taken))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&taken.to_string()) && error.contains("for gateway"),
            "{error}"
        );
        let other = choose("gateway", HERE, PortWish::Rather(taken)).unwrap();
        assert_ne!(other, taken);
        assert_eq!(
            choose("gateway", HERE, PortWish::Rather(other)).unwrap(),
            other
        );
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        let error = choose(
            "homeserver",
            "192.0.2.1".parse().unwrap(),
            PortWish::Rather(0),
        )
        .unwrap_err();
        assert!(matches!(error, PortError::Unusable { .. }), "{error}");
    }
}
