"""Runs one step with Webflow's Python SDK and prints the result as JSON. The argument names the step:
`authorize` builds the link, `exchange` exchanges WEBFLOW_CODE, `read` and `use` make API calls with
WEBFLOW_TOKEN.

The SDK is unmodified. Its exchange has no setting for the host, so `httpx.request` is wrapped to send
requests for https://api.webflow.com to WEBFLOW_BASE_URL, with the SDK's method, headers and body. The
API calls use the SDK's own `environment` setting.
"""

import datetime
import json
import os
import sys

import httpx
from webflow import Webflow
from webflow.core.api_error import ApiError
from webflow.environment import WebflowEnvironment
from webflow.oauth import authorize_url, get_access_token
from webflow.resources.collections.resources.items.types import (
    ItemIDs,
    ItemsDeleteItemsLiveRequestItemsItem,
    ItemsDeleteItemsRequestItemsItem,
    SingleCmsItem,
)
from webflow.types import (
    CollectionItem,
    CollectionItemFieldData,
    CollectionItemPatchSingleFieldData,
    CollectionItemWithIdInput,
    ItemsListItemsRequestLastPublished,
)
from webflow.types.oauth_scope import OauthScope

env = os.environ


def authorize():
    return authorize_url(
        client_id=env["WEBFLOW_CLIENT_ID"],
        redirect_uri=env["WEBFLOW_REDIRECT_URI"],
        state=env["WEBFLOW_STATE"],
        scope=[OauthScope(scope) for scope in env["WEBFLOW_SCOPES"].split(" ")],
    )


def exchange():
    asked = []
    request = httpx.request

    def to_the_fake(method, url, **rest):
        asked.append(url)
        url = url.replace("https://api.webflow.com", env["WEBFLOW_BASE_URL"])
        return request(method, url, **rest)

    httpx.request = to_the_fake
    try:
        token = get_access_token(
            client_id=env["WEBFLOW_CLIENT_ID"],
            client_secret=env["WEBFLOW_CLIENT_SECRET"],
            code=env["WEBFLOW_CODE"],
            redirect_uri=env["WEBFLOW_REDIRECT_URI"],
        )
        return {"asked": asked[0], "token": token}
    except ApiError as error:
        return {"asked": asked[0], "error": {"status": error.status_code, "body": error.body}}


def read():
    base = env["WEBFLOW_BASE_URL"] + "/v2"
    client = Webflow(
        access_token=env["WEBFLOW_TOKEN"],
        environment=WebflowEnvironment(base=base, data_api=base, content_delivery_api=base),
    )
    info = client.token.introspect()
    user = client.token.authorized_by()
    sites = client.sites.list().sites
    collection = client.collections.list(sites[0].id).collections[0]
    fields = CollectionItemFieldData(name="A post", slug="a-post")
    new = CollectionItem(field_data=fields)
    item = client.collections.items.create_item(collection.id, request=new)
    page = client.collections.items.list_items(collection.id)
    return {
        "scope": info.authorization.scope,
        "created": int(info.authorization.created_on.timestamp()),
        "email": user.email,
        "sites": [site.display_name for site in sites],
        "collection": collection.display_name,
        "listed": [listed.id == item.id for listed in page.items],
        "total": page.pagination.total,
    }


