//! The configuration as operators meet it: layers, mistakes and what is said of them.

use std::fmt::Write as _;
use std::fs;

use secrecy::ExposeSecret as _;

use super::*;

const SECRET: &str = "qvJ0w8m2Tf9sVbXn3LrKz6HdYpGc1EuRa5Ti7OoWjUA=";

/// A directory with the given files, and sources that read `config.toml` in it.
fn sources(files: &[(&str, &str)], environment: &[(&str, &str)]) -> (tempfile::TempDir, Sources) {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let data_dir = Some(dir.path().to_owned());
    (
        dir,
        Sources {
            data_dir,
            environment,
            ..Sources::default()
        },
    )
}

fn load_ok(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Loaded {
    let (_dir, sources) = sources(files, environment);
    load(&sources).unwrap()
}

/// What is said of a configuration, without the path of the temporary directory.
fn refused(files: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    let (dir, sources) = sources(files, environment);
    let error = match load(&sources) {
        Err(error) => error,
        Ok(_) => panic!("{files:?} {environment:?} was accepted"),
    };
    let text = error.to_string();
    text.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let loaded = load_ok(&[], &[]);
    assert_eq!(loaded.config.server.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(loaded.config.hosts, [HostSection::default()]);
    assert!(loaded.warnings().is_empty(), "{:?}", loaded.warnings());
    assert!(loaded.config.identity.has_local());
    let default = Config::default();
    let server = ServerSection {
        data_dir: Some(loaded.data_dir.clone()),
        ..default.server.clone()
    };
    assert_eq!(loaded.config, Config { server, ..default });
}

#[test]
fn a_proxy_that_is_not_listed_is_warned_of() {
    let told = |file: &str| {
        let warnings = load_ok(&[("config.toml", file)], &[]).warnings();
        warnings
            .iter()
            .any(|warning| warning.contains("set server.trusted_proxies"))
    };
    let https = "[server]\npublic_url = \"https://tenancy.example.org\"\n";
    assert!(told(https));
    assert!(told(&format!("{https}listen = \"10.0.0.5:3000\"\n")));
    for quiet in [
        "trusted_proxies = [\"127.0.0.1\"]\n",
        "listen = \"10.0.0.5:3000\"\n[edge]\nlisten = \"10.0.0.5:8080\"\n",
    ] {
        assert!(!told(&format!("{https}{quiet}")), "{quiet}");
    }
    assert!(!told("[server]\npublic_url = \"http://localhost:3000\"\n"));
}

#[test]
fn the_example_file_says_the_defaults_and_names_every_key() {
    let text = EXAMPLE;
    let (_dir, sources) = sources(&[("config.toml", text)], &[]);
    let loaded = load(&sources).unwrap();
    let mut config = loaded.config;
    config.server.data_dir = None;
    assert_eq!(config, Config::default());
    for (section, keys) in serde_json::to_value(Config::default())
        .unwrap()
        .as_object()
        .unwrap()
    {
        let keys = keys.as_object().cloned().unwrap_or_default();
        assert!(text.contains(&format!("[{section}")), "[{section}]");
        for key in keys.keys() {
            assert!(
                text.lines().any(
                    |line| line.trim_start_matches("# ").starts_with(key.as_str())
                        || line.contains(&format!("{section}.{key}"))
                ),
                "{section}.{key}"
            );
        }
    }
}

#[test]
fn later_sources_win_and_each_value_says_where_it_came_from() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\n[edge]\nlisten = \"127.0.0.1:2\"\n\
                [image]\nfloor = \"2 GiB\"\n[log]\nlevel = \"warn\"\n";
    let (_dir, mut sources) = sources(
        &[("config.toml", file)],
        &[
            ("PORT", "11"),
            ("LOG_LEVEL", "silly"),
            ("OPENCLAW_TENANCY__SERVER__LISTEN", "127.0.0.1:21"),
            ("OPENCLAW_TENANCY__POLICY__SELF_SERVICE", "free, basic,pro"),
            ("OPENCLAW_TENANCY__METRICS__ENABLED", "no"),
        ],
    );
    sources
        .flags
        .push(("--set", "edge.listen".to_owned(), "127.0.0.1:32".to_owned()));
    let loaded = load(&sources).unwrap();
    let found = |key: &str| {
        let setting = loaded
            .settings()
            .into_iter()
            .find(|setting| setting.key == key)
            .unwrap();
        (
            setting.value.to_string(),
            setting.origin.rsplit('/').next().unwrap().to_owned(),
        )
    };
    for (key, value, origin) in [
        (
            "server.listen",
            "\"127.0.0.1:21\"",
            "environment variable OPENCLAW_TENANCY__SERVER__LISTEN",
        ),
        ("edge.listen", "\"127.0.0.1:32\"", "flag --set"),
        ("image.floor", "\"2 GiB\"", "config.toml line 6"),
        ("log.level", "\"trace\"", "environment variable LOG_LEVEL"),
        (
            "policy.self_service",
            "[\"free\",\"basic\",\"pro\"]",
            "environment variable OPENCLAW_TENANCY__POLICY__SELF_SERVICE",
        ),
        (
            "metrics.enabled",
            "false",
            "environment variable OPENCLAW_TENANCY__METRICS__ENABLED",
        ),
        ("edge.base_domain", "\"localhost\"", "default"),
    ] {
        assert_eq!(found(key), (value.to_owned(), origin.to_owned()), "{key}");
    }
}

#[test]
fn every_name_of_the_predecessor_is_read_and_reported() {
    let environment = [
        ("PORT", "4000"),
        ("LOG_LEVEL", "http"),
        ("DATABASE_URL", "postgresql://openclaw:canary@db/openclaw"),
        ("DATABASE_POOL_MIN", "2"),
        ("DATABASE_POOL_MAX", "20"),
        ("PORTAINER_URL", "https://portainer:9443"),
        ("PORTAINER_API_KEY", "ptr_canary"),
        ("JWT_SECRET", SECRET),
        ("JWT_EXPIRES_IN", "15m"),
        ("REFRESH_TOKEN_EXPIRES_IN", "7d"),
        ("OAUTH_ENABLED", "false"),
        ("OAUTH_ISSUER", "https://ignored.example.org"),
        ("OAUTH_AUDIENCE", "ignored"),
        ("OAUTH_CLIENT_SECRET", "ignored-canary"),
        ("DEFAULT_PLAN", "free"),
        ("GATEWAY_IMAGE", "openclaw/openclaw:2026.9.3"),
        ("SANDBOX_IMAGE", "openclaw/sandbox:1"),
        ("QUOTA_FREE", "0.25,512,5120,1"),
        ("QUOTA_BASIC", "1, 1024, 20480, 3"),
        ("QUOTA_PRO", "2,2048,51200,10"),
        ("QUOTA_ENTERPRISE", "4,4096,204800,-1"),
        ("METRICS_ENABLED", "true"),
        ("METRICS_PORT", "9091"),
        ("CASDOOR_ENDPOINT", "https://sso.example.org"),
        ("CASDOOR_CLIENT_ID", "tenancy"),
        ("CASDOOR_CLIENT_SECRET", "casdoor-canary"),
        ("INSTANCE_BASE_DOMAIN", "claw.example.org"),
        ("INSTANCE_URL_FORMAT", "{name}.{baseDomain}"),
        ("INSTANCE_URL_SCHEME", "https"),
    ];
    let loaded = load_ok(&[], &environment);
    let config = &loaded.config;
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:4000");
    assert_eq!(config.metrics.listen.to_string(), "127.0.0.1:9091");
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!((config.store.pool_min, config.store.pool_max), (2, 20));
    assert_eq!(config.tokens.expires_in.as_secs(), 900);
    assert_eq!(config.identity.oidc.len(), 1);
    assert_eq!(config.identity.oidc[0].id, "casdoor");
    assert_eq!(
        config.edge.url_format.as_deref(),
        Some("https://{slug}.claw.example.org")
    );
    let catalog = config.catalog().unwrap();
    let free = catalog.iter().next().unwrap();
    assert_eq!((free.limits.cpu.0, free.limits.memory.0), (250, 512 << 20));
    assert_eq!(config.plan_policy().unwrap().default.as_str(), "free");

    let mut reported = String::new();
    for name in &loaded.seed_names {
        writeln!(reported, "{} -> {}", name.variable, name.key).unwrap();
    }
    insta::assert_snapshot!("seed_names", reported);
    insta::assert_snapshot!("seed_warnings", loaded.warnings().join("\n"));
    let ignored = ["OAUTH_ISSUER", "OAUTH_AUDIENCE", "OAUTH_CLIENT_SECRET"];
    for (name, _) in environment
        .iter()
        .filter(|(name, _)| !ignored.contains(name))
    {
        assert!(
            loaded.seed_names.iter().any(|read| read.variable == *name),
            "{name}"
        );
    }
    let shown = format!("{loaded:?}{:?}", loaded.settings());
    assert!(
        !shown.contains("canary") && !shown.contains(SECRET),
        "{shown}"
    );
}

#[test]
fn an_oauth_provider_of_the_predecessor_is_one_of_ours() {
    let loaded = load_ok(
        &[],
        &[
            ("OAUTH_ENABLED", "true"),
            ("OAUTH_ISSUER", "https://login.example.org"),
            ("OAUTH_AUDIENCE", "tenancy-api"),
            ("OAUTH_CLIENT_SECRET", "a long and random one"),
            ("OPENCLAW_TENANCY__IDENTITY__OIDC__0__CLIENT_ID", "tenancy"),
        ],
    );
    let provider = &loaded.config.identity.oidc[0];
    assert_eq!((&*provider.id, &*provider.client_id), ("oauth", "tenancy"));
    assert_eq!(provider.audience.as_deref(), Some("tenancy-api"));
    assert!(!loaded.config.identity.has_local());
}

#[test]
fn secrets_come_from_files_too() {
    let file = "[tokens]\nsecret_file = \"jwt\"\n[overlay.providers.corp]\nbase_url = \
                \"https://api.example.org/v1\"\nkey_file = \"key\"\n[[overlay.providers.corp.models]]\n\
                id = \"m1\"\ncontext_window = 1000\nmax_tokens = 10\n";
    let (dir, mut sources) = sources(
        &[
            ("config.toml", file),
            ("jwt", &format!("{SECRET}\n")),
            ("key", "sk-1\r\n"),
        ],
        &[],
    );
    let url = dir.path().join("url");
    fs::write(&url, "sqlite:///x.db").unwrap();
    sources
        .environment
        .insert("DATABASE_URL_FILE".to_owned(), url.display().to_string());
    let config = load(&sources).unwrap().config;
    assert_eq!(
        config.tokens.secret.unwrap().inner().expose_secret(),
        SECRET
    );
    assert_eq!(
        config.store.url.unwrap().inner().expose_secret(),
        "sqlite:///x.db"
    );
    let overlay = config.overlay.overlay();
    let corp = &overlay.providers["corp"];
    assert_eq!(corp.key.as_ref().unwrap().expose_secret(), "sk-1");
    assert_eq!(
        (&*corp.api, &*corp.models[0].name),
        ("openai-completions", "m1")
    );
}

#[test]
fn a28_secret_leak_a_section_of_openclaws_own_is_passed_on_and_never_shown() {
    let file = "[overlay.sections.channels.telegram]\nbotToken = \"canary\"\nports = [1, 2]\n";
    let loaded = load_ok(&[("config.toml", file)], &[]);
    let sections = loaded.config.overlay.overlay().sections;
    assert_eq!(
        sections["channels"],
        serde_json::json!({ "telegram": { "botToken": "canary", "ports": [1, 2] } })
    );
    let shown = format!("{loaded:?}{:?}", loaded.settings());
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_plan_of_ones_own_stands_where_the_order_puts_it() {
    let file = "[policy]\norder = [\"free\", \"gold\"]\ndefault = \"free\"\nself_service = [\"free\"]\n\
                [plans.gold]\ncpu = 1.5\nmemory = \"3 GiB\"\nstorage = \"9 GiB\"\nsandboxes = \"unlimited\"\n\
                seats = 2\n";
    let catalog = load_ok(&[("config.toml", file)], &[])
        .config
        .catalog()
        .unwrap();
    let names: Vec<_> = catalog.iter().map(|plan| plan.name.to_string()).collect();
    assert_eq!(names, ["free", "gold"]);
    let gold = catalog.iter().last().unwrap();
    assert_eq!((gold.limits.cpu.0, gold.seats), (1500, Some(2)));
}

/// Mistakes, one a line or file, and what is said of each.
#[test]
fn every_mistake_is_named_with_its_key_its_value_and_its_fix() {
    let files = [
        "[server]\nlisten = \"localhost:3000\"",
        "[server]\nlisten = 3000",
        "[server]\nlissten = \"127.0.0.1:3000\"",
        "[sever]\nlisten = \"127.0.0.1:3000\"",
        "server = 5",
        "[server]\npublic_url = \"https://tenancy.example.org/api\"",
        "[server]\nlisten = \"127.0.0.1:8080\"",
        "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"proxy\"]",
        "[server]\npublic_url = \"http://tenancy.example.org\"",
        "[server]\npublic_url = \"https://app.example.org\"\n[edge]\nbase_domain = \"example.org\"",
        "[edge]\nbase_domain = \"Claw.example.org\"",
        "[edge]\nbase_domain = \"10.0.0.1\"",
        "[edge]\nbase_domain = \"a.example.org\"\nurl_format = \"https://{slug}.b.example.org\"",
        "[edge]\nurl_format = \"https://localhost/{slug}\"",
        "[metrics]\nenabled = \"true\"",
        "[metrics]\nenabled = 1",
        "[store]\nurl = \"mysql://root:canary@db/x\"",
        "[store]\nurl = \"canary\"",
        "[store]\nurl = 5",
        "[store]\npool_min = 9\npool_max = 3",
        "[store]\npool_max = -1",
        "[store]\npool_max = 99999999999",
        "hosts = []",
        "[[hosts]]\nid = \"Worker_1\"",
        "[[hosts]]\naddress = \"unix:///x\"",
        "[[hosts]]\nid = \"a\"\naddress = \"/var/run/docker.sock\"",
        "[[hosts]]\nid = \"a\"\naddress = \"tcp://192.0.2.1:2375\"",
        "[[hosts]]\nid = \"a\"\naddress = \"tls://192.0.2.1:2376\"\nca_file = \"ca.pem\"",
        "[[hosts]]\nid = \"a\"\naddress = \"tls://192.0.2.1\"",
        "[[hosts]]\nid = \"a\"\naddress = \"tcp://127.0.0.1:2375\"\nca_file = \"ca.pem\"",
        "[[hosts]]\nid = \"a\"\nkind = \"dockr\"",
        "[[hosts]]\nid = \"a\"\n[[hosts]]\nid = \"a\"\naddress = \"unix:///b\"",
        "[[hosts]]\nid = \"a\"\n[[hosts]]\nid = \"b\"",
        "[image]\nreference = \"\"",
        "[image]\nfloor = \"1.5 GiB\"",
        "[plans.basic]\ncpu = \"half\"",
        "[plans.basic]\nmemory = \"5 MB\"",
        "[plans.basic]\nsandboxes = \"many\"",
        "[plans.basic]\nmemroy = \"1 GiB\"",
        "[plans.gold]\ncpu = 1",
        "[policy]\norder = [\"free\", \"gold\", \"basic\"]\n[plans.gold]\ncpu = 1",
        "[policy]\norder = [\"free\", \"free\"]\ndefault = \"free\"\nself_service = []",
        "[policy]\ndefault = \"basics\"",
        "[policy]\nself_service = [\"gratis\"]",
        "[policy]\nself_service = \"free\"",
        "[tokens]\nsecret = \"canary-too-short\"",
        "[tokens]\nsecret = \"your-super-secret-jwt-key-change-me-please\"",
        "[tokens]\nsecret = \"my-256-bit-canary-canary-canary-1234567\"",
        "[tokens]\nsecret = 12345",
        "[tokens]\nsecret_file = \"nowhere\"",
        "[tokens]\nsecrt_file = \"jwt\"",
        "[tokens]\nexpires_in = \"soon\"",
        "[identity]\nlocal = false",
        "[[identity.oidc]]\nid = \"a\"\nissuer = \"https://a\"",
        "[[identity.oidc]]\nid = \"A B\"\nissuer = \"https://a\"\nclient_id = \"x\"\nclient_secret = \"s\"",
        "[[identity.oidc]]\nid = \"a\"\nissuer = \"https://a\"\nclient_id = \"x\"",
        "[[identity.oidc]]\nid = \"a\"\nissuer = \"https://a\"\nclient_id = \"x\"\nclient_auth = \"none\"\n\
         plan_groups = { vip = \"gold\" }",
        "[[identity.oidc]]\nid = \"a\"\nissuer = \"https://a\"\nclient_id = \"x\"\n\
         client_secret = \"<your client secret>\"",
        "[[identity.admins]]\nissuer = \"local\"",
        "[overlay]\ndefault_model = \"corp/m1\"",
        "[overlay.providers.corp]\nbase_url = \"api.example.org\"\nmodels = []",
        "[overlay.providers.corp]\nbase_url = \"https://a/v1\"\nmodels = [{ id = \"m\" }]",
        "[overlay.sections.gateway]\nport = 1",
        "[overlay.sections.chanels]\ntelegram = {}",
        "[overlay.sections]\nchannels = \"canary\"",
        "[overlay]\nreserved = [\"models\", \"chanels\"]",
        "[overlay.providers.42]\nbase_url = \"https://a/v1\"\nmodels = [{ id = \"m\", context_window = 1, max_tokens = 1 }]",
        "[reconcile]\nconcurrency = 0",
        "[reconcile]\nsubnet_pool = \"10.213.0.1/16\"",
        "[reconcile]\nsubnet_pool = \"10.213.0.0/28\"",
        "[reconcile]\nplacement = \"spraed\"",
        "[log]\nlevel = \"loud\"",
        "[log\nlevel = \"info\"",
        "[log]\nlevel = \"info\"\nlevel = \"warn\"",
    ];
    let mut said = String::new();
    for file in files {
        let text = refused(&[("config.toml", file)], &[]);
        assert!(!text.contains("canary"), "{text}");
        writeln!(said, "{file}\n=> {text}\n").unwrap();
    }
    insta::assert_snapshot!("mistakes_in_a_file", said);

    let environments: [&[(&str, &str)]; 15] = [
        &[("OPENCLAW_TENANCY__HOSTS__1__ID", "a")],
        &[("OPENCLAW_TENANCY__SERVER__LISTN", "127.0.0.1:1")],
        &[("OPENCLAW_TENANCY_SERVER_LISTEN", "127.0.0.1:1")],
        &[("OPENCLAW_TENANCY__METRICS__ENABLED", "maybe")],
        &[("OPENCLAW_TENANCY__STORE__POOL_MAX", "ten")],
        &[("PORT", "http")],
        &[("LOG_LEVEL", "loud")],
        &[("QUOTA_FREE", "0.5,512,5120")],
        &[("QUOTA_FREE", "0.5,512MB,5120,1")],
        &[("QUOTA_PRO", "2,2048,51200,-2")],
        &[("JWT_SECRET", "secret")],
        &[("JWT_SECRET", SECRET), ("JWT_SECRET_FILE", "/nowhere")],
        &[("OAUTH_ENABLED", "true")],
        &[
            ("OAUTH_ISSUER", "https://login.example.org"),
            ("OAUTH_CLIENT_SECRET", "canary"),
        ],
        &[("INSTANCE_URL_FORMAT", "{baseDomain}/instance/{name}")],
    ];
    let mut said = String::new();
    for environment in environments {
        let text = refused(&[], environment);
        assert!(!text.contains("canary") && !text.contains(SECRET), "{text}");
        writeln!(said, "{environment:?}\n=> {text}\n").unwrap();
    }
    insta::assert_snapshot!(
        "mistakes_in_the_environment",
        said.replace(SECRET, "SECRET")
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let file = "[server]\nlisten = 1\nlissten = 2\n[plans.gold]\ncpu = \"x\"\n[[hosts]]\nid = 1\n";
    let text = refused(&[("config.toml", file)], &[("PORT", "x")]);
    insta::assert_snapshot!("several_mistakes", text);
}
