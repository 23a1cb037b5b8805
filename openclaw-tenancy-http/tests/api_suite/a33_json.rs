//! A33: no body that two readers could read as two documents.

use http::{Method, header};

use crate::support::{App, request};

#[tokio::test]
async fn a33_json_tricks_corpus_is_refused_over_http() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let deep = |levels: usize| {
        format!("{{\"plan\":{}{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes()
    };
    let texts = [
        r#"{"plan":"free","plan":"basic"}"#,
        r#"{"plan":"free","pl\u0061n":"basic"}"#,
        r#"{"plan":"free","plan":"free"}"#,
        r#"{"x":{"y":1,"y":2}}"#,
        r#"{"plan":"free"}{"plan":"basic"}"#,
        r#"{"plan":"free"} trailing"#,
        r#"{"plan":"free"},"#,
        r#"{"plan":"free",}"#,
        r#"{"plan":"fr\u0000ee"}"#,
        r#"{"pl\u0000an":"free"}"#,
        r#"{"plan":"\ud800"}"#,
        r#"{"plan":"\udc00\ud800"}"#,
        r#"{"\ud800":"free"}"#,
        r#"{"plan":"\u12"}"#,
        r#"{"plan":18446744073709551616}"#,
        r#"{"plan":1e400}"#,
        r#"{"plan":NaN}"#,
        r#"{"plan":01}"#,
        "{'plan':'free'}",
        "{plan:\"free\"}",
        "{\"plan\":\"fr\nee\"}",
        "/**/{}",
        "\u{feff}{\"plan\":\"free\"}",
        "[]",
        "null",
        "\"free\"",
        "plan=free",
        "{",
        "   ",
    ];
    let bodies = texts
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .chain([
            b"{\"plan\":\"\xff\"}".to_vec(),
            b"{\"plan\":\"\xc0\xaf\"}".to_vec(),
            b"{\"plan\":\"\xed\xa0\x80\"}".to_vec(),
        ])
        .chain([
            b"\xff\xfe{\0}\0".to_vec(),
            deep(32),
            deep(1000),
            deep(30_000),
        ]);
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let request = program
            .request(Method::POST, "/api/tenants")
            .header(header::CONTENT_TYPE, "application/json");
        let answer = app.send(request.body(body.into()).unwrap()).await;
        assert_eq!(answer.status, 400, "{shown}: {}", answer.body);
        answer.problem(400, "invalid-body");
        app.clock.advance(std::time::Duration::from_secs(1));
    }
    let duplicate = program
        .post("/api/tenants", texts[0])
        .await
        .problem(400, "invalid-body");
    assert_eq!(duplicate["field"], "plan");
    assert_eq!(
        duplicate["detail"],
        "The key `plan` stands twice in one object."
    );
    assert_eq!(app.tenants().await, 0);
}

/// Where, in which field, and what to do about it, in our words and not the parser's.
#[tokio::test]
async fn a33_json_tricks_are_told_in_the_readers_language() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let post = async |body: &str, language: &str| {
        let request = program
            .request(Method::POST, "/api/tenants")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT_LANGUAGE, language);
        app.send(request.body(body.to_owned().into()).unwrap())
            .await
    };
    let comma = "{\n  \"plan\": \"free\",\n}";
    let problem = post(comma, "en").await.problem(400, "invalid-body");
    assert_eq!(
        (&problem["field"], &problem["detail"], &problem["fix"]),
        (
            &"plan".into(),
            &"The body is not JSON at line 3, column 1: a comma stands before the end of a list or an object."
                .into(),
            &"Remove the comma.".into()
        )
    );
    let problem = post(comma, "zh-CN").await.problem(400, "invalid-body");
    assert_eq!(
        (&problem["detail"], &problem["fix"]),
        (
            &"请求体在第 3 行第 1 列不是 JSON：列表或对象末尾前多了一个逗号。".into(),
            &"请删除该逗号。".into()
        )
    );
    for (body, english, chinese) in [
        (r#"{"plan": 7}"#, "`plan` is a number.", "`plan` 是数字。"),
        (
            r#"{"plan": ["free"]}"#,
            "`plan` is a list.",
            "`plan` 是列表。",
        ),
    ] {
        for (language, detail) in [("en", english), ("zh-CN", chinese)] {
            let problem = post(body, language).await.problem(422, "invalid-fields");
            assert_eq!(
                (&problem["field"], &problem["detail"]),
                (&"plan".into(), &detail.into())
            );
        }
    }
    // A secret is not shown, whatever it is.
    let secret = request(Method::POST, "/api/auth/password")
        .header(header::CONTENT_TYPE, "application/json")
        .body(r#"{"username":"ada","password":4711}"#.to_owned().into());
    let problem = app.send(secret.unwrap()).await;
    assert!(!problem.body.contains("4711"), "{}", problem.body);
}

#[tokio::test]
async fn a33_json_tricks_other_media_types_are_not_read() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    let send = |headers: Vec<(&'static str, &'static str)>| {
        let mut request = program.request(Method::POST, "/api/tenants");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        app.send(request.body("{}".to_owned().into()).unwrap())
    };
    for media in [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-7",
        "application/jsonp",
        "application/xml",
        "application/json, text/plain",
        "*/*",
        "",
    ] {
        let problem = send(vec![("content-type", media)])
            .await
            .problem(415, "unsupported-media-type");
        assert_eq!(problem["field"], "Content-Type", "{media}");
    }
    send(vec![]).await.problem(415, "unsupported-media-type");
    send(vec![
        ("content-type", "application/json"),
        ("content-type", "text/plain"),
    ])
    .await
    .problem(415, "unsupported-media-type");
    send(vec![
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ])
    .await
    .problem(415, "unsupported-media-type");
    assert_eq!(app.tenants().await, 0);
    let fine = send(vec![(
        "content-type",
        "Application/JSON; Charset=\"UTF-8\"",
    )])
    .await;
    assert_eq!(fine.status, 202, "{}", fine.body);
}

#[tokio::test]
async fn a33_json_tricks_unknown_fields_are_named_with_the_nearest() {
    let app = App::new().await;
    let ada = app.account("ada").await;
    let program = app.program(&ada).await;
    for (field, fix) in [
        ("pln", "Did you mean `plan`?"),
        ("e_mail", "Did you mean `email`?"),
        ("Name", "Did you mean `name`?"),
        ("time-zone", "Did you mean `timezone`?"),
        ("owner", "The fields are: email, name, plan, timezone."),
    ] {
        let body = format!(r#"{{"{field}":"x"}}"#);
        let problem = program
            .post("/api/tenants", &body)
            .await
            .problem(422, "invalid-fields");
        assert_eq!(
            (&problem["field"], &problem["fix"]),
            (&field.into(), &fix.into())
        );
        assert_eq!(
            problem["value"],
            serde_json::Value::Null,
            "a misspelled field may hold a secret"
        );
    }
    // Every fault at once.
    let body = r#"{"plan":1,"email":["x"],"nam":"x","name":{}}"#;
    let problem = program
        .post("/api/tenants", body)
        .await
        .problem(422, "invalid-fields");
    let fields: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["plan", "name", "email", "nam"]);
    assert_eq!(app.tenants().await, 0);
}
