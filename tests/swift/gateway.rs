//! A real nginx in front of a service: its log says what was asked for, and it can hold a download in the middle until
//! something has happened, however slow or fast the machine is.

use crate::support::access_log::AccessLog;
use crate::support::nginx::{Nginx, Site};
use crate::support::openstack::Account;

use super::depot::Depot;

/// How answers are passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Open,
    /// The first megabyte of each at once, and then so slowly that no test waits for the end.
    Held,
    /// So that one connection alone takes a while.
    Slow,
}

/// The server, and what is behind it.
pub(super) struct Gateway {
    nginx: Nginx,
    upstream: String,
}

impl Gateway {
    /// `upstream` is `http://HOST:PORT`; the name is of the server's directory.
    pub(super) fn start(depot: &Depot<'_>, name: &str, upstream: &str, manner: Manner) -> Self {
        let upstream = origin(upstream).to_owned();
        Self { nginx: Nginx::start(&depot.sandbox, name, site(&upstream, manner)), upstream }
    }

    /// The same URL by way of this.
    pub(super) fn url(&self, of: &str) -> String {
        let path = of.strip_prefix(origin(of)).expect("a URL begins with its origin");
        self.nginx.url(path)
    }

    /// The account by way of this.
    pub(super) fn account(&self, account: &Account) -> Account {
        Account { url: self.url(&account.url), token: account.token.clone() }
    }

    /// Breaks all connections, and nobody listens any more.
    pub(super) fn kill(&mut self) {
        self.nginx.kill();
    }

    /// After [`Self::kill`].
    pub(super) fn start_again(&mut self, manner: Manner) {
        self.nginx.start_again(site(&self.upstream, manner));
    }

    /// Ends it; gives what it has passed on. What was being served when it was killed is not in it.
    pub(super) fn finish(&mut self) -> AccessLog {
        self.nginx.finish()
    }
}

fn site(upstream: &str, manner: Manner) -> Site {
    let rate = match manner {
        Manner::Open => "",
        Manner::Held => "limit_rate_after 1m; limit_rate 128k;",
        Manner::Slow => "limit_rate 2m;",
    };
    // Nothing is read that nobody takes.
    let pass = format!(
        "proxy_pass {upstream}; proxy_http_version 1.1; proxy_set_header Host $http_host; \
         proxy_max_temp_file_size 0; {rate}"
    );
    Site::new().place("/", &pass)
}

/// `http://HOST:PORT`.
pub(super) fn origin(url: &str) -> &str {
    let host = url.find("://").expect("a URL") + 3;
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}
