//! The rules for a tenant's own settings.

use crate::tenant::Settings;

use super::TenancyError;

/// The longest e-mail address (RFC 5321 §4.5.3.1.3, without the brackets).
const EMAIL_MOST: usize = 254;

/// Checks what somebody set.
pub(super) fn check(settings: &Settings) -> Result<(), TenancyError> {
    let wrong = |field, value: &str, rule| TenancyError::Setting {
        field,
        value: value.chars().take(80).collect(),
        rule,
    };
    if let Some(email) = &settings.email
        && !is_email(email)
    {
        return Err(wrong(
            "email",
            email,
            "an address such as name@example.org, at most 254 bytes",
        ));
    }
    if let Some(timezone) = &settings.timezone
        && !is_timezone(timezone)
    {
        return Err(wrong(
            "timezone",
            timezone,
            "a name of the tz database such as Asia/Shanghai",
        ));
    }
    Ok(())
}

/// Contact text that a mail program would take: one `@`, something without spaces on either side.
fn is_email(text: &str) -> bool {
    let clean = |c: char| !c.is_control() && !c.is_whitespace() && !"<>()[]\\,;:\"".contains(c);
    text.len() <= EMAIL_MOST
        && text.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && local.len() <= 64
                && local.chars().all(|c| clean(c) && c != '@')
                && domain.split('.').count() >= 2
                && domain.split('.').all(|label| {
                    !label.is_empty()
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
                })
        })
}

/// The form of a tz database name; which names exist is the image's matter.
fn is_timezone(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.split('/').all(|part| {
            part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_-+".contains(&b))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_contact_text_and_no_more() {
        for good in ["user@example.com", "a.b+c@sub.example.org", "ü@exämple.de"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "", "@", "a@", "@b.c", "a@b", "a b@c.d", "a@b..c", "a@-b.c", "a@b@c.d", "a\n@b.c",
            "<a@b.c>",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
        assert!(!is_email(&format!("{}@example.com", "a".repeat(65))));
    }

    #[test]
    fn a_time_zone_is_a_name_and_no_path() {
        for good in [
            "UTC",
            "Asia/Shanghai",
            "America/Argentina/Buenos_Aires",
            "Etc/GMT+8",
        ] {
            assert!(is_timezone(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "A//B",
            "A/",
            "Asia/Shang hai",
            "a\0",
        ] {
            assert!(!is_timezone(bad), "{bad:?}");
        }
    }
}
