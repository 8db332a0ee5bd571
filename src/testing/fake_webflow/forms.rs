//! Forms and their submissions. Every site has one form.
//!
//! Source: Webflow Data API, Forms, *List Forms*, *Get Form Schema*, *List Form Submissions*, *Get*,
//! *Modify* and *Delete Form Submission*.

use http::StatusCode;
use serde_json::{Value, json};

use super::FakeWebflow;
use super::answer::{Answer, empty, invalid, json};
use super::ids::id_from;
use super::list::page_of;
use super::log::RecordedRequest;
use super::sites::{with_site, with_site_where};
use super::state::{FakeState, lock, timestamp};
use super::workspaces::{Site, Workspace};
use crate::grant::scope::Scope;

const NAME: &str = "Contact Form";

/// What was sent with a form.
pub struct Submission {
    id: String,
    site_id: String,
    json: Value,
}

fn form_id(site: &Site) -> String {
    id_from(&["form", site.id(), NAME])
}

fn to_json(fake: &FakeState, site: &Site) -> Value {
    let created = timestamp(fake.started_at);
    let field = |name: &str, kind: &str| json!({"displayName": name, "type": kind, "placeholder": null, "userVisible": true});
    json!({
        "id": form_id(site),
        "displayName": NAME,
        "siteId": site.id(),
        "siteDomainId": id_from(&["domain", site.id()]),
        "workspaceId": site.workspace_id(),
        "pageId": id_from(&["page", site.id(), "Contact"]),
        "pageName": "Contact",
        "formElementId": id_from(&["form element", site.id()]),
        "createdOn": created,
        "lastUpdated": created,
        "fields": {
            id_from(&["form field", "Name"]): field("Name", "Plain"),
            id_from(&["form field", "Email"]): field("Email", "Email"),
        },
        "responseSettings": {
            "redirectUrl": null,
            "redirectMethod": "GET",
            "redirectAction": null,
            "sendEmailConfirmation": false,
        },
    })
}

/// `GET /v2/sites/{site_id}/forms`.
pub fn list(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::FORMS_READ, site_id, |site| {
        page_of(fake, &[to_json(fake, site)], "forms", request)
    })
}

/// `GET /v2/forms/{form_id}`.
pub fn get(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_site_where(
        fake,
        request,
        &Scope::FORMS_READ,
        |site| form_id(site) == id,
        |site| json(StatusCode::OK, &to_json(fake, site)),
    )
}

/// `GET /v2/forms/{form_id}/submissions`.
pub fn submissions(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_site_where(
        fake,
        request,
        &Scope::FORMS_READ,
        |site| form_id(site) == id,
        |site| submissions_of(fake, request, site),
    )
}

/// `GET /v2/sites/{site_id}/form_submissions`.
pub fn site_submissions(fake: &FakeState, request: &RecordedRequest, site_id: &str) -> Answer {
    with_site(fake, request, &Scope::FORMS_READ, site_id, |site| {
        submissions_of(fake, request, site)
    })
}

fn submissions_of(fake: &FakeState, request: &RecordedRequest, site: &Site) -> Answer {
    let submissions = lock(&fake.submissions);
    let own = submissions.iter().filter(|submission| submission.site_id == site.id());
    let own: Vec<_> = own.map(|submission| submission.json.clone()).collect();
    page_of(fake, &own, "formSubmissions", request)
}

/// `GET /v2/form_submissions/{form_submission_id}`.
pub fn submission(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_submission(fake, request, &Scope::FORMS_READ, id, |submissions, at| {
        let found = submissions.get(at).map(|submission| submission.json.clone());
        json(StatusCode::OK, &found.unwrap_or_default())
    })
}

/// `PATCH /v2/form_submissions/{form_submission_id}`.
pub fn update(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_submission(fake, request, &Scope::FORMS_WRITE, id, |submissions, at| {
        let body = request.json().unwrap_or_default();
        let Some(data) = body.get("formSubmissionData").and_then(Value::as_object) else {
            return invalid("formSubmissionData is missing or not an object");
        };
        let Some(submission) = submissions.get_mut(at) else { return empty(StatusCode::OK) };
        let response = submission.json.get_mut("formResponse").and_then(Value::as_object_mut);
        if let Some(response) = response {
            response.extend(data.clone());
        }
        json(StatusCode::OK, &submission.json)
    })
}

/// `DELETE /v2/form_submissions/{form_submission_id}`.
pub fn delete(fake: &FakeState, request: &RecordedRequest, id: &str) -> Answer {
    with_submission(fake, request, &Scope::FORMS_WRITE, id, |submissions, at| {
        submissions.remove(at);
        empty(StatusCode::NO_CONTENT)
    })
}

fn with_submission(
    fake: &FakeState,
    request: &RecordedRequest,
    scope: &Scope,
    id: &str,
    endpoint: impl FnOnce(&mut Vec<Submission>, usize) -> Answer,
) -> Answer {
    let find = |submissions: &[Submission], site: &Site| {
        submissions.iter().position(|it| it.id == id && it.site_id == site.id())
    };
    let has_it = |site: &Site| find(&lock(&fake.submissions), site).is_some();
    with_site_where(fake, request, scope, has_it, |site| {
        let mut submissions = lock(&fake.submissions);
        let at = find(&submissions, site).unwrap_or_default();
        endpoint(&mut submissions, at)
    })
}

/// Form submissions.
impl FakeWebflow {
    /// Sends a site's form, as a visitor does; answers the submission's identifier, or `None` when
    /// there is no such site. No webhook is called; see `deliver` for that.
    pub fn submit_form(&self, site_id: &str, fields: &Value) -> Option<String> {
        let fake = &self.fake;
        let mut sites = fake.workspaces.iter().flat_map(Workspace::sites);
        let site = sites.find(|site| site.id() == site_id)?;
        let id = fake.ids.id();
        let json = json!({
            "id": id,
            "formId": form_id(site),
            "displayName": NAME,
            "siteId": site.id(),
            "workspaceId": site.workspace_id(),
            "dateSubmitted": timestamp(fake.clock.now()),
            "formResponse": fields,
        });
        let submission = Submission { id: id.clone(), site_id: site_id.to_owned(), json };
        lock(&fake.submissions).push(submission);
        Some(id)
    }
}
