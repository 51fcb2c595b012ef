//! The status page, and the policy that goes with it: a browser runs the script
//! and applies the style that are in this file, and loads nothing else.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

/// The page.
pub const PAGE: &str = include_str!("page.html");

/// The text of the page's only element of this kind.
fn element(name: &str) -> &'static str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inside = PAGE.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    inside.map_or("", |(text, _)| text)
}

/// The value of Content-Security-Policy.
pub fn policy() -> String {
    let hash = |name| BASE64_STANDARD.encode(Sha256::digest(element(name)));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash("style"),
        hash("script")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_style_and_one_script_and_nothing_from_elsewhere() {
        for name in ["style", "script"] {
            assert_eq!(PAGE.matches(&format!("<{name}")).count(), 1, "{name}");
            assert!(element(name).len() > 1000, "{name}");
        }
        for elsewhere in ["src=", "@import", "//cdn", " style=", " onclick="] {
            assert!(!PAGE.contains(elsewhere), "{elsewhere}");
        }
    }
}
