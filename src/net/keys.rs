//! Certificates and keys (RFC 7858): ours for the clients, and the authorities
//! that the clusters' servers are checked against.
//!
//! Read when a plan begins to be served, and again with each change of it, so
//! that a renewed certificate is used by the next connection. What is wrong with
//! them is found before anything is served.

use crate::config::{Identity, Plan};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What this is called in the handshake (RFC 7858; IANA's ALPN registry).
const ALPN: &[u8] = b"dot";

/// Files that TLS needs and that are not as they have to be: the operator's to
/// mend.
#[derive(Debug)]
pub struct KeyError {
    file: String,
    wrong: String,
    remedy: &'static str,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.file, self.wrong, self.remedy)
    }
}

impl std::error::Error for KeyError {}

fn error(file: &Path, wrong: impl std::fmt::Display, remedy: &'static str) -> KeyError {
    KeyError { file: file.display().to_string(), wrong: wrong.to_string(), remedy }
}

/// What TLS needs to serve a plan.
#[derive(Default)]
pub struct Keys {
    /// For clients.
    pub acceptor: Option<TlsAcceptor>,
    connectors: HashMap<Option<PathBuf>, TlsConnector>,
}

impl Keys {
    /// Reads every file that the plan names.
    pub fn load(plan: &Plan) -> Result<Self, KeyError> {
        let acceptor = plan.settings.identity.as_ref().map(acceptor).transpose()?;
        let mut connectors = HashMap::new();
        for tls in plan.servers.iter().filter_map(|server| server.tls.as_ref()) {
            if !connectors.contains_key(&tls.ca) {
                connectors.insert(tls.ca.clone(), connector(tls.ca.as_deref())?);
            }
        }
        Ok(Keys { acceptor, connectors })
    }

    /// What connects to servers whose authorities are in this file.
    pub fn connector(&self, ca: &Option<PathBuf>) -> Option<TlsConnector> {
        self.connectors.get(ca).cloned()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let remedy = "give a file of certificates in PEM that this user can read";
    let read = CertificateDer::pem_file_iter(file).map_err(|why| error(file, why, remedy))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|why| error(file, why, remedy))?;
    if read.is_empty() {
        return Err(error(file, "there is no certificate in it", remedy));
    }
    Ok(read)
}

fn acceptor(identity: &Identity) -> Result<TlsAcceptor, KeyError> {
    let chain = certificates(&identity.cert)?;
    let key = PrivateKeyDer::from_pem_file(&identity.key).map_err(|why| {
        error(&identity.key, why, "give a file with a private key in PEM that this user can read")
    })?;
    let remedy = "give the certificate and the key that belong to each other";
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|why| error(&identity.cert, why, remedy))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, KeyError> {
    let mut roots = RootCertStore::empty();
    let place = ca.unwrap_or(Path::new("the system's certificates"));
    match ca {
        Some(file) => {
            for certificate in certificates(file)? {
                let remedy = "give certificates of authorities";
                roots.add(certificate).map_err(|why| error(file, why, remedy))?;
            }
        }
        // One that cannot be read is no reason to do without the others.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        let remedy = "install the package ca-certificates, or name a file with ca=FILE";
        return Err(error(place, "there are none", remedy));
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|why| error(place, why, "report this"))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
