//! The user's workspaces and sites, and which of them a grant covers.

use serde_json::{Value, json};

use super::ids::id_from;

/// A workspace of the fake's user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    id: String,
    name: String,
    sites: Vec<Site>,
}

impl Workspace {
    pub(super) fn new(name: &str, sites: impl IntoIterator<Item = String>) -> Self {
        let id = id_from(&["workspace", name]);
        let sites = sites.into_iter().map(|site| Site::new(&id, name, site)).collect();
        Self { id, name: name.to_owned(), sites }
    }

    /// Returns the ID: 24 hexadecimal digits, derived from the name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name on the consent page.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the sites in the order they were added.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// As `/v2/workspaces` lists it.
    pub(super) fn to_json(&self) -> Value {
        json!({"id": self.id, "name": self.name, "slug": slug(&self.name)})
    }
}

/// A site of the fake's user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    id: String,
    workspace_id: String,
    display_name: String,
}

impl Site {
    fn new(workspace_id: &str, workspace: &str, display_name: String) -> Self {
        Self {
            id: id_from(&["site", workspace, &display_name]),
            workspace_id: workspace_id.to_owned(),
            display_name,
        }
    }

    /// Returns the ID: 24 hexadecimal digits, derived from the names of the workspace and the site.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the ID of the workspace that the site belongs to.
    pub fn workspace_id(&self) -> &str {
        &self.workspace_id
    }

    /// Returns the name on the consent page and in `/v2/sites`.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// The ID of the site's only CMS locale.
    pub(super) fn cms_locale_id(&self) -> String {
        id_from(&["cms locale", &self.id])
    }

    /// The site in the format of `/v2/sites`. Source: Webflow Data API, *List Sites*.
    pub(super) fn to_json(&self, created: &str, last_published: Option<&str>) -> Value {
        let short_name = slug(&self.display_name);
        json!({
            "id": self.id,
            "workspaceId": self.workspace_id,
            "displayName": self.display_name,
            "shortName": short_name,
            "previewUrl": format!("https://screenshots.webflow.example/{}.png", self.id),
            "timeZone": "Etc/UTC",
            "parentFolderId": null,
            "createdOn": created,
            "lastUpdated": created,
            "lastPublished": last_published,
            "customDomains": [],
            "locales": {
                "primary": {
                    "id": id_from(&["locale", &self.id]),
                    "cmsLocaleId": self.cms_locale_id(),
                    "enabled": true,
                    "displayName": "English",
                    "displayImageId": null,
                    "redirect": false,
                    "subdirectory": "",
                    "tag": "en",
                },
                "secondary": [],
            },
            "dataCollectionEnabled": false,
            "dataCollectionType": "disabled",
        })
    }
}

/// What a user selects on the consent page: one workspace, or some sites of one workspace.
///
/// A Webflow grant never covers two workspaces; that takes two authorizations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Every site of the workspace with this ID.
    Workspace(String),
    /// The sites with these IDs, all in one workspace.
    Sites(Vec<String>),
}

impl Access {
    /// The covered sites, or why such a grant is impossible.
    pub(super) fn resolve<'a>(
        &self,
        workspaces: &'a [Workspace],
    ) -> Result<Vec<&'a Site>, &'static str> {
        match self {
            Self::Workspace(id) => workspaces
                .iter()
                .find(|workspace| workspace.id == *id)
                .map(|workspace| workspace.sites.iter().collect())
                .ok_or("There is no such workspace."),
            Self::Sites(ids) => {
                let mut sites = Vec::new();
                for id in ids {
                    let site = workspaces
                        .iter()
                        .flat_map(Workspace::sites)
                        .find(|site| site.id == *id)
                        .ok_or("There is no such site.")?;
                    sites.push(site);
                }
                let mut homes = sites.iter().map(|site| site.workspace_id());
                let first = homes.next().ok_or("Choose at least one site.")?;
                if homes.all(|home| home == first) {
                    Ok(sites)
                } else {
                    Err("Choose sites of one workspace only.")
                }
            }
        }
    }

    pub(super) fn covers(&self, site_id: &str, workspaces: &[Workspace]) -> bool {
        self.resolve(workspaces).is_ok_and(|sites| sites.iter().any(|site| site.id == site_id))
    }

    pub(super) fn covers_workspace(&self, workspace: &Workspace) -> bool {
        match self {
            Self::Workspace(id) => workspace.id == *id,
            Self::Sites(ids) => workspace.sites.iter().any(|site| ids.contains(&site.id)),
        }
    }

    /// The `authorizedTo` object of introspection.
    pub(super) fn to_json(&self, user_id: &str) -> Value {
        let (sites, workspaces): (&[String], &[String]) = match self {
            Self::Workspace(id) => (&[], std::slice::from_ref(id)),
            Self::Sites(ids) => (ids, &[]),
        };
        json!({"siteIds": sites, "workspaceIds": workspaces, "userIds": [user_id]})
    }
}

/// Converts a name to lower case with a dash for each run of other characters.
pub fn slug(name: &str) -> String {
    name.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_workspaces() -> Vec<Workspace> {
        let sites = |names: [&str; 2]| names.map(str::to_owned);
        vec![
            Workspace::new("Acme", sites(["Shop", "Blog"])),
            Workspace::new("Globex", sites(["Home", "Blog"])),
        ]
    }

    #[test]
    fn access_is_one_workspace_or_sites_of_one() {
        let workspaces = two_workspaces();
        let id = |workspace: usize, site: usize| workspaces[workspace].sites[site].id.clone();
        let resolve = |access: Access| access.resolve(&workspaces).map(|sites| sites.len());

        assert_eq!(resolve(Access::Workspace(workspaces[1].id.clone())), Ok(2));
        assert_eq!(resolve(Access::Sites(vec![id(0, 1)])), Ok(1));
        assert_eq!(resolve(Access::Sites(vec![id(0, 0), id(0, 1)])), Ok(2));
        assert!(resolve(Access::Sites(vec![id(0, 0), id(1, 0)])).is_err());
        assert!(resolve(Access::Sites(vec![])).is_err());
        assert!(resolve(Access::Sites(vec!["x".into()])).is_err());
        assert!(resolve(Access::Workspace("x".into())).is_err());
    }

    #[test]
    fn sites_of_one_name_in_two_workspaces_differ_in_their_id() {
        let workspaces = two_workspaces();
        assert_ne!(workspaces[0].sites[1].id, workspaces[1].sites[1].id);
        assert_eq!(workspaces[0].id.len(), 24);
    }

    #[test]
    fn a_slug_has_letters_digits_and_dashes() {
        assert_eq!(slug("  My first Post!  (2) "), "my-first-post-2");
        assert_eq!(slug("é"), "");
    }
}
