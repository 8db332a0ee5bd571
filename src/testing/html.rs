//! A minimal HTML reader, sufficient for the pages under test.

/// Elements with this name: the start tag's attributes, and the content up to the end tag.
pub fn elements<'h>(
    html: &'h str,
    name: &str,
) -> impl Iterator<Item = (&'h str, &'h str)> + use<'h> {
    let end = format!("</{name}>");
    starts(html, name).filter_map(move |rest| {
        let (head, content) = rest.split_once('>')?;
        let (content, _) = content.split_once(&end)?;
        Some((head, content))
    })
}

/// The attributes of every tag with this name.
pub fn tags<'h>(html: &'h str, name: &str) -> impl Iterator<Item = &'h str> + use<'h> {
    starts(html, name).filter_map(|rest| Some(rest.split_once('>')?.0))
}

/// The text after the name in each start tag with this name.
fn starts<'h>(html: &'h str, name: &str) -> impl Iterator<Item = &'h str> + use<'h> {
    let start = format!("<{name}");
    let places: Vec<_> = html.match_indices(&start).map(|(at, _)| at + start.len()).collect();
    places
        .into_iter()
        .filter_map(|at| html.get(at..))
        .filter(|rest| rest.starts_with(|c: char| c == '>' || c.is_ascii_whitespace()))
}

/// The text of an element: without tags, with single spaces.
pub fn text(content: &str) -> String {
    let mut text = String::new();
    for (i, piece) in content.split('<').enumerate() {
        text.push_str(if i == 0 { piece } else { piece.split_once('>').map_or("", |(_, it)| it) });
    }
    unescaped(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The value of an attribute with double, single or no quotes.
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    tag.match_indices(name).find_map(|(at, _)| {
        let before = tag.get(..at)?;
        let value = tag.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        if !before.ends_with(|c: char| c.is_ascii_whitespace()) {
            return None;
        }
        let value = match value.strip_prefix(['"', '\'']) {
            Some(quoted) => quoted.split(value.chars().next()?).next()?,
            None => value.split(|c: char| c.is_ascii_whitespace()).next()?,
        };
        Some(unescaped(value))
    })
}

fn unescaped(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    text.replace("&#39;", "'").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_in_every_kind_of_quotes() {
        let tag = r#" data-action="no" action = '/a?b=1&amp;c=2' method=post name="it's""#;
        assert_eq!(attribute(tag, "action").as_deref(), Some("/a?b=1&c=2"));
        assert_eq!(attribute(tag, "method").as_deref(), Some("post"));
        assert_eq!(attribute(tag, "name").as_deref(), Some("it's"));
        assert_eq!(attribute(tag, "value"), None);
    }

    #[test]
    fn elements_are_found_by_their_text() {
        let html =
            "<abbr>x</abbr><a href='/a'>\n  One <b>link</b></a> <a href=/b>Tom &amp; Ann</a>";
        let texts: Vec<_> = elements(html, "a").map(|(_, content)| text(content)).collect();
        assert_eq!(texts, ["One link", "Tom & Ann"]);
        assert_eq!(tags("<input a=1><inputs><input b=2 />", "input").count(), 2);
    }
}
