"""Runs one step with Webflow's Python SDK and prints the result as JSON. The argument names the step:
`authorize` builds the link, `exchange` exchanges WEBFLOW_CODE, `read` makes API calls with
WEBFLOW_TOKEN.

The SDK is unmodified. Its exchange has no setting for the host, so `httpx.request` is wrapped to send
requests for https://api.webflow.com to WEBFLOW_BASE_URL, with the SDK's method, headers and body. The
API calls use the SDK's own `environment` setting.
"""

import json
import os
import sys

import httpx
from webflow import Webflow
from webflow.core.api_error import ApiError
from webflow.environment import WebflowEnvironment
from webflow.oauth import authorize_url, get_access_token
from webflow.types import CollectionItem, CollectionItemFieldData
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


steps = {"authorize": authorize, "exchange": exchange, "read": read}
print(json.dumps(steps[sys.argv[1]]()))
