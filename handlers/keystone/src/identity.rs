//! Somebody who can log in to a cloud.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use landfall_handler_api::{Cloud, CloudLogin, Error, ErrorKind, Result, async_trait};
use landfall_handler_http::header::HeaderMap;
use landfall_handler_http::{Client, Config, Connections, Login, Method, SystemTrust, Url};

use crate::endpoints::Endpoints;
use crate::refusal::{bad_login, shown};
use crate::session::{Session, token};
use crate::{v1, v3};

/// A login to a cloud, made when it is first needed, shared by whoever needs it, and renewed.
pub struct Identity {
    cloud: Cloud,
    connections: Arc<Connections>,
    /// Whether the operator or the calling person named the cloud, and not a record.
    trusted: bool,
    /// Whoever holds it logs in.
    turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// The logins so far.
#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// How many were tried.
    tried: u64,
    /// Why the last one gave no session.
    failure: Option<Error>,
}

impl Identity {
    /// Nothing is sent yet. `trusted`: the operator or the calling person named the cloud; otherwise a record did, and
    /// the addresses of Keystone and of what its catalog names are checked like any others.
    pub fn new(cloud: Cloud, connections: Arc<Connections>, trusted: bool) -> Arc<Self> {
        Arc::new(Self { cloud, connections, trusted, turn: tokio::sync::Mutex::default(), state: Mutex::default() })
    }

    /// The settings of a client for this cloud: a handler's own, with the certificates that the cloud's entry names.
    pub fn config(own: &Config, cloud: &Cloud) -> Config {
        let mut config = own.clone();
        if cloud.ca.is_some() {
            config.ca = cloud.ca.clone();
        }
        if cloud.client_certificate.is_some() {
            (config.client_certificate, config.client_key) =
                (cloud.client_certificate.clone(), cloud.client_key.clone());
        }
        config
    }

    /// The cloud.
    pub fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// Whether the operator or the calling person named the cloud.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The connections that it logs in over.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// The session; logs in if there is none yet, or it is about to expire. Whoever asks first logs in; the others wait
    /// for that, and get what it gave, be it an error. Who asks after an error tries again.
    pub async fn session(&self, system: &dyn SystemTrust) -> Result<Arc<Session>> {
        self.session_but(None, system).await
    }

    /// Another session than `stale`, whose token a server did not take. Whoever asks first logs in; the others wait for
    /// that. Fails with `token-expired` where the token is all that there is to log in by, and with `no-login` where
    /// there is none.
    pub async fn renewed(&self, stale: &Session, system: &dyn SystemTrust) -> Result<Arc<Session>> {
        let denied = |code, message: &str| Err(Error::new(ErrorKind::Denied, code, self.told(message)));
        match &self.cloud.login {
            CloudLogin::None => denied("no-login", "the server wants a token, and there is no login to get one by"),
            CloudLogin::Token { keep, .. } if *keep || self.cloud.auth_url.is_none() => {
                denied("token-expired", "the server does not take the token, and there is no login to get another by")
            }
            _ => self.session_but(Some(stale), system).await,
        }
    }

    /// A session that is not about to expire, nor `stale`.
    async fn session_but(&self, stale: Option<&Session>, system: &dyn SystemTrust) -> Result<Arc<Session>> {
        let good = |session: &&Arc<Session>| session.is_fresh() && !stale.is_some_and(|stale| session.is_same(stale));
        let tried = {
            let state = self.state();
            if let Some(session) = state.session.as_ref().filter(good) {
                return Ok(Arc::clone(session));
            }
            state.tried
        };
        let _turn = self.turn.lock().await;
        {
            let state = self.state();
            // What came while this waited is good enough, however short it lives.
            let is_new = state.tried != tried;
            match (&state.failure, &state.session) {
                (Some(failure), _) if is_new => return Err(failure.clone()),
                (None, Some(session)) if is_new || good(&session) => return Ok(Arc::clone(session)),
                _ => {}
            }
        }
        let made = self.log_in(system).await;
        let mut state = self.state();
        state.tried = state.tried.wrapping_add(1);
        match made {
            Ok(session) => {
                let session = Arc::new(session);
                (state.session, state.failure) = (Some(Arc::clone(&session)), None);
                Ok(session)
            }
            Err(error) => {
                state.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    async fn log_in(&self, system: &dyn SystemTrust) -> Result<Session> {
        let (cloud, connections, trusted) = (&self.cloud, &*self.connections, self.trusted);
        let ready = |token| Session::new(token, Endpoints::new(cloud, Vec::new()), Instant::now(), None);
        let made = match &cloud.login {
            CloudLogin::None => Ok(ready(None)),
            CloudLogin::Token { token: text, .. } if cloud.auth_url.is_none() => match token(text.as_bytes()) {
                Some(token) => Ok(ready(Some(token))),
                None => Err(bad_login("the token is none that a header can have")),
            },
            CloudLogin::Token { token: text, keep: true } => match token(text.as_bytes()) {
                Some(token) => v3::keep(cloud, token, connections, trusted, system).await,
                None => Err(bad_login("the token is none that a header can have")),
            },
            CloudLogin::V1 { user, key } => v1::log_in(cloud, (user, key), connections, trusted, system).await,
            _ => v3::log_in(cloud, connections, trusted, system).await,
        };
        made.map_err(|error| match cloud.name.as_str() {
            "" => error,
            name => error.context(format_args!("cloud {}", shown(name))),
        })
    }

    /// A message that is about this cloud.
    fn told(&self, message: &str) -> String {
        match self.cloud.name.as_str() {
            "" => message.to_owned(),
            name => format!("cloud {}: {message}", shown(name)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cloud's secret is wiped. What was sent with requests is the HTTP client's, and is not.
impl Drop for Identity {
    fn drop(&mut self) {
        match &mut self.cloud.login {
            CloudLogin::Password { password: secret, .. }
            | CloudLogin::ApplicationCredential { secret, .. }
            | CloudLogin::Token { token: secret, .. }
            | CloudLogin::V1 { key: secret, .. } => wipe(secret),
            _ => {}
        }
    }
}

fn wipe(secret: &mut String) {
    let mut bytes = std::mem::take(secret).into_bytes();
    bytes.fill(0);
    // Keeps the compiler from dropping the wipe of memory that nobody reads again.
    std::hint::black_box(&bytes);
}

/// The token's header, renewed once where a server refuses it. For no other URL than those that [`Session::may_see`]
/// lets through for some type of service: `token-not-for-url`.
#[async_trait]
impl Login for Identity {
    async fn headers(
        &self,
        _: &Method,
        url: &Url,
        refused: Option<&HeaderMap>,
        system: &dyn SystemTrust,
    ) -> Result<HeaderMap> {
        let mut session = self.session(system).await?;
        if let Some(refused) = refused
            && (session.has_shown(refused) || !session.has_token())
        {
            session = self.renewed(&session, system).await?;
        }
        if session.has_token() && !session.may_be_seen_by(url) {
            let message =
                self.told("the URL is not beneath an endpoint of the cloud, so that the token is not sent there");
            return Err(Error::new(ErrorKind::Denied, "token-not-for-url", message));
        }
        Ok(session.headers())
    }
}

/// A client for a cloud.
pub fn client(own: &Config, cloud: &Cloud) -> Result<Client> {
    Client::new(&Identity::config(own, cloud))
}

#[cfg(test)]
mod tests;