def use():
    base = env["WEBFLOW_BASE_URL"] + "/v2"
    client = Webflow(
        access_token=env["WEBFLOW_TOKEN"],
        environment=WebflowEnvironment(base=base, data_api=base, content_delivery_api=base),
    )
    items = client.collections.items
    site = client.sites.get(client.sites.list().sites[0].id)
    domains = client.sites.get_custom_domain(site.id).custom_domains
    made = client.collections.create(
        site.id, display_name="Recipes", singular_name="Recipe", fields=[]
    )
    collection = client.collections.get(made.id)

    def new(name, slug):
        return CollectionItem(field_data=CollectionItemFieldData(name=name, slug=slug))

    draft = items.create_item(made.id, request=new("Soup", "soup"))
    live = items.create_item_live(made.id, request=new("Pie", "pie"))
    bulk = items.create_items(
        made.id,
        cms_locale_ids=[site.locales.primary.cms_locale_id],
        field_data=SingleCmsItem(name="Jam", slug="jam"),
    )
    published = items.publish_item(made.id, request=ItemIDs(item_ids=[draft.id]))

    def fields(name, slug):
        return CollectionItemPatchSingleFieldData(name=name, slug=slug)

    items.update_item(made.id, draft.id, field_data=fields("Stew", "soup"))
    items.update_item_live(made.id, live.id, field_data=fields("Tart", "pie"))
    items.update_items(made.id, items=[CollectionItemWithIdInput(id=bulk.id, is_archived=True)])
    items.update_items_live(made.id, items=[CollectionItemWithIdInput(id=live.id, is_draft=False)])
    staged = items.list_items(made.id, sort_by="name", sort_order="desc", limit=2)
    published_since = ItemsListItemsRequestLastPublished(
        gte=datetime.datetime(2000, 1, 1, tzinfo=datetime.timezone.utc)
    )
    found = items.list_items(made.id, slug="soup", last_published=published_since)
    listed_live = items.list_items_live(made.id)
    one_live = items.get_item_live(made.id, live.id)
    items.delete_item_live(made.id, live.id)
    items.delete_items_live(made.id, items=[ItemsDeleteItemsLiveRequestItemsItem(id=draft.id)])
    off = items.get_item(made.id, live.id)
    items.delete_item(made.id, live.id)
    gone = [ItemsDeleteItemsRequestItemsItem(id=id) for id in (draft.id, bulk.id)]
    items.delete_items(made.id, items=gone)
    client.collections.delete(made.id)

    pages = client.pages.list(site.id, limit=2).pages
    client.pages.update_page_settings(pages[1].id, title="Us")
    page = client.pages.get_metadata(pages[1].id)
    content = client.pages.get_content(page.id)

    form = client.forms.get(client.forms.list(site.id).forms[0].id)
    submissions = client.forms.list_submissions(form.id).form_submissions
    submission = client.forms.get_submission(submissions[0].id)
    client.forms.delete_submission(submission.id)

    upload = client.assets.create(
        site.id, file_name="a.png", file_hash="3c7d87c9575702bc3b1e991f4d3c638e"
    )
    uploaded = httpx.post(upload.upload_url, content=b"12345")
    client.assets.update(upload.id, display_name="A picture")
    asset = client.assets.get(upload.id)
    assets = client.assets.list(site.id).assets
    folder = client.assets.create_folder(site.id, display_name="Icons")
    folders = client.assets.list_folders(site.id).asset_folders
    same_folder = client.assets.get_folder(folder.id)
    client.assets.delete(asset.id)

    hook = client.webhooks.create(
        site.id, trigger_type="site_publish", url="https://app.example/hook"
    )
    hooks = client.webhooks.list(site.id).webhooks
    same_hook = client.webhooks.get(hook.id)
    client.webhooks.delete(hook.id)

    publication = client.sites.publish(site.id, publish_to_webflow_subdomain=True)
    return {
        "site": site.short_name,
        "domains": len(domains),
        "fields": [field.slug for field in collection.fields],
        "drafts": [draft.is_draft, live.is_draft, off.is_draft],
        "locales": len(bulk.cms_locale_ids),
        "published": len(published.published_item_ids),
        "staged": [item.field_data.name for item in staged.items],
        "found": [item.field_data.name for item in found.items],
        "live": [len(listed_live.items), one_live.field_data.name],
        "page": [len(pages), page.title, len(content.nodes)],
        "form": [form.display_name, submission.form_response["Name"]],
        "asset": [uploaded.status_code, asset.size, asset.display_name, len(assets)],
        "folder": [len(folders), same_folder.display_name],
        "webhook": [len(hooks), same_hook.trigger_type],
        "publication": publication.publish_to_webflow_subdomain,
    }


steps = {"authorize": authorize, "exchange": exchange, "read": read, "use": use}
print(json.dumps(steps[sys.argv[1]]()))
