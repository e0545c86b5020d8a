//! The request goes to the bank it names, as far as that can be known.
//!
//! An HTTP request says so itself; a TLS 1.2 transcript proves the server name; a TLS 1.3 hash proves nothing, which is
//! why TLS has a grant of its own.

use super::{Case, Facts, Unfit};

pub(super) fn check(case: &Case<'_>) -> Result<(), Unfit> {
    let bank = &case.destination.bank;
    match case.facts {
        Facts::Http(request) | Facts::DpopProof(request) if !bank.has_host(request.authority()) => {
            Err(Unfit::Host {
                host: request.authority().to_owned(),
            })
        }
        Facts::Tls12 { .. } if !bank.tls12_allowed => Err(Unfit::Tls12),
        Facts::Tls12 { server_name } if !bank.has_server_name(server_name) => Err(Unfit::Host {
            host: server_name.to_owned(),
        }),
        Facts::Http(_)
        | Facts::DpopProof(_)
        | Facts::Jws
        | Facts::Jwt
        | Facts::Tls13
        | Facts::Tls12 { .. } => Ok(()),
    }
}
