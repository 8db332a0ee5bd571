//! Forms, pages, branches, comments, and the publication of a site.

use serde_json::{Map, Value};

use super::payloads;

payloads! {
    /// `form_submission`: a visitor submitted a form.
    FormSubmission {
        /// The form's name.
        name: String,
        /// The site.
        site_id: String,
        /// The submitted values, by field name.
        data: Map<String, Value>,
        /// The form's fields.
        schema: Vec<FormField>,
        /// When it was submitted.
        submitted_at: String,
        /// The submission's ID.
        id: String,
        /// The form's ID.
        form_id: String,
        /// The ID of the form's element in the Designer.
        form_element_id: String,
    }

    /// A field of a form.
    FormField {
        /// The field's name, a key of [`FormSubmission::data`].
        field_name: String,
        /// Its kind, such as `FormTextInput`.
        field_type: String,
        /// The ID of its element in the Designer.
        field_element_id: String,
    }

    /// `site_publish`: a site was published.
    SitePublish {
        /// The site.
        site_id: String,
        /// When it was published.
        published_on: String,
        /// The domains that it was published to.
        domains: Vec<String>,
        /// Who published it; documented with `displayName`.
        published_by: Map<String, Value>,
    }

    /// `page_created`, `page_metadata_updated`, `page_deleted`.
    Page {
        /// The site.
        site_id: String,
        /// The page.
        page_id: String,
        /// The page's title.
        page_title: String,
        /// The page's path on the published site.
        published_path: String,
        /// When it was created; with `page_created`.
        created_on: String,
        /// When it was changed; with `page_metadata_updated`.
        last_updated: String,
        /// When it was deleted; with `page_deleted`.
        deleted_on: String,
    }

    /// `branch_created`, `branch_merged`, `branch_deleted`.
    ///
    /// A merge deletes its branch and sends `branch_merged` alone.
    Branch {
        /// The site.
        site_id: String,
        /// The branch.
        branch_id: String,
        /// The branch's page.
        page_id: String,
        /// The page that it was branched from; empty if there is none.
        parent_page_id: String,
        /// The page's name.
        page_name: String,
        /// Who created it; with `branch_created`.
        created_by: String,
        /// When it was created; with `branch_created`.
        created_on: String,
        /// Who merged it; with `branch_merged`.
        merged_by: String,
        /// When it was merged; with `branch_merged`.
        merged_on: String,
        /// Who deleted it; with `branch_deleted`.
        deleted_by: String,
        /// When it was deleted; with `branch_deleted`.
        deleted_on: String,
    }

    /// `comment_created`: somebody wrote a comment or a reply in the Designer.
    Comment {
        /// The thread.
        thread_id: String,
        /// The reply, if it is one.
        comment_id: String,
        /// Whether it is a thread or a reply.
        #[serde(rename = "type")]
        kind: String,
        /// The site.
        site_id: String,
        /// The page.
        page_id: String,
        /// The locale.
        locale_id: String,
        /// The collection's item.
        item_id: String,
        /// The breakpoint in the Designer.
        breakpoint: String,
        /// The page's address.
        url: String,
        /// The text.
        content: String,
        /// Whether the thread is resolved.
        is_resolved: bool,
        /// Who wrote it.
        author: CommentUser,
        /// Who is mentioned; empty until Webflow has sent the emails, up to five minutes later.
        mentioned_users: Vec<CommentUser>,
        /// When it was created.
        created_on: String,
        /// When it was changed.
        last_updated: String,
    }

    /// A Webflow user in a [`Comment`].
    CommentUser {
        /// The user's ID.
        user_id: String,
        /// The email address. Webflow does not state that it is verified.
        email: String,
        /// The name.
        name: String,
    }
}
