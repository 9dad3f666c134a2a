//! `nxmeshctl agent enroll`

use anyhow::anyhow;
use nxmesh_core::{
    api::{BootstrapTokenRequest, BootstrapTokenResponse},
    model::Labels,
};
use nxmesh_process::exit::{Exit, OrExit as _};

use crate::{
    client::Client,
    options::{EnrollArguments, Format, ServerOptions},
    output,
};

pub(crate) async fn run(
    options: &ServerOptions,
    arguments: EnrollArguments,
) -> anyhow::Result<Exit> {
    let client = Client::new(options)?;
    let request = BootstrapTokenRequest {
        labels: labels(&arguments.labels).or_exit(Exit::Usage)?,
        ttl_seconds: arguments.ttl.whole_seconds(),
    };
    let token: BootstrapTokenResponse = client
        .post_in("agents/bootstrap-tokens", &[], &request)
        .await?;
    match arguments.output {
        Format::Json | Format::Jsonl => output::line(&serde_json::to_string(&token)?)?,
        Format::Yaml => output::line(&output::yaml(&serde_json::to_value(&token)?))?,
        Format::Name => output::line(&token.token)?,
        Format::Table | Format::Wide => output::line(&instructions(&token, &arguments))?,
    }
    Ok(Exit::Success)
}

fn instructions(token: &BootstrapTokenResponse, arguments: &EnrollArguments) -> String {
    format!(
        "This token admits one agent within {} s and is shown only now. On its machine, run:\n\n\
         umask 077\n\
         cat > nxmesh-ca.pem <<'EOF'\n{}EOF\n\
         echo {} > nxmesh-token\n\
         nxmesh-agent run --state-dir /var/lib/nxmesh-agent --master-url {} \\\n  \
         --master-ca nxmesh-ca.pem --token-file nxmesh-token",
        arguments.ttl.whole_seconds(),
        token.ca_pem,
        token.token,
        token.master_url
    )
}

/// Reads `k=v,k=v`.
fn labels(text: &str) -> anyhow::Result<Labels> {
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .map(|pair| {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| anyhow!("label {pair:?} is not key=value, for example env=prod"))?;
            Ok((key.trim().parse()?, value.trim().parse()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::labels;

    #[test]
    fn labels_are_pairs_joined_by_commas() {
        assert_eq!(labels("env=prod, zone=a").unwrap().len(), 2);
        assert!(labels("").unwrap().is_empty());
        for text in ["env", "env=a b", "=x", "env=prod;zone=a"] {
            assert!(labels(text).is_err(), "{text:?} was accepted");
        }
    }
}
